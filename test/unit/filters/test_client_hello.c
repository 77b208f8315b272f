#include "filters/listener/tls_inspector/client_hello.h"

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"

static struct chunk_pool *pool;
static struct strbuf message; /* a whole ClientHello, without record headers */

static void put(size_t value, unsigned size)
{
    while (size-- > 0)
        strbuf_add_char(&message, (char)(value >> (8 * size)));
}

static void put_text(const char *text, size_t len, unsigned size)
{
    put(len, size);
    strbuf_add(&message, text, len);
}

/* extra: bytes of padding in an unknown extension. */
static void make(const char *name, size_t name_len, const char *protocol, size_t extra)
{
    size_t sni = name ? 9 + name_len : 0, alpn = protocol ? 7 + strlen(protocol) : 0;
    size_t all = sni + alpn + (extra ? 4 + extra : 0);
    strbuf_reset(&message);
    put(1, 1);
    put(2 + 32 + 1 + 4 + 2 + 2 + all, 3);
    put(0x0303, 2);
    for (int i = 0; i < 32; i++)
        put(7, 1);
    put(0, 1);          /* session */
    put(0x00021301, 4); /* one suite */
    put(0x0100, 2);     /* one compression */
    put(all, 2);
    if (extra) {
        put(0x1234, 2);
        put(extra, 2);
        for (size_t i = 0; i < extra; i++)
            put(0, 1);
    }
    if (name) {
        put(0, 2);
        put(5 + name_len, 2);
        put(3 + name_len, 2);
        put(0, 1);
        put_text(name, name_len, 2);
    }
    if (protocol) {
        put(16, 2);
        put(3 + strlen(protocol), 2);
        put(1 + strlen(protocol), 2);
        put_text(protocol, strlen(protocol), 1);
    }
}

/* Gives the message in records of `record` bytes, `piece` bytes at a time. */
static enum hello_result give(struct client_hello *h, size_t record, size_t piece)
{
    struct strbuf wire = STRBUF_INIT;
    struct buffer in;
    enum hello_result r = HELLO_MORE;
    buffer_init(&in, pool);
    for (size_t at = 0; at < message.len; at += record) {
        size_t n = message.len - at < record ? message.len - at : record;
        char header[] = {22, 3, 1, (char)(n >> 8), (char)n};
        strbuf_add(&wire, header, sizeof(header));
        strbuf_add(&wire, message.data + at, n);
    }
    for (size_t at = 0; at < wire.len && r == HELLO_MORE; at += piece) {
        size_t n = wire.len - at < piece ? wire.len - at : piece;
        buffer_add(&in, wire.data + at, n);
        r = client_hello_read(h, &in);
    }
    strbuf_fini(&wire);
    buffer_fini(&in);
    return r;
}

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
    message = (struct strbuf)STRBUF_INIT;
}

static void teardown(void)
{
    strbuf_fini(&message);
    chunk_pool_free(&pool);
}

START_TEST(any_cut)
{
    static const size_t cuts[] = {1, 2, 3, 7, 50, 10000};
    make("A.Test", 6, "h2", 100);
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
            struct client_hello h;
            client_hello_init(&h, HELLO_SIZE_MAX);
            ck_assert_int_eq(give(&h, cuts[i], cuts[k]), HELLO_TLS);
            ck_assert(bytes_eq_str(h.server_name, "a.test"));
            ck_assert_uint_eq(h.n_protocols, 1);
            ck_assert(bytes_eq_str(h.protocols[0], "h2"));
            client_hello_fini(&h);
        }
    }
}
END_TEST

START_TEST(without_names)
{
    struct client_hello h;
    make(NULL, 0, NULL, 0);
    client_hello_init(&h, HELLO_SIZE_MAX);
    ck_assert_int_eq(give(&h, 1000, 1000), HELLO_TLS);
    ck_assert_uint_eq(h.server_name.len, 0);
    ck_assert_uint_eq(h.n_protocols, 0);
    client_hello_fini(&h);
}
END_TEST

static enum hello_result read_text(struct bytes text)
{
    struct client_hello h;
    struct buffer in;
    buffer_init(&in, pool);
    buffer_add_bytes(&in, text);
    client_hello_init(&h, HELLO_SIZE_MAX);
    enum hello_result r = client_hello_read(&h, &in);
    client_hello_fini(&h);
    buffer_fini(&in);
    return r;
}

START_TEST(not_tls)
{
    ck_assert_int_eq(read_text(BYTES("G")), HELLO_NOT_TLS);
    ck_assert_int_eq(read_text(BYTES("\x16")), HELLO_MORE);
    ck_assert_int_eq(read_text(BYTES("\x16\x02")), HELLO_NOT_TLS);
    ck_assert_int_eq(read_text(BYTES("\x16\x03\x01\x00\x00")), HELLO_NOT_TLS); /* empty */
    ck_assert_int_eq(read_text(BYTES("\x16\x03\x01\xff\xff")), HELLO_NOT_TLS);
    ck_assert_int_eq(read_text(BYTES("\x16\x03\x01\x00\x05\x02")), HELLO_NOT_TLS);
    ck_assert_int_eq(read_text(BYTES("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")), HELLO_NOT_TLS);
}
END_TEST

/* E 2020-8660: what is not understood is not TLS: it never matches a chain for TLS. */
START_TEST(names_that_are_none)
{
    static char name[300];
    struct client_hello h;
    memset(name, 'a', sizeof(name));
    for (size_t len = 0; len <= sizeof(name); len += 1 + len % 7) {
        make(name, len, NULL, 0);
        client_hello_init(&h, HELLO_SIZE_MAX);
        ck_assert_int_eq(give(&h, 1000, 1000), len > 0 && len <= 255 ? HELLO_TLS : HELLO_NOT_TLS);
        client_hello_fini(&h);
    }
    make("a\0b", 3, NULL, 0);
    client_hello_init(&h, HELLO_SIZE_MAX);
    ck_assert_int_eq(give(&h, 1000, 1000), HELLO_NOT_TLS);
    client_hello_fini(&h);
}
END_TEST

START_TEST(too_large)
{
    struct client_hello h;
    make("a", 1, NULL, 2000);
    client_hello_init(&h, 1000);
    ck_assert_int_eq(give(&h, 16000, 100), HELLO_TOO_LARGE);
    ck_assert_uint_le(h.cap, 2048);
    client_hello_fini(&h);
}
END_TEST

/* Cut at every byte, and with each byte changed: read or refused, never beyond its end. */
START_TEST(hostile)
{
    struct client_hello h;
    make("a.test", 6, "h2", 3);
    for (size_t i = 0; i < message.len; i++) {
        char was = message.data[i];
        message.data[i] = (char)(was ^ 0x55);
        client_hello_init(&h, HELLO_SIZE_MAX);
        (void)give(&h, 1000, 1000);
        client_hello_fini(&h);
        message.data[i] = was;
    }
    for (size_t i = 1; i < message.len; i++) {
        size_t len = message.len;
        message.len = i;
        client_hello_init(&h, HELLO_SIZE_MAX);
        ck_assert_int_eq(give(&h, 1000, 1000), HELLO_MORE);
        client_hello_fini(&h);
        message.len = len;
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("client_hello");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, any_cut);
    tcase_add_test(t, without_names);
    tcase_add_test(t, not_tls);
    tcase_add_test(t, names_that_are_none);
    tcase_add_test(t, too_large);
    tcase_add_test(t, hostile);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
