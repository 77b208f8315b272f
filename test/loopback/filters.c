#include "filters.h"

#include "dataplane/net/worker.h"

struct origin origin;
struct probe probe;

void origin_reset(void)
{
    strbuf_fini(&origin.body);
    memset(&origin, 0, sizeof(origin));
}

void origin_answer(const char *status, const char *body, bool end)
{
    struct stream *s = origin.filter->stream;
    headers_init(&s->response_headers, s->arena);
    headers_add_id(&s->response_headers, HEADER_STATUS, bytes_of(status));
    if (body && end)
        headers_add_id(&s->response_headers, HEADER_CONTENT_LENGTH,
                       bytes_of(arena_printf(s->arena, "%zu", strlen(body))));
    filter_respond_headers(origin.filter, end && !body);
    if (body)
        origin_send(body, end);
}

void origin_send(const char *body, bool end)
{
    struct buffer b;
    buffer_init(&b, origin.filter->stream->worker->chunks);
    buffer_add_str(&b, body);
    filter_respond_data(origin.filter, &b, end);
    buffer_fini(&b);
}

static void complete(void)
{
    struct bytes path = origin.filter->stream->request.path_only;
    origin.ended++;
    if (bytes_eq(path, BYTES("/echo")))
        origin_answer("200", strbuf_str(&origin.body), true);
    else if (bytes_eq(path, BYTES("/ok")))
        origin_answer("200", "hello", true);
    else if (bytes_eq(path, BYTES("/chunked"))) {
        origin_answer("200", "hel", false);
        origin_send("lo", true);
    } else if (bytes_eq(path, BYTES("/large"))) {
        static char large[4097];
        memset(large, 'x', sizeof(large) - 1);
        origin_answer("200", large, true);
    } else if (bytes_eq(path, BYTES("/trailers"))) {
        origin_answer("200", "hello", false);
        headers_add(&origin.filter->stream->response_trailers, BYTES("x-end"), BYTES("1"));
        filter_respond_trailers(origin.filter);
    }
}

static enum filter_status origin_headers(struct http_filter *f, struct headers *h, bool end)
{
    origin.filter = f;
    origin.begun++;
    strbuf_cut(&origin.body, 0);
    if (bytes_eq(f->stream->request.path_only, BYTES("/early")))
        origin_answer("200", "early", true);
    else if (end)
        complete();
    return FILTER_TAKEN;
}

static enum filter_status origin_data(struct http_filter *f, struct buffer *data, bool end)
{
    for (const struct slice *s = data->head; s; s = s->next)
        strbuf_add(&origin.body, s->data, s->len);
    if (end)
        complete();
    return FILTER_TAKEN;
}

static enum filter_status origin_trailers(struct http_filter *f, struct headers *h)
{
    origin.trailers = true;
    complete();
    return FILTER_TAKEN;
}

static void origin_watermark(struct http_filter *f, bool above)
{
    if (above)
        origin.above++;
    else
        origin.below++;
}

static void origin_on_reset(struct http_filter *f, const struct stream_error *why)
{
    origin.resets++;
}

static void origin_destroy(struct http_filter *f)
{
    origin.destroyed++;
    if (origin.filter == f)
        origin.filter = NULL;
}

const struct http_filter_ops origin_filter = {
    .factory = {.name = "test.origin", .type_url = "test.Origin", .terminal = true},
    .on_request_headers = origin_headers,
    .on_request_data = origin_data,
    .on_request_trailers = origin_trailers,
    .on_downstream_watermark = origin_watermark,
    .on_reset = origin_on_reset,
    .on_destroy = origin_destroy,
};

void probe_reset(void)
{
    memset(&probe, 0, sizeof(probe));
}

static enum filter_status act(struct http_filter *f, enum probe_hook hook, struct buffer *data)
{
    probe.filter = f;
    probe.calls[hook]++;
    if (probe.reset_at[hook]) {
        stream_reset(f->stream, stream_error_get(STREAM_ERROR_DOWNSTREAM_DISCONNECT));
        return FILTER_REPLIED;
    }
    if (probe.reply_at[hook]) {
        stream_local_reply(f->stream, stream_error_get(STREAM_ERROR_UPGRADE_FAILED), "no", "probe");
        return FILTER_REPLIED;
    }
    if (data && probe.status[hook] == FILTER_TAKEN) {
        if (!probe.taken.pool)
            buffer_init(&probe.taken, f->stream->worker->chunks);
        buffer_move(&probe.taken, data);
    }
    return probe.status[hook];
}

static enum filter_status req_headers(struct http_filter *f, struct headers *h, bool end)
{
    return act(f, PROBE_REQUEST_HEADERS, NULL);
}

static enum filter_status req_data(struct http_filter *f, struct buffer *data, bool end)
{
    return act(f, PROBE_REQUEST_DATA, data);
}

static enum filter_status req_trailers(struct http_filter *f, struct headers *h)
{
    return act(f, PROBE_REQUEST_TRAILERS, NULL);
}

static enum filter_status resp_headers(struct http_filter *f, struct headers *h, bool end)
{
    headers_set(h, BYTES("x-probe"), BYTES("1"));
    return act(f, PROBE_RESPONSE_HEADERS, NULL);
}

static enum filter_status resp_data(struct http_filter *f, struct buffer *data, bool end)
{
    return act(f, PROBE_RESPONSE_DATA, data);
}

static enum filter_status resp_trailers(struct http_filter *f, struct headers *h)
{
    return act(f, PROBE_RESPONSE_TRAILERS, NULL);
}

static void probe_destroy(struct http_filter *f)
{
    probe.destroyed++;
    if (probe.taken.pool)
        buffer_fini(&probe.taken);
    probe.filter = NULL;
}

const struct http_filter_ops probe_filter = {
    .factory = {.name = "test.probe", .type_url = "test.Probe", .state_size = 8},
    .on_request_headers = req_headers,
    .on_request_data = req_data,
    .on_request_trailers = req_trailers,
    .on_response_headers = resp_headers,
    .on_response_data = resp_data,
    .on_response_trailers = resp_trailers,
    .on_destroy = probe_destroy,
};
