/* game/world_file.h: reads objects of a world's file by tables that say what they hold. Whatever is
 * wrong is said once, with line, column, the way to the value, and what would be right. */
#pragma once
#include "base/json.h"
#include "game/world_map.h"

/* A file that is being read. */
struct world_file {
    struct text text;
    const struct json *root;
    const struct world_terrain *ground; /* what a y that is left out lies on */
    struct writer *problem;
    size_t path_size;
    char path[128]; /* to the value that is being read: "routes[0].start" */
};

enum world_field_type : uint8_t {
    WORLD_FIELD_NUMBER, /* double */
    WORLD_FIELD_COUNT,  /* uint32_t */
    WORLD_FIELD_SEED,   /* uint64_t, below 2^53 */
    WORLD_FIELD_NAME,   /* struct world_name */
    WORLD_FIELD_CORNER, /* struct world_point */
    WORLD_FIELD_PLACE,  /* struct world_point; without y it is on the ground */
    WORLD_FIELD_STEP,   /* struct world_point; without y that is 0 */
    WORLD_FIELD_OTHER,  /* whoever wrote the table reads it */
};

struct world_field {
    struct text name;
    enum world_field_type type;
    bool required;
    double least, most; /* of numbers and counts */
    double standard;    /* of a number or count that is left out */
    size_t offset;      /* in the struct that is read into */
};

/* Reads the members of `object` into a struct; nullptr is an object without any. A member that no
 * field names is a fault. What is left out keeps its bytes, numbers and counts aside. */
[[nodiscard]] bool world_file_read(struct world_file *file, const struct json *object,
                                   const struct world_field *fields, size_t count, void *into);

/* The same for a point that is not a member of anything, such as an array's element. */
[[nodiscard]] bool world_file_point(struct world_file *file, const struct json *value,
                                    enum world_field_type type, struct world_point *point);

/* A member or an element is read now. The answer is for world_file_leave, when it has been. */
[[nodiscard]] size_t world_file_enter(struct world_file *file, struct text name);
[[nodiscard]] size_t world_file_enter_element(struct world_file *file, uint32_t index);
void world_file_leave(struct world_file *file, size_t path_size);

/* Begins to say what is wrong: where `at` is, and the path. What is wrong is written to the writer
 * that is returned; then nothing more is read. */
[[nodiscard]] struct writer *world_file_fault(struct world_file *file, const struct json *at);
