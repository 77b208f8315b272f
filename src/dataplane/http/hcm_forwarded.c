#include <ifaddrs.h>
#include <netinet/in.h>
#include <pthread.h>

#include "dataplane/http/stream_internal.h"

/* Who is the client, and may it be trusted: x-forwarded-for, -proto, -port and the headers that
 * only a trusted hop may send. */

static char own_address[ADDRESS_TEXT_MAX];
static pthread_once_t own_address_once = PTHREAD_ONCE_INIT;

/* The machine's first address that is not loopback: what Envoy shows for a loopback client. */
static void find_own_address(void)
{
    struct ifaddrs *all, *i;
    strcpy(own_address, "127.0.0.1");
    if (getifaddrs(&all) != 0)
        return;
    for (i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct address a = address_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_in));
        if (!address_is_loopback(&a)) {
            address_format_ip(&a, own_address);
            break;
        }
    }
    freeifaddrs(all);
}

static struct bytes ip_text(struct stream *s, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    return arena_dup(s->arena, bytes_of(address_format_ip(a, text)));
}

static void append(struct stream *s, enum header_id id, const char *separator, struct bytes value)
{
    struct headers *h = &s->request_headers;
    struct bytes old = headers_get_all_id(h, id);
    if (old.len)
        value = bytes_of(
            arena_printf(s->arena, "%.*s%s%.*s", BYTES_ARG(old), separator, BYTES_ARG(value)));
    headers_set_id(h, id, value);
}

static void append_forwarded_for(struct stream *s, const struct address *peer)
{
    struct bytes text;
    if (!address_is_ip(peer))
        return;
    if (address_is_loopback(peer)) {
        pthread_once(&own_address_once, find_own_address);
        text = bytes_of(own_address);
    } else {
        text = ip_text(s, peer);
    }
    append(s, HEADER_X_FORWARDED_FOR, ",", text);
}

/* The address `skip` places from the right. *single: it is the only one. */
static bool from_forwarded_for(struct stream *s, unsigned skip, struct address *out, bool *single)
{
    *single = false;
    struct bytes all = headers_get_all_id(&s->request_headers, HEADER_X_FORWARDED_FOR);
    if (!all.len)
        return false;
    struct bytes left = all;
    ptrdiff_t comma;
    for (unsigned i = 0; i < skip; i++) {
        comma = bytes_rfind_char(left, ',');
        if (comma < 0)
            return false;
        left = bytes_first(left, (size_t)comma);
    }
    comma = bytes_rfind_char(left, ',');
    struct bytes last = comma < 0 ? left : bytes_skip(left, (size_t)comma + 1);
    *single = bytes_find_char(all, ',') < 0;
    return address_parse_ip(bytes_trim(last), 0, out);
}

static bool is_internal_address(const struct http_manager *m, const struct address *a)
{
    if (!address_is_ip(a))
        return m->internal_unix_sockets;
    for (unsigned i = 0; i < m->n_internal_prefixes; i++) {
        if (address_prefix_contains(&m->internal_prefixes[i], a))
            return true;
    }
    return false;
}

/* From outside these must not reach the origin, nor steer the router. */
static void clean_external(struct stream *s, bool edge)
{
    static const struct bytes always[] = {
#define H(name) {name, sizeof(name) - 1}
        H("x-envoy-retriable-status-codes"),
        H("x-envoy-retriable-header-names"),
        H("x-envoy-retry-on"),
        H("x-envoy-retry-grpc-on"),
        H("x-envoy-max-retries"),
        H("x-envoy-upstream-alt-stat-name"),
        H("x-envoy-upstream-rq-timeout-ms"),
        H("x-envoy-upstream-rq-per-try-timeout-ms"),
        H("x-envoy-upstream-rq-timeout-alt-response"),
        H("x-envoy-expected-rq-timeout-ms"),
        H("x-envoy-force-trace"),
        H("x-envoy-ip-tags"),
        H("x-envoy-original-url"),
        H("x-envoy-upstream-stream-duration-ms"),
        H("x-envoy-hedge-on-per-try-timeout"),
    };
    static const struct bytes at_edge[] = {
        H("x-envoy-decorator-operation"),     H("x-envoy-downstream-service-cluster"),
        H("x-envoy-downstream-service-node"), H("x-envoy-original-path"),
        H("x-envoy-original-host"),
#undef H
    };
    struct headers *h = &s->request_headers;
    bool any = false;
    for (const struct header *e = h->entries; e < headers_end(h) && !any; e++)
        any = bytes_starts_with(e->name, BYTES("x-envoy-"));
    for (size_t i = 0; any && i < ARRAY_SIZE(always); i++)
        headers_remove(h, always[i]);
    for (size_t i = 0; any && edge && i < ARRAY_SIZE(at_edge); i++)
        headers_remove(h, at_edge[i]);
    for (unsigned i = 0; s->routes && i < s->routes->n_internal_only_headers; i++)
        headers_remove(h, s->routes->internal_only_headers[i]);
}

static struct bytes transport_scheme(const struct stream *s)
{
    return s->conn->tls ? BYTES("https") : BYTES("http");
}

/* The port that the client came to; what it says of it itself counts where it is trusted. */
static void forwarded_port(struct stream *s, bool trusted)
{
    struct headers *h = &s->request_headers;
    if (!s->manager->append_x_forwarded_port ||
        (trusted && headers_has(h, HEADER_X_FORWARDED_PORT)))
        return;
    const struct address *local = connection_local(s->conn->connection);
    if (!address_is_ip(local))
        return;
    headers_set_id(h, HEADER_X_FORWARDED_PORT, arena_u64(s->arena, local->port));
}

/* What the client said (an absolute target) stays; the rest goes by the last proxy's word. */
static void set_scheme(struct stream *s)
{
    struct headers *h = &s->request_headers;
    if (headers_has(h, HEADER_SCHEME))
        return;
    struct bytes proto = headers_get(h, HEADER_X_FORWARDED_PROTO);
    if (bytes_eq_nocase(proto, BYTES("https")))
        headers_set_id(h, HEADER_SCHEME, BYTES("https"));
    else if (bytes_eq_nocase(proto, BYTES("http")))
        headers_set_id(h, HEADER_SCHEME, BYTES("http"));
    else
        headers_set_id(h, HEADER_SCHEME, transport_scheme(s));
}

/* Nobody has told which scheme the client used. */
static void no_proxy_before(struct stream *s)
{
    struct headers *h = &s->request_headers;
    if (!headers_has(h, HEADER_SCHEME))
        headers_add_id(h, HEADER_SCHEME, transport_scheme(s));
    headers_add_id(h, HEADER_X_FORWARDED_PROTO, transport_scheme(s));
}

/* add_user_agent: whose proxy this is, for the next one. */
static void add_user_agent(struct stream *s)
{
    struct headers *h = &s->request_headers;
    const struct http_manager *m = s->manager;
    if (!m->user_agent.data)
        return;
    headers_set_id(h, HEADER_X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, m->user_agent);
    if (headers_get(h, HEADER_USER_AGENT).len == 0)
        headers_set_id(h, HEADER_USER_AGENT, m->user_agent);
    if (m->downstream_node.len > 0)
        headers_set_id(h, HEADER_X_ENVOY_DOWNSTREAM_SERVICE_NODE, m->downstream_node);
}

/* Returns whether an address for the client was found; *single: for the internal rule. */
static bool find_client(struct stream *s, const struct address *peer, bool *single)
{
    const struct http_manager *m = s->manager;
    struct headers *h = &s->request_headers;
    if (!m->use_remote_address) {
        forwarded_port(s, true);
        return from_forwarded_for(s, m->xff_num_trusted_hops, &s->remote, single);
    }
    bool ignored;
    bool none = !headers_has(h, HEADER_X_FORWARDED_FOR);
    bool found = m->xff_num_trusted_hops > 0 &&
                 from_forwarded_for(s, m->xff_num_trusted_hops - 1, &s->remote, &ignored);
    if (!found)
        s->remote = *peer;
    *single = none;
    if (!m->skip_xff_append)
        append_forwarded_for(s, peer);
    if (!m->xff_num_trusted_hops || !headers_has(h, HEADER_X_FORWARDED_PROTO))
        headers_set_id(h, HEADER_X_FORWARDED_PROTO, transport_scheme(s));
    forwarded_port(s, m->xff_num_trusted_hops > 0);
    return true;
}

void hcm_forwarded(struct stream *s)
{
    const struct http_manager *m = s->manager;
    struct headers *h = &s->request_headers;
    const struct address *peer = connection_remote(s->conn->connection);
    bool single = false;
    headers_remove_id(h, HEADER_X_ENVOY_INTERNAL);
    hcm_client_cert(s);
    bool found = find_client(s, peer, &single);
    if (headers_has(h, HEADER_X_FORWARDED_PROTO))
        set_scheme(s);
    else
        no_proxy_before(s);
    s->remote_is_internal = single && found && is_internal_address(m, &s->remote);
    if (!found)
        s->remote = *peer;
    bool edge = !s->remote_is_internal && m->use_remote_address;
    if (s->remote_is_internal)
        headers_set_id(h, HEADER_X_ENVOY_INTERNAL, BYTES("true"));
    else
        clean_external(s, edge);
    add_user_agent(s);
    if (m->via.len)
        append(s, HEADER_VIA, ", ", m->via);
    if (edge && address_is_ip(&s->remote))
        headers_set_id(h, HEADER_X_ENVOY_EXTERNAL_ADDRESS, ip_text(s, &s->remote));
    else if (edge)
        headers_remove_id(h, HEADER_X_ENVOY_EXTERNAL_ADDRESS);
    if (m->generate_request_id &&
        (!headers_get(h, HEADER_X_REQUEST_ID).len || (edge && !m->preserve_external_request_id))) {
        char *id = arena_alloc(s->arena, 37);
        random_uuid4(&s->worker->random, id);
        headers_set_id(h, HEADER_X_REQUEST_ID, bytes_from(id, 36));
    }
}
