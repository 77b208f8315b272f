/* Mutations of HTTP/2 input that keep frames whole: one more, one less, one many times, another
 * head. Fields are static ones of HPACK, so that most of what is asked for is a request. */
#include "h2_reader.h"

enum {
    HEAD = 9,
    FRAMES_MAX = 400,
    OUT_MAX = 8000,
    DATA = 0,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
    OTHER,
    TYPES
};
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 32 };

struct making {
    struct random_source *r;
    bool downstream;
};

static uint64_t below(struct making *m, uint64_t n)
{
    return random_below(m->r, n);
}

static void put_number(struct strbuf *out, uint64_t n, unsigned size)
{
    while (size--)
        strbuf_add_char(out, (char)(n >> (8 * size)));
}

static void put_frame(struct strbuf *out, unsigned type, unsigned flags, uint32_t id,
                      struct bytes payload)
{
    put_number(out, payload.len, 3);
    put_number(out, type, 1);
    put_number(out, flags, 1);
    put_number(out, id, 4);
    strbuf_add_bytes(out, payload);
}

static void put_literal(struct strbuf *out, const char *name, const char *value)
{
    strbuf_add_char(out, 0);
    strbuf_add_char(out, (char)strlen(name));
    strbuf_add_str(out, name);
    strbuf_add_char(out, (char)strlen(value));
    strbuf_add_str(out, value);
}

static void put_fields(struct making *m, struct strbuf *out)
{
    static const char *const fields[][2] = {
        {"x", "y"},          {"content-length", "3"}, {"cookie", "a=b"}, {"te", "trailers"},
        {"connection", "x"}, {"host", "a"},           {"x_y", "1"},      {":protocol", "a"},
        {":path", "/a?b"},   {":status", "103"},      {"X", "upper"},    {"expect", "100-continue"},
        {":method", "HEAD"}, {"v", "a\tb\n"},
    };
    strbuf_add_str(out, !m->downstream ? below(m, 6) ? "\x88" : "\x8d"
                        : below(m, 4)  ? "\x82\x84\x86\x41\x01"
                                         "a"
                                       : "\x83\x84\x86\x41\x01"
                                         "a");
    for (uint64_t n = below(m, 3); n > 0; n--) {
        uint64_t at = below(m, ARRAY_SIZE(fields));
        put_literal(out, fields[at][0], fields[at][1]);
    }
}

static void put_settings(struct making *m, struct strbuf *out)
{
    static const uint32_t values[] = {0, 1, 2, 100, 16384, 65535, 65536, 0x7fffffff, 0xffffffff};
    for (uint64_t n = below(m, 3); n > 0; n--) {
        put_number(out, below(m, 10), 2);
        put_number(out, values[below(m, ARRAY_SIZE(values))], 4);
    }
}

static void put_payload(struct making *m, unsigned type, struct strbuf *out)
{
    static const uint32_t windows[] = {0, 1, 100, 65535, 0x7fffffff};
    switch (type) {
    case HEADERS:
    case CONTINUATION:
        put_fields(m, out);
        break;
    case PUSH_PROMISE:
        put_number(out, 2, 4);
        put_fields(m, out);
        break;
    case PRIORITY:
        put_number(out, below(m, 8), 5);
        break;
    case RST_STREAM:
        put_number(out, below(m, 14), 4);
        break;
    case SETTINGS:
        put_settings(m, out);
        break;
    case PING:
        put_number(out, 0, 8);
        break;
    case GOAWAY:
        put_number(out, below(m, 2) ? 0x7fffffff : below(m, 9), 4);
        put_number(out, below(m, 14), 4);
        break;
    case WINDOW_UPDATE:
        put_number(out, windows[below(m, ARRAY_SIZE(windows))], 4);
        break;
    default:
        for (uint64_t n = below(m, 5) ? below(m, 6) : below(m, 300); n > 0; n--)
            strbuf_add_char(out, 'd');
    }
}

static void put_new(struct making *m, struct strbuf *out)
{
    static const uint8_t often[] = {HEADERS, HEADERS, DATA, DATA, WINDOW_UPDATE, RST_STREAM};
    unsigned type = (unsigned)(below(m, 2) ? often[below(m, ARRAY_SIZE(often))] : below(m, TYPES));
    unsigned flags = below(m, 2) ? END_STREAM : 0;
    uint32_t id = (uint32_t)below(m, 8) * 2 + 1;
    struct strbuf payload = STRBUF_INIT;
    bool connection = type == SETTINGS || type == PING || type == GOAWAY;
    if (type == HEADERS || type == CONTINUATION)
        flags |= below(m, 8) ? END_HEADERS : 0;
    else if (type == SETTINGS || type == PING)
        flags = below(m, 6) == 0;
    if ((type == DATA || type == HEADERS) && below(m, 8) == 0) {
        flags |= PADDED;
        put_number(&payload, 1, 1);
    }
    if (type == HEADERS && below(m, 12) == 0) {
        flags |= WITH_PRIORITY;
        put_number(&payload, below(m, 8), 5);
    }
    put_payload(m, type, &payload);
    if (flags & PADDED && type <= HEADERS)
        put_number(&payload, 0, 1);
    if (below(m, 20) == 0)
        id = (uint32_t)below(m, 300);
    put_frame(out, type == OTHER ? 200 : type, flags,
              connection || (type == WINDOW_UPDATE && below(m, 3) == 0) ? 0 : id,
              strbuf_bytes(&payload));
    strbuf_fini(&payload);
}

static unsigned split(struct bytes rest, struct bytes *frames, struct bytes *left)
{
    unsigned n = 0;
    while (n < FRAMES_MAX && rest.len >= HEAD) {
        const uint8_t *p = (const uint8_t *)rest.data;
        size_t len = HEAD + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
        if (len > rest.len)
            break;
        frames[n++] = bytes_first(rest, len);
        rest = bytes_skip(rest, len);
    }
    *left = rest;
    return n;
}

/* Another type, flag or stream. */
static void put_changed(struct making *m, struct bytes frame, struct strbuf *out)
{
    size_t at = out->len;
    strbuf_add_bytes(out, frame);
    uint64_t what = below(m, 3);
    if (what == 0)
        out->data[at + 3] = (char)below(m, TYPES);
    else if (what == 1)
        out->data[at + 4] ^= (char)(1 << below(m, 6));
    else
        out->data[at + 8] = (char)(below(m, 8) * 2 + m->downstream);
}

static void change_frames(struct making *m, struct bytes rest, struct strbuf *out)
{
    struct bytes frames[FRAMES_MAX], left;
    unsigned n = split(rest, frames, &left);
    unsigned at = n ? (unsigned)below(m, n) : 0;
    uint64_t what = n ? below(m, 8) : 0;
    uint64_t times = what != 4 ? 2 : below(m, 3) ? below(m, 12) : below(m, 130);
    for (unsigned i = 0; i < n; i++) {
        if (i != at) {
            strbuf_add_bytes(out, frames[i]);
        } else if (what == 5) {
            put_changed(m, frames[i], out);
        } else if (what == 4) { /* a flood, perhaps */
            for (uint64_t k = 0; k < times && out->len + frames[i].len < OUT_MAX; k++)
                strbuf_add_bytes(out, frames[i]);
        } else if (what != 3) { /* 3: it goes */
            strbuf_add_bytes(out, frames[i]);
        }
        if (i == at && what < 3)
            put_new(m, out);
    }
    if (n == 0 || what > 5)
        put_new(m, out);
    strbuf_add_bytes(out, left);
}

void h2_mutate(struct random_source *r, bool downstream, struct bytes input, struct strbuf *out)
{
    struct making m = {r, downstream};
    struct fuzz_in in = {input};
    if (input.len > 3 && below(&m, 3) == 0) {
        size_t cap = input.len + 64;
        strbuf_reserve(out, cap);
        memcpy(out->data, input.data, input.len);
        out->len = fuzz_mutate_bytes((uint8_t *)out->data, input.len, cap);
        return;
    }
    bool other = below(&m, 30) == 0;
    uint8_t options = fuzz_u8(&in), manners = fuzz_u8(&in), n = fuzz_u8(&in);
    struct bytes cuts = fuzz_take(&in, n % 32);
    strbuf_add_char(out, (char)(other ? random_u64(r) : options));
    strbuf_add_char(out, (char)(other ? random_u64(r) & 127 : manners));
    strbuf_add_char(out, (char)cuts.len);
    strbuf_add_bytes(out, cuts);
    change_frames(&m, in.rest, out);
}
