#include "dataplane/net/connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "dataplane/net/transport_race.h"

enum {
    READS_PER_EVENT = 4,   /* when chunks come back full: 64 KiB, then others get their turn */
    WRITES_PER_EVENT = 16, /* of up to BUFFER_IOV_MAX slices */
};

/* CONNECTING: until the transport's handshake is done. FLUSHING: closed by the owner, output left.
 * LINGERING: output done, waiting for the peer's end. CLOSED: the transport is gone. */
enum connection_state { CONNECTING, OPEN, FLUSHING, LINGERING, CLOSED };

static void flush(struct connection *c);
static void on_reap(struct defer *d);

/* --- the end --- */

static void set_failure(struct connection *c, int error, const char *prefix, const char *text)
{
    if (c->failure || c->error)
        return;
    c->error = error;
    if (!text)
        text = strerrordesc_np(error);
    size_t size = strlen(prefix) + strlen(text ? text : "unknown error") + 1;
    c->failure = mem_alloc(size);
    snprintf(c->failure, size, "%s%s", prefix, text ? text : "unknown error");
}

/* The transport goes at once, the memory at the end of the turn. */
static void finish(struct connection *c, enum close_reason reason, bool reset)
{
    if (c->state == CLOSED)
        return;
    if (c->reason == CLOSE_NONE || reason == CLOSE_DELAYED_CLOSE_TIMEOUT)
        c->reason = reason;
    c->state = CLOSED;
    timer_stop(&c->timer);
    transport_close(&c->transport, reset);
    defer_cancel(&c->work);
    defer_init(&c->work, connection_loop(c), DEFER_REAP, on_reap, c);
    defer_schedule(&c->work);
}

static void tell_close(struct connection *c)
{
    if (c->told_close)
        return;
    c->told_close = true;
    c->ops->on_close(c, c->reason);
}

static void on_reap(struct defer *d)
{
    struct connection *c = d->owner;

    CHECK_MAGIC(c, CONNECTION_MAGIC);
    tell_close(c);
    buffer_fini(&c->in);
    buffer_fini(&c->out);
    mem_free(c->failure);
    c->magic = 0;
    mem_free(c);
}

static enum close_reason reason_of(int error)
{
    return error == ECONNRESET || error == EPIPE ? CLOSE_REMOTE_RESET : CLOSE_IO_ERROR;
}

static void fail(struct connection *c)
{
    set_failure(c, c->transport->error, "", c->transport->failure);
    finish(c, reason_of(c->error), c->write_dead); /* output was lost: no orderly end */
}

/* --- readiness --- */

static bool may_read(const struct connection *c)
{
    return c->state == OPEN && c->pauses == 0 && !c->read_eof &&
           (c->read_limit == 0 || c->in.len < c->read_limit);
}

static void update_want(struct connection *c)
{
    uint8_t want = 0;

    switch ((enum connection_state)c->state) {
    case CONNECTING: /* the handshake sees to it */
    case CLOSED:
        return;
    case OPEN:
        want = may_read(c) ? IO_READ : 0;
        break;
    case FLUSHING:
        want = c->linger && !c->read_eof ? IO_READ : 0;
        break;
    case LINGERING:
        want = IO_READ;
        break;
    }
    if (c->write_blocked)
        want |= IO_WRITE;
    if (want != c->want) {
        c->want = want;
        transport_want(c->transport, want);
    }
}

/* Every entry from the loop ends here: the only place that tells the owner about the end, except
 * the reaper. */
static void settle(struct connection *c)
{
    if (c->state == CLOSED)
        tell_close(c);
    else
        update_want(c);
}

/* --- reading --- */

static void show_input(struct connection *c)
{
    c->reread = false;
    if (c->in.len == 0 && (!c->read_eof || c->eof_told))
        return;
    c->eof_told = c->read_eof;
    c->ops->on_data(c, &c->in, c->read_eof);
}

static void after_eof(struct connection *c)
{
    if (c->state != OPEN || !c->read_eof)
        return;
    if (!c->half_close && c->out.len > 0)
        flush(c);
    if (c->state == OPEN && (!c->half_close || c->shutdown_done))
        finish(c, CLOSE_REMOTE_CLOSE, false);
}

/* One read into one chunk. True when the chunk was filled: more may be waiting. */
static bool read_once(struct connection *c)
{
    size_t room;
    char *space = buffer_reserve(&c->in, &room);

    if (!space) {
        finish(c, CLOSE_OUT_OF_MEMORY, false);
        return false;
    }
    ssize_t n = transport_read(c->transport, space, room);
    buffer_commit(&c->in, n > 0 ? (size_t)n : 0);
    if (n > 0) {
        c->bytes_read += (size_t)n;
        show_input(c);
        return (size_t)n == room;
    }
    if (n == IO_EOF) {
        c->read_eof = true;
        show_input(c);
        after_eof(c);
    } else if (n == IO_ERROR) {
        fail(c);
    }
    return false;
}

static void read_some(struct connection *c)
{
    for (unsigned i = 0; may_read(c); i++) {
        if (i == READS_PER_EVENT) {
            if (transport_pending(c->transport)) {
                c->reread = true;
                defer_schedule(&c->work);
            }
            break;
        }
        if (!read_once(c) && (c->state != OPEN || !transport_pending(c->transport)))
            break;
    }
}

/* Closing: what the peer still sends is dropped. */
static void discard(struct connection *c)
{
    struct buffer dropped;
    size_t room;

    buffer_init(&dropped, c->in.pool);
    char *space = buffer_reserve(&dropped, &room);
    ssize_t n = space ? transport_read(c->transport, space, room) : IO_ERROR;
    if (space)
        buffer_commit(&dropped, 0);
    if (n > 0)
        c->bytes_read += (size_t)n;
    else if (n == IO_EOF && c->state == FLUSHING)
        c->read_eof = true;
    else if (n != IO_AGAIN)
        finish(c, CLOSE_REMOTE_CLOSE, false);
}

/* --- writing --- */

/* The peer takes no more. What it sent before it went is still shown. */
static void write_failed(struct connection *c)
{
    c->write_dead = true;
    c->write_blocked = false;
    buffer_fini(&c->out);
    if (c->state == OPEN && c->pauses > 0 && !c->read_eof) {
        set_failure(c, c->transport->error, "", c->transport->failure);
        return; /* goes on when reading is resumed */
    }
    int error = c->transport->error;
    read_some(c);
    if (c->state != CLOSED) {
        c->transport->error = error;
        fail(c);
    }
}

static void output_done(struct connection *c, bool wrote)
{
    if (wrote && c->state == OPEN && c->ops->on_flushed)
        c->ops->on_flushed(c);
    if (c->state == CLOSED || c->out.len > 0)
        return;
    if ((c->shutdown_wanted || c->linger) && !c->shutdown_done) {
        c->shutdown_done = true;
        transport_shutdown_write(c->transport);
    }
    if (c->state == FLUSHING && c->linger && !c->read_eof)
        c->state = LINGERING;
    else if (c->state == FLUSHING)
        finish(c, c->reason, false);
    else if (c->state == OPEN && c->shutdown_done && c->read_eof)
        finish(c, CLOSE_REMOTE_CLOSE, false);
}

static void after_write(struct connection *c, size_t n)
{
    c->bytes_written += n;
    if (c->state == FLUSHING && c->delay_ms)
        timer_start(&c->timer, c->delay_ms);
}

static void low_watermark(struct connection *c)
{
    if (!c->above || c->out.len > c->limit / 2)
        return;
    c->above = false;
    if (c->state == OPEN && c->ops->on_low_watermark)
        c->ops->on_low_watermark(c);
}

static void flush(struct connection *c)
{
    struct iovec iov[BUFFER_IOV_MAX];
    bool wrote = c->out.len > 0;

    for (unsigned i = 0; c->out.len > 0; i++) {
        size_t total = 0;
        int n_iov = buffer_iov(&c->out, iov, BUFFER_IOV_MAX);
        for (int k = 0; k < n_iov; k++)
            total += iov[k].iov_len;
        ssize_t n = i < WRITES_PER_EVENT ? transport_writev(c->transport, iov, n_iov) : IO_AGAIN;
        if (n == IO_ERROR) {
            write_failed(c);
            return;
        }
        if (n > 0) {
            buffer_drain(&c->out, (size_t)n);
            after_write(c, (size_t)n);
        }
        if (n < (ssize_t)total) {
            c->write_blocked = true; /* a short write: asking again now would only cost a call */
            low_watermark(c);
            if (c->above)
                buffer_tighten(&c->out);
            return;
        }
    }
    low_watermark(c);
    if (c->state != CLOSED && c->out.len == 0)
        output_done(c, wrote);
}

/* --- entries from the loop --- */

static uint32_t since_begun_us1(const struct connection *c)
{
    uint64_t us = (loop_now_ns(connection_loop(c)) - c->times.begun_ns) / (NS_PER_MS / 1000);
    return us < UINT32_MAX ? (uint32_t)us + 1 : UINT32_MAX;
}

static void handshake(struct connection *c)
{
    ssize_t n = transport_handshake(c->transport);

    if (!c->times.opened_us1 && (n == 0 || c->transport->opened))
        c->times.opened_us1 = since_begun_us1(c);
    if (n == IO_AGAIN)
        return;
    if (n == IO_ERROR) {
        bool tls = c->transport->failure != NULL || !c->client;
        set_failure(c, c->transport->error,
                    tls ? "" : "delayed connect error: ", c->transport->failure);
        finish(c, tls ? CLOSE_HANDSHAKE_FAILED : CLOSE_CONNECT_FAILED, false);
        return;
    }
    transport_race_settle(&c->transport, &c->remote);
    c->state = OPEN;
    timer_stop(&c->timer);
    if (c->transport->opened) /* a signature takes long, and all of it may be one turn */
        loop_update_now(connection_loop(c));
    c->times.done_us1 = since_begun_us1(c);
    if (c->ops->on_connected)
        c->ops->on_connected(c);
    if (c->state == OPEN && transport_pending(c->transport))
        c->reread = true;
    if (c->state != CLOSED)
        defer_schedule(&c->work);
}

static void on_work(struct defer *d)
{
    struct connection *c = d->owner;

    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTING)
        handshake(c);
    if (c->state == OPEN && (c->reread || c->write_dead) && c->pauses == 0) {
        show_input(c);
        if (c->state == OPEN && (c->write_dead || transport_pending(c->transport)))
            read_some(c);
        after_eof(c);
        if (c->state == OPEN && c->write_dead && c->pauses == 0)
            fail(c);
    }
    if (c->state == OPEN && c->output_wanted) {
        c->output_wanted = false;
        c->ops->on_output(c);
    }
    if (c->state == FLUSHING || (c->state == OPEN && (c->out.len > 0 || c->shutdown_wanted)))
        if (!c->write_blocked)
            flush(c);
    settle(c);
}

static void on_ready(void *ctx, unsigned events)
{
    struct connection *c = ctx;

    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTING) {
        handshake(c);
        settle(c);
        return;
    }
    if ((events & IO_WRITE) && (c->state == OPEN || c->state == FLUSHING)) {
        c->write_blocked = false;
        flush(c);
    }
    if (events & IO_READ) {
        if (c->state == OPEN)
            read_some(c);
        else if (c->state == LINGERING || (c->state == FLUSHING && c->linger))
            discard(c);
    }
    settle(c);
}

static void on_timer(struct timer *t)
{
    struct connection *c = t->owner;

    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state == CONNECTING) {
        c->error = ETIMEDOUT;
        finish(c, CLOSE_CONNECT_TIMEOUT, false);
    } else {
        finish(c, CLOSE_DELAYED_CLOSE_TIMEOUT, false);
    }
    settle(c);
}

/* --- making --- */

static struct connection *make(struct loop *loop, struct chunk_pool *pool,
                               const struct connection_ops *ops, void *owner)
{
    struct connection *c = NEW(struct connection);

    CHECK(ops->on_data && ops->on_close);
    c->magic = CONNECTION_MAGIC;
    c->ops = ops;
    c->owner = owner;
    c->times.begun_ns = loop_now_ns(loop);
    buffer_init(&c->in, pool);
    buffer_init(&c->out, pool);
    defer_init(&c->work, loop, DEFER_FLUSH, on_work, c);
    timer_init(&c->timer, loop, on_timer, c);
    c->want = UINT8_MAX; /* unknown: the handshake's */
    return c;
}

static void start(struct connection *c, struct transport *t)
{
    c->transport = t;
    transport_on_ready(t, on_ready, c);
    defer_schedule(&c->work);
}

struct connection *connection_new(struct loop *loop, struct chunk_pool *pool,
                                  struct transport *transport, const struct connection_ops *ops,
                                  void *owner)
{
    struct connection *c = make(loop, pool, ops, owner);

    start(c, transport);
    return c;
}

struct connection *connection_accept(struct loop *loop, struct chunk_pool *pool, int fd,
                                     const struct address *remote, const struct connection_ops *ops,
                                     void *owner)
{
    return connection_accept_over(loop, pool, transport_socket_new(loop, fd, false), remote, 0, ops,
                                  owner);
}

struct connection *connection_accept_over(struct loop *loop, struct chunk_pool *pool,
                                          struct transport *transport, const struct address *remote,
                                          uint64_t handshake_ms, const struct connection_ops *ops,
                                          void *owner)
{
    struct connection *c = make(loop, pool, ops, owner);

    if (remote)
        c->remote = *remote;
    if (handshake_ms)
        timer_start(&c->timer, handshake_ms);
    start(c, transport);
    return c;
}

void connection_prefill(struct connection *c, struct buffer *bytes)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->bytes_read += bytes->len;
    buffer_move(&c->in, bytes);
    c->reread = c->in.len > 0; /* shown once the handshake is done */
}

struct connection *connection_connect(struct loop *loop, struct chunk_pool *pool,
                                      const struct address *to, const struct connect_options *opt,
                                      const struct connection_ops *ops, void *owner)
{
    struct connection *c = make(loop, pool, ops, owner);
    struct transport *t =
        opt && opt->n_others ? transport_race_new(loop, to, opt) : transport_connect(loop, to, opt);

    c->client = true;
    c->remote = *to;
    if (!t && errno) {
        set_failure(c, errno, "immediate connect error: ", NULL);
        finish(c, CLOSE_CONNECT_FAILED, false);
        return c;
    }
    if (!t) {
        set_failure(c, ENOMEM, "", opt->wrap_failure);
        finish(c, CLOSE_HANDSHAKE_FAILED, false);
        return c;
    }
    if (opt) {
        c->limit = c->read_limit = opt->buffer_limit;
        if (opt->timeout_ms)
            timer_start(&c->timer, opt->timeout_ms);
    }
    start(c, t);
    return c;
}

/* --- the owner's calls --- */

void connection_set_owner(struct connection *c, const struct connection_ops *ops, void *owner)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->ops = ops;
    c->owner = owner;
    c->eof_told = false;
    connection_reread(c);
}

void connection_write(struct connection *c, struct buffer *b)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if ((c->state != OPEN && c->state != CONNECTING) || c->write_dead || c->shutdown_wanted) {
        buffer_fini(b);
        return;
    }
    if (b->len == 0)
        return;
    if (c->write_blocked && c->above)
        buffer_move_copied(&c->out, b);
    else
        buffer_move(&c->out, b);
    if (c->state == OPEN && !c->write_blocked)
        defer_schedule(&c->work);
    if (c->limit && c->out.len > c->limit && !c->above) {
        c->above = true;
        if (c->ops->on_high_watermark)
            c->ops->on_high_watermark(c);
    }
}

void connection_write_bytes(struct connection *c, struct bytes x)
{
    struct buffer b;

    buffer_init(&b, c->in.pool);
    buffer_add_bytes(&b, x);
    connection_write(c, &b);
}

void connection_shutdown_write(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->shutdown_wanted || c->state == CLOSED)
        return;
    c->shutdown_wanted = true;
    if (c->state == OPEN)
        defer_schedule(&c->work);
}

void connection_want_output(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    CHECK(c->ops->on_output);
    if (c->output_wanted)
        return;
    c->output_wanted = true;
    if (c->state == OPEN)
        defer_schedule(&c->work);
}

void connection_read_pause(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->pauses++;
    update_want(c);
}

void connection_read_resume(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    CHECK(c->pauses > 0);
    if (--c->pauses > 0)
        return;
    update_want(c);
    connection_reread(c);
}

bool connection_read_paused(const struct connection *c)
{
    return c->pauses > 0;
}

void connection_reread(struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    if (c->state != OPEN)
        return;
    if (c->in.len == 0 && !(c->read_eof && !c->eof_told) && !c->write_dead &&
        !transport_pending(c->transport))
        return;
    c->reread = true;
    defer_schedule(&c->work);
}

void connection_set_half_close(struct connection *c, bool enabled)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->half_close = enabled;
}

void connection_set_buffer_limit(struct connection *c, uint32_t limit)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->limit = c->read_limit = limit;
}

void connection_set_read_limit(struct connection *c, uint32_t limit)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    c->read_limit = limit;
}

void connection_close(struct connection *c, enum close_reason reason, enum close_how how,
                      uint64_t delay_ms)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    CHECK(reason != CLOSE_NONE);
    if (c->state == CLOSED)
        return;
    if (how == CLOSE_NOW || how == CLOSE_ABORT || c->state == CONNECTING || c->write_dead) {
        finish(c, c->reason != CLOSE_NONE ? c->reason : reason, how == CLOSE_ABORT);
        return;
    }
    if (c->state != OPEN)
        return;
    c->reason = reason;
    c->linger = how == CLOSE_FLUSH_DELAY && delay_ms > 0;
    c->delay_ms = delay_ms;
    if (!c->linger && c->out.len == 0) {
        finish(c, reason, false);
        return;
    }
    c->state = FLUSHING;
    if (delay_ms)
        timer_start(&c->timer, delay_ms);
    update_want(c);
    if (!c->write_blocked)
        defer_schedule(&c->work);
}

bool connection_is_open(const struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    return c->state == OPEN || c->state == CONNECTING;
}

bool connection_is_connected(const struct connection *c)
{
    CHECK_MAGIC(c, CONNECTION_MAGIC);
    return c->state == OPEN;
}

const char *connection_failure(const struct connection *c)
{
    return c->failure ? c->failure : "";
}

int connection_errno(const struct connection *c)
{
    return c->error;
}

struct bytes connection_protocol(const struct connection *c)
{
    return c->transport ? transport_protocol(c->transport) : BYTES_NONE;
}

const struct address *connection_ask_local(struct connection *c)
{
    if (c->transport && transport_fd(c->transport) >= 0) {
        struct address local = address_local(transport_fd(c->transport));
        c->local = address_unmap(&local);
    }
    return &c->local;
}

uint64_t connection_connect_ms(const struct connection *c)
{
    return c->times.done_us1 ? (c->times.done_us1 - 1) / 1000 : 0;
}
