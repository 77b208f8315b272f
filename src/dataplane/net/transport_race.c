#include "dataplane/net/transport_race.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/memory.h"

static bool prepare_socket(int fd, const struct address *to, const struct connect_options *opt)
{
    struct sockaddr_storage ss;
    socklen_t len;
    size_t failed;

    if (address_is_ip(to))
        (void)sock_option_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!opt)
        return true;
    if (opt->keepalive_probes || opt->keepalive_time_s || opt->keepalive_interval_s)
        (void)sock_option_keepalive(fd, opt->keepalive_probes, opt->keepalive_time_s,
                                    opt->keepalive_interval_s);
    if (!sock_options_set(fd, opt->options, opt->n_options, &failed))
        return false;
    if (!opt->source || !address_is_ip(opt->source) || !address_is_ip(to))
        return true;
    /* The port is chosen at connect time, so that many connections may share one */
    if (opt->source->port == 0)
        (void)sock_option_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    len = address_to_sockaddr(opt->source, &ss);
    return bind(fd, (struct sockaddr *)&ss, len) == 0;
}

/* A socket on its way; -1 with errno when it failed at once. */
static int begin_connect(const struct address *to, const struct connect_options *opt)
{
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(to, &ss);

    if (len == 0) {
        errno = EDESTADDRREQ;
        return -1;
    }
    int fd = socket(address_family(to), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (prepare_socket(fd, to, opt) &&
        (connect(fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS || errno == EINTR))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

struct transport *transport_connect(struct loop *loop, const struct address *to,
                                    const struct connect_options *opt)
{
    int fd = begin_connect(to, opt);
    if (fd < 0)
        return NULL;
    struct transport *t = transport_socket_new(loop, fd, true);
    if (opt && opt->wrap)
        t = opt->wrap(opt->wrap_ctx, t);
    if (!t)
        errno = 0;
    return t;
}

/* --- several --- */

struct race_way {
    struct transport_race *race;
    struct address to;
    struct transport *transport; /* NULL: not begun, or failed */
    bool ready;                  /* its handshake may go on */
};

struct transport_race {
    struct transport transport; /* first member */
    struct timer timer;         /* until the next is begun */
    struct connect_options options;
    struct address source;
    struct race_way *winner;
    unsigned n_live, n_begun, n;
    struct race_way ways[];
};

static struct transport_race *race_of(struct transport *t)
{
    return CONTAINER_OF(t, struct transport_race, transport);
}

static void on_way_ready(void *ctx, unsigned events)
{
    struct race_way *w = ctx;
    struct transport *t = &w->race->transport;
    w->ready = true;
    t->ready(t->ready_ctx, events); /* perhaps the end of the race */
}

/* False, and errno: none is left that does not fail at once. */
static bool begin_next(struct transport_race *r)
{
    timer_stop(&r->timer);
    while (r->n_begun < r->n) {
        struct race_way *w = &r->ways[r->n_begun++];
        if (r->n_begun > 1 && r->options.on_other)
            r->options.on_other(r->options.wrap_ctx);
        w->transport = transport_connect(r->transport.loop, &w->to, &r->options);
        if (!w->transport)
            continue;
        transport_on_ready(w->transport, on_way_ready, w);
        w->ready = true;
        r->n_live++;
        if (r->n_begun < r->n)
            timer_start(&r->timer, RACE_DELAY_MS);
        return true;
    }
    return false;
}

/* False: it was the last, and stays: its failure is that of the race. */
static bool goes_on_without(struct transport_race *r, struct race_way *w)
{
    begin_next(r);
    if (r->n_live == 1) {
        r->transport.error = w->transport->error;
        r->transport.failure = w->transport->failure;
        return false;
    }
    transport_close(&w->transport, false);
    r->n_live--;
    return true;
}

static ssize_t race_handshake(struct transport *t)
{
    struct transport_race *r = race_of(t);
    for (unsigned i = 0; i < r->n_begun; i++) {
        struct race_way *w = &r->ways[i];
        if (!w->transport || !w->ready)
            continue;
        w->ready = false;
        ssize_t n = transport_handshake(w->transport);
        t->opened |= w->transport->opened;
        if (n == 0) {
            r->winner = w;
            return 0;
        }
        if (n == IO_ERROR && !goes_on_without(r, w))
            return IO_ERROR;
    }
    return IO_AGAIN;
}

static void race_close(struct transport *t, bool reset)
{
    struct transport_race *r = race_of(t);
    timer_stop(&r->timer);
    for (unsigned i = 0; i < r->n; i++)
        transport_close(&r->ways[i].transport, reset);
    mem_free(r);
}

/* The rest is asked of the winner. */
static const struct transport_ops race_ops = {
    .name = "race", .handshake = race_handshake, .close = race_close};

static void on_timer(struct timer *timer)
{
    struct transport_race *r = timer->owner;
    if (begin_next(r))
        r->transport.ready(r->transport.ready_ctx, IO_WRITE);
}

/* One of each family by turns; the rest of the longer one ends it. */
static void take_addresses(struct transport_race *r, const struct address *to,
                           const struct connect_options *opt)
{
    unsigned next[2] = {0, 0}; /* of the family of `to`, and of others */
    r->ways[r->n++].to = *to;
    for (unsigned other = 1; r->n <= opt->n_others;) {
        unsigned i = next[other];
        while (i < opt->n_others && (opt->others[i].kind != to->kind) != other)
            i++;
        if (i < opt->n_others)
            r->ways[r->n++].to = opt->others[i];
        next[other] = i + 1;
        other = !other;
    }
}

struct transport *transport_race_new(struct loop *loop, const struct address *to,
                                     const struct connect_options *opt)
{
    struct transport_race *r = mem_zalloc(sizeof(*r) + (opt->n_others + 1) * sizeof(r->ways[0]));
    r->transport.ops = &race_ops;
    r->transport.loop = loop;
    r->options = *opt;
    if (opt->source) {
        r->source = *opt->source;
        r->options.source = &r->source;
    }
    timer_init(&r->timer, loop, on_timer, r);
    take_addresses(r, to, opt);
    for (unsigned i = 0; i < r->n; i++)
        r->ways[i].race = r;
    if (begin_next(r))
        return &r->transport;
    int error = errno;
    mem_free(r);
    errno = error;
    return NULL;
}

void transport_race_settle(struct transport **t, struct address *remote)
{
    if ((*t)->ops != &race_ops)
        return;
    struct transport_race *r = race_of(*t);
    struct transport *winner = r->winner->transport;
    transport_on_ready(winner, r->transport.ready, r->transport.ready_ctx);
    *remote = r->winner->to;
    r->winner->transport = NULL;
    race_close(*t, false);
    *t = winner;
}
