#include "filters/http/grpc_http1_bridge/grpc_http1_bridge.h"

#include "dataplane/http/grpc.h"
#include "dataplane/http/stream.h"

struct grpc_http1_bridge_state {
    bool bridging;
    bool framing;      /* the message of the request has no frame of its own */
    bool framed;       /* ... and got it */
    uint8_t unframing; /* bytes of the answer's frame header that are still to go */
};

static bool is_protobuf(const struct headers *h)
{
    return bytes_eq_str(headers_get(h, HEADER_CONTENT_TYPE), "application/x-protobuf");
}

/* The route stays that of the whole path. */
static void drop_query(struct http_filter *f, struct headers *h)
{
    struct bytes path = headers_get(h, HEADER_PATH);
    ptrdiff_t query = bytes_find_char(path, '?');
    if (query < 0)
        return;
    headers_set_id(h, HEADER_PATH, bytes_first(path, (size_t)query));
    stream_read_request(f->stream);
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    const struct grpc_http1_bridge_config *c = f->config;
    struct grpc_http1_bridge_state *st = f->state;
    if (f->stream->request.protocol >= PROTOCOL_HTTP2)
        return FILTER_CONTINUE;
    if (c->upgrade_protobuf && is_protobuf(h)) {
        st->framing = true;
        st->unframing = GRPC_FRAME_HEADER;
        headers_set_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
        headers_remove_id(h, HEADER_CONTENT_LENGTH);
        stream_clear_route(f->stream);
    }
    st->bridging = grpc_content_type(h);
    if (st->bridging && c->ignore_query)
        drop_query(f, h);
    return FILTER_CONTINUE;
}

/* The frame's header before what was collected; last: what has come just now, or NULL. */
static void put_frame(struct http_filter *f, struct buffer *last)
{
    struct grpc_http1_bridge_state *st = f->state;
    struct buffer *kept = filter_buffered(f, FILTER_REQUEST);
    size_t len = kept->len + (last ? last->len : 0);
    char head[GRPC_FRAME_HEADER];
    grpc_frame_header(0, (uint32_t)len, head);
    buffer_prepend(kept->len || !last ? kept : last, head, sizeof(head));
    st->framed = true;
}

static enum filter_status on_request_data(struct http_filter *f, struct buffer *data, bool end)
{
    const struct grpc_http1_bridge_state *st = f->state;
    if (!st->framing)
        return FILTER_CONTINUE;
    if (!end)
        return FILTER_BUFFER;
    put_frame(f, data);
    return FILTER_CONTINUE;
}

static enum filter_status on_request_trailers(struct http_filter *f, struct headers *h)
{
    const struct grpc_http1_bridge_state *st = f->state;
    if (st->framing && !st->framed)
        put_frame(f, NULL);
    return FILTER_CONTINUE;
}

static enum filter_status on_response_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct grpc_http1_bridge_state *st = f->state;
    if (!grpc_response(h, end))
        st->unframing = 0; /* an answer of somebody else */
    return st->bridging && !end ? FILTER_BUFFER : FILTER_CONTINUE;
}

static enum filter_status on_response_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct grpc_http1_bridge_state *st = f->state;
    size_t n = data->len < st->unframing ? data->len : st->unframing;
    if (!st->bridging)
        return FILTER_CONTINUE;
    buffer_drain(data, n);
    st->unframing = (uint8_t)(st->unframing - n);
    return end ? FILTER_CONTINUE : FILTER_BUFFER;
}

static enum filter_status on_response_trailers(struct http_filter *f, struct headers *h)
{
    const struct grpc_http1_bridge_state *st = f->state;
    struct stream *s = f->stream;
    struct headers *head = &s->response_headers;
    if (!st->bridging)
        return FILTER_CONTINUE;
    struct bytes status = headers_get(h, HEADER_GRPC_STATUS);
    struct bytes message = headers_get(h, HEADER_GRPC_MESSAGE);
    uint64_t n;
    if (status.data) {
        if (!bytes_to_u64(status, &n) || n != 0)
            headers_set_id(head, HEADER_STATUS, BYTES("503"));
        headers_set_id(head, HEADER_GRPC_STATUS, status);
    }
    if (message.data)
        headers_set_id(head, HEADER_GRPC_MESSAGE, message);
    headers_set_id(head, HEADER_CONTENT_LENGTH,
                   arena_u64(s->arena, filter_buffered(f, FILTER_RESPONSE)->len));
    return FILTER_CONTINUE;
}

const struct http_filter_ops grpc_http1_bridge_filter = {
    .factory =
        {
            .name = "envoy.filters.http.grpc_http1_bridge",
            .type_url = "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
            .config_new = grpc_http1_bridge_config_new,
            .state_size = sizeof(struct grpc_http1_bridge_state),
        },
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_response_headers = on_response_headers,
    .on_response_data = on_response_data,
    .on_response_trailers = on_response_trailers,
};
