#include "filters/http/grpc_web/grpc_web_text.h"

/* Bytes or characters that are ready, collected so that a buffer is not given three at a time. */
struct block {
    struct buffer *out;
    size_t len;
    char data[1024];
};

static void block_end(struct block *b)
{
    buffer_add(b->out, b->data, b->len);
    b->len = 0;
}

static void block_add(struct block *b, const char *data, size_t len)
{
    if (b->len + len > sizeof(b->data))
        block_end(b);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

/* ---- reading ---- */

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The bits that padding leaves over must be 0: one text for the same bytes. */
static bool read_group(const char group[4], struct block *to)
{
    unsigned padding = group[3] == '=' ? 1 + (group[2] == '=') : 0;
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        int v = i < 4 - padding ? value_of(group[i]) : 0;
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
    }
    if ((padding == 1 && bits & 0xff) || (padding == 2 && bits & 0xffff))
        return false;
    char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
    block_add(to, bytes, 3 - padding);
    return true;
}

bool web_decode(struct web_decoder *d, struct buffer *in, struct buffer *out)
{
    struct block b = {.out = out};
    bool good = true;
    for (const struct slice *s = in->head; good && s; s = s->next) {
        for (size_t i = 0; good && i < s->len; i++) {
            d->group[d->n++] = s->data[i];
            if (d->n == 4) {
                good = read_group(d->group, &b);
                d->n = 0;
            }
        }
    }
    block_end(&b);
    buffer_drain(in, in->len);
    return good;
}

/* ---- writing ---- */

static void write_group(struct web_encoder *e, struct block *to)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    for (unsigned i = 0; i < 3; i++)
        bits = bits << 8 | (i < e->n ? e->held[i] : 0);
    char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63],
                    alphabet[bits & 63]};
    if (e->n < 3)
        text[3] = '=';
    if (e->n < 2)
        text[2] = '=';
    block_add(to, text, 4);
    e->n = 0;
}

void web_encode(struct web_encoder *e, struct buffer *in, struct buffer *out)
{
    struct block b = {.out = out};
    for (const struct slice *s = in->head; s; s = s->next) {
        struct bytes rest = {s->data, s->len};
        while (rest.len) {
            bool begins;
            struct bytes piece = grpc_frames_next(&e->frames, &rest, &begins);
            for (size_t i = 0; i < piece.len; i++) {
                e->held[e->n++] = (uint8_t)piece.data[i];
                if (e->n == 3)
                    write_group(e, &b);
            }
            if (e->n && grpc_frames_at_end(&e->frames))
                write_group(e, &b);
        }
    }
    block_end(&b);
    buffer_drain(in, in->len);
}

void web_encode_end(struct web_encoder *e, struct buffer *out)
{
    struct block b = {.out = out};
    if (e->n)
        write_group(e, &b);
    block_end(&b);
    e->frames = (struct grpc_frames){0};
}
