/* What a TLS client says first, before there is a filter chain: any cut gives the same reading, and
 * it is the one of a plain reader; names are such that a configuration can mean them, and no more
 * is kept than the limit.
 *
 *     size of the pieces and the limit, bytes of the connection ...; at most 3000 bytes */
#include "filters/listener/tls_inspector/fingerprint.h"
#include "fuzz.h"

enum { MAX = 4096, SMALL_MAX = 256, INPUT_MAX = 16384, RAW_FACTOR = 8, NAME_MAX_LEN = 255 };
enum { HANDSHAKE = 22, CLIENT_HELLO = 1, RECORD_MAX = 16384 };
enum { EXTENSION_NAME = 0, EXTENSION_ALPN = 16 };

static struct chunk_pool *pool;

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
}

/* Pieces lie by themselves (how & 128), or where the pool puts them. */
static enum hello_result feed(struct client_hello *h, struct bytes wire, size_t piece, size_t max,
                              bool apart)
{
    struct buffer in;
    enum hello_result r = HELLO_MORE;
    buffer_init(&in, pool);
    client_hello_init(h, max);
    for (size_t at = 0; at < wire.len && r == HELLO_MORE; at += piece) {
        struct bytes part = bytes_first(bytes_skip(wire, at), piece);
        if (apart)
            buffer_add_static(&in, part);
        else
            buffer_add_bytes(&in, part);
        r = client_hello_read(h, &in);
    }
    buffer_fini(&in);
    return r;
}

/* ---- a plain reader ---- */

struct plain {
    uint8_t message[MAX + 4];
    size_t len;
    struct bytes name; /* as it was sent */
    unsigned n_protocols;
};

static size_t number(const uint8_t *p, size_t size)
{
    size_t n = 0;
    while (size--)
        n = n << 8 | *p++;
    return n;
}

/* The field at *at with a length of so many bytes, which ends at or before end. */
static bool field(const uint8_t *m, size_t *at, size_t end, size_t size, size_t *from, size_t *to)
{
    if (end - *at < size)
        return false;
    size_t len = number(m + *at, size);
    *from = *at + size;
    if (end - *from < len)
        return false;
    *to = *at = *from + len;
    return true;
}

static bool plain_name(struct plain *p, size_t at, size_t end)
{
    const uint8_t *m = p->message;
    size_t list, list_end, from, to;
    if (!field(m, &at, end, 2, &list, &list_end) || list == list_end || m[list++] != 0 ||
        !field(m, &list, list_end, 2, &from, &to) || from == to || to - from > NAME_MAX_LEN)
        return false;
    p->name = bytes_from((const char *)m + from, to - from);
    return !memchr(m + from, 0, to - from);
}

static bool plain_protocols(struct plain *p, size_t at, size_t end)
{
    size_t list, list_end, from, to;
    if (!field(p->message, &at, end, 2, &list, &list_end))
        return false;
    while (list < list_end) {
        if (!field(p->message, &list, list_end, 1, &from, &to) || from == to)
            return false;
        p->n_protocols += p->n_protocols < HELLO_PROTOCOLS_MAX;
    }
    return true;
}

static bool plain_message(struct plain *p)
{
    const uint8_t *m = p->message;
    size_t at = 4 + 2 + 32, from, to, end;
    if (p->len < at || !field(m, &at, p->len, 1, &from, &to) ||
        !field(m, &at, p->len, 2, &from, &to) || !field(m, &at, p->len, 1, &from, &to))
        return false;
    if (at == p->len)
        return true;
    if (!field(m, &at, p->len, 2, &from, &end))
        return false;
    for (at = from; at < end;) {
        if (end - at < 4)
            return false;
        size_t type = number(m + at, 2);
        at += 2;
        if (!field(m, &at, end, 2, &from, &to) ||
            (type == EXTENSION_NAME && !plain_name(p, from, to)) ||
            (type == EXTENSION_ALPN && !plain_protocols(p, from, to)))
            return false;
    }
    return true;
}

/* One byte of the message more. */
static enum hello_result plain_byte(struct plain *p, uint8_t c, size_t max)
{
    if (p->len == max + 4)
        return HELLO_TOO_LARGE;
    p->message[p->len++] = c;
    if (p->message[0] != CLIENT_HELLO)
        return HELLO_NOT_TLS;
    size_t size = p->len < 4 ? 4 : 4 + number(p->message + 1, 3);
    if (p->len >= 4 && size > max)
        return HELLO_TOO_LARGE;
    if (p->len < 4 || p->len < size)
        return HELLO_MORE;
    return plain_message(p) ? HELLO_TLS : HELLO_NOT_TLS;
}

static enum hello_result plain_read(struct plain *p, struct bytes wire, size_t max)
{
    size_t left = 0;
    uint8_t head[5];
    unsigned n = 0;
    enum hello_result r = HELLO_MORE;
    p->len = p->n_protocols = 0;
    p->name = BYTES_NONE;
    for (size_t i = 0; i < wire.len && r == HELLO_MORE; i++) {
        uint8_t c = (uint8_t)wire.data[i];
        if (left) {
            left--;
            r = plain_byte(p, c, max);
            continue;
        }
        head[n++] = c;
        if ((n == 1 && c != HANDSHAKE) || (n == 2 && c != 3))
            return HELLO_NOT_TLS;
        if (n < sizeof(head))
            continue;
        n = 0;
        left = number(head + 3, 2);
        if (left == 0 || left > RECORD_MAX)
            return HELLO_NOT_TLS;
    }
    return r;
}

/* ---- the comparison ---- */

static bool inside(const struct client_hello *h, struct bytes b)
{
    return b.data >= h->message && b.data + b.len <= h->message + h->len;
}

static void check(const struct client_hello *h, const struct plain *p, size_t max)
{
    struct bytes name = h->server_name;
    char text[JA4_SIZE];
    client_hello_ja3(h, text);
    FUZZ_CHECK(strlen(text) == JA3_SIZE - 1, "JA3 of %zu", strlen(text));
    client_hello_ja4(h, text);
    FUZZ_CHECK(strlen(text) == JA4_SIZE - 1, "JA4 of %zu", strlen(text));
    FUZZ_CHECK(h->cap <= 2 * (max + 4), "%zu bytes kept", h->cap);
    FUZZ_CHECK(name.len <= NAME_MAX_LEN, "a name of %zu bytes", name.len);
    FUZZ_CHECK(!name.len || inside(h, name), "a name outside");
    FUZZ_CHECK(bytes_eq_nocase(name, p->name), "another name");
    for (size_t i = 0; i < name.len; i++)
        FUZZ_CHECK(name.data[i] && ascii_lower(name.data[i]) == name.data[i], "at %zu", i);
    FUZZ_CHECK(h->n_protocols == p->n_protocols, "%u protocols", h->n_protocols);
    for (unsigned i = 0; i < h->n_protocols; i++)
        FUZZ_CHECK(h->protocols[i].len && inside(h, h->protocols[i]), "protocol %u", i);
}

static void run(struct bytes input)
{
    static struct plain plain;
    struct client_hello whole, cut;
    if (input.len < 2 || input.len > INPUT_MAX)
        return;
    uint8_t how = (uint8_t)input.data[0];
    size_t piece = 1 + how % 64, max = how & 64 ? SMALL_MAX : MAX;
    struct bytes wire = bytes_skip(input, 1);
    enum hello_result a = feed(&whole, wire, wire.len, max, false);
    enum hello_result b = feed(&cut, wire, piece, max, how & 128);
    enum hello_result c = plain_read(&plain, wire, max);
    if (c == HELLO_MORE && wire.len > RAW_FACTOR * max)
        c = HELLO_TOO_LARGE;
    FUZZ_CHECK(a == c, "%d, but %d for the plain reader", (int)a, (int)c);
    /* who sends too much of nothing is noticed when it has come */
    FUZZ_CHECK(a == b || (b == HELLO_TOO_LARGE && wire.len > RAW_FACTOR * max),
               "%d in one piece, %d in pieces of %zu", (int)a, (int)b, piece);
    if (a == HELLO_TLS)
        check(&whole, &plain, max);
    if (a == HELLO_TLS && b == HELLO_TLS) {
        fuzz_same("name", whole.server_name, cut.server_name);
        FUZZ_CHECK(whole.n_protocols == cut.n_protocols, "%u protocols", whole.n_protocols);
    }
    client_hello_fini(&whole);
    client_hello_fini(&cut);
}

/* ---- mutations ---- */

static bool one_in(struct random_source *r, uint64_t n)
{
    return random_below(r, n) == 0;
}

static void put_number(struct strbuf *out, size_t n, unsigned size)
{
    while (size--)
        strbuf_add_char(out, (char)(n >> (8 * size)));
}

/* Seldom a length that is not so. */
static void put_field(struct random_source *r, struct strbuf *out, unsigned size, struct bytes b)
{
    size_t len = b.len;
    if (one_in(r, 60))
        len += random_below(r, 3) - 1;
    put_number(out, len, size);
    strbuf_add_bytes(out, b);
}

static void put_random(struct random_source *r, struct strbuf *out, size_t n)
{
    while (n--)
        strbuf_add_char(out, (char)random_u64(r));
}

static void put_name(struct random_source *r, struct strbuf *out)
{
    static const char *const names[] = {"a.test", "A.Test", "", "x", "*.a.test"};
    struct strbuf list = STRBUF_INIT, name = STRBUF_INIT;
    strbuf_add_str(&name, names[random_below(r, ARRAY_SIZE(names))]);
    if (one_in(r, 6))
        put_random(r, &name, random_below(r, 300));
    put_number(&list, one_in(r, 12), 1);
    put_field(r, &list, 2, strbuf_bytes(&name));
    put_field(r, out, 2, strbuf_bytes(&list));
    strbuf_fini(&name);
    strbuf_fini(&list);
}

static void put_protocols(struct random_source *r, struct strbuf *out)
{
    static const char *const names[] = {"h2", "http/1.1", "istio", "x", ""};
    struct strbuf list = STRBUF_INIT;
    for (uint64_t n = one_in(r, 8) ? 70 : random_below(r, 4); n > 0; n--)
        put_field(r, &list, 1,
                  bytes_of(names[random_below(r, ARRAY_SIZE(names) - !one_in(r, 20))]));
    put_field(r, out, 2, strbuf_bytes(&list));
    strbuf_fini(&list);
}

static void put_extensions(struct random_source *r, struct strbuf *out)
{
    static const uint16_t types[] = {0, 0, 16, 16, 10, 11, 13, 43, 0x2a2a, 65281, 51};
    struct strbuf body = STRBUF_INIT;
    for (uint64_t n = random_below(r, 6); n > 0; n--) {
        uint16_t type = types[random_below(r, ARRAY_SIZE(types))];
        strbuf_reset(&body);
        if (type == EXTENSION_NAME)
            put_name(r, &body);
        else if (type == EXTENSION_ALPN)
            put_protocols(r, &body);
        else
            put_random(r, &body, random_below(r, 9));
        put_number(out, type, 2);
        put_field(r, out, 2, strbuf_bytes(&body));
    }
    strbuf_fini(&body);
}

static void put_message(struct random_source *r, struct strbuf *out)
{
    struct strbuf part = STRBUF_INIT, message = STRBUF_INIT;
    put_number(&message, 0x303, 2);
    put_random(r, &message, one_in(r, 30) ? 5 : 32);
    put_random(r, &part, random_below(r, 3) * 16);
    put_field(r, &message, 1, strbuf_bytes(&part));
    strbuf_reset(&part);
    put_random(r, &part, random_below(r, 5) * 2);
    put_field(r, &message, 2, strbuf_bytes(&part));
    put_field(r, &message, 1, bytes_from("", 1));
    strbuf_reset(&part);
    put_extensions(r, &part);
    if (!one_in(r, 10))
        put_field(r, &message, 2, strbuf_bytes(&part));
    put_number(out, one_in(r, 20) ? 2 : CLIENT_HELLO, 1);
    put_field(r, out, 3, strbuf_bytes(&message));
    strbuf_fini(&part);
    strbuf_fini(&message);
}

/* In records of one size. */
static void put_records(struct random_source *r, struct bytes message, struct strbuf *out)
{
    size_t size = one_in(r, 2) ? 1 + random_below(r, 40) : 16384;
    while (message.len) {
        struct bytes part = bytes_first(message, size);
        message = bytes_skip(message, size);
        put_number(out, one_in(r, 60) ? 23 : HANDSHAKE, 1);
        put_number(out, one_in(r, 60) ? 0x202 : 0x301, 2);
        put_field(r, out, 2, part);
    }
}

static void mutate(struct random_source *r, struct bytes input, struct strbuf *out)
{
    struct strbuf message = STRBUF_INIT;
    if (input.len > 1 && one_in(r, 2)) {
        size_t cap = input.len + 64;
        strbuf_reserve(out, cap);
        memcpy(out->data, input.data, input.len);
        out->len = fuzz_mutate_bytes((uint8_t *)out->data, input.len, cap);
        return;
    }
    strbuf_add_char(out, (char)random_u64(r));
    put_message(r, &message);
    put_records(r, strbuf_bytes(&message), out);
    strbuf_fini(&message);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup, .mutate = mutate};
