#include "base/bytes.h"

#include <stdio.h>

#include "suite.h"

static struct bytes text(const char *s)
{
    return bytes_of(s);
}

START_TEST(equality_and_order)
{
    ck_assert(bytes_eq(BYTES_NONE, BYTES("")));
    ck_assert(bytes_eq(text("abc"), BYTES("abc")));
    ck_assert(!bytes_eq(text("abc"), BYTES("ab")));
    ck_assert(!bytes_eq(text("abc"), BYTES("abC")));
    ck_assert(bytes_eq_nocase(text("aBc-1"), BYTES("AbC-1")));
    ck_assert(!bytes_eq_nocase(text("["), BYTES("{"))); /* 32 apart, but no letters */
    ck_assert(!bytes_eq_nocase(text("\xe4"), BYTES("\xc4")));
    ck_assert_int_lt(bytes_cmp(text("a"), text("ab")), 0);
    ck_assert_int_gt(bytes_cmp(text("b"), text("ab")), 0);
    ck_assert_int_eq(bytes_cmp(BYTES_NONE, BYTES("")), 0);
    ck_assert_int_gt(bytes_cmp(text("\xff"), text("a")), 0); /* unsigned */
    ck_assert(bytes_eq(bytes_of(NULL), BYTES_NONE));
}
END_TEST

/* Eight bytes at a time: each byte counts, at each place. */
START_TEST(upper_case)
{
    for (size_t len = 1; len < 20; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                char t[20];
                memset(t, 'a', sizeof(t));
                t[at] = (char)c;
                ck_assert(bytes_have_upper(bytes_from(t, len)) == (c >= 'A' && c <= 'Z'));
            }
        }
    }
    ck_assert(!bytes_have_upper(BYTES_NONE));
}
END_TEST

START_TEST(starts_and_ends)
{
    ck_assert(bytes_starts_with(text("/api/v1"), BYTES("/api")));
    ck_assert(bytes_starts_with(text("x"), BYTES("")));
    ck_assert(!bytes_starts_with(text("/ap"), BYTES("/api")));
    ck_assert(bytes_ends_with(text("a.example.com"), BYTES(".example.com")));
    ck_assert(!bytes_ends_with(text("com"), BYTES("example.com")));
    ck_assert(bytes_ends_with(BYTES_NONE, BYTES_NONE));
    ck_assert(bytes_starts_with_nocase(text("BEARER x"), BYTES("bearer ")));
    ck_assert(!bytes_starts_with(text("BEARER x"), BYTES("bearer ")));
    ck_assert(bytes_ends_with_nocase(text("a.EXAMPLE"), BYTES(".example")));
}
END_TEST

START_TEST(searching)
{
    ck_assert_int_eq(bytes_find_char(text("a:b:c"), ':'), 1);
    ck_assert_int_eq(bytes_rfind_char(text("a:b:c"), ':'), 3);
    ck_assert_int_eq(bytes_find_char(BYTES_NONE, ':'), -1);
    ck_assert_int_eq(bytes_rfind_char(text("abc"), ':'), -1);
    ck_assert_int_eq(bytes_find(text("chunked"), BYTES("unk")), 2);
    ck_assert_int_eq(bytes_find(text("chunked"), BYTES("")), 0);
    ck_assert_int_eq(bytes_find(text("ch"), BYTES("chunked")), -1);
    ck_assert_int_eq(bytes_find(BYTES("a\0b"), BYTES("b")), 2);
    ck_assert_int_eq(bytes_find_nocase(text("cHuNkEd"), BYTES("KED")), 4);
    ck_assert_int_eq(bytes_find_nocase(text("ch"), BYTES("chunked")), -1);
    ck_assert_int_eq(bytes_find_nocase(BYTES_NONE, BYTES_NONE), 0);
}
END_TEST

START_TEST(cutting)
{
    ck_assert(bytes_eq_str(bytes_skip(text("abc"), 1), "bc"));
    ck_assert_uint_eq(bytes_skip(text("abc"), 9).len, 0);
    ck_assert_uint_eq(bytes_skip(BYTES_NONE, 9).len, 0);
    ck_assert(bytes_eq_str(bytes_first(text("abc"), 2), "ab"));
    ck_assert(bytes_eq_str(bytes_first(text("abc"), 9), "abc"));
    ck_assert(bytes_eq_str(bytes_trim(text(" \t a b\t ")), "a b"));
    ck_assert_uint_eq(bytes_trim(text(" \t ")).len, 0);
    ck_assert(bytes_eq_str(bytes_trim(text("\r\nx\n")), "\r\nx\n")); /* OWS is space and tab */
}
END_TEST

START_TEST(splitting)
{
    struct bytes rest = text("a,,b");
    ck_assert(bytes_eq_str(bytes_split(&rest, ','), "a"));
    ck_assert_uint_eq(bytes_split(&rest, ',').len, 0);
    ck_assert_ptr_nonnull(rest.data);
    ck_assert(bytes_eq_str(bytes_split(&rest, ','), "b"));
    ck_assert_ptr_null(rest.data);
    rest = text("a,"); /* what follows a last separator is empty, but there */
    bytes_split(&rest, ',');
    ck_assert_ptr_nonnull(rest.data);
    ck_assert_uint_eq(rest.len, 0);
}
END_TEST

static void u64_is(const char *s, bool good, uint64_t want)
{
    uint64_t v = 77;
    ck_assert_msg(bytes_to_u64(text(s), &v) == good, "%s", s);
    ck_assert_uint_eq(v, good ? want : 77);
}

static void i64_is(const char *s, bool good, int64_t want)
{
    int64_t v = 77;
    ck_assert_msg(bytes_to_i64(text(s), &v) == good, "%s", s);
    ck_assert_int_eq(v, good ? want : 77);
}

START_TEST(whole_numbers)
{
    u64_is("0", true, 0);
    u64_is("0007", true, 7);
    u64_is("18446744073709551615", true, UINT64_MAX);
    static const char *const bad[] = {
        "",   "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x1", "1a",
        "1.0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        u64_is(bad[i], false, 0);
    i64_is("-9223372036854775808", true, INT64_MIN);
    i64_is("9223372036854775807", true, INT64_MAX);
    i64_is("+5", true, 5);
    i64_is("-0", true, 0);
    i64_is("9223372036854775808", false, 0);
    i64_is("-9223372036854775809", false, 0);
    i64_is("--1", false, 0);
    i64_is("-", false, 0);
    uint64_t v = 1;
    ck_assert(!bytes_to_u64(BYTES("1\0"), &v));
}
END_TEST

START_TEST(fractions)
{
    double v;
    ck_assert(bytes_to_double(BYTES("1.5"), &v));
    ck_assert_double_eq(v, 1.5);
    ck_assert(bytes_to_double(bytes_from("-2e3xx", 4), &v));
    ck_assert_double_eq(v, -2000);
    static const char *const bad[] = {"", " 1", "\t1", "\n1", "\r1", "\v1", "1 ", "1x", "abc", "."};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(!bytes_to_double(text(bad[i]), &v), "%s", bad[i]);
    ck_assert(!bytes_to_double(BYTES("1\0"), &v));
}
END_TEST

START_TEST(hash_depends_on_every_byte)
{
    char buf[64];
    memset(buf, 'a', sizeof(buf));
    for (size_t len = 1; len <= sizeof(buf); len++) {
        uint64_t h = bytes_hash(bytes_from(buf, len));
        ck_assert_uint_ne(h, bytes_hash(bytes_from(buf, len - 1)));
        for (size_t i = 0; i < len; i++) {
            buf[i] ^= 1;
            ck_assert_uint_ne(h, bytes_hash(bytes_from(buf, len)));
            buf[i] ^= 1;
        }
    }
}
END_TEST

/* Words that meet a constant of the function would cancel its state for every seed: then anyone
 * could make as many equal hashes as they like. */
START_TEST(hash_has_no_public_zero)
{
    static const uint64_t constants[] = {0, 0xa0761d6478bd642full, 0xe7037ed1a0b428dbull,
                                         UINT64_MAX};
    for (size_t c = 0; c < ARRAY_SIZE(constants); c++) {
        char a[32], b[32];
        memcpy(a, &constants[c], 8);
        memset(a + 8, 'x', sizeof(a) - 8);
        memcpy(b, a, sizeof(a));
        b[8] = 'y';
        for (size_t len = 9; len <= sizeof(a); len++)
            ck_assert_uint_ne(bytes_hash(bytes_from(a, len)), bytes_hash(bytes_from(b, len)));
    }
}
END_TEST

START_TEST(hash_spreads)
{
    unsigned buckets[256] = {0};
    for (unsigned i = 0; i < 25600; i++) {
        char name[32];
        int n = snprintf(name, sizeof(name), "cluster_%u", i);
        buckets[bytes_hash(bytes_from(name, (size_t)n)) & 255]++;
    }
    for (unsigned i = 0; i < 256; i++)
        ck_assert_msg(buckets[i] > 50 && buckets[i] < 170, "bucket %u: %u", i, buckets[i]);
    ck_assert_uint_ne(bytes_hash_seeded(BYTES("a"), 1), bytes_hash_seeded(BYTES("a"), 2));
    bytes_hash_set_seed(5);
    ck_assert_uint_eq(bytes_hash(BYTES("a")), bytes_hash_seeded(BYTES("a"), 5));
}
END_TEST

SUITE("bytes", equality_and_order, upper_case, starts_and_ends, searching, cutting, splitting,
      whole_numbers, fractions, hash_depends_on_every_byte, hash_has_no_public_zero, hash_spreads)
