#include "game/envelope.h"
#include "base/plain.h"
#include <assert.h>

static bool is_correlation(const struct json *value, struct text *correlation)
{
    return json_to_text(value, correlation) && correlation->size > 0 &&
           correlation->size <= envelope_correlation_size_max && plain_is_clean(*correlation);
}

struct text envelope_read(struct bytes memory, struct text message, struct envelope *envelope)
{
    struct text problem;
    *envelope = (struct envelope){};
    const struct json *root = json_read(memory, message, &problem);
    if (root == nullptr) return problem;
    if (!json_is_object(root)) return TEXT("is not a JSON object");
    const struct json *correlation = json_member(root, TEXT("correlation_id"));
    if (correlation != nullptr && !is_correlation(correlation, &envelope->correlation)) {
        envelope->correlation = (struct text){};
        return TEXT("has a correlation_id that is not a text of 1 to 64 bytes");
    }
    if (!json_to_text(json_member(root, TEXT("type")), &envelope->type) ||
        envelope->type.size == 0 || envelope->type.size > envelope_type_size_max)
        return TEXT("has no type, a text of 1 to 32 bytes");
    envelope->payload = json_member(root, TEXT("payload"));
    if (envelope->payload != nullptr && !json_is_object(envelope->payload))
        return TEXT("has a payload that is not an object");
    return (struct text){};
}

void envelope_write_problem(struct writer *out, struct text problem)
{
    write_text(out, TEXT("The message "));
    write_text(out, problem);
    write_byte(out, '.');
    assert(!out->overflow);
}
