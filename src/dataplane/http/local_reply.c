#include "dataplane/http/stream_internal.h"

static const char *grpc_status_of(unsigned http)
{
    switch (http) {
    case 200:
        return "0";
    case 400:
        return "13";
    case 401:
        return "16";
    case 403:
        return "7";
    case 404:
        return "12";
    case 429:
    case 502:
    case 503:
    case 504:
        return "14";
    default:
        return "2";
    }
}

/* grpc-message is percent-encoded. */
static struct bytes grpc_message(struct arena *a, struct bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, text.len * 3 + 1), *p = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c < 0x7f && c != '%') {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return bytes_from(out, (size_t)(p - out));
}

/* A client that speaks gRPC gets a trailers-only response: always 200, the cause in grpc-status. */
static void build_grpc(struct stream *s, unsigned status, struct bytes body)
{
    struct headers *h = &s->response_headers;
    headers_set_id(h, HEADER_STATUS, BYTES("200"));
    headers_set_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
    struct bytes code = bytes_of(grpc_status_of(status));
    if (s->priv->grpc_status)
        code = arena_u64(s->arena, s->priv->grpc_status);
    headers_set_id(h, HEADER_GRPC_STATUS, code);
    if (body.len)
        headers_set_id(h, HEADER_GRPC_MESSAGE, grpc_message(s->arena, body));
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
    if (!body.len)
        return BYTES_NONE;
    struct bytes type = headers_get(h, HEADER_CONTENT_TYPE);
    headers_remove_id(h, HEADER_CONTENT_TYPE); /* Envoy's order: length, then type */
    headers_add_id(h, HEADER_CONTENT_LENGTH, arena_u64(s->arena, body.len));
    headers_add_id(h, HEADER_CONTENT_TYPE, type.data ? type : BYTES("text/plain"));
    return s->priv->is_head ? BYTES_NONE : body;
}
