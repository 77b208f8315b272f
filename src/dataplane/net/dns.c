#include "dataplane/net/dns.h"

#include <ares.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "base/memory.h"

enum { NAME_MAX_LEN = 255, TIMEOUT_DEFAULT_MS = 5000, TRIES_DEFAULT = 4, ADDRESSES_MAX = 4096 };

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc dns_stats[] = {DNS_STAT_LIST(X)};
#undef X
const struct stat_schema dns_stat_schema = {dns_stats, ARRAY_SIZE(dns_stats)};

/* A socket of c-ares, watched as it asks for. */
struct dns_socket {
    struct list link;
    struct dns_resolver *resolver;
    struct io_watch watch;
    struct defer reap;
};

struct dns_resolver {
    struct loop *loop;
    ares_channel channel;
    struct timer timer; /* the next time-out inside c-ares */
    struct list sockets, queries;
    struct dns_options options;
    struct ares_addr_port_node *servers;
    unsigned in_flight; /* asked of c-ares and not answered */
    bool dirty;         /* its servers failed: to be opened anew before the next query */
    uint64_t opened_ns;
    struct stat_scope *stats; /* or NULL */
    bool closing;
};

struct dns_query {
    struct list link;
    struct dns_resolver *resolver;
    struct defer answer;
    dns_fn *fn;
    void *ctx;
    enum dns_lookup_family family;
    uint16_t port;
    bool in_flight, fell_back;
    bool no_ipv4, no_ipv6; /* no interface has such an address, and that counts */
    bool cancelled;        /* in no list; freed when c-ares lets go */
    enum dns_status status;
    char error[192];
    struct address *addresses;
    size_t count, cap;
    uint32_t ttl_s;
    char name[NAME_MAX_LEN + 1];
};

static void count(struct dns_resolver *r, enum dns_stat id, int n)
{
    if (r->stats)
        stat_add(r->stats, STAT_SLOT_MAIN, id, n);
}

void dns_resolver_set_stats(struct dns_resolver *r, struct stat_scope *stats)
{
    stat_scope_unref(&r->stats);
    r->stats = stat_scope_ref(stats);
}

/* --- c-ares on the loop --- */

static void set_timer(struct dns_resolver *r)
{
    struct timeval tv;

    if (r->in_flight > 0 && ares_timeout(r->channel, NULL, &tv))
        timer_start(&r->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
    else
        timer_stop(&r->timer);
}

static void on_timer(struct timer *t)
{
    struct dns_resolver *r = t->owner;

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_io(struct io_watch *w, unsigned events)
{
    struct dns_socket *s = w->owner;
    struct dns_resolver *r = s->resolver;

    ares_process_fd(r->channel, events & IO_READ ? w->fd : ARES_SOCKET_BAD,
                    events & IO_WRITE ? w->fd : ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_socket_reap(struct defer *d)
{
    mem_free(d->owner);
}

static struct dns_socket *find_socket(struct dns_resolver *r, int fd)
{
    LIST_EACH(it, &r->sockets)
    {
        struct dns_socket *s = LIST_ENTRY(it, struct dns_socket, link);
        if (s->watch.fd == fd)
            return s;
    }
    return NULL;
}

static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns_resolver *r = ctx;
    struct dns_socket *s = find_socket(r, fd);

    if (!readable && !writable) {
        if (!s)
            return;
        io_watch_stop(&s->watch);
        list_remove(&s->link);
        defer_schedule(&s->reap); /* this may be its own event */
        return;
    }
    if (!s) {
        s = NEW(struct dns_socket);
        s->resolver = r;
        list_push_back(&r->sockets, &s->link);
        io_watch_init(&s->watch, r->loop, fd, on_io, s);
        defer_init(&s->reap, r->loop, DEFER_REAP, on_socket_reap, s);
    }
    io_watch_set(&s->watch, (readable ? IO_READ : 0u) | (writable ? IO_WRITE : 0u));
}

/* Does resolv.conf name a server other than this machine? c-ares falls back to 127.0.0.1 itself. */
static bool has_other_servers(ares_channel channel)
{
    struct ares_addr_port_node *list = NULL;
    bool other = ares_get_servers_ports(channel, &list) == ARES_SUCCESS && list &&
                 (list->next || list->family != AF_INET ||
                  list->addr.addr4.s_addr != htonl(INADDR_LOOPBACK));

    ares_free_data(list);
    return other;
}

/* c-ares doubles the wait at each try and adds some chance, in an int: no more tries than fit. The
 * last that fits waits for a day. */
static int tries_of(const struct dns_options *o, int timeout_ms)
{
    unsigned wanted = o->tries ? o->tries : TRIES_DEFAULT, tries = 1;
    const int64_t chance = 16;

    for (int64_t wait = timeout_ms; tries < wanted && 2 * wait * chance < INT_MAX; wait *= 2)
        tries++;
    return (int)tries;
}

static bool open_channel(struct dns_resolver *r, struct error *err)
{
    int timeout_ms = (int)(r->options.timeout_ms ? r->options.timeout_ms : TIMEOUT_DEFAULT_MS);
    char lookups[] = "b";
    struct ares_options o = {
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
        .timeout = timeout_ms,
        .tries = tries_of(&r->options, timeout_ms),
        .lookups = lookups,
        .ednspsz = (int)r->options.edns_size,
    };
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS;

    if (r->options.use_tcp)
        o.flags |= ARES_FLAG_USEVC;
    if (r->options.no_search)
        o.flags |= ARES_FLAG_NOSEARCH;
    if (r->options.edns_size) {
        o.flags |= ARES_FLAG_EDNS;
        mask |= ARES_OPT_EDNSPSZ;
    }
    if (r->options.rotate)
        mask |= ARES_OPT_ROTATE;
    if (r->options.no_hosts_file)
        mask |= ARES_OPT_LOOKUPS;
    r->opened_ns = loop_now_ns(r->loop);
    int status = ares_init_options(&r->channel, &o, mask);
    if (status != ARES_SUCCESS) {
        r->channel = NULL;
        return error_set(err, "cannot start the DNS resolver: %s", ares_strerror(status));
    }
    if (r->servers && !(r->options.servers_are_fallback && has_other_servers(r->channel)))
        status = ares_set_servers_ports(r->channel, r->servers);
    if (status == ARES_SUCCESS)
        return true;
    ares_destroy(r->channel);
    r->channel = NULL;
    return error_set(err, "cannot set the DNS servers: %s", ares_strerror(status));
}

static bool copy_servers(struct dns_resolver *r, struct error *err)
{
    const struct dns_options *o = &r->options;

    if (o->n_servers == 0)
        return true;
    r->servers = mem_zalloc(o->n_servers * sizeof(*r->servers));
    for (size_t i = 0; i < o->n_servers; i++) {
        const struct address *a = &o->servers[i];
        struct ares_addr_port_node *n = &r->servers[i];
        char text[ADDRESS_TEXT_MAX];
        if (!address_is_ip(a))
            return error_set(err, "DNS server '%s' is not an IP address", address_format(a, text));
        n->family = address_family(a);
        n->udp_port = n->tcp_port = a->port ? a->port : 53;
        memcpy(&n->addr, a->ip, a->kind == ADDRESS_IPV4 ? 4 : 16);
        n->next = i + 1 < o->n_servers ? n + 1 : NULL;
    }
    return true;
}

struct dns_resolver *dns_resolver_new(struct loop *loop, const struct dns_options *opt,
                                      struct error *err)
{
    struct dns_resolver *r = NEW(struct dns_resolver);

    r->loop = loop;
    list_init(&r->sockets);
    list_init(&r->queries);
    timer_init(&r->timer, loop, on_timer, r);
    if (opt)
        r->options = *opt;
    bool ok = copy_servers(r, err) && open_channel(r, err);
    r->options.servers = NULL; /* the caller's */
    r->options.key = BYTES_NONE;
    if (!ok)
        dns_resolver_free(&r);
    return r;
}

/* --- queries --- */

static void free_query(struct dns_query *q)
{
    defer_cancel(&q->answer);
    list_remove(&q->link);
    mem_free(q->addresses);
    mem_free(q);
}

void dns_resolver_free(struct dns_resolver **resolver)
{
    struct dns_resolver *r = *resolver;

    *resolver = NULL;
    if (!r)
        return;
    r->closing = true;
    if (r->channel)
        ares_destroy(r->channel);
    LIST_EACH(it, &r->queries)
    {
        free_query(LIST_ENTRY(it, struct dns_query, link));
    }
    timer_stop(&r->timer);
    stat_scope_unref(&r->stats);
    mem_free(r->servers);
    mem_free(r);
}

static void on_answer(struct defer *d)
{
    struct dns_query *q = d->owner;
    struct dns_answer result = {
        .status = q->status,
        .error = q->status == DNS_OK ? NULL : q->error,
        .addresses = q->addresses,
        .count = q->count,
        .ttl_s = q->count ? q->ttl_s : 0,
    };
    dns_fn *fn = q->fn;
    void *ctx = q->ctx;
    struct address *addresses = q->addresses;
    char error[sizeof(q->error)];

    memcpy(error, q->error, sizeof(error));
    if (result.error)
        result.error = error;
    q->addresses = NULL;
    free_query(q);
    fn(ctx, &result);
    mem_free(addresses);
}

static void finish_query(struct dns_query *q, enum dns_status status, const char *why)
{
    q->status = status;
    if (status != DNS_OK)
        snprintf(q->error, sizeof(q->error), "cannot resolve '%.120s': %s", q->name, why);
    defer_schedule(&q->answer);
}

static void add_address(struct dns_query *q, const struct address *a, uint32_t ttl_s)
{
    for (size_t i = 0; i < q->count; i++)
        if (address_eq(&q->addresses[i], a))
            return;
    if (q->count == ADDRESSES_MAX)
        return;
    GROW(q->addresses, q->cap, q->count + 1);
    q->addresses[q->count++] = *a;
    if (q->count == 1 || ttl_s < q->ttl_s)
        q->ttl_s = ttl_s;
}

static void ask(struct dns_query *q);

/* AUTO and V4_PREFERRED ask for the other kind when the first has no address. */
static bool fall_back(struct dns_query *q)
{
    if (q->fell_back || (q->family != DNS_AUTO && q->family != DNS_V4_PREFERRED))
        return false;
    q->fell_back = true;
    ask(q);
    return true;
}

/* One name and family: how it ended. */
static void count_answer(struct dns_resolver *r, int status, int timeouts)
{
    bool silent = status == ARES_ETIMEOUT;
    count(r, STAT_DNS_TIMEOUTS, timeouts);
    if (status == ARES_ENODATA || status == ARES_ENOTFOUND)
        count(r, STAT_DNS_NOT_FOUND, 1);
    else if (status != ARES_SUCCESS && !silent)
        count(r, STAT_DNS_GET_ADDR_FAILURE, 1);
    if (status == ARES_ECONNREFUSED || (silent && r->options.reopen_on_timeout)) {
        count(r, STAT_DNS_REINITS, !r->dirty);
        r->dirty = true;
    }
}

static void on_ares(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    struct dns_query *q = ctx;
    struct dns_resolver *r = q->resolver;

    q->in_flight = false;
    r->in_flight--;
    count(r, STAT_DNS_PENDING_RESOLUTIONS, -1);
    if (q->cancelled || r->closing) {
        if (info)
            ares_freeaddrinfo(info);
        free_query(q);
        return;
    }
    count_answer(r, status, timeouts);
    for (struct ares_addrinfo_node *n = info ? info->nodes : NULL; n; n = n->ai_next) {
        struct address a = address_from_sockaddr(n->ai_addr, (socklen_t)n->ai_addrlen);
        a.port = q->port;
        bool unroutable = a.kind == ADDRESS_IPV4 ? q->no_ipv4 : q->no_ipv6;
        if (address_is_ip(&a) && !unroutable)
            add_address(q, &a, n->ai_ttl > 0 ? (uint32_t)n->ai_ttl : 0);
    }
    if (info)
        ares_freeaddrinfo(info);
    if (q->count > 0)
        finish_query(q, DNS_OK, NULL);
    else if (fall_back(q))
        return;
    else if (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND)
        finish_query(q, DNS_EMPTY, status == ARES_ENOTFOUND ? "no such name" : "no address");
    else
        finish_query(q, DNS_FAILED, ares_strerror(status));
}

static int family_of(const struct dns_query *q)
{
    switch (q->family) {
    case DNS_AUTO:
        return q->fell_back ? AF_INET : AF_INET6;
    case DNS_V4_PREFERRED:
        return q->fell_back ? AF_INET6 : AF_INET;
    case DNS_V4_ONLY:
        return AF_INET;
    case DNS_V6_ONLY:
        return AF_INET6;
    case DNS_ALL:
        break;
    }
    return AF_UNSPEC;
}

/* Which families have an address on some interface that is not the loopback. */
static void find_families(struct dns_query *q)
{
    struct ifaddrs *list = NULL;

    if (getifaddrs(&list) < 0)
        return;
    q->no_ipv4 = q->no_ipv6 = true;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            q->no_ipv4 = false;
        if (i->ifa_addr->sa_family == AF_INET6)
            q->no_ipv6 = false;
    }
    freeifaddrs(list);
}

static void ask(struct dns_query *q)
{
    int family = family_of(q);
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT,
        .ai_family = family,
        .ai_socktype = SOCK_STREAM,
    };

    if (family == AF_UNSPEC ? q->no_ipv4 && q->no_ipv6
        : family == AF_INET ? q->no_ipv4
                            : q->no_ipv6) {
        if (!fall_back(q))
            finish_query(q, DNS_FAILED, "no interface has an address of that family");
        return;
    }
    q->in_flight = true;
    q->resolver->in_flight++;
    count(q->resolver, STAT_DNS_RESOLVE_TOTAL, 1);
    count(q->resolver, STAT_DNS_PENDING_RESOLUTIONS, 1);
    ares_getaddrinfo(q->resolver->channel, q->name, NULL, &hints, on_ares, q);
}

static bool is_old(const struct dns_resolver *r)
{
    uint64_t max = r->options.max_age_ms;
    return max && loop_now_ns(r->loop) - r->opened_ns >= max * NS_PER_MS;
}

/* After its servers refused, or in time, c-ares is started anew, so that a changed resolv.conf is
 * seen. It stays closed while that fails: each query tries. */
static bool refresh(struct dns_resolver *r, struct error *err)
{
    if (r->channel && (r->in_flight > 0 || (!r->dirty && !is_old(r))))
        return true;
    if (!r->dirty)
        count(r, STAT_DNS_REINITS, 1); /* or it was counted when it became due */
    r->dirty = false;
    if (r->channel)
        ares_destroy(r->channel);
    return open_channel(r, err);
}

struct dns_query *dns_resolve(struct dns_resolver *r, struct bytes name, uint16_t port,
                              enum dns_lookup_family family, dns_fn *fn, void *ctx)
{
    struct dns_query *q = NEW(struct dns_query);
    struct error err = ERROR_INIT;
    struct address literal;

    q->resolver = r;
    q->fn = fn;
    q->ctx = ctx;
    q->family = family;
    q->port = port;
    defer_init(&q->answer, r->loop, DEFER_FLUSH, on_answer, q);
    list_push_back(&r->queries, &q->link);
    memcpy(q->name, name.data, name.len < NAME_MAX_LEN ? name.len : NAME_MAX_LEN);
    if (name.len == 0 || name.len > NAME_MAX_LEN || memchr(name.data, '\0', name.len)) {
        finish_query(q, DNS_FAILED, "not a domain name");
    } else if (address_parse_ip(name, port, &literal)) {
        add_address(q, &literal, 0);
        finish_query(q, DNS_OK, NULL);
    } else if (!refresh(r, &err)) {
        finish_query(q, DNS_FAILED, error_text(&err));
    } else {
        if (r->options.filter_unroutable)
            find_families(q);
        ask(q);
        set_timer(r);
    }
    error_fini(&err);
    return q;
}

void dns_cancel(struct dns_query **query)
{
    struct dns_query *q = *query;

    *query = NULL;
    if (!q)
        return;
    if (!q->in_flight) {
        free_query(q);
        return;
    }
    q->cancelled = true;
    list_remove(&q->link);
}
