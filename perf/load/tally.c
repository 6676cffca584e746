#include "tally.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *fault_sentence(enum fault fault)
{
    static const char *const sentences[] = {
#define X(name, sentence) sentence,
        FAULTS(X)
#undef X
    };
    return sentences[fault];
}

void tally_fault(struct tally *tally, enum fault fault, const char *format, ...)
{
    tally->faults[fault] += 1;
    if (tally->faults[fault] > 1) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(tally->first_fault[fault], detail_size, format, arguments);
    va_end(arguments);
}

void tally_ending(struct tally *tally, uint16_t code, const uint8_t *reason, size_t size)
{
    tally->ended += 1;
    size_t i = 0;
    while (i < tally->ending_count && tally->endings[i].code != code)
        i += 1;
    if (i == endings_max) i -= 1; /* more kinds of endings than anybody reads: in with the last */
    struct ending *ending = &tally->endings[i];
    if (i == tally->ending_count) {
        tally->ending_count += 1;
        ending->code = code;
        snprintf(ending->reason, sizeof ending->reason, "%.*s", (int)size,
                 size > 0 ? (const char *)reason : "");
    }
    ending->count += 1;
}

/* Compares with the client's state before; a gap is a loss, everything else but the next one is a
 * fault. */
static void check_order(struct tally *tally, uint64_t sequence, uint64_t previous)
{
    if (sequence == previous)
        tally_fault(tally, FAULT_REPEATED, "state %" PRIu64, sequence);
    else if (sequence < previous)
        tally_fault(tally, FAULT_BACKWARDS, "state %" PRIu64 " after %" PRIu64, sequence, previous);
    else if (sequence > previous + 1) {
        tally->gaps += 1;
        tally->states_missed += sequence - previous - 1;
    }
}

static bool check_grid(struct tally *tally, struct room *room, struct state_stamp stamp)
{
    switch (grid_note(&room->grid, stamp.sequence, stamp.encoded_ns)) {
    case GRID_KNOWN: return true;
    case GRID_BEFORE: return false;
    case GRID_CONFLICT:
        tally_fault(tally, FAULT_ENCODED_TWICE, "state %" PRIu64, stamp.sequence);
        return false;
    case GRID_FAR_AHEAD:
        tally_fault(tally, FAULT_FROM_THE_FUTURE, "state %" PRIu64, stamp.sequence);
        return false;
    }
    return false;
}

static void note_after(struct room *room, struct state_stamp stamp)
{
    bool is_after = room->end_ns > 0 && stamp.encoded_ns >= room->end_ns;
    if (is_after && (room->after == 0 || stamp.sequence < room->after))
        room->after = stamp.sequence;
}

bool tally_state(struct tally *tally, struct room *room, struct state_stamp stamp,
                 uint64_t previous, size_t frame_size, uint64_t now_ns)
{
    if (previous == 0) return false;
    check_order(tally, stamp.sequence, previous);
    if (stamp.encoded_ns > now_ns) { /* not to be believed, so it tells nothing about the grid */
        tally_fault(tally, FAULT_FROM_THE_FUTURE, "state %" PRIu64 ", %" PRIu64 " ns ahead",
                    stamp.sequence, stamp.encoded_ns - now_ns);
        return false;
    }
    if (!check_grid(tally, room, stamp)) return false;
    note_after(room, stamp);
    if (stamp.encoded_ns < room->begin_ns || stamp.encoded_ns >= room->end_ns) return false;
    if (stamp.sequence <= previous) return false; /* the same state twice is one delivery */
    tally->delivered += 1;
    tally->bytes += frame_size;
    histogram_add(&tally->from_encode, now_ns - stamp.encoded_ns);
    histogram_add(&tally->from_due, now_ns - grid_due_ns(&room->grid, stamp.sequence));
    return true;
}

uint64_t tally_fault_sum(const struct tally *tally)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < fault_count; i++)
        sum += tally->faults[i];
    return sum;
}
