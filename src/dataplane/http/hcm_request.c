#include "dataplane/http/stream_internal.h"

/* What the connection manager does to a request before the first filter sees it, in Envoy's order:
 * checks, path, host, hop-by-hop headers, forwarding headers. */

static const struct stream_error *check_path(struct stream *s)
{
    struct bytes path = headers_get(&s->request_headers, HEADER_PATH);
    if (!path.data) /* CONNECT: routing decides */
        return NULL;
    if (!path.len || path.data[0] != '/') {
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_NON_RELATIVE_PATH);
        return stream_error_get(STREAM_ERROR_ABSOLUTE_PATH);
    }
    if (bytes_find_char(path, '#') >= 0) {
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_FAILED_PATH_NORMALIZATION);
        return stream_error_get(STREAM_ERROR_PATH_NORMALIZATION_FAILED);
    }
    return hcm_normalize_path(s);
}

static size_t port_at(struct bytes host)
{
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    ptrdiff_t bracket = bytes_rfind_char(host, ']');
    return colon >= 0 && colon > bracket ? (size_t)colon : host.len;
}

/* All upgrades over HTTP/2 were a CONNECT. */
static bool was_connect(const struct stream *s)
{
    return s->priv->tunnel == TUNNEL_CONNECT ||
           (s->priv->tunnel == TUNNEL_UPGRADE && s->request.protocol == PROTOCOL_HTTP2);
}

void stream_restore_port(struct stream *s)
{
    if (LIKELY(!s->priv->has_stripped_port))
        return;
    struct bytes host = headers_get(&s->request_headers, HEADER_AUTHORITY);
    if (port_at(host) < host.len)
        return;
    headers_set_id(
        &s->request_headers, HEADER_AUTHORITY,
        bytes_of(arena_printf(s->arena, "%.*s:%u", BYTES_ARG(host), s->priv->stripped_port)));
}

static void normalize_host(struct stream *s)
{
    const struct http_manager *m = s->manager;
    if (!m->strip_any_host_port && !m->strip_matching_host_port && !m->strip_trailing_host_dot)
        return;
    struct bytes host = headers_get(&s->request_headers, HEADER_AUTHORITY);
    size_t end = port_at(host);
    struct bytes name = bytes_first(host, end), port = bytes_skip(host, end);
    uint64_t number = 0;
    bool is_number = header_number(bytes_skip(port, 1), &number) && number <= UINT32_MAX;
    bool matches = is_number && number == connection_local(s->conn->connection)->port;
    if (m->strip_any_host_port ? is_number : m->strip_matching_host_port && matches) {
        port = BYTES_NONE;
        s->priv->stripped_port = (uint32_t)number;
        s->priv->has_stripped_port = was_connect(s);
    }
    if (m->strip_trailing_host_dot && name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len + port.len == host.len)
        return;
    struct bytes result = name;
    if (port.len)
        result = bytes_of(arena_printf(s->arena, "%.*s%.*s", BYTES_ARG(name), BYTES_ARG(port)));
    headers_set_id(&s->request_headers, HEADER_AUTHORITY, result);
}

const struct stream_error *hcm_request(struct stream *s, const char **details)
{
    struct headers *h = &s->request_headers;
    hcm_tunnel_headers(s);
    if (!headers_has(h, HEADER_AUTHORITY))
        return stream_error_get(STREAM_ERROR_MISSING_HOST);
    if (bytes_eq(headers_get(h, HEADER_METHOD), BYTES("QUERY")) &&
        !headers_has(h, HEADER_CONTENT_TYPE)) {
        *details = "query_missing_content_type";
        return stream_error_get(STREAM_ERROR_MISSING_HOST);
    }
    const struct stream_error *e = check_path(s);
    if (e == stream_error_get(STREAM_ERROR_PATH_REDIRECT)) {
        stream_direct_reply(s, e->status, BYTES_NONE, e->details);
        return e;
    }
    if (!e && UNLIKELY(s->priv->tunnel == TUNNEL_UPGRADE))
        e = hcm_connect_udp(s);
    if (e)
        return e;
    normalize_host(s);
    hcm_forwarded(s);
    return NULL;
}
