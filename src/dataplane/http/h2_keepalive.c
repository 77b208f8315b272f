#include "dataplane/http/h2_keepalive.h"

static void ping(struct h2_keepalive *k)
{
    k->waiting = true;
    timer_start(&k->timer, k->timeout_ms);
    k->ping(k->owner);
}

/* Jitter is added: many connections made at once do not ping at once. */
static void wait_for_next(struct h2_keepalive *k)
{
    uint64_t more = k->interval_ms * k->jitter / 100;
    if (k->interval_ms)
        timer_start(&k->timer, k->interval_ms + (more ? random_below(k->random, more) : 0));
}

static void on_timer(struct timer *t)
{
    struct h2_keepalive *k = t->owner;
    if (k->waiting)
        k->failed(k->owner);
    else
        ping(k);
}

void h2_keepalive_init(struct h2_keepalive *k, const struct http2_options *o, struct loop *loop,
                       struct random_source *random)
{
    timer_init(&k->timer, loop, on_timer, k);
    k->random = random;
    k->interval_ms = o->keepalive_interval_ms;
    k->timeout_ms = o->keepalive_timeout_ms;
    k->idle_ms = o->keepalive_idle_ms;
    k->jitter = o->keepalive_jitter;
    k->active_ms = loop_now_ms(loop);
}

void h2_keepalive_start(struct h2_keepalive *k)
{
    wait_for_next(k);
}

void h2_keepalive_answered(struct h2_keepalive *k)
{
    if (!k->waiting)
        return;
    k->waiting = false;
    timer_stop(&k->timer);
    wait_for_next(k);
}

void h2_keepalive_used(struct h2_keepalive *k)
{
    if (!k->idle_ms)
        return;
    uint64_t now = loop_now_ms(k->timer.loop), silent = now - k->active_ms;
    k->active_ms = now;
    if (silent >= k->idle_ms && !k->waiting)
        ping(k);
}

void h2_keepalive_stop(struct h2_keepalive *k)
{
    timer_stop(&k->timer);
}
