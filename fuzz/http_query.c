/* fuzz/http_query.c: looking up a parameter of a query, against a reader that takes the query apart
 * first. Input: a byte that says whose name is asked for, a byte that says how much room its value
 * has, and the query, which is made what the request reader lets through.
 *
 * None, one or several are found exactly when the other reader finds so many; one has the value
 * that it has there, or as much of it as there is room for; of several none is told for the one. */
#include "http/query.h"
#include "script.h"

constexpr size_t pairs_max = 64;

/* What the request reader lets through (http/request.h): visible characters, no '#', whole escapes,
 * none of a NUL. And no more pairs than are looked at here. */
static void make_query(struct bytes query)
{
    size_t separators = 0;
    for (size_t i = 0; i < query.size; i++) {
        uint8_t *at = &query.data[i];
        if (*at < '!' || *at > '~' || *at == '#') *at = (uint8_t)('a' + *at % 26);
        if (*at == '&' && ++separators >= pairs_max) *at = 'x';
        if (*at != '%') continue;
        const char *digits = "0123456789abcdefABCDEF";
        bool whole = query.size - i > 2 && at[1] != 0 && at[2] != 0 && strchr(digits, at[1]) &&
                     strchr(digits, at[2]) && memcmp(at + 1, "00", 2) != 0;
        if (!whole) *at = 'x';
    }
}

/* Without escapes, in memory of its own. */
static struct bytes decoded(const uint8_t *data, size_t size)
{
    struct bytes out = {malloc(size + 1), 0};
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {};
        if (data[i] == '%') memcpy(digits, data + i + 1, 2);
        out.data[out.size++] = data[i] == '%' ? (uint8_t)strtoul(digits, nullptr, 16) : data[i];
        if (data[i] == '%') i += 2;
    }
    return out;
}

struct pair {
    struct bytes name, value;
};

/* The pairs, of which there are pairs_max at most, from the last to the first. */
static size_t take_apart(struct bytes query, struct pair pairs[static pairs_max])
{
    size_t count = 0, end = query.size;
    for (size_t i = query.size + 1; i-- > 0;) {
        if (i > 0 && query.data[i - 1] != '&') continue;
        const uint8_t *from = query.data + i;
        const uint8_t *equals = end > i ? memchr(from, '=', end - i) : nullptr;
        size_t name_size = equals != nullptr ? (size_t)(equals - from) : end - i;
        size_t value_size = equals != nullptr ? end - i - name_size - 1 : 0;
        pairs[count].name = decoded(from, name_size);
        pairs[count++].value = decoded(equals != nullptr ? equals + 1 : from, value_size);
        end = i > 0 ? i - 1 : 0;
    }
    return count;
}

static void look_up(struct bytes query, struct bytes name, size_t room, const struct pair *pairs,
                    size_t count)
{
    size_t found = 0;
    const struct pair *one = nullptr;
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(text_from(pairs[i].name), text_from(name))) continue;
        found += 1;
        one = &pairs[i];
    }
    uint8_t *memory = malloc(room + 1);
    struct writer value = writer_over(memory, room);
    enum http_query_answer answer = http_query(text_from(query), text_from(name), &value);
    MUST(answer == (found == 0   ? HTTP_QUERY_NONE
                    : found == 1 ? HTTP_QUERY_FOUND
                                 : HTTP_QUERY_TWICE));
    if (found == 0) MUST(value.size == 0 && !value.overflow);
    if (found == 1) {
        size_t fits = one->value.size < room ? one->value.size : room;
        MUST(value.overflow == (one->value.size > room) && value.size == fits);
        MUST(fits == 0 || memcmp(value.data, one->value.data, fits) == 0);
    }
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, size};
    uint8_t which = script_byte(&script), room = script_byte(&script);
    struct bytes query = bytes_exact(script.data, script.size);
    struct pair pairs[pairs_max];
    make_query(query);
    size_t count = take_apart(query, pairs);
    look_up(query, (struct bytes){(uint8_t *)"token", 5}, room, pairs, count);
    /* Nobody asks for no name: whether a query that ends in "&" has it is a matter of taste. */
    const struct pair *chosen = &pairs[which % count];
    if (chosen->name.size > 0) look_up(query, chosen->name, room, pairs, count);
    for (size_t i = 0; i < count; i++) {
        free(pairs[i].name.data);
        free(pairs[i].value.data);
    }
    free(query.data);
    return 0;
}
