#include "dataplane/http/access_log.h"
#include "dataplane/http/stream_internal.h"

/* All timers are part of the stream and one shot; a later start of a pending one costs a store, and
 * so does one of a timer that rests: the queue is touched once in a long while. */

static void on_headers_timeout(struct timer *t)
{
    struct stream *s = t->owner;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_HEADER_TIMEOUT);
    headers_init(&s->request_headers, s->arena);
    stream_local_reply(s, stream_error_get(STREAM_ERROR_REQUEST_HEADERS_TIMEOUT), NULL, NULL);
}

static void on_request_timeout(struct timer *t)
{
    struct stream *s = t->owner;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_TIMEOUT);
    stream_local_reply(s, stream_error_get(STREAM_ERROR_REQUEST_TIMEOUT), NULL, NULL);
}

/* Who was waited for? The client until its request is complete (408), the upstream after (504). */
static void timed_out(struct stream *s, enum stream_error_id id)
{
    struct stream_error e = *stream_error_get(id);
    if (s->priv->request_complete)
        e.status = 504;
    stream_local_reply(s, &e, NULL, NULL);
}

static void on_idle_timeout(struct timer *t)
{
    struct stream *s = t->owner;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_IDLE_TIMEOUT);
    timed_out(s, STREAM_ERROR_STREAM_IDLE_TIMEOUT);
}

static void on_max_duration(struct timer *t)
{
    struct stream *s = t->owner;
    stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_MAX_DURATION_REACHED);
    timed_out(s, STREAM_ERROR_MAX_STREAM_DURATION);
}

/* Envoy's periodic line of a stream that lasts. */
static void on_log_timer(struct timer *t)
{
    struct stream *s = t->owner;
    timer_start(t, s->manager->access_log_flush_interval_ms);
    access_log_stream(s, ACCESS_LOG_PERIODIC);
}

static void start_log_timer(struct stream *s)
{
    s->priv->log_timer = ARENA_NEW(s->arena, struct timer);
    timer_init(s->priv->log_timer, s->worker->loop, on_log_timer, s);
    timer_start(s->priv->log_timer, s->manager->access_log_flush_interval_ms);
}

static void stop_log_timer(struct stream *s)
{
    if (s->priv->log_timer)
        timer_stop(s->priv->log_timer);
    s->priv->log_timer = NULL;
}

void stream_timers_init(struct stream *s, struct loop *loop)
{
    struct stream_private *p = s->priv;
    timer_init(&p->idle_timer, loop, on_idle_timeout, s);
    timer_init(&p->request_timer, loop, on_request_timeout, s);
    timer_init(&p->headers_timer, loop, on_headers_timeout, s);
    timer_init(&p->duration_timer, loop, on_max_duration, s);
    timer_init(&p->terminal_timer, loop, NULL, NULL);
}

void stream_timers_fini(struct stream *s)
{
    struct stream_private *p = s->priv;
    stop_log_timer(s);
    timer_stop(&p->idle_timer);
    timer_stop(&p->request_timer);
    timer_stop(&p->headers_timer);
    timer_stop(&p->duration_timer);
    timer_stop(&p->terminal_timer);
}

void stream_timers_start(struct stream *s)
{
    const struct http_manager *m = s->manager;
    struct stream_private *p = s->priv;
    p->idle_ms = m->stream_idle_timeout_ms;
    if (p->idle_ms)
        timer_start(&p->idle_timer, p->idle_ms);
    if (m->request_timeout_ms)
        timer_start(&p->request_timer, m->request_timeout_ms);
    if (m->request_headers_timeout_ms)
        timer_start(&p->headers_timer, m->request_headers_timeout_ms);
    if (m->max_stream_duration_ms)
        timer_start(&p->duration_timer, m->max_stream_duration_ms);
    if (m->access_log_flush_interval_ms)
        start_log_timer(s);
}

void stream_timers_request_complete(struct stream *s)
{
    timer_rest(&s->priv->request_timer);
    timer_rest(&s->priv->headers_timer);
}

void stream_timers_stop(struct stream *s)
{
    struct stream_private *p = s->priv;
    stop_log_timer(s);
    timer_rest(&p->idle_timer);
    timer_rest(&p->request_timer);
    timer_rest(&p->headers_timer);
    timer_rest(&p->duration_timer);
    timer_rest(&p->terminal_timer);
}

struct timer *stream_terminal_timer(struct stream *s, void (*fn)(struct timer *t), void *owner)
{
    struct timer *t = &s->priv->terminal_timer;
    timer_rest(t);
    t->fn = fn;
    t->owner = owner;
    return t;
}

void stream_touch(struct stream *s)
{
    if (s->priv->idle_ms && !s->priv->finished)
        timer_start(&s->priv->idle_timer, s->priv->idle_ms);
}

void stream_set_idle_timeout(struct stream *s, uint64_t ms)
{
    if (s->priv->finished)
        return;
    s->priv->idle_ms = ms;
    if (ms)
        timer_start(&s->priv->idle_timer, ms);
    else
        timer_rest(&s->priv->idle_timer);
}

void stream_expire(struct stream *s)
{
    if (!s->priv->finished)
        timer_start(&s->priv->duration_timer, 0);
}

/* Counted from the beginning of the stream, not from now. */
void stream_set_max_duration(struct stream *s, uint64_t ms)
{
    if (s->priv->finished)
        return;
    timer_rest(&s->priv->duration_timer);
    if (!ms)
        return;
    uint64_t gone = (loop_now_ns(s->worker->loop) - s->info.start_ns) / NS_PER_MS;
    timer_start(&s->priv->duration_timer, gone < ms ? ms - gone : 0);
}
