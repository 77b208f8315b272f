#include "http_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_LIMIT 65536u
#define BODY_LIMIT (256u << 20)

void http_head_fini(struct http_head *h)
{
    free(h->method);
    free(h->target);
    *h = (struct http_head){0};
}

static bool parse_first_line(const char *line, const char *end, struct http_head *out)
{
    const char *target = memchr(line, ' ', (size_t)(end - line)), *version;

    if (!target || target == line)
        return false;
    version = memchr(target + 1, ' ', (size_t)(end - target - 1));
    if (!version || target[1] != '/' || end - version != 9 || memcmp(version, " HTTP/1.", 8))
        return false;
    out->method = mem_bytes(line, (size_t)(target - line));
    out->target = mem_bytes(target + 1, (size_t)(version - target - 1));
    out->keep_alive = version[8] == '1';
    return true;
}

static bool parse_length(const char *value, struct http_head *out)
{
    char *end;
    unsigned long long n = strtoull(value, &end, 10);

    if (!isdigit((unsigned char)*value) || *end || n > BODY_LIMIT) {
        out->status = *end || !isdigit((unsigned char)*value) ? 400 : 413;
        return false;
    }
    out->body_len = (size_t)n;
    return true;
}

static bool parse_header(const char *name, const char *value, struct http_head *out)
{
    if (!strcasecmp(name, "content-length"))
        return parse_length(value, out);
    if (!strcasecmp(name, "transfer-encoding")) {
        out->status = 411;
        return false;
    }
    if (!strcasecmp(name, "connection"))
        out->keep_alive = out->keep_alive && strcasecmp(value, "close") != 0;
    if (!strcasecmp(name, "expect"))
        out->expect_continue = !strcasecmp(value, "100-continue");
    return true;
}

static bool parse_header_line(const char *line, const char *end, struct http_head *out)
{
    const char *colon = memchr(line, ':', (size_t)(end - line)), *value;
    char *name, *text;
    bool ok;

    if (!colon || colon == line)
        return false;
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
        ;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    name = mem_bytes(line, (size_t)(colon - line));
    text = mem_bytes(value, (size_t)(end - value));
    ok = parse_header(name, text, out);
    free(name);
    free(text);
    return ok;
}

enum parse http_parse_head(const struct text *in, struct http_head *out)
{
    const char *line = in->data, *stop, *end;

    *out = (struct http_head){.status = 400};
    stop = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!stop) {
        out->status = 431;
        return in->len > HEAD_LIMIT ? PARSE_BAD : PARSE_MORE;
    }
    out->head_len = (size_t)(stop - in->data) + 4;
    end = memmem(line, out->head_len, "\r\n", 2);
    if (!parse_first_line(line, end, out))
        return PARSE_BAD;
    while (end < stop) {
        line = end + 2;
        end = memmem(line, (size_t)(stop + 2 - line), "\r\n", 2);
        if (!parse_header_line(line, end, out))
            return PARSE_BAD;
    }
    return PARSE_DONE;
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10
                                        : -1;
}

/* Percent-decoding; NULL where an escape is broken or holds a NUL. */
static char *decode(const char *s, size_t len, bool plus)
{
    struct text out = {0};

    for (size_t i = 0; i < len; i++) {
        int high, low;

        if (s[i] != '%') {
            text_putc(&out, plus && s[i] == '+' ? ' ' : s[i]);
            continue;
        }
        high = i + 2 < len ? hex_digit(s[i + 1]) : -1;
        low = i + 2 < len ? hex_digit(s[i + 2]) : -1;
        if (high < 0 || low < 0 || !(high | low)) {
            text_fini(&out);
            return NULL;
        }
        text_putc(&out, (char)(high << 4 | low));
        i += 2;
    }
    return text_take(&out);
}

static bool parse_query(const char *q, struct http_request *out)
{
    while (*q) {
        size_t len = strcspn(q, "&"), name_len = strcspn(q, "=&");
        char *name = decode(q, name_len, true);
        char *value =
            name_len < len ? decode(q + name_len + 1, len - name_len - 1, true) : mem_string("");
        char **place = name && value ? (char **)strmap_put(&out->query, name) : NULL;

        free(name);
        if (!place) {
            free(value);
            return false;
        }
        free(*place);
        *place = value;
        q += len + (q[len] == '&');
    }
    return true;
}

bool http_parse_target(const char *target, struct http_request *out)
{
    const char *end = target + strcspn(target, "?"), *p = target + 1;

    out->segments = mem_zero(3 * sizeof(*out->segments));
    while (p < end && out->segment_count < 3) {
        const char *slash = memchr(p, '/', (size_t)(end - p));

        if (!slash || out->segment_count == 2)
            slash = end;
        out->segments[out->segment_count] = decode(p, (size_t)(slash - p), false);
        if (!out->segments[out->segment_count])
            return false;
        out->segment_count++;
        p = slash + 1;
    }
    return !*end || parse_query(end + 1, out);
}

void http_request_fini(struct http_request *r)
{
    for (size_t i = 0; i < r->segment_count; i++)
        free(r->segments[i]);
    for (size_t i = 0; i < r->query.count; i++)
        free(r->query.entries[i].value);
    free(r->segments);
    strmap_fini(&r->query);
    *r = (struct http_request){0};
}

const char *http_query(const struct http_request *r, const char *key)
{
    return strmap_get(&r->query, key);
}
