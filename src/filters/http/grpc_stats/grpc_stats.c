#include "filters/http/grpc_stats/grpc_stats.h"

#include "config/yaml.h"
#include "dataplane/http/stream.h"
#include "dataplane/upstream/method_stats.h"

enum { CONNECT_END_FLAG = 2, CONNECT_END_MAX = CHUNK_SIZE };

/* What the request is. Only a body of frames can be counted by message. */
enum rpc { RPC_NONE, RPC_GRPC, RPC_CONNECT_STREAM, RPC_CONNECT_UNARY };

struct grpc_stats_state {
    struct method_stats *stats; /* NULL: not counted */
    enum rpc rpc;
    bool says_connect;  /* connect-protocol-version */
    bool grpc_response; /* content-type of the answer, and its status */
    bool connect_response;
    struct grpc_frames request, response;
    uint64_t messages[2];      /* in each direction */
    bool end_seen;             /* the last frame of a Connect stream has begun */
    bool end_unread;           /* ... and is longer than we read */
    struct buffer end_message; /* its JSON */
};

static bool is_connect_stream(const struct headers *h)
{
    return bytes_starts_with(headers_get(h, HEADER_CONTENT_TYPE), BYTES("application/connect+"));
}

static enum rpc rpc_of(const struct grpc_stats_state *st, const struct headers *h)
{
    if (grpc_content_type(h))
        return RPC_GRPC;
    if (is_connect_stream(h))
        return RPC_CONNECT_STREAM;
    return st->says_connect ? RPC_CONNECT_UNARY : RPC_NONE;
}

/* In the stream's arena: a service's name without dots. */
static struct bytes without_dots(struct arena *a, struct bytes name)
{
    struct bytes copy = arena_dup(a, name);
    for (size_t i = 0; i < copy.len; i++) {
        if (copy.data[i] == '.')
            ((char *)copy.data)[i] = '_';
    }
    return copy;
}

static struct method_stats *stats_of(struct http_filter *f, const struct headers *h)
{
    const struct grpc_stats_config *c = f->config;
    struct cluster_runtime *cluster = method_stats_cluster(f->stream);
    struct grpc_method m;
    if (!cluster || !grpc_method_of(headers_get(h, HEADER_PATH), &m))
        return NULL;
    bool listed = grpc_stats_lists(c, &m);
    if (c->all_methods && c->replace_dots)
        m.service = without_dots(f->stream->arena, m.service);
    return method_stats_get(cluster, BYTES("grpc"), c->all_methods || listed ? &m : NULL, listed);
}

/* What %FILTER_STATE(envoy.filters.http.grpc_stats)% prints. */
static void tell(struct http_filter *f)
{
    const struct grpc_stats_config *c = f->config;
    const struct grpc_stats_state *st = f->state;
    struct stream_info *info = &f->stream->info;
    if (!c->emit_filter_state)
        return;
    info->has_grpc_messages = true;
    memcpy(info->grpc_messages, st->messages, sizeof(st->messages));
}

static void count(struct http_filter *f, enum filter_direction dir, uint64_t n)
{
    struct grpc_stats_state *st = f->state;
    if (n == 0)
        return;
    st->messages[dir] += n;
    tell(f);
    if (st->stats)
        method_stats_add(st->stats,
                         dir == FILTER_REQUEST ? STAT_METHOD_REQUEST_MESSAGES
                                               : STAT_METHOD_RESPONSE_MESSAGES,
                         n);
}

/* From the last byte of the request to the last of the answer. */
static void charge_time(struct http_filter *f)
{
    const struct grpc_stats_config *c = f->config;
    const struct grpc_stats_state *st = f->state;
    const struct stream_info *i = &f->stream->info;
    if (c->upstream_stats && st->stats && i->upstream_last_tx_ns && i->upstream_last_rx_ns &&
        i->upstream_last_rx_ns >= i->upstream_last_tx_ns)
        stat_record(st->stats->scope, st->stats->slot, STAT_METHOD_TIME,
                    (i->upstream_last_rx_ns - i->upstream_last_tx_ns) / NS_PER_MS);
}

static enum filter_status on_request_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct grpc_stats_state *st = f->state;
    buffer_init(&st->end_message, f->stream->worker->chunks);
    st->says_connect = headers_get_name(h, BYTES("connect-protocol-version")).data != NULL;
    st->rpc = rpc_of(st, h);
    if (st->rpc != RPC_NONE)
        st->stats = stats_of(f, h);
    return FILTER_CONTINUE;
}

static enum filter_status on_request_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct grpc_stats_state *st = f->state;
    if (st->rpc == RPC_GRPC || st->rpc == RPC_CONNECT_STREAM)
        count(f, FILTER_REQUEST, grpc_frames_count(&st->request, data));
    else if (st->rpc == RPC_CONNECT_UNARY && end)
        count(f, FILTER_REQUEST, 1);
    return FILTER_CONTINUE;
}

static enum filter_status on_response_headers(struct http_filter *f, struct headers *h, bool end)
{
    struct grpc_stats_state *st = f->state;
    st->grpc_response = grpc_response(h, end);
    st->connect_response = headers_status(h) == 200 && is_connect_stream(h);
    if (!st->stats)
        return FILTER_CONTINUE;
    if (st->says_connect)
        method_stats_outcome(st->stats, headers_status(h) == 200);
    else if (!st->connect_response)
        method_stats_status(st->stats, h);
    if (end)
        charge_time(f);
    return FILTER_CONTINUE;
}

/* A piece of the last frame of a Connect stream, whose JSON tells how it went. */
static void keep_end(struct grpc_stats_state *st, struct bytes piece)
{
    st->end_unread |= piece.len > CONNECT_END_MAX - st->end_message.len;
    if (!st->end_unread)
        buffer_add_bytes(&st->end_message, piece);
}

/* Messages of a Connect stream: its last frame is none, and nothing follows it. */
static uint64_t connect_messages(struct grpc_stats_state *st, const struct buffer *data)
{
    uint64_t n = 0;
    for (const struct slice *s = data->head; s; s = s->next) {
        struct bytes rest = {s->data, s->len};
        while (rest.len && !(st->end_seen && grpc_frames_at_end(&st->response))) {
            bool begins, in_header = st->response.header < GRPC_FRAME_HEADER;
            struct bytes piece = grpc_frames_next(&st->response, &rest, &begins);
            if (begins && st->response.flags & CONNECT_END_FLAG)
                st->end_seen = true;
            else if (begins)
                n++;
            else if (st->end_seen && !in_header)
                keep_end(st, piece);
        }
    }
    return n;
}

static bool connect_success(struct http_filter *f)
{
    struct grpc_stats_state *st = f->state;
    struct error err = ERROR_INIT;
    if (!st->end_seen || st->end_unread || !grpc_frames_at_end(&st->response))
        return false;
    struct bytes text = buffer_peek(&st->end_message, st->end_message.len);
    const struct yaml_node *n = json_parse(f->stream->arena, "end", text, &err);
    bool ok = n && n->kind == YAML_MAPPING;
    if (ok) {
        const struct yaml_node *why = yaml_get(n, "error");
        ok = !why || !yaml_get(why, "code");
    }
    error_fini(&err);
    return ok;
}

static enum filter_status on_response_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct grpc_stats_state *st = f->state;
    if (st->grpc_response) {
        count(f, FILTER_RESPONSE, grpc_frames_count(&st->response, data));
    } else if (st->rpc == RPC_CONNECT_STREAM) {
        count(f, FILTER_RESPONSE, connect_messages(st, data));
        if (end && st->stats) {
            method_stats_outcome(st->stats, connect_success(f));
            charge_time(f);
        }
    } else if (st->rpc == RPC_CONNECT_UNARY && end) {
        count(f, FILTER_RESPONSE, 1);
        charge_time(f);
    }
    return FILTER_CONTINUE;
}

static enum filter_status on_response_trailers(struct http_filter *f, struct headers *h)
{
    struct grpc_stats_state *st = f->state;
    if (st->rpc == RPC_GRPC && st->stats) {
        method_stats_status(st->stats, h);
        charge_time(f);
    }
    return FILTER_CONTINUE;
}

static void on_destroy(struct http_filter *f)
{
    struct grpc_stats_state *st = f->state;
    method_stats_put(&st->stats);
    buffer_fini(&st->end_message);
}

const struct http_filter_ops grpc_stats_filter = {
    .factory =
        {
            .name = "envoy.filters.http.grpc_stats",
            .type_url = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
            .config_new = grpc_stats_config_new,
            .state_size = sizeof(struct grpc_stats_state),
        },
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_response_headers = on_response_headers,
    .on_response_data = on_response_data,
    .on_response_trailers = on_response_trailers,
    .on_destroy = on_destroy,
};
