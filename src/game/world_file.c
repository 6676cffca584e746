#include "game/world_file.h"
#include <assert.h>

struct writer *world_file_fault(struct world_file *file, const struct json *at)
{
    struct json_place place = json_place(file->text, json_offset(file->text, file->root, at));
    write_format(file->problem, "line %u, column %u: ", place.line, place.column);
    write_text(file->problem, file->path_size > 0 ? (struct text){file->path, file->path_size}
                                                  : TEXT("the world"));
    write_text(file->problem, TEXT(" "));
    return file->problem;
}

size_t world_file_enter(struct world_file *file, struct text name)
{
    size_t before = file->path_size;
    struct writer path = {(uint8_t *)file->path, before, sizeof file->path, false};
    if (before > 0) write_text(&path, TEXT("."));
    write_text(&path, name);
    assert(!path.overflow); /* only names from the tables are entered */
    file->path_size = path.size;
    return before;
}

size_t world_file_enter_element(struct world_file *file, uint32_t index)
{
    size_t before = file->path_size;
    struct writer path = {(uint8_t *)file->path, before, sizeof file->path, false};
    write_text(&path, TEXT("["));
    write_u64(&path, index);
    write_text(&path, TEXT("]"));
    assert(!path.overflow);
    file->path_size = path.size;
    return before;
}

void world_file_leave(struct world_file *file, size_t path_size)
{
    assert(path_size <= file->path_size);
    file->path_size = path_size;
}

static bool read_number(struct world_file *file, const struct json *value,
                        const struct world_field *field, double *number)
{
    if (json_to_number(value, number) && *number >= field->least && *number <= field->most)
        return true;
    struct writer *problem = world_file_fault(file, value);
    if (json_to_number(value, number))
        write_format(problem, "is %.16g; ", *number);
    else
        write_text(problem, TEXT("is no number; "));
    write_format(problem, "it must be one from %.16g to %.16g", field->least, field->most);
    return false;
}

static bool read_whole(struct world_file *file, const struct json *value,
                       const struct world_field *field, int64_t *whole)
{
    double number;
    if (!read_number(file, value, field, &number)) return false;
    if (json_to_integer(value, whole)) return true;
    write_format(world_file_fault(file, value), "is %.16g; it must be a whole number", number);
    return false;
}

static bool is_name(struct text text)
{
    if (text.size == 0 || text.size > world_name_size_max) return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') return false;
    }
    return true;
}

static bool read_name(struct world_file *file, const struct json *value, struct world_name *name)
{
    struct text text;
    if (!json_to_text(value, &text) || !is_name(text)) {
        write_text(world_file_fault(file, value),
                   TEXT("is no id; it must be a string of 1 to 32 letters, digits, _ and -"));
        return false;
    }
    *name = (struct world_name){.size = (uint8_t)text.size};
    memcpy(name->data, text.data, text.size);
    return true;
}

/* A name that no field has; of a long one only the beginning is said. */
static bool fail_unknown(struct world_file *file, const struct json *key, struct text name,
                         const struct world_field *fields, size_t count)
{
    constexpr size_t shown_max = 24;
    struct writer *problem = world_file_fault(file, key);
    write_text(problem, TEXT("has \""));
    write_json_escaped(problem,
                       (struct text){name.data, name.size < shown_max ? name.size : shown_max});
    write_text(problem, TEXT("\", which means nothing there; it may have "));
    for (size_t i = 0; i < count; i++) {
        if (i > 0) write_text(problem, TEXT(", "));
        write_text(problem, fields[i].name);
    }
    return false;
}

static bool check_names(struct world_file *file, const struct json *object,
                        const struct world_field *fields, size_t count)
{
    for (size_t i = 0; i < json_count(object); i++) {
        const struct json *key = json_key(object, i);
        struct text name = {};
        bool known = false;
        if (!json_to_text(key, &name)) return false;
        for (size_t k = 0; k < count && !known; k++)
            known = text_equal(name, fields[k].name);
        if (!known) return fail_unknown(file, key, name, fields, count);
    }
    return true;
}

static bool fail_not_object(struct world_file *file, const struct json *value)
{
    write_text(world_file_fault(file, value), TEXT("is no object; it must be one, in {}"));
    return false;
}

static bool fail_missing(struct world_file *file, const struct json *object, struct text name)
{
    assert(object != nullptr); /* a table with such a field is for objects that are there */
    write_format(world_file_fault(file, object), "has no %.*s; it needs one", TEXT_ARG(name));
    return false;
}

bool world_file_point(struct world_file *file, const struct json *value, enum world_field_type type,
                      struct world_point *point)
{
    static const struct world_field axes[] = {
        {.name = TEXT("x"), .least = -world_reach, .most = world_reach},
        {.name = TEXT("y"), .least = -world_reach, .most = world_reach},
        {.name = TEXT("z"), .least = -world_reach, .most = world_reach}};
    double *const out[] = {&point->x, &point->y, &point->z};
    bool has_height = json_member(value, TEXT("y")) != nullptr;
    if (!json_is_object(value)) return fail_not_object(file, value);
    if (!check_names(file, value, axes, 3)) return false;
    *point = (struct world_point){};
    for (size_t i = 0; i < 3; i++) {
        if (i == 1 && !has_height && type != WORLD_FIELD_CORNER) continue;
        const struct json *number = json_member(value, axes[i].name);
        if (number == nullptr) return fail_missing(file, value, axes[i].name);
        size_t before = world_file_enter(file, axes[i].name);
        if (!read_number(file, number, &axes[i], out[i])) return false;
        world_file_leave(file, before);
    }
    if (type == WORLD_FIELD_PLACE && !has_height)
        point->y = world_height(file->ground, point->x, point->z);
    return true;
}

static bool read_field(struct world_file *file, const struct json *value,
                       const struct world_field *field, void *out)
{
    int64_t whole;
    switch (field->type) {
    case WORLD_FIELD_NUMBER: return read_number(file, value, field, out);
    case WORLD_FIELD_COUNT:
        if (!read_whole(file, value, field, &whole)) return false;
        *(uint32_t *)out = (uint32_t)whole;
        return true;
    case WORLD_FIELD_SEED:
        if (!read_whole(file, value, field, &whole)) return false;
        *(uint64_t *)out = (uint64_t)whole;
        return true;
    case WORLD_FIELD_NAME: return read_name(file, value, out);
    case WORLD_FIELD_CORNER:
    case WORLD_FIELD_PLACE:
    case WORLD_FIELD_STEP: return world_file_point(file, value, field->type, out);
    case WORLD_FIELD_OTHER: return true;
    }
    return false;
}

static void use_standard(const struct world_field *field, void *out)
{
    if (field->type == WORLD_FIELD_NUMBER) *(double *)out = field->standard;
    if (field->type == WORLD_FIELD_COUNT) *(uint32_t *)out = (uint32_t)field->standard;
}

bool world_file_read(struct world_file *file, const struct json *object,
                     const struct world_field *fields, size_t count, void *into)
{
    if (object != nullptr && !json_is_object(object)) return fail_not_object(file, object);
    if (!check_names(file, object, fields, count)) return false;
    for (size_t i = 0; i < count; i++) {
        const struct json *value = json_member(object, fields[i].name);
        if (value == nullptr && fields[i].required)
            return fail_missing(file, object, fields[i].name);
        void *out = (uint8_t *)into + fields[i].offset;
        if (value == nullptr) {
            use_standard(&fields[i], out);
            continue;
        }
        size_t before = world_file_enter(file, fields[i].name);
        if (!read_field(file, value, &fields[i], out)) return false;
        world_file_leave(file, before);
    }
    return true;
}
