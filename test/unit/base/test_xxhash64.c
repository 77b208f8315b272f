#include "base/xxhash64.h"

#include "suite.h"

/* Answers of the reference implementation, seed 0. */
START_TEST(known_answers)
{
    static const struct {
        const char *text;
        uint64_t hash;
    } rows[] = {
        {"", UINT64_C(0xEF46DB3751D8E999)},
        {"a", UINT64_C(0xD24EC4F1A98C6E5B)},
        {"abc", UINT64_C(0x44BC2CF5AD770999)},
        {"Nobody inspects the spammish repetition", UINT64_C(0xFBCEA83C8A378BF1)},
        {"1", UINT64_C(0xB7B41276360564D4)},
        {"v1", UINT64_C(0x7F99EC72F8645BAC)},
        {"0123456789abcdef", UINT64_C(0x5C5B90C34E376D0B)},
        {"0123456789abcdef0123456789abcdef", UINT64_C(0x642A94958E71E6C5)},
        {"The quick brown fox jumps over the lazy dog, twice, to fill two stripes.",
         UINT64_C(0x29203925F5E8A707)},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        ck_assert_uint_eq(xxhash64(bytes_of(rows[i].text)), rows[i].hash);
}
END_TEST

SUITE("xxhash64", known_answers)
