/* tests/unit/hub_verify.c: whose a token is, by the claims of each kind. */
#include "check.h"
#include "hub/verify.h"

static struct config config;
static struct hub hub;
static struct worker worker;
static struct game_guest guest;

#define KEY "a secret of this test, of 32 bytes and more"
constexpr uint64_t now_s = 1'700'000'000;

static void begin(void)
{
    config = (struct config){.jwt_leeway_ms = 30'000};
    hub = (struct hub){.config = &config};
    EXPECT_TEXT(auth_keys_add_secret(&hub.key_sets[0].keys, JWT_HS256, TEXT(KEY), false), "");
    worker.hub = &hub;
    worker.config = &config;
    worker.key_set = &hub.key_sets[0];
    worker.now = (struct instant){.ns = 5'000'000'000, .wall_ms = now_s * 1000};
}

static struct text verify(enum game_kind kind, struct text id, const char *claims)
{
    static char memory[jwt_size_max];
    struct writer token = writer_over(memory, sizeof memory);
    jwt_write(&token, &hub.key_sets[0].keys.keys[0], text_of(claims));
    EXPECT(!token.overflow);
    guest = (struct game_guest){};
    return verify_token(&worker, kind, id, text_from(writer_bytes(&token)), &guest).code;
}

TEST("a token of avalon names room and player, and may name the room's code (A11)")
{
    begin();
    const char *claims = "{\"room_id\":\"r1\",\"room_player_id\":\"p1\",\"code\":\"ABC234\","
                         "\"exp\":1700000060}";
    EXPECT_TEXT(verify(GAME_AVALON, TEXT("ABC234"), claims), "");
    EXPECT_TEXT(guest.room, "r1");
    EXPECT_TEXT(guest.player, "p1");
    EXPECT_EQ(guest.until_ms, 5000 + 60'000 + 30'000);
    EXPECT_EQ(guest.expires_wall_ms, 1'700'000'060'000);
    EXPECT_TEXT(verify(GAME_AVALON, TEXT("XYZ234"), claims), "wrong_room");
    EXPECT_TEXT(verify(GAME_AVALON, (struct text){}, claims), "");
    EXPECT_TEXT(verify(GAME_AVALON, TEXT("XYZ234"),
                       "{\"room_id\":\"r1\",\"room_player_id\":\"p1\",\"exp\":1700000060}"),
                "");
    EXPECT_TEXT(verify(GAME_AVALON, TEXT("ABC234"), "{\"sub\":\"p1\",\"exp\":1700000060}"),
                "bad_claims");
}

TEST("in other kinds sub is the player, and room, where it is there, must be the room (A11)")
{
    begin();
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), "{\"sub\":\"ann\",\"exp\":1700000060}"), "");
    EXPECT_TEXT(guest.player, "ann");
    EXPECT_TEXT(guest.room, "");
    const char *claims = "{\"sub\":\"ann\",\"room\":\"g1\",\"exp\":1700000060}";
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), claims), "");
    EXPECT_TEXT(guest.room, ""); /* it has been compared */
    EXPECT_TEXT(verify(GAME_KART, TEXT("g2"), claims), "wrong_room");
    EXPECT_TEXT(verify(GAME_KART, (struct text){}, claims), "");
    EXPECT_TEXT(guest.room, "g1");
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), "{\"exp\":1700000060}"), "bad_claims");
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), "{\"sub\":\"\",\"exp\":1700000060}"), "bad_claims");
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), "{\"sub\":\"a\\u0000\",\"exp\":1700000060}"),
                "bad_claims"); /* J4 */
    EXPECT_TEXT(verify(GAME_KART, TEXT("g1"), "{\"sub\":\"a\",\"room\":1,\"exp\":1700000060}"),
                "wrong_room");
}

TEST("others see the name that the token gives, as far as it can be seen, else sub (J8)")
{
    begin();
    EXPECT_TEXT(verify(GAME_LOBBY, TEXT("g1"), "{\"sub\":\"a\",\"exp\":1700000060}"), "");
    EXPECT_TEXT(guest.name, "a");
    EXPECT_TEXT(verify(GAME_LOBBY, TEXT("g1"),
                       "{\"sub\":\"a\",\"name\":\" Ann\\u202e\\n1 \",\"exp\":1700000060}"),
                "");
    EXPECT_TEXT(guest.name, "Ann 1");
    EXPECT_TEXT(
        verify(GAME_LOBBY, TEXT("g1"), "{\"sub\":\"a\",\"name\":\"\\u200b\",\"exp\":1700000060}"),
        "");
    EXPECT_TEXT(guest.name, "a");
    EXPECT_TEXT(verify(GAME_LOBBY, TEXT("g1"), "{\"sub\":\"a\",\"name\":7,\"exp\":1700000060}"),
                "bad_claims");
}

TEST("a sub may be a UUID, and has 64 bytes at most")
{
    begin();
    EXPECT_TEXT(verify(GAME_KART, (struct text){},
                       "{\"sub\":\"8d0fd2b3-9ca7-4d9e-a95f-9e13dded323e\",\"exp\":1700000060}"),
                "");
    EXPECT_EQ(guest.player.size, 36);
    EXPECT_TEXT(
        verify(GAME_KART, (struct text){},
               "{\"sub\":\"8d0fd2b39ca74d9ea95f9e13dded323e8d0fd2b39ca74d9ea95f9e13dded323e1"
               "\",\"exp\":1700000060}"),
        "bad_claims");
}

TEST("a token is good up to its exp and the leeway, and one that ends in ages is as good as for "
     "ever "
     "(A8)")
{
    begin();
    EXPECT_TEXT(verify(GAME_KART, (struct text){}, "{\"sub\":\"a\",\"exp\":1699999971}"), "");
    EXPECT_EQ(guest.until_ms, 5000 + 1000);
    EXPECT_TEXT(verify(GAME_KART, (struct text){}, "{\"sub\":\"a\",\"exp\":1699999970}"),
                "expired");
    EXPECT_TEXT(verify(GAME_KART, (struct text){}, "{\"sub\":\"a\",\"exp\":253402300799}"), "");
    EXPECT_EQ(guest.until_ms, 5000 + 400ull * 86'400'000);
    EXPECT_EQ(guest.expires_wall_ms, 253402300799'000);
}
