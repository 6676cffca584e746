#include "base/random.h"
#include "check.h"

/* The key of the SipHash paper, appendix A: bytes 00 to 0f. */
static const struct hash_key paper_key = {.k0 = 0x0706050403020100, .k1 = 0x0F0E0D0C0B0A0908};

/* Hashes the bytes 00, 01, 02 and on. */
static uint64_t hash_counting(size_t size)
{
    char input[512];
    for (size_t i = 0; i < size; i++)
        input[i] = (char)(uint8_t)i;
    return hash_text(paper_key, (struct text){.data = input, .size = size});
}

TEST("the keyed hash is SipHash-2-4: the vector of the paper's appendix A")
{
    EXPECT(hash_counting(15) == 0xA129CA6149BE45E5);
}

TEST("the keyed hash agrees with independent implementations at every size around a word")
{
    static const struct {
        size_t size;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726FDB47DD0E0E31},   {1, 0x74F839C593DC67FD},   {7, 0xAB0200F58B01D137},
        {8, 0x93F5F5799A932462},   {9, 0x9E0082DF0BA9E4B0},   {15, 0xA129CA6149BE45E5},
        {16, 0x3F2ACC7F57C29BDB},  {63, 0x958A324CEB064572},  {255, 0xA9C169FEC74DB21A},
        {256, 0x999D0526D2A7BFD7}, {300, 0x4B0B710DB6117839},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        EXPECT(hash_counting(vectors[i].size) == vectors[i].hash);
    uint64_t all = 0;
    for (size_t size = 0; size < 512; size++)
        all = (all << 1 | all >> 63) ^ hash_counting(size);
    EXPECT(all == 0xB2529145E8E5AC02);
}

TEST("another key gives another hash, and so does no text at all")
{
    struct hash_key other = paper_key;
    other.k1 ^= 1;
    EXPECT(hash_text(paper_key, TEXT("room")) != hash_text(other, TEXT("room")));
    EXPECT(hash_text(paper_key, (struct text){}) == hash_counting(0));
}

TEST("a seed gives the same numbers on every machine")
{
    struct random random = {.state = 0};
    EXPECT(random_u64(&random) == 0xE220A8397B1DCDAF);
    EXPECT(random_u64(&random) == 0x6E789E6AA1B965F4);
    EXPECT(random_u64(&random) == 0x06C45D188009454F);
}

TEST("random_below stays below its bound and reaches every number under a small one")
{
    struct random random = {.state = 7};
    for (uint64_t bound = 1; bound <= 64; bound++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint64_t drawn = random_below(&random, bound);
            EXPECT(drawn < bound);
            seen |= UINT64_C(1) << (drawn & 63);
        }
        EXPECT(seen == UINT64_MAX >> (64 - bound));
    }
    for (int i = 0; i < 1000; i++)
        EXPECT(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

TEST("random_below favours nobody where a remainder would give a third of the range half of it")
{
    struct random random = {.state = 1};
    constexpr uint64_t third = UINT64_C(1) << 62;
    int counts[3] = {};
    for (int i = 0; i < 30000; i++)
        counts[random_below(&random, 3 * third) / third] += 1;
    for (int i = 0; i < 3; i++)
        EXPECT(counts[i] > 9700 && counts[i] < 10300);
}

TEST("secrets are equal only when every bit is")
{
    char left[33] = "0123456789abcdef0123456789abcdef", right[33];
    memcpy(right, left, sizeof left);
    struct text a = {.data = left, .size = 32}, b = {.data = right, .size = 32};
    EXPECT(secret_equal(a, b));
    for (size_t bit = 0; bit < 32 * 8; bit++) {
        right[bit / 8] = (char)(right[bit / 8] ^ (1 << bit % 8));
        EXPECT(!secret_equal(a, b));
        right[bit / 8] = left[bit / 8];
    }
    b.size = 31;
    EXPECT(!secret_equal(a, b));
    EXPECT(secret_equal((struct text){}, (struct text){}));
}
