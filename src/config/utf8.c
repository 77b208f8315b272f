#include "config/utf8.h"

static size_t sequence_length(const unsigned char *p, size_t left)
{
    size_t n;
    uint32_t code, least;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] < 0xe0) {
        n = 2, code = p[0] & 0x1f, least = 0x80;
    } else if (p[0] >= 0xe0 && p[0] < 0xf0) {
        n = 3, code = p[0] & 0x0f, least = 0x800;
    } else if (p[0] >= 0xf0 && p[0] < 0xf5) {
        n = 4, code = p[0] & 0x07, least = 0x10000;
    } else {
        return 0;
    }
    if (left < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0 : n;
}

size_t utf8_check(struct bytes b)
{
    const unsigned char *p = (const unsigned char *)b.data;
    size_t at = 0;
    while (at < b.len) {
        size_t n = sequence_length(p + at, b.len - at);
        if (n == 0)
            return at;
        at += n;
    }
    return b.len;
}

size_t utf8_length(struct bytes b)
{
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++)
        n += ((unsigned char)b.data[i] & 0xc0) != 0x80;
    return n;
}

size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
