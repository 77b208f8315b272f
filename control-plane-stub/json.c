#include "json.h"

#include <string.h>

/* A comma goes before every value or key that does not follow an opening bracket or a colon. */
static void separate(struct text *out)
{
    char last = out->len ? out->data[out->len - 1] : '\n';

    if (!strchr("{[:\n", last))
        text_putc(out, ',');
}

void json_open(struct text *out, char bracket)
{
    separate(out);
    text_putc(out, bracket);
}

void json_close(struct text *out, char bracket)
{
    text_putc(out, bracket);
}

/* Length of the UTF-8 sequence at s, 0 when it is broken. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;

    if (!n || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static void put_escaped(struct text *out, unsigned char c)
{
    switch (c) {
    case '"':
        text_puts(out, "\\\"");
        break;
    case '\\':
        text_puts(out, "\\\\");
        break;
    case '\n':
        text_puts(out, "\\n");
        break;
    case '\t':
        text_puts(out, "\\t");
        break;
    default:
        if (c < 0x20 || c == 0x7f)
            text_printf(out, "\\u%04x", c);
        else
            text_putc(out, (char)c);
    }
}

void json_string_n(struct text *out, const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    separate(out);
    text_putc(out, '"');
    for (size_t i = 0; i < len;) {
        size_t n = utf8_length(p + i, len - i);

        if (n == 1)
            put_escaped(out, p[i]);
        else if (n)
            text_add(out, p + i, n);
        else
            text_puts(out, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    text_putc(out, '"');
}

void json_string(struct text *out, const char *s)
{
    json_string_n(out, s, strlen(s));
}

void json_key(struct text *out, const char *key)
{
    json_string(out, key);
    text_putc(out, ':');
}

void json_raw(struct text *out, const char *json)
{
    separate(out);
    text_puts(out, json);
}

void json_int(struct text *out, long long v)
{
    separate(out);
    text_printf(out, "%lld", v);
}

void json_bool(struct text *out, bool v)
{
    json_raw(out, v ? "true" : "false");
}

void json_member(struct text *out, const char *key, const char *value)
{
    if (!value)
        return;
    json_key(out, key);
    json_string(out, value);
}

void json_member_int(struct text *out, const char *key, long long value)
{
    json_key(out, key);
    json_int(out, value);
}

void json_member_bool(struct text *out, const char *key, bool value)
{
    json_key(out, key);
    json_bool(out, value);
}
