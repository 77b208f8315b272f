#include "filters/http/grpc_web/grpc_web.h"

#include "dataplane/http/stream.h"
#include "dataplane/upstream/method_stats.h"
#include "filters/http/grpc_web/grpc_web_text.h"

#define BAD_BODY "Bad gRPC-web request, invalid base64 data."

enum {
    WEB_TRAILERS = 0x80, /* the flag of a frame that is no message */
    MESSAGE_MAX = 16384, /* of a body that is made a grpc-message */
};

struct grpc_web_state {
    bool is_web;
    bool text_request, text_response;
    bool foreign; /* the answer is no gRPC's: its body waits to be told as a grpc-message */
    struct method_stats *stats; /* NULL: not counted */
    struct web_decoder decoder;
    struct web_encoder encoder;
    struct buffer message;
};

static bool is_text(struct bytes type)
{
    return bytes_eq_str(type, "application/grpc-web-text") ||
           bytes_eq_str(type, "application/grpc-web-text+proto");
}

static bool is_binary(struct bytes type)
{
    return bytes_eq_str(type, "application/grpc-web") ||
           bytes_eq_str(type, "application/grpc-web+proto");
}

static bool refuse(struct http_filter *f, const char *details)
{
    stream_local_reply(f->stream, stream_error_get(STREAM_ERROR_BAD_REQUEST_BODY), BAD_BODY,
                       details);
    return false;
}

/* ---- request ---- */

static void count_calls(struct http_filter *f, const struct headers *h)
{
    struct grpc_web_state *st = f->state;
    struct cluster_runtime *cluster = method_stats_cluster(f->stream);
    struct grpc_method m;
    if (cluster && grpc_method_of(headers_get(h, HEADER_PATH), &m))
        st->stats = method_stats_get(cluster, BYTES("grpc-web"), &m, false);
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct grpc_web_state *st = f->state;
    struct bytes type = headers_get(h, HEADER_CONTENT_TYPE);
    st->text_request = is_text(type);
    st->is_web = st->text_request || is_binary(type);
    if (!st->is_web)
        return FILTER_CONTINUE;
    st->text_response = is_text(headers_get(h, HEADER_ACCEPT));
    buffer_init(&st->message, f->stream->worker->chunks);
    headers_remove_id(h, HEADER_CONTENT_LENGTH); /* of what it was */
    count_calls(f, h);
    headers_set_id(h, HEADER_CONTENT_TYPE, BYTES("application/grpc"));
    headers_set_id(h, HEADER_TE, BYTES("trailers"));
    if (!headers_has(h, HEADER_GRPC_ACCEPT_ENCODING))
        headers_set_id(h, HEADER_GRPC_ACCEPT_ENCODING, BYTES("identity"));
    return FILTER_CONTINUE;
}

/* data becomes what it stands for. */
static bool decode(struct http_filter *f, struct buffer *data, bool end)
{
    struct grpc_web_state *st = f->state;
    struct buffer bytes;
    if (end && (st->decoder.n + data->len) % 4)
        return refuse(f, "grpc_base_64_decode_failed_bad_size");
    buffer_init(&bytes, f->stream->worker->chunks);
    bool good = web_decode(&st->decoder, data, &bytes);
    if (good)
        buffer_move(data, &bytes);
    buffer_fini(&bytes);
    return good || refuse(f, "grpc_base_64_decode_failed");
}

static enum filter_status on_request_data(struct http_filter *f, struct buffer *data, bool end)
{
    const struct grpc_web_state *st = f->state;
    if (!st->is_web || !st->text_request)
        return FILTER_CONTINUE;
    if (!decode(f, data, end))
        return FILTER_REPLIED;
    return data->len || end ? FILTER_CONTINUE : FILTER_TAKEN;
}

static enum filter_status on_request_trailers(struct http_filter *f, struct headers *h)
{
    const struct grpc_web_state *st = f->state;
    if (!st->is_web || st->decoder.n == 0)
        return FILTER_CONTINUE;
    refuse(f, "grpc_base_64_decode_failed_bad_size");
    return FILTER_REPLIED;
}

/* ---- response ---- */

/* The server speaks gRPC-Web itself. */
static bool is_web_response(const struct headers *h)
{
    struct bytes type = headers_get(h, HEADER_CONTENT_TYPE);
    ptrdiff_t parameters = bytes_find_char(type, ';');
    if (parameters >= 0)
        type = bytes_trim(bytes_first(type, (size_t)parameters));
    return headers_status(h) == 200 && (bytes_eq_nocase(type, BYTES("application/grpc-web")) ||
                                        bytes_eq_nocase(type, BYTES("application/grpc-web+proto")));
}

static enum filter_status on_response_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct grpc_web_state *st = f->state;
    if (!st->is_web)
        return FILTER_CONTINUE;
    if (st->stats)
        method_stats_status(st->stats, h);
    st->foreign = !end && !grpc_response(h, end) && !is_web_response(h);
    headers_remove_id(h, HEADER_CONTENT_LENGTH);
    headers_set_id(h, HEADER_CONTENT_TYPE,
                   st->text_response ? BYTES("application/grpc-web-text+proto")
                                     : BYTES("application/grpc-web+proto"));
    return st->foreign ? FILTER_BUFFER : FILTER_CONTINUE;
}

/* The beginning of a foreign body is kept, the rest is not. */
static void keep_message(struct grpc_web_state *st, struct buffer *data)
{
    size_t room = MESSAGE_MAX - st->message.len;
    buffer_move_n(&st->message, data, data->len < room ? data->len : room);
    buffer_drain(data, data->len);
}

/* The whole answer is its head now. */
static void tell_message(struct http_filter *f)
{
    struct grpc_web_state *st = f->state;
    struct stream *s = f->stream;
    struct headers *h = &s->response_headers;
    size_t len = st->message.len;
    char *text = arena_alloc(s->arena, len + 1);
    buffer_copy(&st->message, 0, text, len);
    st->foreign = false;
    headers_set_id(h, HEADER_GRPC_MESSAGE, grpc_message_encode(s->arena, bytes_from(text, len)));
    headers_set_id(h, HEADER_GRPC_STATUS,
                   arena_u64(s->arena, grpc_status_of_http(headers_status(h))));
    headers_set_id(h, HEADER_CONTENT_LENGTH, BYTES("0"));
}

static enum filter_status on_response_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct grpc_web_state *st = f->state;
    struct buffer text;
    if (!st->is_web)
        return FILTER_CONTINUE;
    if (st->foreign) {
        keep_message(st, data);
        if (!end)
            return FILTER_TAKEN;
        tell_message(f);
        return FILTER_CONTINUE;
    }
    if (!st->text_response)
        return FILTER_CONTINUE;
    buffer_init(&text, f->stream->worker->chunks);
    web_encode(&st->encoder, data, &text);
    if (end)
        web_encode_end(&st->encoder, &text);
    buffer_move(data, &text);
    buffer_fini(&text);
    return data->len || end ? FILTER_CONTINUE : FILTER_TAKEN;
}

static void add_trailers(const struct headers *h, struct buffer *out)
{
    char head[GRPC_FRAME_HEADER];
    size_t len = 0;
    for (const struct header *e = h->entries; e < headers_end(h); e++)
        len += e->name.len + e->value.len + 3;
    grpc_frame_header(WEB_TRAILERS, (uint32_t)len, head);
    buffer_add(out, head, sizeof(head));
    for (const struct header *e = h->entries; e < headers_end(h); e++) {
        buffer_add_bytes(out, e->name);
        buffer_add(out, ":", 1);
        buffer_add_bytes(out, e->value);
        buffer_add(out, "\r\n", 2);
    }
}

static enum filter_status on_response_trailers(struct http_filter *f, struct headers *h)
{
    struct grpc_web_state *st = f->state;
    struct buffer frame, text;
    if (!st->is_web)
        return FILTER_CONTINUE;
    if (st->stats)
        method_stats_status(st->stats, h);
    if (st->foreign) {
        tell_message(f);
        return FILTER_CONTINUE;
    }
    buffer_init(&frame, f->stream->worker->chunks);
    buffer_init(&text, f->stream->worker->chunks);
    add_trailers(h, &frame);
    headers_init(h, f->stream->arena); /* they stand in the body now */
    if (st->text_response) {
        web_encode_end(&st->encoder, &text);
        web_encode(&st->encoder, &frame, &text);
        buffer_move(&frame, &text);
    }
    filter_inject(f, FILTER_RESPONSE, &frame, true);
    buffer_fini(&frame);
    buffer_fini(&text);
    return FILTER_REPLIED;
}

static void on_destroy(struct http_filter *f)
{
    struct grpc_web_state *st = f->state;
    method_stats_put(&st->stats);
    buffer_fini(&st->message);
}

const struct http_filter_ops grpc_web_filter = {
    .factory =
        {
            .name = "envoy.filters.http.grpc_web",
            .type_url = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
            .config_new = grpc_web_config_new,
            .state_size = sizeof(struct grpc_web_state),
        },
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_response_headers = on_response_headers,
    .on_response_data = on_response_data,
    .on_response_trailers = on_response_trailers,
    .on_destroy = on_destroy,
};
