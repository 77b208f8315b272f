/* METADATA(...) and its older forms: what the configuration says of the things that a stream met.
 * No filter sets any of a request. */
#include "config/metadata.h"
#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"

static struct bytes metadata_of(const struct stream *s, enum format_metadata of)
{
    const struct chain_binding *b = s->conn->binding;
    switch (of) {
    case METADATA_OF_CLUSTER:
        return s->info.cluster_metadata;
    case METADATA_OF_HOST:
        return s->info.host_metadata;
    case METADATA_OF_ROUTE:
        return s->route_matched && s->route.route ? route_metadata(s->route.route) : BYTES_NONE;
    case METADATA_OF_VIRTUAL_HOST:
        return s->route_matched && s->route.vhost ? s->route.vhost->metadata : BYTES_NONE;
    case METADATA_OF_LISTENER:
        return b ? b->listener_metadata : BYTES_NONE;
    case METADATA_OF_CHAIN:
        return b ? b->chain_metadata : BYTES_NONE;
    case METADATA_OF_DYNAMIC:
    case METADATA_OF_COUNT:
        break;
    }
    return BYTES_NONE;
}

bool format_metadata(struct stream *s, const struct format_part *part, bool json,
                     struct strbuf *out)
{
    struct bytes metadata = metadata_of(s, (enum format_metadata)part->metadata.of);
    return metadata.len > 0 &&
           metadata_add(out, metadata, part->metadata.path, part->metadata.n_path, json, s->arena);
}

static bool mutations_want(const struct header_mutations *request,
                           const struct header_mutations *response)
{
    return request->upstream_metadata || response->upstream_metadata;
}

bool format_wants_upstream_metadata(const struct stream *s)
{
    const struct route *r = s->route.route;
    const struct virtual_host *v = s->route.vhost;
    return s->manager->logs_upstream_metadata ||
           mutations_want(&r->extras->request, &r->extras->response) ||
           mutations_want(&v->request, &v->response) ||
           mutations_want(&s->routes->request, &s->routes->response);
}
