/* game/world_builtin.c: the world that is served when no file is given, as a file. */
#include "game/world_map.h"

static const char builtin[] = {
#embed "world_builtin.json"
};

struct text world_map_builtin(void)
{
    return (struct text){builtin, sizeof builtin};
}
