#include "config/snapshot.h"
#include "dataplane/http/stream_internal.h"

/* Upgrades and CONNECT: which route takes which, and what becomes of the two headers that are
 * hop-by-hop for everybody else. */

enum tunnel stream_tunnel(const struct stream *s)
{
    return s->priv->admitted ? s->priv->tunnel : TUNNEL_NONE;
}

static bool route_takes(struct stream *s)
{
    struct bytes type = tunnel_type(s->priv->tunnel, &s->request_headers);
    const struct route *r = stream_route(s)->route;
    const struct route_upgrade *own = r ? route_upgrade_find(r, type) : NULL;
    if (own)
        return own->enabled;
    const struct http_upgrade *u = http_manager_upgrade(s->manager, type);
    return u && u->enabled;
}

bool stream_refuses_tunnel(struct stream *s)
{
    return s->priv->tunnel != TUNNEL_NONE && !(s->priv->admitted && route_takes(s));
}

static const struct route_upgrade *route_connect(struct stream *s)
{
    const struct route *r = stream_route(s)->route;
    return r ? route_upgrade_find(r, BYTES("CONNECT")) : NULL;
}

bool stream_ends_tunnel(struct stream *s)
{
    const struct route_upgrade *own = route_connect(s);
    if (LIKELY(!own || !own->terminates))
        return false;
    return stream_tunnel(s) == TUNNEL_CONNECT ||
           (own->posts && s->priv->tunnel == TUNNEL_NONE &&
            bytes_eq(headers_get(&s->request_headers, HEADER_METHOD), BYTES("POST")));
}

size_t stream_proxy_header(struct stream *s, char out[PROXY_PROTOCOL_MAX])
{
    const struct route_upgrade *own = route_connect(s);
    if (!own || !own->proxy_protocol)
        return 0;
    return proxy_protocol_header(own->proxy_protocol, stream_direct_remote(s),
                                 stream_local_address(s), out);
}

/* Called with the head as it came: what is hop-by-hop goes, but for the upgrade itself. */
void hcm_tunnel_headers(struct stream *s)
{
    struct stream_private *p = s->priv;
    struct headers *h = &s->request_headers;
    uint64_t length = 0;
    p->tunnel = tunnel_asked(h);
    if (p->tunnel == TUNNEL_NONE) {
        hcm_remove_hop_by_hop(h, true);
        return;
    }
    struct bytes type = tunnel_type(p->tunnel, h);
    struct bytes announced = headers_get(h, HEADER_CONTENT_LENGTH);
    p->tunnel_body = headers_has(h, HEADER_TRANSFER_ENCODING) ||
                     (announced.data && (!bytes_to_u64(announced, &length) || length));
    hcm_remove_hop_by_hop(h, true);
    headers_remove_id(h, HEADER_CONTENT_LENGTH);
    if (p->tunnel == TUNNEL_UPGRADE) {
        headers_set_id(h, HEADER_CONNECTION, BYTES("upgrade"));
        headers_set_id(h, HEADER_UPGRADE, type);
    }
}

/* Whose tunnel it would have been: the log tells. A client may call what it likes a cluster. */
static void note_cluster(struct stream *s, const struct route_match_result *m)
{
    if (!m->route || m->route->action != ROUTE_CLUSTER)
        return;
    struct bytes name = route_cluster_name(m, &s->request_headers);
    if (!name.len || !s->worker->snapshot || !snapshot_cluster(s->worker->snapshot, name))
        return;
    s->info.upstream_cluster = arena_dup(s->arena, name);
    s->info.upstream_cluster_raw = s->info.upstream_cluster;
}

const struct stream_error *hcm_tunnel(struct stream *s, const char **details)
{
    struct stream_private *p = s->priv;
    if (p->tunnel == TUNNEL_NONE)
        return NULL;
    const struct route_match_result *m = stream_route(s);
    if (!route_takes(s)) {
        if (!m->route && !m->tls_redirect)
            return NULL; /* the filters answer it, the router with 404 */
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE);
        note_cluster(s, m);
        return stream_error_get(STREAM_ERROR_UPGRADE_FAILED);
    }
    if (p->tunnel_body) {
        *details = "http1.body_disallowed";
        return stream_error_get(STREAM_ERROR_DOWNSTREAM_PROTOCOL);
    }
    p->admitted = true;
    p->upgrade = http_manager_upgrade(s->manager, tunnel_type(p->tunnel, &s->request_headers));
    stream_stat(s, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_TOTAL);
    stream_stat(s, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_ACTIVE);
    return NULL;
}

/* The head that opens the tunnel. */
void hcm_tunnel_response(struct stream *s)
{
    struct headers *h = &s->response_headers;
    struct bytes type = BYTES_NONE;
    if (s->priv->tunnel == TUNNEL_UPGRADE)
        type = headers_get_all_id(h, HEADER_UPGRADE);
    hcm_remove_hop_by_hop(h, false);
    if (!type.data)
        return;
    headers_set_id(h, HEADER_CONNECTION, BYTES("upgrade"));
    headers_set_id(h, HEADER_UPGRADE, type);
}
