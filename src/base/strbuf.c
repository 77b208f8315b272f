#include "base/strbuf.h"

#include <stdio.h>

#include "base/digits.h"
#include "base/memory.h"

void strbuf_fini(struct strbuf *s)
{
    mem_free(s->data);
    *s = (struct strbuf)STRBUF_INIT;
}

void strbuf_reset(struct strbuf *s)
{
    s->len = 0;
    if (s->data)
        s->data[0] = '\0';
}

void strbuf_reserve(struct strbuf *s, size_t extra)
{
    size_t need = s->len + extra + 1;
    CHECK(need > s->len);
    if (need <= s->cap)
        return;
    size_t cap = s->cap ? s->cap * 2 : 64;
    s->cap = cap < need ? need : cap;
    s->data = mem_realloc(s->data, s->cap);
}

void strbuf_add_str(struct strbuf *s, const char *text)
{
    strbuf_add(s, text, strlen(text));
}

void strbuf_add_u64(struct strbuf *s, uint64_t value)
{
    if (UNLIKELY(s->cap - s->len <= DIGITS_U64_MAX))
        strbuf_reserve(s, DIGITS_U64_MAX);
    s->len += digits_u64(s->data + s->len, value);
    s->data[s->len] = '\0';
}

void strbuf_vprintf(struct strbuf *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    CHECK(n >= 0);
    strbuf_reserve(s, (size_t)n);
    vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
    va_end(again);
    s->len += (size_t)n;
}

void strbuf_printf(struct strbuf *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(s, fmt, ap);
    va_end(ap);
}

void strbuf_insert(struct strbuf *s, size_t at, const void *data, size_t len)
{
    CHECK(at <= s->len);
    if (len == 0)
        return;
    strbuf_reserve(s, len);
    memmove(s->data + at + len, s->data + at, s->len - at + 1);
    memcpy(s->data + at, data, len);
    s->len += len;
    s->data[s->len] = '\0';
}

void strbuf_cut(struct strbuf *s, size_t len)
{
    CHECK(len <= s->len);
    s->len = len;
    if (s->data)
        s->data[len] = '\0';
}

struct bytes strbuf_bytes(const struct strbuf *s)
{
    return (struct bytes){s->data, s->len};
}

const char *strbuf_str(const struct strbuf *s)
{
    return s->data ? s->data : "";
}

char *strbuf_detach(struct strbuf *s)
{
    strbuf_reserve(s, 0);
    s->data[s->len] = '\0';
    char *data = s->data;
    *s = (struct strbuf)STRBUF_INIT;
    return data;
}

/* Length of the well-formed UTF-8 sequence at b (RFC 3629), or 0. */
static size_t utf8_length(struct bytes b)
{
    const unsigned char *p = (const unsigned char *)b.data;
    unsigned c = p[0], min, need, value;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf) {
        need = 1, min = 0x80, value = c & 0x1f;
    } else if (c >= 0xe0 && c <= 0xef) {
        need = 2, min = 0x800, value = c & 0x0f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        need = 3, min = 0x10000, value = c & 0x07;
    } else {
        return 0;
    }
    if (b.len < need + 1)
        return 0;
    for (unsigned i = 1; i <= need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    bool bad = value < min || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff);
    return bad ? 0 : need + 1;
}

static void add_json_control(struct strbuf *s, unsigned char c)
{
    switch (c) {
    case '"':
        strbuf_add_str(s, "\\\"");
        break;
    case '\\':
        strbuf_add_str(s, "\\\\");
        break;
    case '\n':
        strbuf_add_str(s, "\\n");
        break;
    case '\r':
        strbuf_add_str(s, "\\r");
        break;
    case '\t':
        strbuf_add_str(s, "\\t");
        break;
    default:
        strbuf_printf(s, "\\u%04x", c);
    }
}

static bool is_utf8(struct bytes b)
{
    size_t n = 1;
    for (; b.len && n; b = bytes_skip(b, n))
        n = utf8_length(b);
    return n > 0;
}

void strbuf_add_json_escaped(struct strbuf *s, struct bytes b)
{
    bool utf8 = is_utf8(b);
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)b.data[i];
        if (c >= 0x80 && !utf8)
            strbuf_printf(s, "\\u%04x", c);
        else if (c < 0x20 || c == '"' || c == '\\')
            add_json_control(s, c);
        else
            strbuf_add_char(s, b.data[i]);
    }
}
