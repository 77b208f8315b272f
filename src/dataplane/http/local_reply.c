#include "dataplane/http/grpc_status.h"
#include "dataplane/http/stream_internal.h"

/* A client that speaks gRPC gets a trailers-only response: always 200, the cause in grpc-status. */
static void build_grpc(struct stream *s, unsigned status, struct bytes body)
{
    struct headers *h = &s->response_headers;
    headers_set_id(h, HEADER_STATUS, BYTES("200"));
    headers_set_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
    unsigned code = s->priv->grpc_status ? s->priv->grpc_status : grpc_status_of_http(status);
    headers_set_id(h, HEADER_GRPC_STATUS, arena_u64(s->arena, code));
    if (body.len && !s->priv->is_head) /* a body is what it stands for */
        headers_set_id(h, HEADER_GRPC_MESSAGE, grpc_message_encode(s->arena, body));
}

struct bytes local_reply_build(struct stream *s, unsigned status, struct bytes body)
{
    struct headers *h = &s->response_headers;
    if (s->priv->is_grpc) {
        build_grpc(s, status, body);
        return BYTES_NONE;
    }
    headers_set_id(h, HEADER_STATUS, arena_u64(s->arena, status));
    headers_remove_id(h, HEADER_CONTENT_LENGTH);
    if (!body.len) { /* of which a type could speak, whoever has added it */
        headers_remove_id(h, HEADER_CONTENT_TYPE);
        return BYTES_NONE;
    }
    struct bytes type = headers_get(h, HEADER_CONTENT_TYPE);
    headers_remove_id(h, HEADER_CONTENT_TYPE); /* Envoy's order: length, then type */
    headers_add_id(h, HEADER_CONTENT_LENGTH, arena_u64(s->arena, body.len));
    headers_add_id(h, HEADER_CONTENT_TYPE, type.data ? type : BYTES("text/plain"));
    return s->priv->is_head ? BYTES_NONE : body;
}
