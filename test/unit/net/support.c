#include "support.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/memory.h"

static void on_guard(struct timer *t)
{
    ck_abort_msg("timed out");
}

void fixture_init(struct fixture *f)
{
    struct error err = ERROR_INIT;

    f->loop = loop_new(&clock_real, &err);
    ck_assert_msg(f->loop != NULL, "%s", error_text(&err));
    f->pool = chunk_pool_new(NULL, 0);
    timer_init(&f->guard, f->loop, on_guard, f);
}

void fixture_fini(struct fixture *f)
{
    timer_stop(&f->guard);
    loop_turn(f->loop, false);
    loop_free(&f->loop);
    ck_assert_uint_eq(f->pool->live_chunks, 0);
    chunk_pool_free(&f->pool);
}

void settle_loop(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        loop_turn(f->loop, false);
}

static void on_connected(struct connection *c)
{
    struct peer *p = connection_owner(c);
    p->connected = true;
}

static void on_data(struct connection *c, struct buffer *in, bool end)
{
    struct peer *p = connection_owner(c);

    p->data_calls++;
    p->eof = p->eof || end;
    if (!p->hold) {
        for (const struct slice *s = in->head; s; s = s->next)
            strbuf_add(&p->got, s->data, s->len);
        if (p->echo)
            connection_write(c, in);
        else
            buffer_drain(in, in->len);
    }
    if (p->hook)
        p->hook(p);
}

static void on_high(struct connection *c)
{
    ((struct peer *)connection_owner(c))->high++;
}

static void on_low(struct connection *c)
{
    ((struct peer *)connection_owner(c))->low++;
}

static void on_flushed(struct connection *c)
{
    ((struct peer *)connection_owner(c))->flushed++;
}

static void on_close(struct connection *c, enum close_reason reason)
{
    struct peer *p = connection_owner(c);

    p->closed = true;
    p->closes++;
    p->reason = reason;
    p->error = connection_errno(c);
    snprintf(p->failure, sizeof(p->failure), "%s", connection_failure(c));
    p->conn = NULL;
}

const struct connection_ops peer_ops = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_high_watermark = on_high,
    .on_low_watermark = on_low,
    .on_flushed = on_flushed,
    .on_close = on_close,
};

void peer_fini(struct peer *p)
{
    strbuf_fini(&p->got);
}

void peer_write(struct peer *p, const char *text)
{
    connection_write_bytes(p->conn, bytes_of(text));
}

static char pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 1000) % 26);
}

void peer_write_n(struct peer *p, size_t n)
{
    char *data = mem_alloc(n);

    for (size_t i = 0; i < n; i++)
        data[i] = pattern(i);
    connection_write_bytes(p->conn, bytes_from(data, n));
    mem_free(data);
}

bool is_pattern(const struct strbuf *s)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->data[i] != pattern(i))
            return false;
    return true;
}

void socket_pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static struct tap *tap_of(struct transport *t)
{
    return CONTAINER_OF(t, struct tap, transport);
}

static ssize_t tap_read(struct transport *t, char *buf, size_t len)
{
    struct tap *p = tap_of(t);

    p->reads++;
    if (p->fail_read) {
        t->error = p->fail_read;
        return IO_ERROR;
    }
    ssize_t n = transport_read(p->inner, buf, p->max_read && len > p->max_read ? p->max_read : len);
    t->error = p->inner->error;
    return n;
}

static ssize_t tap_writev(struct transport *t, const struct iovec *iov, int n_iov)
{
    struct tap *p = tap_of(t);
    struct iovec first = iov[0];

    p->writes++;
    if (p->fail_write) {
        t->error = p->fail_write;
        return IO_ERROR;
    }
    if (p->max_write) {
        if (first.iov_len > p->max_write)
            first.iov_len = p->max_write;
        iov = &first;
        n_iov = 1;
    }
    ssize_t n = transport_writev(p->inner, iov, n_iov);
    t->error = p->inner->error;
    return n;
}

static ssize_t tap_handshake(struct transport *t)
{
    struct tap *p = tap_of(t);

    if (p->fail_handshake) {
        t->failure = "no luck";
        return IO_ERROR;
    }
    if (p->handshakes_left > 0) {
        p->handshakes_left--;
        transport_want(p->inner, IO_WRITE);
        return IO_AGAIN;
    }
    if (p->handshake_ns > 0) {
        uint64_t begin = clock_real.monotonic_ns(&clock_real);
        do
            p->handshake_end_ns = clock_real.monotonic_ns(&clock_real);
        while (p->handshake_end_ns - begin < p->handshake_ns);
        t->opened = true;
    }
    return transport_handshake(p->inner);
}

static void tap_want(struct transport *t, unsigned interest)
{
    tap_of(t)->wants++;
    transport_want(tap_of(t)->inner, interest);
}

static void tap_shutdown_write(struct transport *t)
{
    if (!tap_of(t)->stays_open)
        transport_shutdown_write(tap_of(t)->inner);
}

static void tap_close(struct transport *t, bool reset)
{
    transport_close(&tap_of(t)->inner, reset);
}

static struct bytes tap_protocol(const struct transport *t)
{
    return BYTES("tap/1");
}

static const struct transport_ops tap_ops = {
    .name = "tap",
    .read = tap_read,
    .writev = tap_writev,
    .handshake = tap_handshake,
    .want = tap_want,
    .shutdown_write = tap_shutdown_write,
    .close = tap_close,
    .protocol = tap_protocol,
};

static void tap_ready(void *ctx, unsigned events)
{
    struct tap *p = ctx;

    if (p->transport.ready)
        p->transport.ready(p->transport.ready_ctx, events);
}

struct transport *tap_init(struct tap *t, struct transport *inner)
{
    *t = (struct tap){.inner = inner};
    t->transport.ops = &tap_ops;
    t->transport.loop = inner->loop;
    transport_on_ready(inner, tap_ready, t);
    return &t->transport;
}
