#include <stdio.h>

#include "dataplane/http/header_mutate.h"
#include "filters/http/router/router_internal.h"

/* The host of the new URL: the request's, without its port where that would be wrong. */
static struct bytes redirect_host(struct router *r, struct bytes scheme, bool new_port)
{
    struct bytes host = r->stream->request.authority;
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    if (colon < 0)
        return host;
    if (host.data[0] == '[' && (colon == 0 || host.data[colon - 1] != ']'))
        return host; /* a colon inside an IPv6 address */
    bool drop = new_port;
    struct bytes port = bytes_skip(host, (size_t)colon);
    struct bytes proto = headers_get(&r->stream->request_headers, HEADER_X_FORWARDED_PROTO);
    if (!bytes_eq(scheme, proto)) {
        drop = drop || (bytes_eq(proto, BYTES("https")) && bytes_eq(port, BYTES(":443")));
        drop = drop || (bytes_eq(proto, BYTES("http")) && bytes_eq(port, BYTES(":80")));
    }
    return drop ? bytes_first(host, (size_t)colon) : host;
}

/* A query in path_redirect replaces the request's, and is never stripped. */
static struct bytes redirect_path(struct router *r, const struct redirect_action *a)
{
    struct bytes path = headers_get(&r->stream->request_headers, HEADER_PATH);
    ptrdiff_t query = bytes_find_char(path, '?');
    if (a->path.len > 0) {
        if (bytes_find_char(a->path, '?') >= 0 || query < 0 || a->strip_query)
            return a->path;
        struct bytes rest = bytes_skip(path, (size_t)query);
        return bytes_of(
            arena_printf(r->stream->arena, "%.*s%.*s", BYTES_ARG(a->path), BYTES_ARG(rest)));
    }
    return a->strip_query && query >= 0 ? bytes_first(path, (size_t)query) : path;
}

static const char *location(struct router *r, const struct redirect_action *a)
{
    struct stream *s = r->stream;
    struct bytes scheme = a->https            ? BYTES("https")
                          : a->scheme.len > 0 ? a->scheme
                                              : s->request.scheme;
    struct bytes host = a->host.len > 0 ? a->host : redirect_host(r, scheme, a->port != 0);
    struct bytes path = redirect_path(r, a);
    const char *slash = path.len > 0 && path.data[0] != '/' ? "/" : "";
    char port[16] = "";
    if (a->port != 0)
        snprintf(port, sizeof(port), ":%u", a->port);
    return arena_printf(s->arena, "%.*s://%.*s%s%s%.*s", BYTES_ARG(scheme), BYTES_ARG(host), port,
                        slash, BYTES_ARG(path));
}

/* where NULL: the answer leads nowhere else. A place without a path, as of a CONNECT, is none. */
static void reply(struct router *r, unsigned status, struct bytes body, const char *where)
{
    struct stream *s = r->stream;
    r->done = true;
    s->info.details = "direct_response";
    if (where && headers_has(&s->request_headers, HEADER_PATH))
        headers_set_id(&s->response_headers, HEADER_LOCATION, bytes_of(where));
    header_mutate_reply(s, status);
    stat_inc(s->manager->stats, s->worker->slot, STAT_HTTP_RQ_DIRECT_RESPONSE);
    stream_direct_reply(s, status, body, "direct_response");
}

void router_redirect(struct router *r, const struct redirect_action *a)
{
    if (a->has_prefix_rewrite)
        router_rewrite_path(r, &a->prefix_rewrite, NULL);
    else if (a->regex_rewrite.regex)
        router_rewrite_path(r, NULL, &a->regex_rewrite);
    reply(r, a->status, BYTES(""), location(r, a));
}

void router_tls_redirect(struct router *r)
{
    struct stream *s = r->stream;
    struct bytes path = headers_get(&s->request_headers, HEADER_PATH);
    reply(r, 301, BYTES(""),
          arena_printf(s->arena, "https://%.*s%.*s", BYTES_ARG(s->request.authority),
                       BYTES_ARG(path)));
}

/* One whose status speaks of a place names the request's own, as Envoy's does. */
void router_direct_response(struct router *r, const struct direct_response *a)
{
    static const struct redirect_action same = {.status = 0};
    bool leads = a->status == 201 || a->status / 100 == 3;
    reply(r, a->status, a->body, leads ? location(r, &same) : NULL);
}
