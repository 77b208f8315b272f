#include <errno.h>

#include "base/memory.h"
#include "sim.h"

enum { TRICKLE_CALLS = 200 }; /* byte by byte for so many calls: enough to cut every line */

struct tap {
    struct transport transport; /* first member */
    struct list link;           /* in sim->taps */
    struct transport *inner;
    struct sim *sim;
    bool client;
    int read_error, write_error;
    unsigned trickle; /* calls left */
    enum sim_origin_mode mode;
    unsigned waits; /* turns until the handshake is done */
    struct defer connecting;
    struct timer timeout; /* as a socket's connection has it */
};

static struct tap *tap_of(struct transport *t)
{
    return CONTAINER_OF(t, struct tap, transport);
}

/* The peer may have ended the tap's inner transport in a strike, never the tap itself. */
static ssize_t tap_read(struct transport *t, char *buf, size_t len)
{
    struct tap *tap = tap_of(t);
    sim_point(tap->sim, false);
    if (tap->read_error) {
        t->error = tap->read_error;
        return IO_ERROR;
    }
    if (tap->trickle) {
        len = 1;
        tap->trickle--;
    }
    ssize_t n = transport_read(tap->inner, buf, len);
    t->error = tap->inner->error;
    return n;
}

static ssize_t tap_writev(struct transport *t, const struct iovec *iov, int n)
{
    struct tap *tap = tap_of(t);
    sim_point(tap->sim, false);
    if (tap->write_error) {
        t->error = tap->write_error;
        return IO_ERROR;
    }
    if (tap->trickle) {
        struct iovec one = {.iov_base = iov[0].iov_base, .iov_len = 1};
        ssize_t done = --tap->trickle % 3 == 0 ? IO_AGAIN : transport_writev(tap->inner, &one, 1);
        t->error = tap->inner->error;
        return done;
    }
    ssize_t done = transport_writev(tap->inner, iov, n);
    t->error = tap->inner->error;
    return done;
}

static void on_connecting(struct defer *d)
{
    struct tap *tap = d->owner;
    tap->transport.ready(tap->transport.ready_ctx, IO_WRITE);
}

static void on_timeout(struct timer *t)
{
    struct tap *tap = t->owner;
    tap->transport.ready(tap->transport.ready_ctx, IO_WRITE);
}

static ssize_t tap_handshake(struct transport *t)
{
    struct tap *tap = tap_of(t);
    sim_point(tap->sim, false);
    if (tap->read_error || tap->write_error) {
        t->error = tap->read_error ? tap->read_error : tap->write_error;
        return IO_ERROR;
    }
    if (tap->mode == SIM_ORIGIN_HANGS) {
        t->error = ETIMEDOUT;
        return timer_pending(&tap->timeout) ? IO_AGAIN : IO_ERROR;
    }
    if (tap->waits > 0) {
        tap->waits--;
        defer_schedule(&tap->connecting);
        return IO_AGAIN;
    }
    if (tap->mode == SIM_ORIGIN_REFUSES) {
        t->error = ECONNREFUSED;
        return IO_ERROR;
    }
    return 0;
}

static void tap_want(struct transport *t, unsigned interest)
{
    transport_want(tap_of(t)->inner, interest);
}

static void tap_shutdown_write(struct transport *t)
{
    transport_shutdown_write(tap_of(t)->inner);
}

static void tap_close(struct transport *t, bool reset)
{
    struct tap *tap = tap_of(t);
    defer_cancel(&tap->connecting);
    timer_stop(&tap->timeout);
    list_remove(&tap->link);
    transport_close(&tap->inner, reset);
    mem_free(tap);
}

static bool tap_pending(const struct transport *t)
{
    return transport_pending(((const struct tap *)t)->inner);
}

static const struct transport_ops tap_ops = {
    .name = "tap",
    .read = tap_read,
    .writev = tap_writev,
    .handshake = tap_handshake,
    .want = tap_want,
    .shutdown_write = tap_shutdown_write,
    .close = tap_close,
    .pending = tap_pending,
};

static void on_inner_ready(void *ctx, unsigned events)
{
    struct tap *tap = ctx;
    tap->transport.ready(tap->transport.ready_ctx, events);
}

struct transport *sim_tap_new(struct sim *s, struct transport *inner, bool client)
{
    struct tap *tap = NEW(struct tap);
    tap->transport.ops = &tap_ops;
    tap->transport.loop = inner->loop;
    tap->inner = inner;
    tap->sim = s;
    tap->client = client;
    defer_init(&tap->connecting, inner->loop, DEFER_FLUSH, on_connecting, tap);
    timer_init(&tap->timeout, inner->loop, on_timeout, tap);
    transport_on_ready(inner, on_inner_ready, tap);
    list_push_back(&s->taps, &tap->link);
    return &tap->transport;
}

void sim_tap_connecting(struct transport *t, enum sim_origin_mode mode, uint64_t timeout_ms)
{
    tap_of(t)->mode = mode;
    tap_of(t)->waits = 2;
    if (mode == SIM_ORIGIN_HANGS)
        timer_start(&tap_of(t)->timeout, timeout_ms);
}

void sim_taps_strike(struct sim *s)
{
    LIST_EACH(l, &s->taps)
    {
        struct tap *tap = LIST_ENTRY(l, struct tap, link);
        if (s->fault == (tap->client ? SIM_CLIENT_READ : SIM_ORIGIN_READ))
            tap->read_error = tap->write_error = ETIMEDOUT;
        if (s->fault == (tap->client ? SIM_CLIENT_WRITE : SIM_ORIGIN_WRITE))
            tap->write_error = EPIPE;
        if (s->fault == (tap->client ? SIM_CLIENT_TRICKLE : SIM_ORIGIN_TRICKLE))
            tap->trickle = TRICKLE_CALLS;
    }
}
