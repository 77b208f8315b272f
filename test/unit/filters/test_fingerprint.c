/* Fingerprints of hellos that are made on the spot; what each must be was asked of Envoy 1.40. */
#include "filters/listener/tls_inspector/fingerprint.h"

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"

static struct chunk_pool *pool;

static void put(struct strbuf *s, size_t value, unsigned size)
{
    while (size-- > 0)
        strbuf_add_char(s, (char)(value >> (8 * size)));
}

static void put_field(struct strbuf *s, struct bytes b, unsigned size)
{
    put(s, b.len, size);
    strbuf_add_bytes(s, b);
}

#define SNI                                                                                        \
    "\0\0\0\x0b\0\x09\0\0\x06"                                                                     \
    "a.test"
#define GROUPS "\0\x0a\0\x08\0\x06\x1a\x1a\0\x1d\0\x17"
#define POINTS "\0\x0b\0\3\2\0\1"
#define SIGNATURES "\0\x0d\0\x08\0\x06\4\3\x08\4\x2a\x2a"
#define VERSIONS "\0\x2b\0\7\6\x0a\x0a\3\4\3\3"
#define H2 "\0\x10\0\x0e\0\x0c\2h2\x08http/1.1"
#define USUAL "\x13\1\xc0\x2b"

/* ext NULL: none, not even an empty list. */
static void judge(unsigned version, struct bytes ciphers, struct bytes ext, const char *ja3,
                  const char *ja4)
{
    struct strbuf body = STRBUF_INIT, wire = STRBUF_INIT;
    struct client_hello h;
    struct buffer in;
    char got[JA4_SIZE];
    put(&body, version, 2);
    for (int i = 0; i < 32; i++)
        put(&body, 'r', 1);
    put(&body, 0, 1);
    put_field(&body, ciphers, 2);
    put(&body, 0x0100, 2);
    if (ext.data)
        put_field(&body, ext, 2);
    put(&wire, 0x160301, 3);
    put(&wire, body.len + 4, 2);
    put(&wire, 1, 1);
    put_field(&wire, strbuf_bytes(&body), 3);
    buffer_init(&in, pool);
    buffer_add_bytes(&in, strbuf_bytes(&wire));
    client_hello_init(&h, HELLO_SIZE_MAX);
    ck_assert_int_eq(client_hello_read(&h, &in), HELLO_TLS);
    client_hello_ja3(&h, got);
    if (ja3)
        ck_assert_str_eq(got, ja3);
    client_hello_ja4(&h, got);
    if (ja4)
        ck_assert_str_eq(got, ja4);
    client_hello_fini(&h);
    buffer_fini(&in);
    strbuf_fini(&body);
    strbuf_fini(&wire);
}

static void usual(struct bytes ext, const char *ja3, const char *ja4)
{
    judge(0x303, BYTES(USUAL), ext, ja3, ja4);
}

START_TEST(as_envoy)
{
    usual(BYTES(SNI GROUPS POINTS SIGNATURES VERSIONS H2), "aafebb64823ff1e28fcc5b9ddbeac60a",
          "t13d0206h2_777cda164f4b_6fccb97d59c8");
    judge(0x303, BYTES("\x0a\x0a" USUAL "\0\xff"),
          BYTES("\x1a\x1a\0\0" SNI GROUPS POINTS SIGNATURES VERSIONS "\xfa\xfa\0\1\0"),
          "8c29de7a6ceb2d71caa9646720343426", "t13d030500_342068d8c85c_6fccb97d59c8");
    judge(0x303, BYTES("\xc0\x2f\x13\2\0\x9c"), BYTES(SIGNATURES "\0\x23\0\0" SNI POINTS GROUPS),
          "f85750905465ed1d2a9bdc9fda3dab6d", "t12d030500_bc837a4ba1bb_3be240d06db1");
    usual(BYTES_NONE, "60027a6b978f2cf2f6d541fab78d764b", "t12i020000_777cda164f4b_000000000000");
    usual(BYTES(""), "60027a6b978f2cf2f6d541fab78d764b", "t12i020000_777cda164f4b_000000000000");
    usual(BYTES(GROUPS SIGNATURES), "aef4bb5f9513f5d7d48cd632b8efad0f",
          "t12i020200_777cda164f4b_4a4161da532b");
    usual(BYTES(SNI GROUPS), "fb537ea48e4f9be6cc1c319764c15b72",
          "t12d020200_777cda164f4b_a8f3e973773c");
    judge(0x303, BYTES("\x0a\x0a"), BYTES("\x0a\x0a\0\0"), "bddda940f9963577c41d7c28b1a5f65f",
          "t12i000000_000000000000_000000000000");
}
END_TEST

START_TEST(versions)
{
    judge(0x301, BYTES(USUAL), BYTES(SNI GROUPS), "d5a7c9982bd2838a959e5815d3d75067",
          "t10d020200_777cda164f4b_a8f3e973773c");
    judge(0x300, BYTES(USUAL), BYTES(SNI GROUPS), "7ebbbee5ab61e4899daf462ed6b24b72",
          "t00d020200_777cda164f4b_a8f3e973773c");
    usual(BYTES(SNI "\0\x2b\0\3\2\3\4"), "8d0c124f457f0a3673e1dbdc392cfeb4",
          "t13d020200_777cda164f4b_b9a491fefe05");
    usual(BYTES(SNI "\0\x2b\0\5\4\3\3\3\2"), NULL, "t12d020200_777cda164f4b_b9a491fefe05");
    usual(BYTES(SNI "\0\x2b\0\3\2\x7f\x1c"), NULL, "t00d020200_777cda164f4b_b9a491fefe05");
}
END_TEST

START_TEST(protocols)
{
    usual(BYTES(SNI "\0\x10\0\4\0\2\1h" SIGNATURES), "7d1ca8d988ebbf6e24be569bf1e0da5d",
          "t12d0203hh_777cda164f4b_b3751544664d");
    usual(BYTES(SNI "\0\x10\0\6\0\4\3\1b\xff" SIGNATURES), NULL,
          "t12d02030f_777cda164f4b_b3751544664d");
    usual(BYTES(SNI "\0\x10\0\5\0\3\2-a" SIGNATURES), NULL, "t12d020321_777cda164f4b_b3751544664d");
}
END_TEST

/* Lists that are cut, and as many of everything as a hello can hold. */
START_TEST(hostile)
{
    static char many[15000];
    static const char odd[] = "\0\x0a\0\4\0\3\0\1";
    usual(BYTES(SNI "\0\x0d\0\1\0" GROUPS), NULL, NULL);
    for (size_t cut = 2; cut < sizeof(odd) - 5; cut++) {
        char ext[sizeof(odd)];
        memcpy(ext, odd, sizeof(odd));
        ext[3] = (char)cut;
        usual(bytes_from(ext, 4 + cut), NULL, NULL);
    }
    usual(BYTES("\0\x0a\0\0\0\x0b\0\0\0\x0d\0\0\0\x2b\0\0"), NULL, NULL);
    usual(BYTES("\0\x0b\0\1\0\0\x0d\0\1\0\0\x2b\0\1\0"), NULL, NULL);
    for (size_t i = 0; i + 1 < sizeof(many); i += 2) {
        many[i] = (char)(i >> 9 | 0x40);
        many[i + 1] = (char)(i >> 1);
    }
    judge(0x303, bytes_from(many, sizeof(many)), BYTES(SNI), NULL, NULL);
    for (size_t i = 0; i + 3 < sizeof(many); i += 4) {
        many[i] = (char)(i >> 10 | 0x40);
        many[i + 1] = (char)(i >> 2);
        many[i + 2] = many[i + 3] = 0;
    }
    usual(bytes_from(many, sizeof(many)), NULL, NULL);
}
END_TEST

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
}

static void teardown(void)
{
    chunk_pool_free(&pool);
}

int main(void)
{
    Suite *s = suite_create("fingerprint");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, as_envoy);
    tcase_add_test(t, versions);
    tcase_add_test(t, protocols);
    tcase_add_test(t, hostile);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
