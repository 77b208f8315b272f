#include "config/utf8.h"

size_t utf8_decode(struct bytes b, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)b.data;
    size_t n = 1;
    uint32_t least = 0;
    if (b.len == 0)
        return 0;
    *code = p[0];
    if (p[0] >= 0xc2 && p[0] < 0xe0)
        n = 2, least = 0x80, *code &= 0x1f;
    else if (p[0] >= 0xe0 && p[0] < 0xf0)
        n = 3, least = 0x800, *code &= 0x0f;
    else if (p[0] >= 0xf0 && p[0] < 0xf5)
        n = 4, least = 0x10000, *code &= 0x07;
    else if (p[0] >= 0x80)
        return 0;
    if (b.len < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (p[i] & 0x3f);
    }
    return *code < least || (*code >= 0xd800 && *code < 0xe000) || *code > 0x10ffff ? 0 : n;
}

size_t utf8_check(struct bytes b)
{
    size_t at = 0;
    while (at < b.len) {
        uint32_t code;
        size_t n = utf8_decode(bytes_skip(b, at), &code);
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
