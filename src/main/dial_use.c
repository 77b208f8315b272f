#include "main/dial_use.h"

static void count(const struct dial_use *u, unsigned id, int64_t n)
{
    stat_add(u->stats, STAT_SLOT_MAIN, id, n);
}

static void host_add(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void dial_use_open(struct dial_use *u, struct stat_scope *stats, struct host_state *host,
                   uint64_t now_ms)
{
    host_state_hold(host);
    *u = (struct dial_use){stat_scope_ref(stats), host, now_ms, false};
    count(u, STAT_UPSTREAM_CX_TOTAL, 1);
    count(u, STAT_UPSTREAM_CX_HTTP2_TOTAL, 1);
    count(u, STAT_UPSTREAM_CX_ACTIVE, 1);
    struct host_use *h = host_state_use(host);
    host_add(&h->cx_total);
    atomic_fetch_add_explicit(&h->cx_active, 1, memory_order_relaxed);
}

void dial_use_other(struct dial_use *u)
{
    count(u, STAT_UPSTREAM_CX_TOTAL, 1);
    host_add(&host_state_use(u->host)->cx_total);
}

void dial_use_serve(struct dial_use *u, uint64_t connect_ms)
{
    if (!u->stats)
        return;
    u->serving = true;
    stat_record(u->stats, STAT_SLOT_MAIN, STAT_UPSTREAM_CX_CONNECT_MS, connect_ms);
    count(u, STAT_UPSTREAM_RQ_PENDING_TOTAL, 1);
    count(u, STAT_UPSTREAM_RQ_TOTAL, 1);
    count(u, STAT_UPSTREAM_RQ_ACTIVE, 1);
    struct host_use *h = host_state_use(u->host);
    host_add(&h->rq_total);
    atomic_fetch_add_explicit(&h->rq_active, 1, memory_order_relaxed);
}

void dial_use_received(const struct dial_use *u, uint64_t bytes)
{
    if (u->stats)
        count(u, STAT_UPSTREAM_CX_RX_BYTES_TOTAL, (int64_t)bytes);
}

void dial_use_sent(const struct dial_use *u, uint64_t bytes)
{
    if (u->stats)
        count(u, STAT_UPSTREAM_CX_TX_BYTES_TOTAL, (int64_t)bytes);
}

static void end_serving(struct dial_use *u, struct host_use *h)
{
    count(u, STAT_UPSTREAM_RQ_ACTIVE, -1);
    stat_record(u->stats, STAT_SLOT_MAIN, STAT_UPSTREAM_RQ_PER_CX, 1);
    atomic_fetch_sub_explicit(&h->rq_active, 1, memory_order_relaxed);
}

void dial_use_close(struct dial_use *u, bool remote, uint64_t now_ms)
{
    if (!u->stats)
        return;
    struct host_use *h = host_state_use(u->host);
    count(u, STAT_UPSTREAM_CX_ACTIVE, -1);
    count(u, STAT_UPSTREAM_CX_DESTROY, 1);
    count(u, remote ? STAT_UPSTREAM_CX_DESTROY_REMOTE : STAT_UPSTREAM_CX_DESTROY_LOCAL, 1);
    stat_record(u->stats, STAT_SLOT_MAIN, STAT_UPSTREAM_CX_LENGTH_MS, now_ms - u->opened_ms);
    if (u->serving) {
        end_serving(u, h);
    } else {
        count(u, STAT_UPSTREAM_CX_CONNECT_FAIL, 1);
        host_add(&h->cx_connect_fail);
    }
    atomic_fetch_sub_explicit(&h->cx_active, 1, memory_order_relaxed);
    host_state_release(u->host);
    stat_scope_unref(&u->stats);
}
