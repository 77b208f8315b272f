#include "dataplane/http/stream_internal.h"

/* One engine for both directions. The head, the body and the trailers travel from filter to filter;
 * a filter that stops them gets a hold, which remembers what waits there. Request hooks run in
 * chain order, response hooks in reverse; beyond the last response filter stands the codec. */

static int step_of(enum filter_direction dir)
{
    return dir == FILTER_REQUEST ? 1 : -1;
}

static bool in_chain(const struct stream *s, int i)
{
    return i >= 0 && i < (int)s->n_filters;
}

/* Nothing of this direction may go on: the stream is over, or our own reply ended the request. */
static bool halted(const struct stream *s, enum filter_direction dir)
{
    return stream_over(s) || (dir == FILTER_REQUEST && s->priv->local_reply);
}

static void hold_reading(struct stream *s, enum filter_direction dir, struct filter_hold *hold)
{
    hold->stopped = true;
    if (hold->reading_paused)
        return;
    hold->reading_paused = true;
    if (dir == FILTER_REQUEST)
        stream_pause_reading(s);
    else
        stream_response_watermark(s, true);
}

static void release_reading(struct stream *s, enum filter_direction dir, struct filter_hold *hold)
{
    hold->stopped = false;
    if (!hold->reading_paused)
        return;
    hold->reading_paused = false;
    if (dir == FILTER_REQUEST)
        stream_resume_reading(s);
    else
        stream_response_watermark(s, false);
}

static bool too_large(struct stream *s, enum filter_direction dir, struct filter_hold *hold)
{
    uint32_t limit = s->conn->buffer_limit;
    if (!limit || hold->data.len <= limit)
        return false;
    bool request = dir == FILTER_REQUEST;
    stream_stat(s, request ? STAT_HTTP_DOWNSTREAM_RQ_TOO_LARGE : STAT_HTTP_RS_TOO_LARGE);
    stream_local_reply(s,
                       stream_error_get(request ? STREAM_ERROR_REQUEST_PAYLOAD_TOO_LARGE
                                                : STREAM_ERROR_RESPONSE_PAYLOAD_TOO_LARGE),
                       NULL, NULL);
    return true;
}

static enum filter_status call_headers(struct stream *s, enum filter_direction dir, int i, bool end)
{
    struct http_filter *f = &s->filters[i];
    if (dir == FILTER_REQUEST)
        return f->ops->on_request_headers ? f->ops->on_request_headers(f, &s->request_headers, end)
                                          : FILTER_CONTINUE;
    return f->ops->on_response_headers ? f->ops->on_response_headers(f, &s->response_headers, end)
                                       : FILTER_CONTINUE;
}

static enum filter_status call_data(struct stream *s, enum filter_direction dir, int i,
                                    struct buffer *data, bool end)
{
    struct http_filter *f = &s->filters[i];
    enum filter_status (*hook)(struct http_filter *, struct buffer *, bool) =
        dir == FILTER_REQUEST ? f->ops->on_request_data : f->ops->on_response_data;
    if (hook)
        return hook(f, data, end);
    return s->priv->holds[dir][i].stopped ? FILTER_BUFFER : FILTER_CONTINUE;
}

static enum filter_status call_trailers(struct stream *s, enum filter_direction dir, int i)
{
    struct http_filter *f = &s->filters[i];
    enum filter_status (*hook)(struct http_filter *, struct headers *) =
        dir == FILTER_REQUEST ? f->ops->on_request_trailers : f->ops->on_response_trailers;
    if (hook)
        return hook(f, dir == FILTER_REQUEST ? &s->request_trailers : &s->response_trailers);
    return s->priv->holds[dir][i].stopped ? FILTER_BUFFER : FILTER_CONTINUE;
}

static void run_headers(struct stream *s, enum filter_direction dir, int i, bool end)
{
    for (; in_chain(s, i); i += step_of(dir)) {
        enum filter_status st = call_headers(s, dir, i, end);
        if (halted(s, dir) || st == FILTER_REPLIED)
            return;
        if (st == FILTER_CONTINUE)
            continue;
        struct filter_hold *hold = &s->priv->holds[dir][i];
        if (dir == FILTER_REQUEST && i == (int)s->n_filters - 1)
            return; /* the terminal filter has it */
        hold->headers = true;
        hold->headers_end = end;
        hold->all = st == FILTER_PAUSE;
        hold->stopped = true;
        if (st == FILTER_PAUSE)
            hold_reading(s, dir, hold);
        return;
    }
    if (dir == FILTER_RESPONSE)
        stream_send_headers(s, end);
}

/* A head that waited at i goes on to the next filter. */
static void release_headers(struct stream *s, enum filter_direction dir, int i, bool end)
{
    struct filter_hold *hold = &s->priv->holds[dir][i];
    if (!hold->headers)
        return;
    hold->headers = false;
    run_headers(s, dir, i + step_of(dir), end && hold->headers_end);
}

static void keep(struct filter_hold *hold, struct buffer *data, bool end)
{
    size_t before = hold->data.len;
    buffer_move(&hold->data, data);
    buffer_tighten_grown(&hold->data, before);
    hold->end |= end;
}

static void run_data(struct stream *s, enum filter_direction dir, int i, struct buffer *data,
                     bool end)
{
    for (; in_chain(s, i); i += step_of(dir)) {
        struct filter_hold *hold = &s->priv->holds[dir][i];
        if (hold->all) {
            hold->unseen = true;
            keep(hold, data, end);
            return;
        }
        enum filter_status st = call_data(s, dir, i, data, end);
        if (halted(s, dir))
            return;
        switch (st) {
        case FILTER_CONTINUE:
            release_reading(s, dir, hold);
            release_headers(s, dir, i, false);
            if (halted(s, dir))
                return;
            if (hold->data.len) {
                buffer_move(&hold->data, data);
                buffer_move(data, &hold->data);
            }
            hold->end = false;
            break;
        case FILTER_PAUSE:
            hold_reading(s, dir, hold);
            keep(hold, data, end);
            return;
        case FILTER_BUFFER:
            hold->stopped = true;
            keep(hold, data, end);
            too_large(s, dir, hold);
            return;
        case FILTER_TAKEN:
        case FILTER_REPLIED:
            return;
        }
    }
    if (dir == FILTER_RESPONSE)
        stream_send_data(s, data, end);
}

/* Runs what a hold has kept, in a buffer of its own: the hold may fill again meanwhile. */
static void run_kept(struct stream *s, enum filter_direction dir, int i, int from, bool end)
{
    struct buffer data;
    buffer_init(&data, s->worker->chunks);
    buffer_move(&data, &s->priv->holds[dir][i].data);
    run_data(s, dir, from, &data, end);
    buffer_fini(&data);
}

static void run_trailers(struct stream *s, enum filter_direction dir, int i)
{
    for (; in_chain(s, i); i += step_of(dir)) {
        struct filter_hold *hold = &s->priv->holds[dir][i];
        if (hold->all) {
            hold->trailers = hold->unseen = true;
            return;
        }
        enum filter_status st = call_trailers(s, dir, i);
        if (halted(s, dir) || st == FILTER_REPLIED)
            return;
        if (st != FILTER_CONTINUE) {
            hold->trailers = true;
            hold->stopped = true;
            if (st == FILTER_PAUSE)
                hold_reading(s, dir, hold);
            return;
        }
        release_reading(s, dir, hold);
        release_headers(s, dir, i, false);
        if (!halted(s, dir) && hold->data.len)
            run_kept(s, dir, i, i + step_of(dir), false);
        if (halted(s, dir))
            return;
    }
    if (dir == FILTER_RESPONSE)
        stream_send_trailers(s);
}

void filter_resume(struct http_filter *f, enum filter_direction dir)
{
    struct stream *s = f->stream;
    int i = (int)(f - s->filters);
    struct filter_hold *hold = &s->priv->holds[dir][i];
    if (halted(s, dir) || !hold->stopped)
        return;
    bool unseen = hold->unseen, end = hold->end, trailers = hold->trailers;
    int from = unseen ? i : i + step_of(dir);
    hold->all = hold->unseen = hold->end = hold->trailers = false;
    release_reading(s, dir, hold);
    release_headers(s, dir, i, !hold->data.len && !end && !trailers);
    if (!halted(s, dir) && (hold->data.len || end))
        run_kept(s, dir, i, from, end);
    if (!halted(s, dir) && trailers)
        run_trailers(s, dir, from);
    http_conn_flush(s->conn);
}

void filter_inject(struct http_filter *f, enum filter_direction dir, struct buffer *data, bool end)
{
    struct stream *s = f->stream;
    int i = (int)(f - s->filters);
    if (!halted(s, dir))
        release_headers(s, dir, i, false);
    if (!halted(s, dir))
        run_data(s, dir, i + step_of(dir), data, end);
    buffer_drain(data, data->len);
    http_conn_flush(s->conn);
}

struct buffer *filter_buffered(struct http_filter *f, enum filter_direction dir)
{
    return &f->stream->priv->holds[dir][f - f->stream->filters].data;
}

void filter_chain_request_headers(struct stream *s, bool end)
{
    run_headers(s, FILTER_REQUEST, 0, end);
}

void filter_chain_request_data(struct stream *s, struct buffer *data, bool end)
{
    if (!halted(s, FILTER_REQUEST) && s->n_filters)
        run_data(s, FILTER_REQUEST, 0, data, end);
}

void filter_chain_request_trailers(struct stream *s)
{
    if (!halted(s, FILTER_REQUEST) && s->n_filters)
        run_trailers(s, FILTER_REQUEST, 0);
}

void filter_chain_response(struct stream *s, struct bytes body)
{
    /* Filters that have seen another answer begin, one of which may be replying, see no second. */
    int last = s->priv->response_begun ? -1 : (int)s->n_filters - 1;
    filter_chain_drop(s, FILTER_RESPONSE);
    s->priv->response_begun = true;
    run_headers(s, FILTER_RESPONSE, last, body.len == 0);
    if (body.len == 0 || halted(s, FILTER_RESPONSE))
        return;
    struct buffer data;
    buffer_init(&data, s->worker->chunks);
    buffer_add_bytes(&data, body);
    run_data(s, FILTER_RESPONSE, last, &data, true);
    buffer_fini(&data);
}

void filter_respond_headers(struct http_filter *f, bool end)
{
    struct stream *s = f->stream;
    if (halted(s, FILTER_RESPONSE) || s->priv->local_reply)
        return;
    CHECK(!s->priv->response_begun);
    s->priv->response_begun = true;
    run_headers(s, FILTER_RESPONSE, (int)(f - s->filters) - 1, end);
    http_conn_flush(s->conn);
}

void filter_respond_data(struct http_filter *f, struct buffer *data, bool end)
{
    struct stream *s = f->stream;
    if (!halted(s, FILTER_RESPONSE) && !s->priv->local_reply)
        run_data(s, FILTER_RESPONSE, (int)(f - s->filters) - 1, data, end);
    buffer_drain(data, data->len);
    http_conn_flush(s->conn);
}

void filter_respond_trailers(struct http_filter *f)
{
    struct stream *s = f->stream;
    if (!halted(s, FILTER_RESPONSE) && !s->priv->local_reply)
        run_trailers(s, FILTER_RESPONSE, (int)(f - s->filters) - 1);
    http_conn_flush(s->conn);
}

void filter_chain_drop(struct stream *s, enum filter_direction dir)
{
    for (unsigned i = 0; i < s->n_filters; i++) {
        struct filter_hold *hold = &s->priv->holds[dir][i];
        buffer_fini(&hold->data);
        release_reading(s, dir, hold);
        *hold = (struct filter_hold){0};
        buffer_init(&hold->data, s->worker->chunks);
    }
}

/* Most specific first; the name is the filter's in the chain. */
static const struct route_filter_config *find_route_config(const struct route_match_result *m,
                                                           struct bytes name)
{
    const struct route_filter_configs *sets[] = {
        m->weight ? &m->weight->filters : NULL,
        m->route ? &m->route->extras->filters : NULL,
        m->vhost ? &m->vhost->filters : NULL,
        m->config ? &m->config->filters : NULL,
    };
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        for (unsigned k = 0; sets[i] && k < sets[i]->n; k++) {
            if (bytes_eq(sets[i]->entries[k].name, name))
                return &sets[i]->entries[k];
        }
    }
    return NULL;
}

const void *filter_route_config(struct http_filter *f)
{
    struct stream *s = f->stream;
    const struct http_filter_slot *slot = &s->priv->slots[f->position];
    const struct route_filter_config *c = find_route_config(stream_route(s), slot->name);
    return c && c->factory == &f->ops->factory ? c->config : NULL;
}

static bool is_disabled(struct stream *s, const struct http_filter_slot *slot)
{
    if (slot->factory->terminal)
        return false;
    const struct route_filter_config *c = find_route_config(stream_route(s), slot->name);
    return c ? c->disabled : slot->disabled;
}

void filter_chain_create(struct stream *s)
{
    const struct http_upgrade *u = s->priv->upgrade;
    bool own = u && u->filters;
    const struct http_filter_slot *slots = own ? u->filters : s->manager->filters;
    unsigned n = own ? u->n_filters : s->manager->n_filters;
    s->priv->slots = slots;
    s->filters = ARENA_ARRAY(s->arena, struct http_filter, n);
    for (unsigned d = 0; d < 2; d++)
        s->priv->holds[d] = ARENA_ARRAY(s->arena, struct filter_hold, n);
    for (unsigned i = 0; i < n; i++) {
        const struct http_filter_slot *slot = &slots[i];
        if (is_disabled(s, slot))
            continue;
        struct http_filter *f = &s->filters[s->n_filters++];
        f->ops = CONTAINER_OF(slot->factory, const struct http_filter_ops, factory);
        f->config = slot->config;
        f->stream = s;
        f->position = i;
        if (slot->factory->state_size)
            f->state = arena_zalloc(s->arena, slot->factory->state_size);
    }
    for (unsigned i = 0; i < s->n_filters; i++) {
        buffer_init(&s->priv->holds[0][i].data, s->worker->chunks);
        buffer_init(&s->priv->holds[1][i].data, s->worker->chunks);
    }
}

void filter_chain_destroy(struct stream *s)
{
    for (unsigned i = 0; i < s->n_filters; i++) {
        struct http_filter *f = &s->filters[i];
        if (f->ops->on_destroy)
            f->ops->on_destroy(f);
        buffer_fini(&s->priv->holds[0][i].data);
        buffer_fini(&s->priv->holds[1][i].data);
    }
    s->n_filters = 0;
    s->filters = NULL;
}

void filter_restart(struct http_filter *f)
{
    struct stream *s = f->stream;
    struct filter_hold hold = s->priv->holds[FILTER_REQUEST][f - s->filters];
    struct buffer data;
    if (halted(s, FILTER_REQUEST) || !hold.headers)
        return;
    buffer_init(&data, s->worker->chunks);
    buffer_move(&data, &s->priv->holds[FILTER_REQUEST][f - s->filters].data);
    bool end = hold.headers_end && !data.len && !hold.end && !hold.trailers;
    filter_chain_drop(s, FILTER_REQUEST);
    filter_chain_destroy(s);
    filter_chain_create(s);
    run_headers(s, FILTER_REQUEST, 0, end);
    if (!halted(s, FILTER_REQUEST) && (data.len || hold.end))
        run_data(s, FILTER_REQUEST, 0, &data, hold.end);
    if (!halted(s, FILTER_REQUEST) && hold.trailers)
        run_trailers(s, FILTER_REQUEST, 0);
    buffer_fini(&data);
    http_conn_flush(s->conn);
}
