#include "dataplane/http/stream_internal.h"

/* One canonical path before anybody matches on it: escaped slashes, percent decoding of what needs
 * no escape, dot segments (also with ";parameters"), backslashes, repeated slashes. The query is
 * left alone. */

/* The byte of an escape at p, or -1. */
static int escaped_byte(const char *p, const char *end)
{
    if (end - p < 3 || p[0] != '%' || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0)
        return -1;
    return hex_digit(p[1]) << 4 | hex_digit(p[2]);
}

static bool has_escaped_slash(struct bytes path)
{
    const char *end = path.data + path.len;
    for (const char *p = path.data; p < end; p++) {
        int c = escaped_byte(p, end);
        if (c == '/' || c == '\\')
            return true;
    }
    return false;
}

static struct bytes unescape_slashes(struct arena *a, struct bytes path)
{
    char *out = arena_alloc(a, path.len + 1), *o = out;
    const char *end = path.data + path.len;
    for (const char *p = path.data; p < end;) {
        int c = escaped_byte(p, end);
        if (c == '/' || c == '\\') {
            *o++ = (char)c;
            p += 3;
        } else {
            *o++ = *p++;
        }
    }
    return bytes_from(out, (size_t)(o - out));
}

static bool is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* A path that is being written: `stray` is where its last "%" stands that began no escape. */
struct path_writer {
    char *out;
    size_t len, stray;
};

/* What was decoded may stand behind a stray "%" as the digits of an escape, which the next reader
 * would decode again: "%%32e" must not become "%2e". */
static void put_char(struct path_writer *w, char c)
{
    w->out[w->len++] = c;
    if (w->len < 3 || w->stray != w->len - 3 || hex_digit(w->out[w->len - 2]) < 0 ||
        hex_digit(c) < 0)
        return;
    char *digits = w->out + w->stray + 1;
    memmove(digits + 2, digits, 2);
    memcpy(digits, "25", 2);
    w->len += 2;
}

/* Bytes: decoded where unreserved, escaped where a path may not hold them. NULL data: refused. */
static struct bytes canonical_bytes(struct arena *a, struct bytes path)
{
    static const char digits[] = "0123456789ABCDEF";
    struct path_writer w = {.out = arena_alloc(a, path.len * 3 + 3), .stray = SIZE_MAX};
    const char *end = path.data + path.len;
    for (const char *p = path.data; p < end; p++) {
        int c = escaped_byte(p, end);
        if (c == 0)
            return BYTES_NONE;
        if (c > 0 && is_unreserved(c)) {
            put_char(&w, (char)c);
            p += 2;
        } else if (*p == '\\') {
            put_char(&w, '/');
        } else if (strchr("\"<>{}|^`", *p)) {
            w.out[w.len++] = '%';
            w.out[w.len++] = digits[(unsigned char)*p >> 4];
            w.out[w.len++] = digits[(unsigned char)*p & 15];
        } else {
            if (*p == '%' && c < 0)
                w.stray = w.len;
            put_char(&w, *p);
        }
    }
    return bytes_from(w.out, w.len);
}

/* Number of dots of a dot segment (1 or 2, parameters left out), or 0. */
static unsigned dots_of(struct bytes segment)
{
    ptrdiff_t semicolon = bytes_find_char(segment, ';');
    struct bytes name = semicolon < 0 ? segment : bytes_first(segment, (size_t)semicolon);
    if (bytes_eq(name, BYTES(".")))
        return 1;
    return bytes_eq(name, BYTES("..")) ? 2 : 0;
}

/* In place: the result is never longer. */
static struct bytes remove_dot_segments(struct bytes path)
{
    char *out = (char *)path.data, *o = out;
    struct bytes rest = bytes_skip(path, 1);
    while (rest.data) {
        bool last = bytes_find_char(rest, '/') < 0;
        struct bytes segment = bytes_split(&rest, '/');
        unsigned dots = dots_of(segment);
        if (dots == 2) {
            while (o > out && *--o != '/')
                ;
        }
        if (dots == 0) {
            *o++ = '/';
            memmove(o, segment.data, segment.len);
            o += segment.len;
        } else if (last) {
            *o++ = '/';
        }
    }
    if (o == out)
        *o++ = '/';
    return bytes_from(out, (size_t)(o - out));
}

static struct bytes merge_slashes(struct arena *a, struct bytes path)
{
    if (bytes_find(path, BYTES("//")) < 0)
        return path;
    char *out = arena_alloc(a, path.len), *o = out;
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '/' || i == 0 || path.data[i - 1] != '/')
            *o++ = path.data[i];
    }
    return bytes_from(out, (size_t)(o - out));
}

static struct bytes with_query(struct arena *a, struct bytes path, struct bytes query)
{
    char *out = arena_alloc(a, path.len + query.len + 1);
    memcpy(out, path.data, path.len);
    if (query.len)
        memcpy(out + path.len, query.data, query.len);
    return bytes_from(out, path.len + query.len);
}

static const struct stream_error *handle_escaped_slashes(struct stream *s, struct bytes *path,
                                                         bool *redirect)
{
    enum escaped_slashes action = s->manager->escaped_slashes;
    if (action == ESCAPED_SLASHES_KEEP || !has_escaped_slash(*path))
        return NULL;
    bool redirects = action == ESCAPED_SLASHES_UNESCAPE_REDIRECT;
    if (action == ESCAPED_SLASHES_REJECT || (redirects && s->priv->is_grpc)) { /* follows none */
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION);
        return stream_error_get(STREAM_ERROR_PATH_NORMALIZATION_FAILED);
    }
    *path = unescape_slashes(s->arena, *path);
    *redirect = redirects;
    return NULL;
}

/* "//host" in a Location is another host's, and browsers take a backslash for a slash. */
static struct bytes one_slash_first(struct arena *a, struct bytes path)
{
    size_t n = 0;
    while (n < path.len && (path.data[n] == '/' || path.data[n] == '\\'))
        n++;
    return n > 1 ? bytes_of(arena_printf(a, "/%.*s", BYTES_ARG(bytes_skip(path, n)))) : path;
}

const struct stream_error *hcm_normalize_path(struct stream *s)
{
    const struct http_manager *m = s->manager;
    struct bytes full = headers_get(&s->request_headers, HEADER_PATH);
    ptrdiff_t q = bytes_find_char(full, '?');
    struct bytes path = q < 0 ? full : bytes_first(full, (size_t)q);
    struct bytes query = q < 0 ? BYTES_NONE : bytes_skip(full, (size_t)q);
    struct bytes before = path;
    bool redirect = false;
    const struct stream_error *e = handle_escaped_slashes(s, &path, &redirect);
    if (e)
        return e;
    if (m->normalize_path) {
        path = canonical_bytes(s->arena, path);
        if (!path.data) {
            stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION);
            return stream_error_get(STREAM_ERROR_PATH_NORMALIZATION_FAILED);
        }
        path = remove_dot_segments(path);
    }
    if (m->merge_slashes)
        path = merge_slashes(s->arena, path);
    if (bytes_eq(path, before))
        return NULL;
    struct bytes result = with_query(s->arena, path, query);
    headers_set_id(&s->request_headers, HEADER_PATH, result);
    if (!redirect)
        return NULL;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_REDIRECTED_NORMALIZED);
    headers_set_id(&s->response_headers, HEADER_LOCATION, one_slash_first(s->arena, result));
    return stream_error_get(STREAM_ERROR_PATH_REDIRECT);
}
