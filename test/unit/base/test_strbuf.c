#include "base/strbuf.h"

#include "base/digits.h"
#include "base/memory.h"
#include "suite.h"

START_TEST(grows_and_ends_with_nul)
{
    struct strbuf s = STRBUF_INIT;
    ck_assert_str_eq(strbuf_str(&s), "");
    ck_assert_uint_eq(strbuf_bytes(&s).len, 0);
    for (unsigned i = 0; i < 1000; i++) {
        strbuf_printf(&s, "%u,", i % 10);
        ck_assert_uint_eq(s.len, 2 * (i + 1));
        ck_assert_int_eq(s.data[s.len], '\0');
    }
    strbuf_cut(&s, 3);
    ck_assert_str_eq(strbuf_str(&s), "0,1");
    size_t cap = s.cap;
    strbuf_reset(&s);
    ck_assert_str_eq(strbuf_str(&s), "");
    ck_assert_uint_eq(s.cap, cap);
    strbuf_add_bytes(&s, BYTES_NONE);
    strbuf_add(&s, "a\0b", 3);
    ck_assert(bytes_eq(strbuf_bytes(&s), BYTES("a\0b")));
    strbuf_fini(&s);
    ck_assert_ptr_null(s.data);
    strbuf_fini(&s);
}
END_TEST

/* Against printf, at each power of ten and around it. */
START_TEST(numbers)
{
    struct strbuf got = STRBUF_INIT, wanted = STRBUF_INIT;
    uint64_t power = 1;
    for (unsigned i = 0; i < 20; i++, power *= 10) {
        uint64_t values[] = {power - 1, power, power + 1, UINT64_MAX / power};
        for (unsigned k = 0; k < 4; k++) {
            strbuf_add_u64(&got, values[k]);
            strbuf_printf(&wanted, "%llu", (unsigned long long)values[k]);
        }
    }
    ck_assert_str_eq(got.data, wanted.data);
    char fixed[6] = "....";
    ck_assert_ptr_eq(digits_fixed(fixed, 1047, 3), fixed + 3);
    ck_assert_str_eq(fixed, "047.");
    strbuf_fini(&got);
    strbuf_fini(&wanted);
}
END_TEST

START_TEST(insert_and_detach)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_insert(&s, 0, "world", 5);
    strbuf_insert(&s, 0, "hello ", 6);
    strbuf_insert(&s, s.len, "!", 1);
    strbuf_insert(&s, 5, NULL, 0);
    strbuf_add_char(&s, '?');
    char *text = strbuf_detach(&s);
    ck_assert_str_eq(text, "hello world!?");
    ck_assert_ptr_null(s.data);
    mem_free(text);
    text = strbuf_detach(&s);
    ck_assert_str_eq(text, "");
    mem_free(text);
}
END_TEST

static void escapes_to(struct bytes in, const char *want)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_json_escaped(&s, in);
    ck_assert_str_eq(strbuf_str(&s), want);
    strbuf_fini(&s);
}

START_TEST(json_controls)
{
    escapes_to(BYTES(""), "");
    escapes_to(BYTES("a \"b\" \\ /"), "a \\\"b\\\" \\\\ /");
    escapes_to(BYTES("\n\r\t"), "\\n\\r\\t");
    escapes_to(BYTES("\0\x01\x1f\x7f"), "\\u0000\\u0001\\u001f\x7f");
}
END_TEST

/* A text that is not UTF-8 is told byte by byte, so that nothing of it is lost. */
START_TEST(json_utf8)
{
    escapes_to(BYTES("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"),
               "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    escapes_to(BYTES("a\xff"
                     "b \xc3\xa4\n"),
               "a\\u00ffb \\u00c3\\u00a4\\n");
    escapes_to(BYTES("\x80"), "\\u0080");                                  /* nothing to continue */
    escapes_to(BYTES("\xc0\xaf"), "\\u00c0\\u00af");                       /* over-long '/' */
    escapes_to(BYTES("\xe0\x80\xaf"), "\\u00e0\\u0080\\u00af");            /* over-long in three */
    escapes_to(BYTES("\xed\xa0\x80"), "\\u00ed\\u00a0\\u0080");            /* a surrogate */
    escapes_to(BYTES("\xf4\x90\x80\x80"), "\\u00f4\\u0090\\u0080\\u0080"); /* past U+10FFFF */
    escapes_to(BYTES("\xe2\x82"), "\\u00e2\\u0082");                       /* cut short */
    escapes_to(BYTES("\xe2\"\xac"), "\\u00e2\\\"\\u00ac"); /* a quote is never swallowed */
}
END_TEST

SUITE("strbuf", grows_and_ends_with_nul, numbers, insert_and_detach, json_controls, json_utf8)
