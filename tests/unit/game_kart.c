/* tests/unit/game_kart.c: the race engine: phases and their clocks, the host's commands, the exact
 * bytes of the state (THREATS.md S0-5, S0-6, S0-14, S0-15). */
#include "check.h"
#include "game/games.h"
#include "limits.h"
#include <stdalign.h>

/* A race on a table: its state, its operator's choices, and a clock that the test moves. */
struct race {
    alignas(16) uint8_t state[256];
    struct game_options options;
    uint64_t now_ms;
    uint64_t sequence;
    char reply[1024];
    size_t reply_size;
    uint8_t shown[snapshot_size_max];
};

static struct game_time time_of(const struct race *race)
{
    return (struct game_time){.ms = race->now_ms, .ns = race->now_ms * 1000 * 1000 + 7};
}

/* Opens at a time that is not zero, so that nobody confuses the two. */
static void race_open(struct race *race, struct game_options options)
{
    *race = (struct race){.options = options, .now_ms = 1000};
    EXPECT(game_kart.state_size <= sizeof(race->state));
    game_kart.open(race->state, &(struct game_opening){
                                    .options = &race->options, .seed = 1, .now = time_of(race)});
}

static void race_wait(struct race *race, uint64_t ms)
{
    race->now_ms += ms;
    game_kart.advance(race->state, time_of(race), nullptr);
}

static enum game_answer race_command(struct race *race, struct text line)
{
    struct writer reply = writer_over(race->reply, sizeof(race->reply));
    game_kart.advance(race->state, time_of(race), nullptr);
    enum game_answer answer = game_kart.command(race->state, line, time_of(race), &reply);
    EXPECT(!reply.overflow);
    race->reply_size = reply.size;
    return answer;
}
#define SAY(race, line, answer) EXPECT_EQ(race_command(race, TEXT(line)), answer)

static struct text race_reply(const struct race *race)
{
    return (struct text){.data = race->reply, .size = race->reply_size};
}

static struct bytes race_show(struct race *race)
{
    struct game_view view = {.now = time_of(race), .sequence = race->sequence};
    struct writer out = writer_over(race->shown, sizeof(race->shown));
    game_kart.advance(race->state, view.now, nullptr);
    game_kart.snapshot(race->state, &view, &out);
    EXPECT(!out.overflow);
    return writer_bytes(&out);
}
#define SHOWS(race, literal) EXPECT_TEXT(race_show(race), literal)

static struct text help =
    TEXT("Understood: /host start, /host finish, /host reset, "
         "/host phase idle|staging|ignition|racing|cooldown, /host bonus CENTS, "
         "/host pot CENTS, /host pause, /host resume, /host extend SECONDS, /host help.");

TEST("a room opens idle, with an empty pot and no clock")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
    race_wait(&race, 1000 * 1000 * 1000);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("the state is the bare object of the contract, keys in order (S0-6)")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host bonus 500", GAME_DONE);
    race_wait(&race, 3500);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":500,\"time_remaining_ms\":41500}");
}

TEST("a race walks through its phases, each to the millisecond")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
    race_wait(&race, 44999);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":5000}");
    race_wait(&race, 4999);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":120000}");
    race_wait(&race, 119999);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"cooldown\",\"pot\":0,\"time_remaining_ms\":15000}");
    race_wait(&race, 14999);
    SHOWS(&race, "{\"phase\":\"cooldown\",\"pot\":0,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("a leap in time passes several boundaries and loses no millisecond")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    race_wait(&race, 45000 + 5000 + 20001);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":99999}");
    race_wait(&race, 1000 * 1000);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("advancing twice to the same time changes nothing the second time")
{
    struct race race;
    race_open(&race, (struct game_options){.autostart = true});
    for (unsigned i = 0; i < 50; i++) {
        race_wait(&race, 9001);
        struct bytes once = race_show(&race);
        uint8_t copy[256];
        size_t size = once.size;
        EXPECT(size <= sizeof(copy));
        memcpy(copy, once.data, size);
        race_wait(&race, 0);
        struct bytes twice = race_show(&race);
        EXPECT(twice.size == size && memcmp(twice.data, copy, size) == 0);
    }
}

TEST("with autostart the room opens in staging and a race follows each race, its pot from 0")
{
    struct race race;
    race_open(&race, (struct game_options){.autostart = true});
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
    SAY(&race, "/host bonus 700", GAME_DONE);
    race_wait(&race, 184999);
    SHOWS(&race, "{\"phase\":\"cooldown\",\"pot\":700,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
    race_wait(&race, 185001);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":44999}");
}

TEST("small steps, large steps and one leap over thousands of races end in the same bytes")
{
    struct race small, large, leap;
    constexpr uint64_t whole_ms = 185000ull * 2000 + 51234;
    struct race *races[] = {&small, &large, &leap};
    for (size_t i = 0; i < 3; i++) {
        race_open(races[i], (struct game_options){.autostart = true});
        race_wait(races[i], 60000);
        SAY(races[i], "/host bonus 9", GAME_DONE);
    }
    for (uint64_t done = 0; done < whole_ms; done += 617)
        race_wait(&small, whole_ms - done < 617 ? whole_ms - done : 617);
    for (uint64_t done = 0; done < whole_ms; done += 600001)
        race_wait(&large, whole_ms - done < 600001 ? whole_ms - done : 600001);
    race_wait(&leap, whole_ms);
    SHOWS(&small, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":58766}");
    SHOWS(&large, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":58766}");
    SHOWS(&leap, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":58766}");
}

TEST("a leap of a thousand years is over at once")
{
    struct race race;
    race_open(&race, (struct game_options){.autostart = true});
    race_wait(&race, 185000ull * 170000000 + 46000);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":4000}");
}

TEST("the same commands at the same times give the same bytes and answers")
{
    static const struct text lines[] = {
        TEXT("/host start"),      TEXT("/host bonus 7"), TEXT("/host extend -30"),
        TEXT("/host pause"),      TEXT("/host bonus 1"), TEXT("/host resume"),
        TEXT("/host phase idle"), TEXT("nonsense"),      TEXT("/host finish")};
    struct race one, other;
    race_open(&one, (struct game_options){.stamp = true});
    race_open(&other, (struct game_options){.stamp = true});
    for (unsigned i = 0; i < 500; i++) {
        struct text line = lines[i * 5 % 9];
        race_wait(&one, i * 37 % 4001);
        for (uint64_t j = 0; j < i * 37 % 4001; j += 100)
            race_wait(&other, i * 37 % 4001 - j < 100 ? i * 37 % 4001 - j : 100);
        EXPECT_EQ(race_command(&one, line), race_command(&other, line));
        EXPECT(text_equal(race_reply(&one), race_reply(&other)));
        EXPECT(text_equal(text_from(race_show(&one)), text_from(race_show(&other))));
    }
}

TEST("start begins a race from idle and from cooldown, and leaves a race alone that is on")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    race_wait(&race, 1000);
    SAY(&race, "/host start", GAME_UNCHANGED);
    EXPECT_EQ(race_reply(&race).size, 0); // the state says it
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":44000}");
    SAY(&race, "/host phase ignition", GAME_DONE);
    SAY(&race, "/host start", GAME_UNCHANGED);
    SAY(&race, "/host phase racing", GAME_DONE);
    SAY(&race, "/host start", GAME_UNCHANGED);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":120000}");
    SAY(&race, "/host phase cooldown", GAME_DONE);
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
}

TEST("finish ends a race in any of its phases, and is refused when none is on")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host finish", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "No race is on.");
    static const struct text into[] = {TEXT("/host phase staging"), TEXT("/host phase ignition"),
                                       TEXT("/host phase racing")};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(race_command(&race, into[i]), GAME_DONE);
        SAY(&race, "/host finish", GAME_DONE);
        SHOWS(&race, "{\"phase\":\"cooldown\",\"pot\":0,\"time_remaining_ms\":15000}");
        SAY(&race, "/host finish", GAME_REFUSED);
    }
}

TEST("phase enters any phase with its full clock, also the one that is on")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host phase idle", GAME_UNCHANGED);
    SAY(&race, "/host phase racing", GAME_DONE);
    race_wait(&race, 5);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":119995}");
    SAY(&race, "/host phase racing", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":120000}");
    SAY(&race, "/host phase staging", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
    SAY(&race, "/host phase ignition", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":5000}");
    SAY(&race, "/host phase cooldown", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"cooldown\",\"pot\":0,\"time_remaining_ms\":15000}");
    SAY(&race, "/host phase idle", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("reset empties pot and clock, from every phase")
{
    struct race race;
    race_open(&race, (struct game_options){.autostart = true});
    SAY(&race, "/host bonus 5", GAME_DONE);
    SAY(&race, "/host reset", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
    SAY(&race, "/host reset", GAME_UNCHANGED);
    race_wait(&race, 1000 * 1000); // idle waits for the host, autostart or not
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
    SAY(&race, "/host pot 3", GAME_DONE);
    SAY(&race, "/host reset", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("a bonus adds to the pot or takes from it, and the pot stays within 0 and 2^53-1")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host bonus 500", GAME_DONE);
    SAY(&race, "/host bonus 250", GAME_DONE);
    SAY(&race, "/host bonus -50", GAME_DONE);
    SAY(&race, "/host bonus 0", GAME_UNCHANGED);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":700,\"time_remaining_ms\":0}");
    SAY(&race, "/host bonus -701", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "The pot cannot be less than 0.");
    SAY(&race, "/host bonus -700", GAME_DONE);
    SAY(&race, "/host bonus 9007199254740991", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":9007199254740991,\"time_remaining_ms\":0}");
    SAY(&race, "/host bonus 1", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "The pot cannot be more than 9007199254740991 cents.");
    SAY(&race, "/host bonus 9223372036854775807", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "The pot cannot be more than 9007199254740991 cents.");
    SAY(&race, "/host bonus -9223372036854775808", GAME_REFUSED);
    SAY(&race, "/host bonus 9223372036854775808", GAME_NOT_UNDERSTOOD);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":9007199254740991,\"time_remaining_ms\":0}");
}

TEST("the pot is set within the same bounds")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host pot 9007199254740991", GAME_DONE);
    SAY(&race, "/host pot 9007199254740991", GAME_UNCHANGED);
    SAY(&race, "/host pot 9007199254740992", GAME_REFUSED);
    SAY(&race, "/host pot -1", GAME_REFUSED);
    SAY(&race, "/host pot 0", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
}

TEST("a won pot stays on show until the next race, which begins from 0")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host bonus 900", GAME_DONE);
    SAY(&race, "/host finish", GAME_DONE);
    SAY(&race, "/host bonus 100", GAME_DONE); // a correction to the race that is over
    race_wait(&race, 15000);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":1000,\"time_remaining_ms\":0}");
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
}

TEST("a race that skips staging begins from 0 as well")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host pot 40", GAME_DONE);
    SAY(&race, "/host phase racing", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":40,\"time_remaining_ms\":120000}");
    SAY(&race, "/host finish", GAME_DONE);
    SAY(&race, "/host phase racing", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":120000}");
}

TEST("what the host puts on show while idle is the next race's")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host bonus 300", GAME_DONE);
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":300,\"time_remaining_ms\":45000}");
    SAY(&race, "/host finish", GAME_DONE);
    race_wait(&race, 15000);
    SAY(&race, "/host pot 20", GAME_DONE);
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":20,\"time_remaining_ms\":45000}");
}

TEST("a race that is called off leaves its pot to the next one")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host bonus 300", GAME_DONE);
    SAY(&race, "/host phase idle", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":300,\"time_remaining_ms\":0}");
    SAY(&race, "/host start", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":300,\"time_remaining_ms\":45000}");
}

TEST("a pause stops the clock for as long as it lasts, and resume goes on from there")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    race_wait(&race, 44000);
    SAY(&race, "/host resume", GAME_UNCHANGED);
    SAY(&race, "/host pause", GAME_DONE);
    race_wait(&race, 1000 * 1000);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":1000}");
    SAY(&race, "/host pause", GAME_UNCHANGED);
    SAY(&race, "/host resume", GAME_DONE);
    race_wait(&race, 999);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":1}");
    race_wait(&race, 1);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":5000}");
}

TEST("a change of phase ends a pause")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host pause", GAME_DONE);
    SAY(&race, "/host phase ignition", GAME_DONE);
    race_wait(&race, 4000);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":1000}");
    SAY(&race, "/host resume", GAME_UNCHANGED);
}

TEST("extend gives seconds to a clock and takes them")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host extend 15", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":60000}");
    SAY(&race, "/host extend -59", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":1000}");
    SAY(&race, "/host extend 0", GAME_UNCHANGED);
    SAY(&race, "/host pause", GAME_DONE);
    SAY(&race, "/host extend 9", GAME_DONE);
    race_wait(&race, 100000);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":10000}");
    SAY(&race, "/host resume", GAME_DONE);
    race_wait(&race, 10000);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":5000}");
}

TEST("taking more than is left ends the phase now, not before")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    race_wait(&race, 3000);
    SAY(&race, "/host extend -86400", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":5000}");
    SAY(&race, "/host pause", GAME_DONE);
    SAY(&race, "/host extend -6", GAME_DONE);
    race_wait(&race, 3000);
    SHOWS(&race, "{\"phase\":\"ignition\",\"pot\":0,\"time_remaining_ms\":0}");
    SAY(&race, "/host resume", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"racing\",\"pot\":0,\"time_remaining_ms\":120000}");
}

TEST("a clock holds a day at most")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host extend 86356", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "A clock cannot hold more than 86400 seconds.");
    SAY(&race, "/host extend 9223372036854775807", GAME_REFUSED);
    SAY(&race, "/host extend -9223372036854775808", GAME_REFUSED);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
    SAY(&race, "/host extend 86355", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":86400000}");
}

TEST("where there is no clock, the commands about it are refused")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host pause", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "This phase has no clock.");
    SAY(&race, "/host resume", GAME_REFUSED);
    SAY(&race, "/host extend 5", GAME_REFUSED);
    EXPECT_TEXT(race_reply(&race), "This phase has no clock.");
}

TEST("help lists what is understood and changes nothing")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host help", GAME_UNCHANGED);
    EXPECT(text_equal(race_reply(&race), help));
}

TEST("blanks around a command and several spaces between its words do not matter")
{
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, " \t /host   bonus    500 \t", GAME_DONE);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":500,\"time_remaining_ms\":0}");
}

TEST("whatever else is said is answered with what is understood, and changes nothing")
{
    static const struct text lines[] = {
        {},
        TEXT("   "),
        TEXT("host start"),
        TEXT("/host"),
        TEXT("/Host start"),
        TEXT("/host START"),
        TEXT("/host\tstart"),
        TEXT("/hoststart"),
        TEXT("/host dance"),
        TEXT("/host start now"),
        TEXT("/host reset 1"),
        TEXT("/host help me"),
        TEXT("/host bonus"),
        TEXT("/host bonus 5 5"),
        TEXT("/host bonus five"),
        TEXT("/host bonus 5.0"),
        TEXT("/host bonus +5"),
        TEXT("/host bonus 5c"),
        TEXT("/host bonus --5"),
        TEXT("/host bonus -"),
        TEXT("/host pot"),
        TEXT("/host pot much"),
        TEXT("/host phase"),
        TEXT("/host phase Racing"),
        TEXT("/host phase race"),
        TEXT("/host phase racing now"),
        TEXT("/host extend"),
        TEXT("/host extend soon"),
        TEXT("/host start\n/host bonus 5"),
        TEXT("/host bonus 5\0"),
        TEXT("/host b\xc3\xb6nus 5"),
    };
    struct race race;
    race_open(&race, (struct game_options){});
    SAY(&race, "/host start", GAME_DONE);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        EXPECT_EQ(race_command(&race, lines[i]), GAME_NOT_UNDERSTOOD);
        EXPECT(text_equal(race_reply(&race), help));
    }
    SHOWS(&race, "{\"phase\":\"staging\",\"pot\":0,\"time_remaining_ms\":45000}");
}

TEST("a stamp is the encode's time and the snapshot's number")
{
    struct race race;
    race_open(&race, (struct game_options){.stamp = true});
    race.sequence = 18446744073709551615ull;
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"t\":1000000007,"
                 "\"s\":18446744073709551615}");
    race.sequence = 1;
    race_wait(&race, 500);
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"t\":1500000007,\"s\":1}");
}

TEST("a pad makes the state exactly as many bytes as was asked for")
{
    struct race race;
    constexpr uint32_t size_plain =
        sizeof("{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}") - 1;
    for (uint32_t size = size_plain + 9; size <= 65536; size += size < 400 ? 1 : 4093) {
        race_open(&race, (struct game_options){.payload_size = size});
        struct bytes state = race_show(&race);
        EXPECT_EQ(state.size, size);
        EXPECT_EQ(state.data[size - 1], '}');
        EXPECT_EQ(state.data[size - 2], '"');
    }
    race_open(&race, (struct game_options){.payload_size = size_plain + 9 + 3});
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"pad\":\"xxx\"}");
    race_open(&race, (struct game_options){.payload_size = size_plain + 9});
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"pad\":\"\"}");
}

TEST("a padded state keeps its size while its numbers grow")
{
    struct race race;
    race_open(&race, (struct game_options){.payload_size = 200, .stamp = true});
    EXPECT_EQ(race_show(&race).size, 200);
    SAY(&race, "/host start", GAME_DONE);
    SAY(&race, "/host pot 9007199254740991", GAME_DONE);
    EXPECT_EQ(race_show(&race).size, 200);
}

TEST("a state that is already too long for an empty pad has none")
{
    struct race race;
    constexpr uint32_t size_plain =
        sizeof("{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}") - 1;
    for (uint32_t size = 0; size < size_plain + 9; size++) {
        race_open(&race, (struct game_options){.payload_size = size});
        SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0}");
    }
}

TEST("a stamped and padded state has its keys in the order phase, pot, time, t, s, pad")
{
    struct race race;
    race_open(&race, (struct game_options){.payload_size = 80, .stamp = true});
    race.sequence = 42;
    SHOWS(&race, "{\"phase\":\"idle\",\"pot\":0,\"time_remaining_ms\":0,\"t\":1000000007,\"s\":42,"
                 "\"pad\":\"xxx\"}");
}

TEST("a state that does not fit says so, however little room there is")
{
    struct race race;
    race_open(&race, (struct game_options){.payload_size = 120, .stamp = true});
    struct game_view view = {.now = time_of(&race), .sequence = 1};
    for (size_t capacity = 0; capacity <= 120; capacity++) {
        struct writer out = writer_over(race.shown, capacity);
        game_kart.snapshot(race.state, &view, &out);
        EXPECT_EQ(out.overflow, capacity < 120);
        EXPECT(out.size <= capacity);
    }
}

TEST("a state is written behind what is in the writer already, and measured without it")
{
    struct race race;
    race_open(&race, (struct game_options){.payload_size = 100});
    struct game_view view = {.now = time_of(&race), .sequence = 1};
    struct writer out = writer_over(race.shown, sizeof(race.shown));
    write_text(&out, TEXT("before"));
    game_kart.snapshot(race.state, &view, &out);
    EXPECT_EQ(out.size, 6 + 100);
    EXPECT(text_starts(text_from(writer_bytes(&out)), TEXT("before{\"phase\":")));
}

TEST("the kart kind says what the hub needs to know of it")
{
    EXPECT(games[GAME_KART] == &game_kart);
    EXPECT_TEXT(text_of(game_kart.name), "kart");
    EXPECT_TEXT(game_kart.protocol, "ringcast.bare");
    EXPECT(game_kart.message_size_max > 0 && game_kart.message_size_max <= 65536);
}
