/* What must be refused, and with which status: the rows of the security catalogue that concern
 * HTTP/1, named after them. Each input is read whole and byte by byte. */
#include <check.h>
#include <stdlib.h>

#include "codec_log.h"

struct refusal {
    const char *name, *input;
    unsigned status;
};

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define HEAD LINE HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct refusal refusals[] = {
    {"cve_2023_25725_empty_name", HEAD ": x\r\n\r\n", 400},
    {"cve_2023_25725_colon_alone", HEAD ":\r\n\r\n", 400},
    {"cve_2023_40225_empty_length", POST "Content-Length:\r\n\r\n", 400},
    {"length_plus", POST "Content-Length: +1\r\n\r\na", 400},
    {"length_minus", POST "Content-Length: -1\r\n\r\na", 400},
    {"length_hex", POST "Content-Length: 0x1\r\n\r\na", 400},
    {"length_space", POST "Content-Length: 1 2\r\n\r\na", 400},
    {"length_list_equal", POST "Content-Length: 1,1\r\n\r\na", 400},
    {"length_list", POST "Content-Length: 1,2\r\n\r\na", 400},
    {"length_twice", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
    {"length_twice_differing", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\na", 400},
    {"length_overflow", POST "Content-Length: 18446744073709551616\r\n\r\na", 400},
    {"length_over_2_63", POST "Content-Length: 9223372036854775808\r\n\r\na", 400},
    {"length_and_chunked", POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"chunked_and_length", POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
     400},
    {"encoding_chunked_then_empty",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 501},
    {"encoding_twice",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
    {"encoding_identity", POST "Transfer-Encoding: identity\r\n\r\n", 501},
    {"encoding_empty", POST "Transfer-Encoding:\r\n\r\n", 501},
    {"encoding_gzip_chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
    {"encoding_xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
    {"encoding_comma_chunked", POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 501},
    {"encoding_chunked_comma", POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 501},
    {"encoding_quoted", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501},
    {"encoding_vertical_tab", POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400},
    {"encoding_space_before_colon", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
    {"encoding_folded", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
    {"connection_names_forwarded_for", HEAD "Connection: close, X-Forwarded-For\r\n\r\n", 400},
    {"connection_names_forwarded_host", HEAD "Connection: x-forwarded-host \r\n\r\n", 400},
    {"connection_names_forwarded_proto",
     HEAD "Connection: a\r\nConnection: x-forwarded-proto\r\n\r\n", 400},
    {"connection_names_path", HEAD "Connection: :path\r\n\r\n", 400},
    {"connection_names_in_upgrade",
     HEAD "Connection: upgrade, x-forwarded-for\r\nUpgrade: websocket\r\n\r\n", 400},
    {"connection_names_ten", HEAD "Connection: a,b,c,d,e,\r\nConnection: f, ,,h,i,j\r\n\r\n", 400},
    {"version_1_0", "GET / HTTP/1.0\r\n" HOST "\r\n", 426},
    {"version_1_2", "GET / HTTP/1.2\r\n" HOST "\r\n", 426},
    {"version_2_0", "GET / HTTP/2.0\r\n" HOST "\r\n", 426},
    {"version_none", "GET /\r\n\r\n", 426},
    {"version_malformed", "GET / HTTP/x\r\n\r\n", 400},
    {"version_lower", "GET / http/1.1\r\n" HOST "\r\n", 400},
    {"version_trailing_space", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
    {"version_long", "GET / HTTP/1.11\r\n" HOST "\r\n", 400},
    {"method_unknown", "FOO / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"method_lower", "get / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"method_empty", " / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"preface_of_http_2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
    {"tls_client_hello", "\x16\x03\x01\x01\x00", 400},
    {"target_two_spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_tab", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_with_space", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_relative", "GET a HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_star_get", "GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_cr", "GET\r / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_other_scheme", "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_no_authority", "GET http:/// HTTP/1.1\r\n" HOST "\r\n", 400},
    {"connect_without_port", "CONNECT a HTTP/1.1\r\n" HOST "\r\n", 400},
    {"connect_with_length", "CONNECT a:1 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na", 400},
    {"connect_chunked", "CONNECT a:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 501},
    {"host_twice", LINE HOST "Host: b\r\n\r\n", 400},
    {"host_twice_equal", LINE HOST HOST "\r\n", 400},
    {"target_with_underscore", "GET http://a_b/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_with_percent", "GET http://a%41/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_in_odd_brackets", "GET http://[::g]/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target_with_zone", "GET http://[fe80::1%251]/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"host_twice_absolute", "GET http://a/ HTTP/1.1\r\n" HOST HOST "\r\n", 400},
    {"host_space", LINE "Host: a b\r\n\r\n", 400},
    {"host_userinfo", LINE "Host: u@a\r\n\r\n", 400},
    {"host_path", LINE "Host: a/b\r\n\r\n", 400},
    {"host_port_letters", LINE "Host: a:abc\r\n\r\n", 400},
    {"host_open_bracket", LINE "Host: [::1\r\n\r\n", 400},
    {"host_fragment", LINE "Host: a#b\r\n\r\n", 400},
    {"cve_2019_9900_cr_in_value", HEAD "x: a\rb\r\n\r\n", 400},
    {"del_in_value", HEAD "x: a\x7f\r\n\r\n", 400},
    {"ctl_in_value", HEAD "x: aaaaaaaaaaaaaaa\x01\r\n\r\n", 400},
    {"obs_fold", HEAD "x: a\r\n b\r\n\r\n", 400},
    {"first_field_folded", LINE " x: y\r\n" HOST "\r\n", 400},
    {"space_line", HEAD " \r\n\r\n", 400},
    {"name_space", HEAD "a b: c\r\n\r\n", 400},
    {"name_space_before_colon", HEAD "a : c\r\n\r\n", 400},
    {"no_colon", HEAD "abc\r\n\r\n", 400},
    {"name_high_byte", HEAD "a\xc3: c\r\n\r\n", 400},
    {"bare_lf_in_head", "GET / HTTP/1.1\nHost: a\n\n", 400},
    {"bare_lf_one_line", HEAD "x: y\nz: 1\r\n\r\n", 400},
    {"bare_lf_at_end", HEAD "\n", 400},
    {"cr_as_line_end", HEAD "x: y\rContent-Length: 1\r\n\r\n", 400},
    {"chunk_size_not_hex", CHUNKED "zz\r\n", 400},
    {"chunk_size_empty", CHUNKED "\r\n0\r\n\r\n", 400},
    {"chunk_size_0x", CHUNKED "0x5\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_underscore", CHUNKED "1_0\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_plus", CHUNKED "+5\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_minus", CHUNKED "-5\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_space_before", CHUNKED " 5\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_space_after", CHUNKED "5 \r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_overflow", CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_2_63", CHUNKED "8000000000000000\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_size_many_zeros", CHUNKED "00000000000000000\r\n\r\n", 400},
    {"chunk_size_bare_lf", CHUNKED "5\nhello\r\n0\r\n\r\n", 400},
    {"chunk_ext_cr", CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n", 400},
    {"chunk_ext_lf", CHUNKED "5;a\nhello\r\n0\r\n\r\n", 400},
    {"vsv00016_no_crlf_after_chunk", CHUNKED "5\r\nhellox\r\n0\r\n\r\n", 400},
    {"bytes_after_chunk", CHUNKED "5\r\nhelloworld\r\n0\r\n\r\n", 400},
    {"bare_lf_after_chunk", CHUNKED "5\r\nhello\n0\r\n\r\n", 400},
    {"other_bytes_instead_of_crlf", CHUNKED "5\r\nhelloXX0\r\n\r\n", 400},
    {"bare_cr_after_chunk", CHUNKED "5\r\nhello\r0\r\n\r\n", 400},
    {"two_bytes_for_crlf_after_chunk", CHUNKED "5\r\nhelloxx0\r\n\r\n", 400},
    {"cr_and_byte_for_crlf_after_chunk", CHUNKED "5\r\nhello\rx0\r\n\r\n", 400},
    {"bare_lf_ends_last_chunk", CHUNKED "0\r\n\n", 400},
    {"trailer_without_colon", CHUNKED "0\r\nabc\r\n\r\n", 400},
    {"trailer_name_space", CHUNKED "0\r\na : b\r\n\r\n", 400},
    {"trailer_cr", CHUNKED "0\r\na: b\rc\r\n\r\n", 400},
};

static unsigned refuse(struct bytes input, const struct codec_options *o, size_t step)
{
    struct codec_log l;
    codec_log_init(&l, o);
    bool open = codec_log_feed(&l, input, step);
    unsigned status = l.error ? l.error->status : 0;
    ck_assert_msg(!status || !open, "an error closes");
    ck_assert(!status || !l.codec->ops->reusable(l.codec));
    codec_log_fini(&l);
    return status;
}

START_TEST(test_refused)
{
    const struct refusal *r = &refusals[_i];
    for (size_t step = 0; step < 3; step++) {
        unsigned status = refuse(bytes_of(r->input), &codec_log_server, step);
        ck_assert_msg(status == r->status, "%s, step %zu: %u instead of %u", r->name, step, status,
                      r->status);
    }
}
END_TEST

static unsigned with_byte(const char *before, char c, const char *after)
{
    char text[256];
    size_t n = strlen(before);
    memcpy(text, before, n);
    text[n] = c;
    memcpy(text + n + 1, after, strlen(after));
    return refuse(bytes_from(text, n + 1 + strlen(after)), &codec_log_server, 0);
}

START_TEST(test_cve_2021_39240_every_byte_in_method)
{
    for (int c = 0; c < 256; c++) {
        ck_assert_uint_eq(with_byte("GE", (char)c, "T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
}
END_TEST

START_TEST(test_every_byte_in_target)
{
    for (int c = 0; c < 256; c++) {
        unsigned want = c < 0x21 || c >= 0x7f ? 400 : 0;
        unsigned got = with_byte("GET /a", (char)c, "b HTTP/1.1\r\nHost: a\r\n\r\n");
        ck_assert_msg(got == want, "byte %d: %u", c, got);
    }
}
END_TEST

/* Targets too are read eight bytes at a time. */
START_TEST(test_bytes_at_every_place_of_a_target)
{
    static const char bytes[] = {0x01, '\t', 0x1f, 0x7f, (char)0x80, (char)0xff, '!', '~'};
    for (size_t len = 2; len < 28; len++) {
        for (size_t at = 1; at < len; at++) {
            for (size_t i = 0; i < sizeof(bytes); i++) {
                char before[64] = "GET /", after[64] = "";
                memset(before + 5, 't', at - 1);
                memset(after, 't', len - at - 1);
                strcat(after, " HTTP/1.1\r\nHost: a\r\n\r\n");
                unsigned want = bytes[i] == '!' || bytes[i] == '~' ? 0 : 400;
                unsigned got = with_byte(before, bytes[i], after);
                ck_assert_msg(got == want, "byte %d at %zu of %zu: %u", bytes[i], at, len, got);
            }
        }
    }
}
END_TEST

START_TEST(test_every_byte_in_value)
{
    for (int c = 0; c < 256; c++) {
        bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
        unsigned got = with_byte(HEAD "x: abcdefgh", (char)c, "ijk\r\n\r\n");
        ck_assert_msg(got == (bad ? 400 : 0), "byte %d: %u", c, got);
        got = with_byte(HEAD "x: abc", (char)c, "defghijklmnop\r\n\r\n");
        ck_assert_msg(got == (bad ? 400 : 0), "byte %d inside a word: %u", c, got);
    }
}
END_TEST

/* Values are read eight bytes at a time: no length and no place may hide a byte. */
START_TEST(test_bytes_at_every_place_of_a_value)
{
    static const char bytes[] = {0x01, '\t', 0x1f, 0x7f, (char)0x80};
    for (size_t len = 3; len < 28; len++) {
        for (size_t at = 1; at + 1 < len; at++) {
            for (size_t i = 0; i < sizeof(bytes); i++) {
                char before[64] = HEAD "x: ", after[64] = "";
                memset(before + strlen(before), 'v', at);
                memset(after, 'v', len - at - 1);
                strcat(after, "\r\n\r\n");
                unsigned want = bytes[i] == '\t' || bytes[i] < 0 ? 0 : 400;
                unsigned got = with_byte(before, bytes[i], after);
                ck_assert_msg(got == want, "byte %d at %zu of %zu: %u", bytes[i], at, len, got);
            }
        }
    }
}
END_TEST

START_TEST(test_every_byte_in_name)
{
    for (int c = 0; c < 256; c++) {
        bool token = c && (strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') ||
                           (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
        bool ends = c == ':';
        unsigned got = with_byte(HEAD "x", (char)c, "y: z\r\n\r\n");
        ck_assert_msg(got == (token || ends ? 0 : 400), "byte %d: %u", c, got);
    }
}
END_TEST

/* Names are read eight bytes at a time: each byte counts at each place, and arrives lowered. */
START_TEST(test_bytes_at_every_place_of_a_name)
{
    for (size_t at = 0; at < 18; at++) {
        for (int c = 1; c < 256; c++) {
            char text[128] = HEAD, name[24] = "aB-cdEf-GHIjklm-Zz";
            struct codec_log l;
            size_t n = strlen(text);
            bool token = strchr("!#$%&'*+-.^_`|~", c) || (c >= '0' && c <= '9') ||
                         (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
            if (c == ':')
                continue;
            name[at] = (char)c;
            strcat(strcat(text, name), ": value\r\n\r\n");
            codec_log_init(&l, &codec_log_server);
            codec_log_feed(&l, bytes_from(text, n + strlen(text + n)), 0);
            for (size_t i = 0; name[i]; i++)
                name[i] = ascii_lower(name[i]);
            strcat(name, "=");
            ck_assert_msg(!l.error == token, "byte %d at %zu", c, at);
            ck_assert(!token || strstr(strbuf_str(&l.text), name));
            codec_log_fini(&l);
        }
    }
}
END_TEST

START_TEST(test_cve_2021_40346_long_names)
{
    static const size_t lengths[] = {255, 256, 270, 65535 - 40, 65536 + 270};
    struct codec_options o = codec_log_server;
    o.max_headers_bytes = 1 << 20;
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct strbuf s = STRBUF_INIT;
        struct strbuf field = STRBUF_INIT;
        strbuf_add_char(&field, '|');
        for (size_t k = 0; k < lengths[i]; k++)
            strbuf_add_char(&field, 'n');
        strbuf_add_str(&s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n");
        strbuf_add_bytes(&s, bytes_skip(strbuf_bytes(&field), 1));
        strbuf_add_str(&s, ": 0\r\n\r\nabcGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        strbuf_add_str(&field, "=0\n");
        struct codec_log l;
        codec_log_init(&l, &o);
        l.answer = true;
        ck_assert(codec_log_feed(&l, strbuf_bytes(&s), 0));
        ck_assert_uint_eq(l.begun, 2);
        ck_assert_ptr_nonnull(strstr(strbuf_str(&l.text), "body abc\nend\n"));
        ck_assert_ptr_nonnull(strstr(strbuf_str(&l.text), strbuf_str(&field)));
        codec_log_fini(&l);
        strbuf_fini(&field);
        strbuf_fini(&s);
    }
}
END_TEST

static unsigned head_of(unsigned lines, size_t bytes, bool complete)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, LINE HOST);
    for (unsigned i = 1; i < lines; i++)
        strbuf_add_str(&s, "a: b\r\n");
    if (bytes) {
        strbuf_add_str(&s, "c: ");
        while (s.len < bytes - 4)
            strbuf_add_char(&s, 'd');
        strbuf_add_str(&s, "\r\n");
    }
    if (complete)
        strbuf_add_str(&s, "\r\n");
    unsigned status = refuse(strbuf_bytes(&s), &codec_log_server, 4096);
    strbuf_fini(&s);
    return status;
}

START_TEST(test_header_count_at_99_100_101)
{
    ck_assert_uint_eq(head_of(99, 0, true), 0);
    ck_assert_uint_eq(head_of(100, 0, true), 0);
    ck_assert_uint_eq(head_of(101, 0, true), 431);
}
END_TEST

START_TEST(test_header_bytes_at_the_limit)
{
    ck_assert_uint_eq(head_of(1, 60 * 1024, true), 0);
    ck_assert_uint_eq(head_of(1, 60 * 1024 + 1, true), 431);
    ck_assert_uint_eq(head_of(1, 70 * 1024, false), 431);
}
END_TEST

START_TEST(test_head_without_end_charges_nothing)
{
    struct codec_log l;
    codec_log_init(&l, &codec_log_server);
    size_t before = arena_size(l.arena);
    char block[4096];
    memset(block, 'a', sizeof(block));
    codec_log_feed(&l, BYTES(HEAD "x: "), 0);
    for (int i = 0; i < 14; i++)
        ck_assert(codec_log_feed(&l, bytes_from(block, sizeof(block)), 0));
    ck_assert_uint_eq(arena_size(l.arena), before);
    ck_assert(!codec_log_feed(&l, bytes_from(block, sizeof(block)), 0));
    ck_assert_uint_eq(l.error->status, 431);
    ck_assert_uint_eq(arena_size(l.arena), before);
    codec_log_fini(&l);
}
END_TEST

START_TEST(test_trailers_have_the_limits_of_heads)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, CHUNKED "0\r\n");
    for (int i = 0; i < 101; i++)
        strbuf_add_str(&s, "a: b\r\n");
    ck_assert_uint_eq(refuse(strbuf_bytes(&s), &codec_log_server, 0), 431);
    strbuf_fini(&s);
}
END_TEST

START_TEST(test_chunk_line_is_bounded)
{
    struct strbuf s = STRBUF_INIT;
    strbuf_add_str(&s, CHUNKED "5;");
    for (int i = 0; i < 5000; i++)
        strbuf_add_char(&s, 'a');
    ck_assert_uint_eq(refuse(strbuf_bytes(&s), &codec_log_server, 100), 400);
    strbuf_fini(&s);
}
END_TEST

START_TEST(test_options)
{
    struct codec_options o = codec_log_server;
    o.allow_chunked_length = true;
    ck_assert_uint_eq(refuse(BYTES(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        "0\r\n\r\n"),
                             &o, 0),
                      0);
    o.allow_custom_methods = true;
    ck_assert_uint_eq(refuse(BYTES("FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), &o, 0), 0);
    o.underscores = CODEC_UNDERSCORES_REJECT;
    ck_assert_uint_eq(refuse(BYTES(HEAD "a_b: 1\r\n\r\n"), &o, 0), 400);
    o.accept_http_10 = true;
    ck_assert_uint_eq(refuse(BYTES("GET / HTTP/1.0\r\n\r\n"), &o, 0), 0);
    ck_assert_uint_eq(refuse(BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), &o, 0),
                      400);
    ck_assert_uint_eq(refuse(BYTES("GET /\r\n\r\n"), &o, 0), 400);
    o.allow_absolute_url = false;
    ck_assert_uint_eq(refuse(BYTES("GET http://a/ HTTP/1.1\r\n" HOST "\r\n"), &o, 0), 0);
}
END_TEST

static const struct refusal bad_responses[] = {
    {"length_twice", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", 400},
    {"length_and_chunked",
     "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", 400},
    {"gzip", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", 501},
    {"204_with_length", "HTTP/1.1 204 N\r\ncontent-length: 3\r\n\r\nabc", 400},
    {"204_chunked", "HTTP/1.1 204 N\r\ntransfer-encoding: chunked\r\n\r\n", 400},
    {"upgrade", "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", 502},
    {"status_099", "HTTP/1.1 099 x\r\n\r\n", 400},
    {"status_letters", "HTTP/1.1 2xx x\r\n\r\n", 400},
    {"status_long", "HTTP/1.1 2000 x\r\n\r\n", 400},
    {"garbage", "hello\r\n\r\n", 400},
    {"garbage_without_a_line_end", "220", 400},
    {"garbage_after_an_interim_answer", "HTTP/1.1 103 E\r\n\r\nHTTX", 400},
    {"first_field_folded", "HTTP/1.1 200 OK\r\n x: a\r\n\r\n", 400},
    {"http_2", "HTTP/2.0 200 OK\r\n\r\n", 400},
    {"nul", "HTTP/1.1 200 OK\r\nx: \x01\r\n\r\n", 400},
    {"lone_cr", "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n", 400},
};

START_TEST(test_bad_response)
{
    const struct refusal *r = &bad_responses[_i];
    for (size_t step = 0; step < 2; step++) {
        struct codec_log l;
        codec_log_init(&l, &codec_log_client);
        l.stream = l.codec->ops->stream_new(l.codec, &l, &l.headers);
        codec_log_feed(&l, bytes_of(r->input), step);
        ck_assert_msg(l.error && l.error->status == r->status, "%s", r->name);
        codec_log_fini(&l);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("codec_h1_smuggling");
    TCase *t = tcase_create("refused");
    tcase_add_loop_test(t, test_refused, 0, (int)ARRAY_SIZE(refusals));
    tcase_add_loop_test(t, test_bad_response, 0, (int)ARRAY_SIZE(bad_responses));
    tcase_add_test(t, test_cve_2021_39240_every_byte_in_method);
    tcase_add_test(t, test_every_byte_in_target);
    tcase_add_test(t, test_every_byte_in_value);
    tcase_add_test(t, test_bytes_at_every_place_of_a_value);
    tcase_add_test(t, test_bytes_at_every_place_of_a_target);
    tcase_add_test(t, test_bytes_at_every_place_of_a_name);
    tcase_add_test(t, test_every_byte_in_name);
    tcase_add_test(t, test_cve_2021_40346_long_names);
    tcase_add_test(t, test_header_count_at_99_100_101);
    tcase_add_test(t, test_header_bytes_at_the_limit);
    tcase_add_test(t, test_head_without_end_charges_nothing);
    tcase_add_test(t, test_trailers_have_the_limits_of_heads);
    tcase_add_test(t, test_chunk_line_is_bounded);
    tcase_add_test(t, test_options);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
