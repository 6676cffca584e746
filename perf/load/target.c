#include "target.h"
#include "net.h"
#include "trouble.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *read_file(const char *path)
{
    struct stat about;
    FILE *file = fopen(path, "re");
    if (file == nullptr || fstat(fileno(file), &about) != 0)
        give_up("--targets %s: %s", path, strerror(errno));
    char *text = net_memory((size_t)about.st_size + 1, 1);
    if (fread(text, 1, (size_t)about.st_size, file) != (size_t)about.st_size)
        give_up("--targets %s: it cannot be read", path);
    fclose(file);
    return text;
}

/* True when the line has just so many words. */
static bool split(struct target *target, char *line, uint32_t words)
{
    char *place = nullptr;
    target->path = strtok_r(line, " ", &place);
    for (uint32_t i = 0; i < words; i++)
        target->words[i] = strtok_r(nullptr, " ", &place);
    return target->path != nullptr && target->path[0] == '/' &&
           strlen(target->path) < handshake_path_max &&
           (words == 0 || target->words[words - 1] != nullptr) &&
           strtok_r(nullptr, " ", &place) == nullptr;
}

void targets_read(struct targets *targets, const char *path, uint32_t words)
{
    uint32_t lines = 0;
    *targets = (struct targets){.text = read_file(path)};
    for (const char *at = targets->text; (at = strchr(at, '\n')) != nullptr; at++)
        lines += 1;
    if (lines == 0) give_up("--targets %s: it has no line", path);
    targets->all = net_memory(lines, sizeof *targets->all);
    char *place = nullptr;
    for (char *line = strtok_r(targets->text, "\n", &place);
         line != nullptr && targets->count < lines; line = strtok_r(nullptr, "\n", &place))
        if (!split(&targets->all[targets->count++], line, words))
            give_up("--targets %s: line %u is not a path and %u more words", path, targets->count,
                    words);
}

void targets_free(struct targets *targets)
{
    free(targets->all);
    free(targets->text);
}
