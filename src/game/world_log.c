#include "game/world_log.h"
#include "game/world.h"
#include <assert.h>

const struct text world_log_head = TEXT("ringcast-world-log 1\n");

struct form {
    struct text word;
    uint8_t numbers, texts;
};

static const struct form forms[] = {
#define FORM(name, word, numbers, texts) [WORLD_ENTRY_##name] = {TEXT(word), numbers, texts},
    WORLD_ENTRIES(FORM)
#undef FORM
};
constexpr size_t form_count = sizeof forms / sizeof *forms;

static_assert(8 + (2 + world_entry_numbers_max + world_entry_texts_max) * 21 <
              world_entry_line_max);

/* --- Writing ---------------------------------------------------------------------------------- */

static void write_number(struct writer *out, uint64_t number)
{
    write_byte(out, ' ');
    write_u64(out, number);
}

void world_entry_write(struct writer *out, const struct world_entry *entry)
{
    const struct form *form = &forms[entry->kind];
    write_text(out, form->word);
    write_number(out, entry->ns);
    write_number(out, entry->wall_ms);
    for (size_t i = 0; i < form->numbers; i++)
        write_number(out, entry->numbers[i]);
    for (size_t i = 0; i < form->texts; i++)
        write_number(out, entry->texts[i].size);
    write_byte(out, '\n');
    for (size_t i = 0; i < form->texts; i++)
        write_text(out, entry->texts[i]);
    if (form->texts > 0) write_byte(out, '\n');
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* The line's next word, which a space or the line's end follows. */
static struct text take_word(struct text *line)
{
    size_t size = 0;
    while (size < line->size && line->data[size] != ' ')
        size += 1;
    struct text word = {line->data, size};
    *line = text_skip(*line, size < line->size ? size + 1 : size);
    return word;
}

static bool take_number(struct text *line, uint64_t *number)
{
    return text_to_u64(take_word(line), number);
}

static const struct form *form_of(struct text word)
{
    for (size_t i = 0; i < form_count; i++)
        if (text_equal(forms[i].word, word)) return &forms[i];
    return nullptr;
}

/* False when the line is none. The texts' sizes are read, not yet the texts. */
static bool read_line(struct text line, struct world_entry *entry, const struct form **form)
{
    bool ends_open = line.size > 0 && line.data[line.size - 1] == ' ';
    *form = form_of(take_word(&line));
    if (*form == nullptr || ends_open) return false;
    *entry = (struct world_entry){.kind = (enum world_entry_kind)(*form - forms)};
    bool good = take_number(&line, &entry->ns) && take_number(&line, &entry->wall_ms);
    for (size_t i = 0; i < (*form)->numbers; i++)
        good = good && take_number(&line, &entry->numbers[i]);
    for (size_t i = 0; i < (*form)->texts; i++) {
        uint64_t size = 0;
        good = good && take_number(&line, &size) && size <= world_file_size_max;
        entry->texts[i].size = size;
    }
    return good && line.size == 0;
}

enum world_entry_step world_entry_read(struct text *rest, struct world_entry *entry)
{
    const struct form *form;
    if (rest->size == 0) return WORLD_ENTRY_NONE;
    size_t most = rest->size < world_entry_line_max ? rest->size : world_entry_line_max;
    const char *end = memchr(rest->data, '\n', most);
    if (end == nullptr)
        return rest->size < world_entry_line_max ? WORLD_ENTRY_CUT : WORLD_ENTRY_BROKEN;
    struct text line = {rest->data, (size_t)(end - rest->data)};
    if (!read_line(line, entry, &form)) return WORLD_ENTRY_BROKEN;
    struct text left = text_skip(*rest, line.size + 1);
    for (size_t i = 0; i < form->texts; i++) {
        if (entry->texts[i].size > left.size) return WORLD_ENTRY_CUT;
        entry->texts[i].data = left.data;
        left = text_skip(left, entry->texts[i].size);
    }
    if (form->texts > 0) {
        if (left.size == 0) return WORLD_ENTRY_CUT;
        if (left.data[0] != '\n') return WORLD_ENTRY_BROKEN;
        left = text_skip(left, 1);
    }
    *rest = left;
    return WORLD_ENTRY_READ;
}

/* --- How it was opened ------------------------------------------------------------------------ */

void world_entry_from_options(struct world_entry *entry, uint64_t seed,
                              const struct game_options *options)
{
    const uint64_t numbers[1 + world_entry_options] = {
        seed,
        options->players_max,
        options->members_max,
        options->strangers_max,
        options->auth_ms,
        options->leave_ms,
        options->warning_ms,
        options->leeway_ms,
        options->walkers,
    };
    memcpy(entry->numbers, numbers, sizeof numbers);
}

bool world_entry_to_options(const struct world_entry *entry, uint64_t *seed,
                            struct game_options *options)
{
    constexpr uint64_t day_ms = 86'400'000, members_most = 1'000'000;
    static const struct {
        uint64_t least, most;
    } bounds[world_entry_options] = {
        {1, world_entities_most / 2},
        {1, members_most},
        {1, members_most},
        {1, day_ms},
        {0, day_ms},
        {0, day_ms},
        {0, day_ms},
        {0, world_entities_most / 2},
    };
    const uint64_t *numbers = entry->numbers + 1;
    for (size_t i = 0; i < world_entry_options; i++)
        if (numbers[i] < bounds[i].least || numbers[i] > bounds[i].most) return false;
    *seed = entry->numbers[0];
    *options = (struct game_options){.players_max = (uint32_t)numbers[0],
                                     .members_max = (uint32_t)numbers[1],
                                     .strangers_max = (uint32_t)numbers[2],
                                     .auth_ms = (uint32_t)numbers[3],
                                     .leave_ms = (uint32_t)numbers[4],
                                     .warning_ms = (uint32_t)numbers[5],
                                     .leeway_ms = (uint32_t)numbers[6],
                                     .walkers = (uint32_t)numbers[7]};
    return true;
}

/* --- What is hidden --------------------------------------------------------------------------- */

static bool may_be_of_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

/* Its hash in hexadecimal, again and again. */
static void hide(uint8_t *out, struct text token, struct hash_key key)
{
    uint64_t hash = hash_text(key, token);
    for (size_t i = 0; i < token.size; i++)
        out[i] = (uint8_t)"0123456789abcdef"[hash >> i % 16 * 4 & 15];
}

struct text world_log_hide(uint8_t *memory, struct text message, struct hash_key key)
{
    bool inside = false;
    memcpy(memory, message.data, message.size);
    for (size_t i = 0; i < message.size;) {
        size_t size = 0;
        while (inside && i + size < message.size && may_be_of_token(message.data[i + size]))
            size += 1;
        if (size >= world_hidden_least)
            hide(memory + i, (struct text){message.data + i, size}, key);
        i += size;
        if (size > 0 || i == message.size) continue;
        char c = message.data[i++];
        if (c == '"') inside = !inside;
        if (c != '\\' || !inside || i == message.size) continue;
        i += message.data[i] == 'u' ? 5 : 1; /* what it stands for stays as it is */
    }
    return (struct text){(const char *)memory, message.size};
}
