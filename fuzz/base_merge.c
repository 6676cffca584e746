/* fuzz/base_merge.c: what was read is written again, as it is and with a merge patch applied.
 * Input: two documents with a NUL between them.
 *
 * What is written of a document is read as the same values. The outcome of a merge is the one that
 * RFC 7396 §2 describes, member by member; and the memory that base/json.h asks for is enough for
 * both. */
#include "base/json.h"
#include "script.h"

/* Values that are to be compared, or a merge that is to be judged. */
struct pending {
    const struct json *left, *right; /* are to be equal; or */
    const struct json *target;       /* with `right`, a patch, applied must be `left` */
    bool merged;
};

/* Those that are left; no recursion. */
static void push(struct pot *pot, struct pending pending)
{
    pot_add(pot, &pending, sizeof pending);
}

static void check_object(struct pot *pot, const struct json *left, const struct json *right)
{
    MUST(json_count(left) == json_count(right));
    for (size_t i = 0; i < json_count(left); i++) {
        struct text name;
        const struct json *value = json_member_at(left, i, &name);
        push(pot, (struct pending){.left = value, .right = json_member(right, name)});
    }
}

static void check_equal(struct pot *pot, const struct json *left, const struct json *right)
{
    struct text text, same_text;
    double number, same_number;
    int64_t integer, same_integer;
    bool flag, same_flag;
    MUST(left != nullptr && right != nullptr);
    MUST(json_is_object(left) == json_is_object(right));
    MUST(json_is_array(left) == json_is_array(right));
    MUST(json_is_null(left) == json_is_null(right));
    MUST(json_to_text(left, &text) == json_to_text(right, &same_text));
    if (json_to_text(left, &text)) MUST(text_equal(text, same_text));
    MUST(json_to_number(left, &number) == json_to_number(right, &same_number));
    if (json_to_number(left, &number)) MUST(number == same_number);
    MUST(json_to_integer(left, &integer) == json_to_integer(right, &same_integer));
    if (json_to_integer(left, &integer)) MUST(integer == same_integer);
    MUST(json_to_bool(left, &flag) == json_to_bool(right, &same_flag));
    if (json_to_bool(left, &flag)) MUST(flag == same_flag);
    if (json_is_object(left)) check_object(pot, left, right);
    if (!json_is_array(left)) return;
    MUST(json_count(left) == json_count(right));
    for (size_t i = 0; i < json_count(left); i++)
        push(pot, (struct pending){.left = json_element(left, i), .right = json_element(right, i)});
}

/* How many members an object has after a patch. */
static size_t merged_count(const struct json *target, const struct json *patch)
{
    struct text name;
    size_t count = 0;
    for (size_t i = 0; i < json_count(patch); i++)
        count += !json_is_null(json_member_at(patch, i, &name));
    for (size_t i = 0; json_is_object(target) && i < json_count(target); i++) {
        (void)!json_member_at(target, i, &name);
        count += json_member(patch, name) == nullptr;
    }
    return count;
}

static void check_merged(struct pot *pot, const struct json *merged, const struct json *target,
                         const struct json *patch)
{
    if (!json_is_object(patch)) {
        check_equal(pot, merged, patch);
        return;
    }
    MUST(json_is_object(merged) && json_count(merged) == merged_count(target, patch));
    for (size_t i = 0; i < json_count(merged); i++) {
        struct text name;
        const struct json *value = json_member_at(merged, i, &name);
        const struct json *change = json_member(patch, name), *before = json_member(target, name);
        if (change == nullptr) {
            push(pot, (struct pending){.left = value, .right = before});
        } else {
            MUST(!json_is_null(change));
            push(pot, (struct pending){value, change, before, true});
        }
    }
}

static void check(struct pending first)
{
    struct pot pot = {};
    push(&pot, first);
    while (pot.size > 0) {
        struct pending pending;
        pot.size -= sizeof pending;
        memcpy(&pending, pot.data + pot.size, sizeof pending);
        if (pending.merged)
            check_merged(&pot, pending.left, pending.target, pending.right);
        else
            check_equal(&pot, pending.left, pending.right);
    }
    free(pot.data);
}

/* A document in memory of exactly the size that is asked for. */
struct read {
    const struct json *root; /* nullptr: it is none */
    struct bytes memory;
    struct text problem;
};

static struct read read_document(struct text document)
{
    struct read read = {
        .memory = {malloc(json_memory_size(document.size)), json_memory_size(document.size)}};
    read.root = json_read(read.memory, document, &read.problem);
    return read;
}

/* A number may be written longer than it was read: 1e20 has 23 characters. */
constexpr size_t growth_most = 8;

static void check_written(const struct json *root, size_t size)
{
    struct bytes memory = {malloc(json_memory_size(size)), json_memory_size(size)};
    struct bytes space = {malloc(growth_most * size), growth_most * size};
    struct writer out = writer_over(space.data, space.size);
    json_write(&out, root, memory);
    MUST(!out.overflow);
    struct read again = read_document(text_from(writer_bytes(&out)));
    check((struct pending){.left = root, .right = again.root});
    free(again.memory.data);
    free(space.data);
    free(memory.data);
}

static void check_merge(const struct json *target, const struct json *patch, size_t size)
{
    struct bytes memory = {malloc(json_merge_memory_size(size)), json_merge_memory_size(size)};
    struct bytes space = {malloc(growth_most * size), growth_most * size};
    struct writer out = writer_over(space.data, space.size);
    json_merge(&out, target, patch, memory);
    MUST(!out.overflow);
    struct read merged = read_document(text_from(writer_bytes(&out)));
    if (merged.root != nullptr)
        check((struct pending){merged.root, patch, target, true});
    else /* which takes so many members in the two */
        MUST(text_equal(merged.problem, TEXT("has too many keys")) && size > 5 * json_members_max);
    free(merged.memory.data);
    free(space.data);
    free(memory.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : nullptr;
    size_t first_size = nul != nullptr ? (size_t)(nul - data) : size;
    struct bytes first = bytes_exact(data, first_size);
    struct bytes second =
        bytes_exact(nul != nullptr ? nul + 1 : data, nul != nullptr ? size - first_size - 1 : 0);
    struct read target = read_document(text_from(first)), patch = read_document(text_from(second));
    if (target.root != nullptr) {
        check_written(target.root, first.size);
        check_merge(nullptr, target.root, first.size);
    }
    if (target.root != nullptr && patch.root != nullptr)
        check_merge(target.root, patch.root, first.size + second.size);
    free(target.memory.data);
    free(patch.memory.data);
    free(first.data);
    free(second.data);
    return 0;
}
