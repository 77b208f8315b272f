#include "main/listener_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "dataplane/net/listen_socket.h"

struct bound_socket {
    struct address address; /* as the kernel bound it */
    unsigned refs;
    uint64_t serial; /* 0: closed, nobody listens */
    bool inbound, warm, listens;
    bool failed; /* it was to listen and could not: somebody else does on this address */
    uint32_t backlog;
    int fds[]; /* one for each worker */
};

struct listener_registry {
    pthread_mutex_t lock;
    unsigned n_workers;
    uint64_t last_serial;
    bool closed, inbound_closed; /* drained: nothing is opened any more */
    bool serves;
    unsigned n_failed;  /* sockets */
    struct map sockets; /* key -> struct bound_socket * */
};

struct listener_registry *listener_registry_new(unsigned n_workers)
{
    struct listener_registry *r = NEW(struct listener_registry);
    pthread_mutex_init(&r->lock, NULL);
    r->n_workers = n_workers;
    return r;
}

static void socket_shut(struct listener_registry *r, struct bound_socket *s)
{
    for (unsigned i = 0; s->serial && i < r->n_workers; i++)
        close(s->fds[i]);
    if (s->serial && s->address.kind == ADDRESS_PIPE)
        listen_socket_unlink(&s->address);
    r->n_failed -= s->failed;
    s->failed = false;
    s->serial = 0;
}

static void socket_close(struct listener_registry *r, struct bound_socket *s)
{
    socket_shut(r, s);
    mem_free(s);
}

void listener_registry_close(struct listener_registry *r, bool inbound_only)
{
    size_t it = 0;
    struct bytes key;
    void *value;
    pthread_mutex_lock(&r->lock);
    r->inbound_closed = true;
    r->closed |= !inbound_only;
    while (map_next(&r->sockets, &it, &key, &value)) {
        struct bound_socket *s = value;
        if (r->closed || s->inbound)
            socket_shut(r, s);
    }
    pthread_mutex_unlock(&r->lock);
}

void listener_registry_free(struct listener_registry **rp)
{
    struct listener_registry *r = *rp;
    size_t it = 0;
    struct bytes key;
    void *s;
    *rp = NULL;
    if (!r)
        return;
    while (map_next(&r->sockets, &it, &key, &s))
        socket_close(r, s);
    map_fini(&r->sockets);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

static void add_number(struct strbuf *out, int64_t n)
{
    strbuf_printf(out, "%lld,", (long long)n);
}

/* All that a socket is given before it is bound: another one has another socket. The backlog can be
 * changed while it listens. */
static uint64_t options_hash(const struct listener *l, unsigned i)
{
    struct strbuf all = STRBUF_INIT;
    add_number(&all, l->enable_reuse_port);
    add_number(&all, l->addresses[i].ipv4_compat);
    add_number(&all, l->freebind);
    add_number(&all, l->transparent);
    add_number(&all, l->fast_open_queue);
    add_number(&all, l->keepalive);
    add_number(&all, l->keepalive_probes);
    add_number(&all, l->keepalive_time_s);
    add_number(&all, l->keepalive_interval_s);
    for (unsigned k = 0; k < l->n_socket_options; k++) {
        const struct socket_option *o = &l->socket_options[k];
        add_number(&all, o->level);
        add_number(&all, o->name);
        add_number(&all, o->is_int ? o->int_value : (int64_t)o->buf_value.len);
        if (!o->is_int)
            strbuf_add_bytes(&all, o->buf_value);
    }
    uint64_t hash = bytes_hash(strbuf_bytes(&all));
    strbuf_fini(&all);
    return hash;
}

void listener_registry_key(const struct listener *l, unsigned i, struct strbuf *out)
{
    char text[ADDRESS_TEXT_MAX];
    const struct address *a = &l->addresses[i].address;
    strbuf_add_str(out, address_format(a, text));
    strbuf_printf(out, "|%llx", (unsigned long long)options_hash(l, i));
    if (address_is_ip(a) && a->port == 0) /* the kernel's choice belongs to the listener */
        strbuf_printf(out, "|%u|%.*s", i, BYTES_ARG(l->name));
}

static struct sock_option int_option(int level, int name, int value)
{
    return (struct sock_option){.level = level, .name = name, .value = value};
}

/* The configured socket options and keep-alive, which accepted sockets inherit. */
static size_t options_of(const struct listener *l, struct sock_option *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < l->n_socket_options; i++) {
        const struct socket_option *o = &l->socket_options[i];
        out[n] = int_option(o->level, o->name, (int)o->int_value);
        if (!o->is_int) {
            out[n].data = o->buf_value.data;
            out[n].data_len = (uint32_t)o->buf_value.len;
        }
        n++;
    }
    if (l->keepalive)
        out[n++] = int_option(SOL_SOCKET, SO_KEEPALIVE, 1);
    if (l->keepalive && l->keepalive_probes)
        out[n++] = int_option(IPPROTO_TCP, TCP_KEEPCNT, (int)l->keepalive_probes);
    if (l->keepalive && l->keepalive_time_s)
        out[n++] = int_option(IPPROTO_TCP, TCP_KEEPIDLE, (int)l->keepalive_time_s);
    if (l->keepalive && l->keepalive_interval_s)
        out[n++] = int_option(IPPROTO_TCP, TCP_KEEPINTVL, (int)l->keepalive_interval_s);
    return n;
}

static struct bound_socket *open_sockets(struct listener_registry *r, const struct listener *l,
                                         unsigned i, struct error *err)
{
    const struct listen_address *a = &l->addresses[i];
    struct bound_socket *s = mem_zalloc(sizeof(*s) + r->n_workers * sizeof(s->fds[0]));
    s->inbound = l->direction == DIRECTION_INBOUND;
    s->address = a->address;
    if (r->closed || (r->inbound_closed && s->inbound))
        return s;
    struct sock_option *options = mem_zalloc((l->n_socket_options + 4) * sizeof(*options));
    struct listen_options o = {.address = a->address,
                               .reuse_port = l->enable_reuse_port,
                               .ipv4_compat = a->ipv4_compat,
                               .freebind = l->freebind,
                               .transparent = l->transparent,
                               .no_listen = true,
                               .fast_open =
                                   l->fast_open_queue > 0 ? (uint32_t)l->fast_open_queue : 0,
                               .pipe_mode = a->uds_mode,
                               .options = options};
    o.n_options = options_of(l, options);
    bool ok = listen_socket_open(&o, r->n_workers, s->fds, &s->address, err);
    mem_free(options);
    s->serial = ++r->last_serial;
    if (ok)
        return s;
    mem_free(s);
    return NULL;
}

/* With the lock held: lets go of the first n addresses. */
static void release_first(struct listener_registry *r, const struct listener *l, unsigned n)
{
    struct strbuf key = STRBUF_INIT;
    for (unsigned i = 0; i < n; i++) {
        strbuf_reset(&key);
        listener_registry_key(l, i, &key);
        struct bound_socket *s = map_get(&r->sockets, strbuf_bytes(&key));
        if (!s || --s->refs)
            continue;
        map_remove(&r->sockets, strbuf_bytes(&key));
        socket_close(r, s);
    }
    strbuf_fini(&key);
}

bool listener_registry_bind(struct listener_registry *r, const struct listener *l,
                            struct error *err)
{
    struct strbuf key = STRBUF_INIT;
    bool ok = true;
    unsigned i;
    pthread_mutex_lock(&r->lock);
    for (i = 0; ok && i < l->n_addresses; i++) {
        strbuf_reset(&key);
        listener_registry_key(l, i, &key);
        struct bound_socket *s = map_get(&r->sockets, strbuf_bytes(&key));
        if (!s && (s = open_sockets(r, l, i, err)))
            map_set(&r->sockets, strbuf_bytes(&key), s);
        ok = s != NULL;
        if (!s)
            continue;
        s->refs++;
        /* Of the newest version, also where the socket is an old one. */
        s->inbound = l->direction == DIRECTION_INBOUND;
    }
    if (!ok)
        release_first(r, l, i - 1);
    pthread_mutex_unlock(&r->lock);
    strbuf_fini(&key);
    return ok;
}

/* With the lock held. A failure is told once, and leaves its errno. */
static void start_listening(struct listener_registry *r, struct bound_socket *s, uint32_t backlog)
{
    struct error err = ERROR_INIT;
    char text[ADDRESS_TEXT_MAX];
    bool ok = true;
    for (unsigned i = 0; ok && i < r->n_workers; i++)
        ok = listen_socket_listen(s->fds[i], backlog, &err);
    int error = errno;
    if (!ok && !s->failed)
        LOG(LOG_CONN_HANDLER, LOG_ERROR, "%s: %s", address_format(&s->address, text),
            error_text(&err));
    if (ok && s->failed)
        LOG(LOG_CONN_HANDLER, LOG_INFO, "%s: listens now", address_format(&s->address, text));
    error_fini(&err);
    s->listens |= ok;
    r->n_failed -= s->failed;
    s->failed = !s->listens;
    r->n_failed += s->failed;
    errno = error;
}

enum listen_result listener_registry_listen(struct listener_registry *r, const struct listener *l)
{
    struct strbuf key = STRBUF_INIT;
    bool failed = false;
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < l->n_addresses; i++) {
        strbuf_reset(&key);
        listener_registry_key(l, i, &key);
        struct bound_socket *s = map_get(&r->sockets, strbuf_bytes(&key));
        if (!s || !s->serial)
            continue;
        if (r->serves && (!s->listens || s->backlog != l->backlog))
            start_listening(r, s, l->backlog);
        s->warm = true;
        s->backlog = l->backlog;
        failed |= s->failed;
    }
    bool serves = r->serves;
    pthread_mutex_unlock(&r->lock);
    strbuf_fini(&key);
    return !serves ? LISTEN_LATER : failed ? LISTEN_FAILED : LISTEN_DONE;
}

bool listener_registry_failed(struct listener_registry *r, const struct listener *l)
{
    struct strbuf key = STRBUF_INIT;
    bool failed = false;
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; r->n_failed && l->bind_to_port && i < l->n_addresses; i++) {
        strbuf_reset(&key);
        listener_registry_key(l, i, &key);
        const struct bound_socket *s = map_get(&r->sockets, strbuf_bytes(&key));
        failed |= s && s->failed;
    }
    pthread_mutex_unlock(&r->lock);
    strbuf_fini(&key);
    return failed;
}

unsigned listener_registry_n_failed(struct listener_registry *r)
{
    pthread_mutex_lock(&r->lock);
    unsigned n = r->n_failed;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void listener_registry_serve(struct listener_registry *r)
{
    size_t it = 0;
    struct bytes key;
    void *value;
    pthread_mutex_lock(&r->lock);
    r->serves = true;
    while (map_next(&r->sockets, &it, &key, &value)) {
        struct bound_socket *s = value;
        if (s->warm && s->serial && !s->listens)
            start_listening(r, s, s->backlog);
    }
    pthread_mutex_unlock(&r->lock);
}

void listener_registry_release(struct listener_registry *r, const struct listener *l)
{
    pthread_mutex_lock(&r->lock);
    release_first(r, l, l->n_addresses);
    pthread_mutex_unlock(&r->lock);
}

uint64_t listener_registry_serial(struct listener_registry *r, struct bytes key)
{
    pthread_mutex_lock(&r->lock);
    const struct bound_socket *s = map_get(&r->sockets, key);
    uint64_t serial = s ? s->serial : 0;
    pthread_mutex_unlock(&r->lock);
    return serial;
}

int listener_registry_take(struct listener_registry *r, struct bytes key, unsigned worker,
                           uint64_t *serial)
{
    pthread_mutex_lock(&r->lock);
    struct bound_socket *s = map_get(&r->sockets, key);
    if (s && s->failed)
        start_listening(r, s, s->backlog);
    int fd = s && s->serial && !s->failed ? fcntl(s->fds[worker], F_DUPFD_CLOEXEC, 3) : -1;
    *serial = s ? s->serial : 0;
    pthread_mutex_unlock(&r->lock);
    return fd;
}

bool listener_registry_bound(struct listener_registry *r, const struct listener *l, unsigned i,
                             struct address *out)
{
    struct strbuf key = STRBUF_INIT;
    listener_registry_key(l, i, &key);
    pthread_mutex_lock(&r->lock);
    const struct bound_socket *s = map_get(&r->sockets, strbuf_bytes(&key));
    if (s)
        *out = s->address;
    pthread_mutex_unlock(&r->lock);
    strbuf_fini(&key);
    return s != NULL;
}
