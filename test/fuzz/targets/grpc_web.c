/* Bodies of gRPC-Web in base64. A text is read the same whole and in pieces, and as a plain
 * reading of RFC 4648 reads it; a body of frames is written the same whole and in pieces, and what
 * is written is read as the same bytes.
 *
 *     which way, number of cuts, cuts..., the text or the body */
#include "filters/http/grpc_web/grpc_web_text.h"
#include "fuzz.h"

enum { CUTS_MAX = 8 };

static struct chunk_pool *pool;

static void setup(void)
{
    pool = chunk_pool_new(NULL, 0);
}

struct cuts {
    uint8_t sizes[CUTS_MAX];
    unsigned n;
};

/* The next piece; the last one is what is left. */
static struct bytes next_piece(const struct cuts *c, unsigned *i, struct bytes *rest)
{
    size_t n = *i < c->n ? c->sizes[*i] : rest->len;
    struct bytes piece = bytes_first(*rest, n);
    ++*i;
    *rest = bytes_skip(*rest, piece.len);
    return piece;
}

static void take_out(struct buffer *b, struct strbuf *out)
{
    for (const struct slice *s = b->head; s; s = s->next)
        strbuf_add(out, s->data, s->len);
    buffer_fini(b);
}

/* Good, and ended. */
static bool decode(struct bytes text, const struct cuts *c, struct strbuf *out)
{
    struct web_decoder d = {.n = 0};
    struct buffer in, bytes;
    bool good = true;
    buffer_init(&in, pool);
    buffer_init(&bytes, pool);
    for (unsigned i = 0; good && (text.len || i < c->n);) {
        buffer_add_bytes(&in, next_piece(c, &i, &text));
        good = web_decode(&d, &in, &bytes);
        FUZZ_CHECK(in.len == 0 && d.n < 4, "%zu left, %u held", in.len, d.n);
    }
    take_out(&bytes, out);
    return good && d.n == 0;
}

static void encode(struct bytes body, const struct cuts *c, struct strbuf *out)
{
    struct web_encoder e = {.n = 0};
    struct buffer in, text;
    buffer_init(&in, pool);
    buffer_init(&text, pool);
    for (unsigned i = 0; body.len || i < c->n;) {
        buffer_add_bytes(&in, next_piece(c, &i, &body));
        web_encode(&e, &in, &text);
        FUZZ_CHECK(in.len == 0 && e.n < 3, "%zu left, %u held", in.len, e.n);
    }
    web_encode_end(&e, &text);
    take_out(&text, out);
}

/* ---- the plain reading ---- */

static int digit(char c)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(all, c) : NULL;
    return at ? (int)(at - all) : -1;
}

static bool plain(struct bytes text, struct strbuf *out)
{
    for (size_t at = 0; at < text.len; at += 4) {
        unsigned bits = 0, n_bits = 0, pads = 0;
        if (text.len - at < 4)
            return false;
        for (size_t i = at; i < at + 4; i++) {
            int v = digit(text.data[i]);
            if (text.data[i] == '=' && i >= at + 2)
                pads++;
            else if (v < 0 || pads)
                return false;
            else
                bits = bits << 6 | (unsigned)v, n_bits += 6;
        }
        if (bits & ((1u << n_bits % 8) - 1))
            return false;
        for (; n_bits >= 8; n_bits -= 8)
            strbuf_add_char(out, (char)(bits >> (n_bits - 8)));
    }
    return true;
}

static void check_decode(struct bytes text, const struct cuts *c)
{
    static const struct cuts whole;
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT, expected = STRBUF_INIT;
    bool good = plain(text, &expected);
    FUZZ_CHECK(decode(text, &whole, &a) == good, "read as %s", good ? "bad" : "good");
    FUZZ_CHECK(decode(text, c, &b) == good, "in pieces read as %s", good ? "bad" : "good");
    if (good) {
        fuzz_same("whole", strbuf_bytes(&a), strbuf_bytes(&expected));
        fuzz_same("in pieces", strbuf_bytes(&b), strbuf_bytes(&expected));
    }
    strbuf_fini(&a);
    strbuf_fini(&b);
    strbuf_fini(&expected);
}

static void check_encode(struct bytes body, const struct cuts *c)
{
    static const struct cuts whole;
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT, back = STRBUF_INIT;
    encode(body, &whole, &a);
    encode(body, c, &b);
    fuzz_same("pieces", strbuf_bytes(&a), strbuf_bytes(&b));
    FUZZ_CHECK(plain(strbuf_bytes(&a), &back), "wrote no base64: %s", strbuf_str(&a));
    fuzz_same("written and read", strbuf_bytes(&back), body);
    strbuf_fini(&a);
    strbuf_fini(&b);
    strbuf_fini(&back);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct cuts c = {.n = 0};
    bool reading = fuzz_bool(&in);
    c.n = fuzz_below(&in, CUTS_MAX + 1);
    for (unsigned i = 0; i < c.n; i++)
        c.sizes[i] = fuzz_u8(&in);
    if (reading)
        check_decode(in.rest, &c);
    else
        check_encode(in.rest, &c);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup};
