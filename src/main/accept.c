#include "main/accept.h"

#include <errno.h>
#include <unistd.h>

#include "base/memory.h"
#include "config/snapshot.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/http/stream_error.h"
#include "dataplane/net/conn_limit.h"
#include "dataplane/net/transport_tls.h"
#include "filters/listener/tls_inspector/fingerprint.h"

enum { READ_MAX = 4 }; /* reads of one event */

/* An accepted descriptor of which the first bytes are awaited. */
struct accepted {
    struct list link;
    struct accept_list *list;
    struct io_watch watch;
    struct timer timer;
    struct defer reap;
    struct bytes listener;         /* owned: its version may change while we wait */
    const struct listener *logged; /* pinned, to be told of one that is dropped; NULL: no logs */
    struct address local, remote;
    uint32_t address_id;
    uint64_t accepted_ns;
    struct stat_scope *stats;
    struct buffer in;
    struct client_hello hello;
    bool limited, continue_on_timeout, close_on_bad, gone;
};

enum inspector_stat {
#define X(id, name, kind) STAT_##id,
    TLS_INSPECTOR_STAT_LIST(X)
#undef X
};
#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc inspector_stats[] = {TLS_INSPECTOR_STAT_LIST(X)};
#undef X
static const struct stat_schema inspector_schema = {inspector_stats, ARRAY_SIZE(inspector_stats)};

/* --- the chain --- */

static void refuse(struct worker *w, int fd, bool limited)
{
    if (limited)
        conn_limit_give_back(w->connections);
    close(fd);
}

/* The transport of a chain over the socket; NULL: it cannot be, and the socket is closed. */
static struct transport *chain_transport(struct worker *w, const struct listener_entry *e,
                                         const struct chain_binding *b, int fd)
{
    struct transport *socket = transport_socket_new(w->loop, fd, false);
    struct tls_connect_options o = {.stats = e->ssl_stats, .stat_slot = w->slot};
    if (!b->chain->tls)
        return socket;
    if (b->tls)
        return transport_tls_new(b->tls->context, socket, w->chunks, &o);
    /* A secret is missing: whoever was let in now would not have been checked */
    if (e->tls_stats)
        stat_inc(e->tls_stats, w->slot, STAT_TLS_DOWNSTREAM_NOT_READY);
    transport_close(&socket, false);
    return NULL;
}

/* Of the hello that was read, as far as the listener wants them. */
static void tell_fingerprints(const struct listener_filters *f, const struct client_hello *h,
                              struct transport *t)
{
    char ja3[JA3_SIZE], ja4[JA4_SIZE];
    if (f->ja3)
        client_hello_ja3(h, ja3);
    if (f->ja4)
        client_hello_ja4(h, ja4);
    transport_tls_fingerprints(t, f->ja3 ? ja3 : NULL, f->ja4 ? ja4 : NULL);
}

static void log_no_chain(struct worker *w, const struct listener *l, const struct chain_query *q,
                         uint64_t accepted_ns)
{
    struct refused_connection r = {.local = q->local,
                                   .remote = q->remote,
                                   .server_name = q->server_name,
                                   .accepted_ns = accepted_ns,
                                   .flags = 1u << RESPONSE_FLAG_NO_ROUTE_FOUND,
                                   .details = "filter_chain_not_found"};
    if (l->n_access_logs)
        access_log_refused(w, l, &r);
}

/* a: what was read of it stands in a->in; NULL: nothing was. hello: NULL: it is none of TLS. */
static void connect_chain(struct worker *w, const struct listener_entry *e,
                          const struct chain_query *q, int fd, bool limited, struct accepted *a,
                          const struct client_hello *hello)
{
    struct chain_binding *b = listener_find_chain(e, q);
    struct buffer *early = a ? &a->in : NULL;
    if (!b || !b->manager) {
        stat_inc(e->stats, w->slot, STAT_LISTENER_NO_FILTER_CHAIN_MATCH); /* rule M16 */
        log_no_chain(w, e->listener, q, a ? a->accepted_ns : loop_now_ns(w->loop));
        refuse(w, fd, limited);
        return;
    }
    struct transport *t = chain_transport(w, e, b, fd);
    if (!t) {
        if (limited)
            conn_limit_give_back(w->connections);
        return;
    }
    if (hello && b->chain->tls)
        tell_fingerprints(&e->listener->filters, hello, t);
    if (early && b->chain->tls)
        transport_tls_prefill(t, early);
    struct http_conn *c = http_conn_accept_over(w, t, &q->remote, e, b);
    connection_set_local(c->connection, &q->local);
    c->address_id = q->address_id;
    if (early && early->len > 0)
        connection_prefill(c->connection, early);
}

/* --- waiting for the first bytes --- */

static void count(struct accepted *a, enum inspector_stat id)
{
    stat_inc(a->list->inspector, a->list->worker->slot, id);
}

static void on_reap(struct defer *d)
{
    struct accepted *a = d->owner;
    client_hello_fini(&a->hello);
    buffer_fini(&a->in);
    stat_scope_unref(&a->stats);
    if (a->logged)
        node_unpin((struct node *)(uintptr_t)&a->logged->node, a->list->worker->slot);
    mem_free((char *)(uintptr_t)a->listener.data);
    mem_free(a);
}

/* It waits no more; returns its descriptor, which is the caller's now. */
static int leave(struct accepted *a)
{
    int fd = a->watch.fd;
    a->gone = true;
    io_watch_stop(&a->watch);
    timer_stop(&a->timer);
    list_remove(&a->link);
    stat_add(a->stats, a->list->worker->slot, STAT_LISTENER_PRE_CX_ACTIVE, -1);
    defer_schedule(&a->reap);
    return fd;
}

static void drop(struct accepted *a)
{
    struct worker *w = a->list->worker;
    bool limited = a->limited;
    refuse(w, leave(a), limited);
}

/* The same, by its own doing or ours: told of. */
static void drop_logged(struct accepted *a)
{
    struct refused_connection r = {.local = a->local,
                                   .remote = a->remote,
                                   .server_name = a->hello.server_name,
                                   .accepted_ns = a->accepted_ns};
    if (a->logged)
        access_log_refused(a->list->worker, a->logged, &r);
    drop(a);
}

static void go_on(struct accepted *a, bool is_tls)
{
    struct worker *w = a->list->worker;
    const struct listener_entry *e =
        w->snapshot ? snapshot_listener(w->snapshot, a->listener) : NULL;
    if (!e) {
        drop(a);
        return;
    }
    int fd = leave(a);
    struct chain_query q = {.local = a->local,
                            .remote = a->remote,
                            .direct_remote = a->remote,
                            .address_id = a->address_id,
                            .server_name = a->hello.server_name,
                            .application_protocols = a->hello.protocols,
                            .n_application_protocols = a->hello.n_protocols,
                            .transport_protocol = is_tls ? BYTES("tls") : BYTES_NONE};
    connect_chain(w, e, &q, fd, a->limited, a, is_tls ? &a->hello : NULL);
}

static void inspected(struct accepted *a)
{
    const struct client_hello *h = &a->hello;
    count(a, STAT_TLS_FOUND);
    count(a, h->server_name.len ? STAT_SNI_FOUND : STAT_SNI_NOT_FOUND);
    count(a, h->n_protocols ? STAT_ALPN_FOUND : STAT_ALPN_NOT_FOUND);
    stat_record(a->list->inspector, a->list->worker->slot, STAT_BYTES_PROCESSED, a->in.len);
    go_on(a, true);
}

static void look(struct accepted *a)
{
    switch (client_hello_read(&a->hello, &a->in)) {
    case HELLO_MORE:
        break;
    case HELLO_TLS:
        inspected(a);
        break;
    case HELLO_NOT_TLS:
        count(a, STAT_TLS_NOT_FOUND);
        if (a->close_on_bad)
            drop_logged(a);
        else
            go_on(a, false);
        break;
    case HELLO_TOO_LARGE:
        count(a, STAT_CLIENT_HELLO_TOO_LARGE);
        drop_logged(a);
        break;
    }
}

/* False: nothing more now. */
static bool read_once(struct accepted *a)
{
    size_t room;
    char *space = buffer_reserve(&a->in, &room);
    ssize_t n = -1;
    if (space) {
        do
            n = read(a->watch.fd, space, room);
        while (n < 0 && errno == EINTR);
        buffer_commit(&a->in, n > 0 ? (size_t)n : 0);
    }
    if (space && n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        stat_inc(a->stats, a->list->worker->slot,
                 n == 0 ? STAT_LISTENER_LISTENER_FILTER_REMOTE_CLOSE
                        : STAT_LISTENER_LISTENER_FILTER_ERROR);
        drop_logged(a);
        return false;
    }
    look(a);
    return !a->gone && (size_t)n == room;
}

static void on_readable(struct io_watch *watch, unsigned events)
{
    struct accepted *a = watch->owner;
    (void)events;
    for (unsigned i = 0; i < READ_MAX && read_once(a); i++)
        continue;
}

static void on_timeout(struct timer *t)
{
    struct accepted *a = t->owner;
    stat_inc(a->stats, a->list->worker->slot, STAT_LISTENER_PRE_CX_TIMEOUT);
    if (a->continue_on_timeout)
        go_on(a, false);
    else
        drop_logged(a);
}

static void wait_for_hello(struct accept_list *l, const struct listener_entry *e, int fd,
                           const struct chain_query *q, bool limited)
{
    const struct listener_filters *f = &e->listener->filters;
    struct accepted *a = NEW(struct accepted);
    char *name = mem_alloc(e->listener->name.len + 1);
    memcpy(name, e->listener->name.data, e->listener->name.len);
    if (!l->inspector)
        l->inspector = stat_scope_get(l->worker->stats, BYTES("tls_inspector"), &inspector_schema);
    a->list = l;
    a->listener = bytes_from(name, e->listener->name.len);
    a->local = q->local;
    a->remote = q->remote;
    a->address_id = q->address_id;
    a->accepted_ns = loop_now_ns(l->worker->loop);
    a->logged = e->listener->n_access_logs ? e->listener : NULL;
    if (a->logged)
        node_pin((struct node *)(uintptr_t)&a->logged->node, l->worker->slot);
    a->limited = limited;
    a->stats = stat_scope_ref(e->stats);
    a->continue_on_timeout = f->continue_on_timeout;
    a->close_on_bad = f->close_on_bad_hello;
    client_hello_init(&a->hello, f->max_client_hello);
    buffer_init(&a->in, l->worker->chunks);
    defer_init(&a->reap, l->worker->loop, DEFER_REAP, on_reap, a);
    timer_init(&a->timer, l->worker->loop, on_timeout, a);
    if (f->timeout_ms)
        timer_start(&a->timer, f->timeout_ms);
    io_watch_init(&a->watch, l->worker->loop, fd, on_readable, a);
    io_watch_set(&a->watch, IO_READ);
    list_push_back(&l->waiting, &a->link);
    stat_add(a->stats, l->worker->slot, STAT_LISTENER_PRE_CX_ACTIVE, 1);
    on_readable(&a->watch, IO_READ); /* with TCP Fast Open or luck it is there */
}

/* --- entry --- */

/* The gauge is what all workers hold; two that accept at once may both pass, as in Envoy. */
static bool at_connection_limit(const struct listener_entry *e)
{
    uint64_t limit = e->listener->connection_limit;
    if (LIKELY(limit == UINT64_MAX))
        return false;
    int64_t active = stat_read(e->stats, STAT_LISTENER_CX_ACTIVE, &(bool){false});
    return active >= 0 && (uint64_t)active >= limit;
}

void accept_begin(struct accept_list *l, const struct listener_entry *e, uint32_t address_id,
                  int fd, const struct address *local, const struct address *remote)
{
    struct worker *w = l->worker;
    if (at_connection_limit(e)) {
        stat_inc(e->stats, w->slot, STAT_LISTENER_CX_OVERFLOW);
        close(fd);
        return;
    }
    bool limited = http_conn_limited(w, e);
    if (limited && !conn_limit_take(w->connections)) {
        stat_inc(e->stats, w->slot, STAT_LISTENER_GLOBAL_CX_OVERFLOW);
        close(fd);
        return;
    }
    struct chain_query q = {
        .local = *local, .remote = *remote, .direct_remote = *remote, .address_id = address_id};
    if (listener_filters_inspect(&e->listener->filters, q.local.port))
        wait_for_hello(l, e, fd, &q, limited);
    else
        connect_chain(w, e, &q, fd, limited, NULL, NULL);
}

void accept_list_init(struct accept_list *l, struct worker *w)
{
    *l = (struct accept_list){.worker = w};
    list_init(&l->waiting);
}

void accept_list_fini(struct accept_list *l)
{
    LIST_EACH(it, &l->waiting)
    drop(LIST_ENTRY(it, struct accepted, link));
    stat_scope_unref(&l->inspector);
}
