/* What a client says first, before there is a filter chain: any cut gives the same reading, names
 * are such that a configuration can mean them, and no more is kept than the limit.
 *
 *     size of the pieces, bytes of the connection ... */
#include "filters/listener/tls_inspector/fingerprint.h"
#include "fuzz.h"

enum { MAX = 4096, INPUT_MAX = 16384 };

static struct chunk_pool *pool;

static void setup(void)
{
    pool = chunk_pool_new(0);
}

static enum hello_result feed(struct client_hello *h, struct bytes wire, size_t piece)
{
    struct buffer in;
    enum hello_result r = HELLO_MORE;
    buffer_init(&in, pool);
    client_hello_init(h, MAX);
    for (size_t at = 0; at < wire.len && r == HELLO_MORE; at += piece) {
        struct bytes part = bytes_first(bytes_skip(wire, at), piece);
        buffer_add_bytes(&in, part);
        r = client_hello_read(h, &in);
    }
    buffer_fini(&in);
    return r;
}

static bool inside(const struct client_hello *h, struct bytes b)
{
    return b.data >= h->message && b.data + b.len <= h->message + h->len;
}

static void check(const struct client_hello *h)
{
    struct bytes name = h->server_name;
    char text[JA4_SIZE];
    client_hello_ja3(h, text);
    FUZZ_CHECK(strlen(text) == JA3_SIZE - 1, "JA3 of %zu", strlen(text));
    client_hello_ja4(h, text);
    FUZZ_CHECK(strlen(text) == JA4_SIZE - 1, "JA4 of %zu", strlen(text));
    FUZZ_CHECK(h->cap <= 2 * (MAX + 4), "%zu bytes kept", h->cap);
    FUZZ_CHECK(name.len <= 255, "a name of %zu bytes", name.len);
    FUZZ_CHECK(!name.len || inside(h, name), "a name outside");
    for (size_t i = 0; i < name.len; i++)
        FUZZ_CHECK(name.data[i] && ascii_lower(name.data[i]) == name.data[i], "at %zu", i);
    for (unsigned i = 0; i < h->n_protocols; i++)
        FUZZ_CHECK(h->protocols[i].len && inside(h, h->protocols[i]), "protocol %u", i);
}

static void run(struct bytes input)
{
    struct client_hello whole, cut;
    if (input.len < 2 || input.len > INPUT_MAX)
        return;
    size_t piece = 1 + (uint8_t)input.data[0] % 64;
    struct bytes wire = bytes_skip(input, 1);
    enum hello_result a = feed(&whole, wire, wire.len), b = feed(&cut, wire, piece);
    FUZZ_CHECK(a == b, "%d in one piece, %d in pieces of %zu", (int)a, (int)b, piece);
    if (a == HELLO_TLS) {
        check(&whole);
        fuzz_same("name", whole.server_name, cut.server_name);
        FUZZ_CHECK(whole.n_protocols == cut.n_protocols, "%u protocols", whole.n_protocols);
    }
    client_hello_fini(&whole);
    client_hello_fini(&cut);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup};
