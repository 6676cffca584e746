#include "said.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* From the end of the numbers on. */
static void write_rest(uint8_t *out, size_t at, size_t size)
{
    static const char rest[] = " nothing that anybody has to answer, only a few letters;";
    for (size_t i = at; i < size; i++)
        out[i] = (uint8_t)rest[(i - at) % (sizeof rest - 1)];
}

void said_write(uint8_t *out, size_t size, struct said said)
{
    assert(size >= said_size_min && size <= said_size_max);
    char numbers[said_size_min];
    int used = snprintf(numbers, sizeof numbers, "c%" PRIu32 " n%" PRIu64 " t%" PRIu64 " s%" PRIu64,
                        said.client, said.number, said.due_ns, said.sent_ns);
    assert(used > 0 && (size_t)used < sizeof numbers);
    memcpy(out, numbers, (size_t)used);
    write_rest(out, (size_t)used, size);
}

const char *said_read(const uint8_t *text, size_t size, struct said *said)
{
    char numbers[said_size_min] = "";
    uint8_t right[said_size_max];
    if (size < said_size_min || size > said_size_max) return "an echo of another size";
    memcpy(numbers, text, sizeof numbers - 1);
    bool negative = memchr(numbers, '-', sizeof numbers) != nullptr; /* sscanf would wrap it */
    if (negative || sscanf(numbers, "c%" SCNu32 " n%" SCNu64 " t%" SCNu64 " s%" SCNu64,
                           &said->client, &said->number, &said->due_ns, &said->sent_ns) != 4)
        return "an echo of nothing that was said";
    said_write(right, size, *said);
    return memcmp(text, right, size) == 0 ? nullptr : "an echo that is not as it was said";
}

void said_write_probe(uint8_t out[static said_probe_size], struct said said)
{
    char numbers[said_probe_size + 1];
    int used =
        snprintf(numbers, sizeof numbers, "n%" PRIu64 " t%" PRIu64, said.number, said.due_ns);
    assert(used > 0 && (size_t)used <= said_probe_size);
    memcpy(out, numbers, (size_t)used);
    write_rest(out, (size_t)used, said_probe_size);
}
