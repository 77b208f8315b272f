#include "main/dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/memory.h"
#include "config/config_source.h"
#include "config/snapshot.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/relay.h"
#include "dataplane/net/tls_context.h"
#include "dataplane/net/transport_tls.h"
#include "dataplane/upstream/cluster_manager.h"
#include "dataplane/upstream/server_name.h"
#include "main/dial_internal.h"
#include "main/post_call.h"

/* An open channel, counted as a connection of its cluster. */
struct channel {
    struct list link;
    struct loop *loop;
    struct dial_use use;
    struct dial_tls tls;
    struct relay *relay;
};

static void dial_free(void *a, void *b)
{
    struct dial *d = a;
    dial_target_free(&d->target);
    arena_free(&d->arena);
    mem_free(d);
}

/* Config thread. */
static void deliver(void *a, void *b)
{
    struct dial *d = a;
    if (!d->cancelled) {
        d->fn(d->arg, &d->result);
        dial_free(d, NULL);
    } else if (d->result.fd >= 0) {
        close(d->result.fd); /* the abort that is on its way frees the dial */
    }
}

void dial_finish(struct dial *d, int fd)
{
    d->result.fd = fd;
    d->result.error = d->error;
    list_remove(&d->link);
    post_call(d->dialer->config_loop, deliver, d, NULL);
}

static void on_relay_bytes(void *owner, unsigned from, uint64_t n)
{
    const struct channel *c = owner;
    if (from == 0)
        dial_use_received(&c->use, n);
    else
        dial_use_sent(&c->use, n);
}

static void drop_tls(struct dial_tls *t)
{
    tls_context_unref(&t->context);
    stat_scope_unref(&t->ssl_stats);
    stat_scope_unref(&t->tls_stats);
}

static void on_relay_end(void *owner, unsigned who, enum close_reason reason)
{
    struct channel *c = owner;
    dial_use_close(&c->use, who == 0, loop_now_ms(c->loop));
    list_remove(&c->link);
    drop_tls(&c->tls);
    mem_free(c);
}

static const struct relay_ops relay_ops = {on_relay_end, on_relay_bytes};

static const struct connection_ops local_ops;

/* The upstream connection stands: relay it to a socket pair, whose other end is the result. */
static void on_connected(struct connection *conn)
{
    struct dial *d = connection_owner(conn);
    struct worker *w = d->dialer->main_worker;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        snprintf(d->error, sizeof(d->error), "socketpair: %s", strerror(errno));
        d->tries_left = 0;
        connection_close(conn, CLOSE_CONNECT_FAILED, CLOSE_NOW, 0);
        return;
    }
    struct address none = {0};
    struct connection *local =
        connection_accept(w->loop, w->chunks, pair[0], &none, &local_ops, NULL);
    struct channel *c = NEW(struct channel);
    c->loop = w->loop;
    c->use = d->use;
    d->use = (struct dial_use){0};
    c->tls = d->tls;
    d->tls = (struct dial_tls){0};
    dial_use_serve(&c->use, connection_connect_ms(conn));
    list_push_back(&d->dialer->relays, &c->link);
    c->relay = relay_new(conn, local, 0, &relay_ops, c);
    d->conn = NULL;
    dial_finish(d, pair[1]);
}

static void try_next(struct dial *d);

static void on_close(struct connection *conn, enum close_reason reason)
{
    struct dial *d = connection_owner(conn);
    const char *why = connection_failure(conn);
    d->conn = NULL;
    drop_tls(&d->tls);
    dial_use_close(&d->use, reason != CLOSE_CONNECT_TIMEOUT && reason != CLOSE_SHUTDOWN,
                   loop_now_ms(d->dialer->main_worker->loop));
    if (!d->error[0] || *why)
        snprintf(d->error, sizeof(d->error), "connection to %.*s failed: %s", BYTES_ARG(d->cluster),
                 *why ? why : close_reason_name(reason));
    if (d->tries_left)
        try_next(d);
    else
        dial_finish(d, -1);
}

static void on_data(struct connection *conn, struct buffer *in, bool end)
{
    /* nothing is read before the relay has taken over */
}

static const struct connection_ops upstream_ops = {
    .on_connected = on_connected, .on_data = on_data, .on_close = on_close};
static void on_local_close(struct connection *conn, enum close_reason reason)
{
}
static const struct connection_ops local_ops = {.on_data = on_data, .on_close = on_local_close};

/* The cluster and its host may go while addresses are tried. */
static void take_tls(struct dial *d, const struct cluster_runtime *c, const struct host *host,
                     const struct upstream_socket *s)
{
    const struct cluster *config = c->entry->cluster;
    struct server_name asked = server_name_of_request(config, &d->head),
                       name = server_name_for_host(&asked, config, host);
    d->tls.name = (struct server_name){arena_dup(d->arena, name.send),
                                       arena_dup(d->arena, name.verify), name.verifies};
    d->tls.context = s->tls ? tls_context_ref(s->tls) : NULL;
    d->tls.ssl_stats = c->ssl_stats ? stat_scope_ref(c->ssl_stats) : NULL;
    d->tls.tls_stats = c->tls_stats ? stat_scope_ref(c->tls_stats) : NULL;
}

static void on_other(void *ctx)
{
    dial_use_other(&((struct dial *)ctx)->use);
}

/* The channel speaks HTTP/2, and servers may insist on hearing so. Its names are those that a
 * request with this head asks for. */
static struct transport *wrap_tls(void *ctx, struct transport *socket)
{
    static const struct bytes h2[] = {BYTES("h2")};
    const struct dial *d = ctx;
    const struct dial_tls *tls = &d->tls;
    struct tls_connect_options o = {.alpn_fallback = h2,
                                    .n_alpn_fallback = 1,
                                    .stats = tls->ssl_stats,
                                    .stat_slot = STAT_SLOT_MAIN};
    server_name_ask(&tls->name, &o);
    if (tls->context)
        return transport_tls_new(tls->context, socket, d->dialer->main_worker->chunks, &o);
    if (tls->tls_stats)
        stat_inc(tls->tls_stats, STAT_SLOT_MAIN, STAT_TLS_UPSTREAM_NOT_READY);
    transport_close(&socket, false);
    return NULL;
}

void dial_connect(struct dial *d, const struct address *to, const struct connect_options *o)
{
    struct worker *w = d->dialer->main_worker;
    d->conn = connection_connect(w->loop, w->chunks, to, o, &upstream_ops, d);
}

static void try_next(struct dial *d)
{
    if (d->target) {
        dial_target_next(d);
        return;
    }
    struct worker *w = d->dialer->main_worker;
    struct cluster_runtime *c = cluster_runtime_get(w, d->cluster);
    struct lb_query q = {0};
    const struct host *host = c ? cluster_runtime_pick(c, &q) : NULL;
    d->tries_left--;
    if (!host) {
        snprintf(d->error, sizeof(d->error),
                 c ? "no healthy host in cluster '%.*s'" : "unknown cluster '%.*s'",
                 BYTES_ARG(d->cluster));
        dial_finish(d, -1);
        return;
    }
    const struct cluster *config = c->entry->cluster;
    struct connect_options o = {.timeout_ms = config->connect_timeout_ms,
                                .source = config->has_bind_address ? &config->bind_address : NULL,
                                .keepalive_probes = config->keepalive_probes,
                                .keepalive_time_s = config->keepalive_time_s,
                                .keepalive_interval_s = config->keepalive_interval_s};
    const struct upstream_socket *s = host->socket ? &c->matches[host->socket - 1] : &c->socket;
    if (s->wants_tls) {
        take_tls(d, c, host, s);
        o.wrap = wrap_tls;
        o.wrap_failure = s->tls ? NULL : "TLS error: Secret is not supplied by SDS";
    }
    o.wrap_ctx = d;
    o.on_other = on_other;
    o.others = host_others(host, &o.n_others);
    d->result.keepalive_interval_ms = config->h2_keepalive_interval_ms;
    d->result.keepalive_timeout_ms = config->h2_keepalive_timeout_ms;
    dial_use_open(&d->use, c->entry->state->stats, host->state, loop_now_ms(w->loop));
    dial_connect(d, &host->address, &o);
}

/* Main. */
static void begin(void *a, void *b)
{
    struct dial *d = a;
    list_push_back(&d->dialer->dials, &d->link);
    if (d->error[0]) {
        dial_finish(d, -1);
        return;
    }
    if (d->target) {
        dial_target_next(d);
        return;
    }
    struct cluster_runtime *c = cluster_runtime_get(d->dialer->main_worker, d->cluster);
    if (!c) {
        snprintf(d->error, sizeof(d->error), "unknown cluster '%.*s'", BYTES_ARG(d->cluster));
        dial_finish(d, -1);
        return;
    }
    d->tries_left = c->entry->hosts->n_hosts ? c->entry->hosts->n_hosts : 1;
    try_next(d);
}

/* Main: whatever became of it, the config thread has lost interest. */
static void abort_dial(void *a, void *b)
{
    struct dial *d = a;
    struct loop *config = d->dialer->config_loop;
    if (d->target && d->target->query) {
        dial_target_cancel(d);
        dial_finish(d, -1);
    }
    if (d->conn) {
        d->tries_left = 0;
        connection_close(d->conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
        post_call(d->dialer->main_worker->loop, abort_dial, d, NULL); /* after on_close */
        return;
    }
    post_call(config, dial_free, d, NULL);
}

void dialer_init(struct dialer *d, struct worker *main_worker, struct loop *config_loop,
                 struct dns_driver *dns)
{
    d->dns = dns;
    d->main_worker = main_worker;
    d->config_loop = config_loop;
    list_init(&d->relays);
    list_init(&d->dials);
}

void dialer_close_channels(struct dialer *d)
{
    LIST_EACH(l, &d->relays)
    relay_close(LIST_ENTRY(l, struct channel, link)->relay, CLOSE_SHUTDOWN);
}

void dialer_fini(struct dialer *d)
{
    dialer_close_channels(d);
    LIST_EACH(l, &d->dials)
    {
        struct dial *x = LIST_ENTRY(l, struct dial, link);
        if (x->conn)
            connection_close(x->conn, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
        else
            dial_target_cancel(x);
    }
}

static void take_head(struct dial *d, const struct grpc_service *s)
{
    headers_init(&d->head, d->arena);
    headers_add_id(&d->head, HEADER_AUTHORITY, arena_dup(d->arena, grpc_service_authority(s)));
    for (unsigned i = 0; i < s->n_metadata; i++)
        headers_add(&d->head, arena_dup(d->arena, s->metadata_keys[i]),
                    arena_dup(d->arena, s->metadata_values[i]));
}

void *dialer_dial(struct dialer *dialer, const struct dial_request *q, dial_fn *fn, void *arg)
{
    struct dial *d = NEW(struct dial);
    d->dialer = dialer;
    d->arena = arena_new(0);
    d->cluster = arena_dup(d->arena, q->service->cluster_name);
    if (q->service->google)
        d->target = dial_target_new(q);
    else
        take_head(d, q->service);
    if (q->failure)
        snprintf(d->error, sizeof(d->error), "connection to %.*s failed: %s", BYTES_ARG(d->cluster),
                 q->failure);
    d->fn = fn;
    d->arg = arg;
    list_init(&d->link);
    post_call(dialer->main_worker->loop, begin, d, NULL);
    return d;
}

void dialer_cancel(struct dialer *dialer, void *dial)
{
    ((struct dial *)dial)->cancelled = true;
    post_call(dialer->main_worker->loop, abort_dial, dial, NULL);
}
