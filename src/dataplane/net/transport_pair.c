#include "dataplane/net/transport_pair.h"

#include <errno.h>

#include "base/memory.h"
#include "dataplane/net/buffer.h"

enum { LIMIT_DEFAULT = 64 * 1024 };

struct pair;

/* in: what the other end has written and this one has not read. */
struct pair_end {
    struct transport transport; /* first member */
    struct pair *pair;
    struct defer ready; /* tells the user at the end of the turn */
    struct buffer in;
    unsigned interest;
    bool open, write_shut, reset;
};

struct pair {
    struct pair_end ends[2];
    struct chunk_pool *pool;
    size_t limit;
};

static struct pair_end *end_of(struct transport *t)
{
    return CONTAINER_OF(t, struct pair_end, transport);
}

static struct pair_end *other(struct pair_end *e)
{
    return e == &e->pair->ends[0] ? &e->pair->ends[1] : &e->pair->ends[0];
}

static unsigned readiness(struct pair_end *e)
{
    struct pair_end *o = other(e);
    unsigned events = 0;

    if (!buffer_empty(&e->in) || !o->open || o->write_shut)
        events |= IO_READ;
    if (!o->open || o->in.len < e->pair->limit)
        events |= IO_WRITE;
    return events & e->interest;
}

static void update(struct pair_end *e)
{
    if (e->open && readiness(e))
        defer_schedule(&e->ready);
    else
        defer_cancel(&e->ready);
}

/* Level-triggered as a socket is: told again as long as it is true. */
static void on_ready(struct defer *d)
{
    struct pair_end *e = d->owner;
    unsigned events = readiness(e);

    if (!events)
        return;
    defer_schedule(&e->ready);
    if (e->transport.ready)
        e->transport.ready(e->transport.ready_ctx, events);
}

static ssize_t pair_read(struct transport *t, char *buf, size_t len)
{
    struct pair_end *e = end_of(t), *o = other(e);

    size_t n = buffer_copy(&e->in, 0, buf, len);
    if (n == 0 && o->reset) {
        t->error = ECONNRESET;
        return IO_ERROR;
    }
    if (n == 0)
        return !o->open || o->write_shut ? IO_EOF : IO_AGAIN;
    buffer_drain(&e->in, n);
    update(e);
    update(o);
    return (ssize_t)n;
}

static ssize_t pair_writev(struct transport *t, const struct iovec *iov, int n_iov)
{
    struct pair_end *e = end_of(t), *o = other(e);
    size_t done = 0;

    if (!o->open || e->write_shut) {
        t->error = o->reset ? ECONNRESET : EPIPE;
        return IO_ERROR;
    }
    for (int i = 0; i < n_iov && o->in.len < e->pair->limit; i++) {
        size_t room = e->pair->limit - o->in.len;
        size_t n = iov[i].iov_len < room ? iov[i].iov_len : room;
        buffer_add(&o->in, iov[i].iov_base, n);
        done += n;
    }
    if (done == 0)
        return IO_AGAIN;
    update(e);
    update(o);
    return (ssize_t)done;
}

static void pair_want(struct transport *t, unsigned interest)
{
    end_of(t)->interest = interest;
    update(end_of(t));
}

static void pair_shutdown_write(struct transport *t)
{
    end_of(t)->write_shut = true;
    update(other(end_of(t)));
}

static void pair_close(struct transport *t, bool reset)
{
    struct pair_end *e = end_of(t), *o = other(e);

    /* Closing with unread bytes is an abort, as TCP has it */
    e->reset = reset || !buffer_empty(&e->in);
    e->open = false;
    defer_cancel(&e->ready);
    buffer_fini(&e->in);
    if (o->open)
        update(o);
    else
        mem_free(e->pair);
}

static const struct transport_ops pair_ops = {
    .name = "internal",
    .read = pair_read,
    .writev = pair_writev,
    .want = pair_want,
    .shutdown_write = pair_shutdown_write,
    .close = pair_close,
};

void transport_pair_new(struct loop *loop, struct chunk_pool *pool, size_t limit,
                        struct transport *ends[2])
{
    struct pair *p = NEW(struct pair);

    p->pool = pool;
    p->limit = limit ? limit : LIMIT_DEFAULT;
    for (int i = 0; i < 2; i++) {
        struct pair_end *e = &p->ends[i];
        e->transport.ops = &pair_ops;
        e->transport.loop = loop;
        e->pair = p;
        e->open = true;
        buffer_init(&e->in, pool);
        defer_init(&e->ready, loop, DEFER_FLUSH, on_ready, e);
        ends[i] = &e->transport;
    }
}
