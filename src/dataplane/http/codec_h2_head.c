#include "dataplane/http/codec_h2_internal.h"
#include "dataplane/http/http_syntax.h"

/* A decoded header block on its way into a list. nghttp2 has checked the order and form of pseudo
 * headers and the characters of names and values; a field is charged before anything else is done
 * with it, whether it is kept or not. */

int h2_head_begin(struct codec_h2 *h, struct codec_stream *s)
{
    s->header_bytes = 0;
    s->header_count = s->cookies = 0;
    s->host_seen = false;
    s->host = BYTES_NONE;
    s->in_trailers = s->head_done;
    if (s->in_trailers && h->c.options.downstream) /* as Envoy, which counts no others */
        h2_count(h, STAT_HTTP2_TRAILERS);
    return 0;
}

/* NULL: it fits. */
static const struct codec_error *charge(struct codec_h2 *h, struct codec_stream *s,
                                        struct bytes name, struct bytes value)
{
    s->header_bytes += name.len + value.len;
    s->header_count++; /* pseudo headers too, as Envoy counts them */
    if (s->header_bytes > h->c.options.max_headers_bytes) {
        h2_count(h, STAT_HTTP2_HEADER_LIST_TOO_LARGE);
        return &h2_error_too_large;
    }
    if (s->header_count > h->c.options.max_headers_count) {
        h2_count(h, STAT_HTTP2_HEADER_OVERFLOW);
        return &h2_error_too_many;
    }
    return NULL;
}

/* A message that breaks the rules ends the connection unless told otherwise, as in Envoy; one that
 * is merely too large, or not wanted, its stream. */
static int refuse(struct codec_h2 *h, struct codec_stream *s, const struct codec_error *e)
{
    bool malformed = e == &h2_error_messaging || e == &h2_error_header;
    s->error = e;
    if (malformed)
        h2_count(h, STAT_HTTP2_RX_MESSAGING_ERROR);
    if (malformed && !h->o.stream_error)
        h2_break(h, e, NGHTTP2_PROTOCOL_ERROR);
    else
        h2_reset(s, malformed ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_INTERNAL_ERROR);
    return h->broken ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static bool copy(struct arena *a, struct bytes from, struct bytes *to)
{
    char *p = arena_try(a, from.len + 1);
    if (!p)
        return false;
    if (from.len)
        memcpy(p, from.data, from.len);
    p[from.len] = '\0';
    *to = bytes_from(p, from.len);
    return true;
}

static bool path_ok(struct bytes path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c < 0x21 || c >= 0x7f)
            return false;
    }
    return true;
}

static bool scheme_of(struct bytes given, struct bytes *scheme)
{
    if (bytes_eq_nocase(given, BYTES("http")))
        *scheme = BYTES("http");
    else if (bytes_eq_nocase(given, BYTES("https")))
        *scheme = BYTES("https");
    else
        return false;
    return true;
}

/* NULL: good; *drop: the field goes no further. */
static const struct codec_error *judge(struct codec_h2 *h, struct codec_stream *s,
                                       enum header_id id, struct bytes name, struct bytes *value,
                                       bool *drop)
{
    const struct codec_options *o = &h->c.options;
    if (o->underscores != CODEC_UNDERSCORES_ALLOW && bytes_find_char(name, '_') >= 0) {
        bool reject = o->underscores == CODEC_UNDERSCORES_REJECT;
        h2_count(h, reject ? STAT_HTTP2_REJECTED_UNDERSCORES : STAT_HTTP2_DROPPED_UNDERSCORES);
        *drop = true;
        return reject ? &h2_error_underscore : NULL;
    }
    if (s->in_trailers) {
        *drop = !s->trailers || header_forbidden_in_trailers(id);
        return NULL;
    }
    if (!o->downstream)
        return NULL;
    switch ((int)id) {
    case HEADER_PATH:
        return path_ok(*value) ? NULL : &h2_error_field;
    case HEADER_SCHEME:
        return scheme_of(*value, value) ? NULL : &h2_error_field;
    case HEADER_AUTHORITY:
        return h1_authority_ok(*value) ? NULL : &h2_error_header;
    case HEADER_HOST:
        if (s->host_seen || !h1_authority_ok(*value))
            return &h2_error_header;
        s->host_seen = true;
        return NULL;
    default:
        return NULL;
    }
}

static bool reserve_one(struct headers *h)
{
    return h->n < h->cap || headers_try_reserve(h, h->cap < 16 ? 32 : 2 * h->cap);
}

int h2_head_field(struct codec_h2 *h, struct codec_stream *s, struct bytes name, struct bytes value)
{
    bool drop = false;
    const struct codec_error *e = charge(h, s, name, value);
    if (e)
        return refuse(h, s, e);
    if (!s->user || !s->headers)
        return 0;
    enum header_id id = header_id_of(name);
    e = judge(h, s, id, name, &value, &drop);
    if (e)
        return refuse(h, s, e);
    if (drop)
        return 0;
    struct headers *out = s->in_trailers ? s->trailers : s->headers;
    struct bytes n = name, v = value;
    bool fits = reserve_one(out) && (id != HEADER_OTHER || copy(out->arena, name, &n)) &&
                (id == HEADER_SCHEME || copy(out->arena, value, &v));
    if (!fits)
        return refuse(h, s, &h2_error_no_memory);
    s->cookies += id == HEADER_COOKIE;
    if (id == HEADER_HOST && h->c.options.downstream) /* in an answer it says nothing */
        s->host = v;
    else if (id != HEADER_OTHER)
        headers_add_id(out, id, v);
    else
        headers_add(out, n, v);
    return 0;
}

/* RFC 9113 section 8.2.3: crumbs are one line to everybody else. */
static bool join_cookies(struct headers *h)
{
    size_t len = 0, at = 0;
    for (uint32_t i = 0; i < h->n; i++)
        len += h->entries[i].id == HEADER_COOKIE ? h->entries[i].value.len + 2 : 0;
    char *text = arena_try(h->arena, len);
    if (!text)
        return false;
    for (uint32_t i = 0; i < h->n; i++) {
        struct bytes v = h->entries[i].value;
        if (h->entries[i].id != HEADER_COOKIE)
            continue;
        if (at) {
            text[at++] = ';';
            text[at++] = ' ';
        }
        if (v.len)
            memcpy(text + at, v.data, v.len);
        at += v.len;
    }
    headers_set_id(h, HEADER_COOKIE, bytes_from(text, at));
    return true;
}

/* RFC 8441: to all others it is HTTP/1.1's upgrade, which is one more way to say it. */
static bool take_protocol(struct codec_stream *s)
{
    struct headers *h = s->headers;
    struct bytes protocol = headers_get(h, HEADER_PROTOCOL);
    if (!headers_try_reserve(h, h->n + 2))
        return false;
    headers_set_id(h, HEADER_METHOD, BYTES("GET"));
    headers_remove_id(h, HEADER_PROTOCOL);
    headers_add_id(h, HEADER_UPGRADE, protocol);
    headers_add_id(h, HEADER_CONNECTION, BYTES("upgrade"));
    return true;
}

static const struct codec_error *request_end(struct codec_stream *s)
{
    if (headers_has(s->headers, HEADER_PROTOCOL) && !take_protocol(s))
        return &h2_error_no_memory;
    s->tunnel = tunnel_asked(s->headers);
    return NULL;
}

/* The answer to a tunnel, in HTTP/1.1's words. There is no 101 in HTTP/2. */
static const struct codec_error *response_end(struct codec_stream *s)
{
    struct headers *h = s->headers;
    unsigned status = headers_status(h);
    if (status == 101 || status == 0) /* 0: below 100 */
        return &h2_error_messaging;
    if (s->tunnel == TUNNEL_NONE || status < 200 || status >= 300)
        return NULL;
    if (s->tunnel == TUNNEL_CONNECT) {
        headers_remove_id(h, HEADER_CONTENT_LENGTH);
    } else if (status == 200) {
        if (!headers_try_reserve(h, h->n + 2))
            return &h2_error_no_memory;
        headers_remove_id(h, HEADER_CONTENT_LENGTH);
        headers_set_id(h, HEADER_STATUS, BYTES("101"));
        headers_set_id(h, HEADER_UPGRADE, s->upgrade);
        headers_set_id(h, HEADER_CONNECTION, BYTES("upgrade"));
    }
    return NULL;
}

const struct codec_error *h2_head_end(struct codec_h2 *h, struct codec_stream *s)
{
    struct headers *out = s->headers;
    if (s->in_trailers || !s->user || !out)
        return NULL;
    if (s->host.data && !headers_has(out, HEADER_AUTHORITY))
        headers_add_id(out, HEADER_AUTHORITY, s->host);
    if (s->cookies > 1 && !join_cookies(out))
        return &h2_error_no_memory;
    headers_join_lines(out);
    return h->c.options.downstream ? request_end(s) : response_end(s);
}
