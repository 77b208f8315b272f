/* Which filter chain a connection gets: Envoy's nested maps, read level by level. At each level the
 * most specific value that any remaining chain names is taken, for good: there is no way back to a
 * less specific one, whatever the later levels say. */
#include "config/listener.h"

enum level {
    LEVEL_DESTINATION_PORT,
    LEVEL_PREFIX,
    LEVEL_SERVER_NAME,
    LEVEL_TRANSPORT,
    LEVEL_APPLICATION,
    LEVEL_DIRECT_SOURCE,
    LEVEL_SOURCE_TYPE,
    LEVEL_SOURCE,
    LEVEL_SOURCE_PORT,
    LEVELS,
};

/* What was taken at each level so far. */
struct choice {
    uint16_t destination_port, source_port;                       /* 0: any */
    const struct address_prefix *prefix, *direct_source, *source; /* NULL: any */
    struct bytes server_name, transport, application;             /* empty: any */
    enum chain_source_type source_type;
};

static bool in_prefixes(const struct address_prefix *list, unsigned n,
                        const struct address_prefix *p)
{
    if (!p)
        return n == 0;
    for (unsigned i = 0; i < n; i++) {
        if (list[i].prefix_len == p->prefix_len && address_eq_ip(&list[i].base, &p->base))
            return true;
    }
    return false;
}

static bool in_strings(const struct bytes *list, unsigned n, struct bytes s)
{
    if (s.len == 0 && n == 0)
        return true;
    for (unsigned i = 0; i < n; i++) {
        if (bytes_eq(list[i], s))
            return true;
    }
    return false;
}

static bool in_ports(const uint16_t *list, unsigned n, uint16_t port)
{
    if (port == 0)
        return n == 0;
    for (unsigned i = 0; i < n; i++) {
        if (list[i] == port)
            return true;
    }
    return false;
}

static bool agrees(const struct filter_chain_match *m, const struct choice *c, enum level level)
{
    switch (level) {
    case LEVEL_DESTINATION_PORT:
        return m->destination_port == c->destination_port;
    case LEVEL_PREFIX:
        return in_prefixes(m->prefixes, m->n_prefixes, c->prefix);
    case LEVEL_SERVER_NAME:
        return in_strings(m->server_names, m->n_server_names, c->server_name);
    case LEVEL_TRANSPORT:
        return bytes_eq(m->transport_protocol, c->transport);
    case LEVEL_APPLICATION:
        return in_strings(m->application_protocols, m->n_application_protocols, c->application);
    case LEVEL_DIRECT_SOURCE:
        return in_prefixes(m->direct_source_prefixes, m->n_direct_source_prefixes,
                           c->direct_source);
    case LEVEL_SOURCE_TYPE:
        return m->source_type == c->source_type;
    case LEVEL_SOURCE:
        return in_prefixes(m->source_prefixes, m->n_source_prefixes, c->source);
    case LEVEL_SOURCE_PORT:
        return in_ports(m->source_ports, m->n_source_ports, c->source_port);
    case LEVELS:
        break;
    }
    return true;
}

/* The first chain that agrees with the choices of all levels up to and with `last`. */
static struct chain_binding *first(const struct listener_entry *l, const struct choice *c, int last)
{
    for (unsigned i = 0; i < l->n_chains; i++) {
        bool all = true;
        for (int level = 0; all && level <= last; level++)
            all = agrees(&l->chains[i]->chain->match, c, (enum level)level);
        if (all)
            return l->chains[i];
    }
    return NULL;
}

static bool level_prefix(const struct listener_entry *l, struct choice *c, enum level level,
                         const struct address *a, const struct address_prefix **taken)
{
    const struct address_prefix *best = NULL;
    for (unsigned i = 0; i < l->n_chains; i++) {
        const struct filter_chain_match *m = &l->chains[i]->chain->match;
        const struct address_prefix *list = level == LEVEL_PREFIX ? m->prefixes
                                            : level == LEVEL_DIRECT_SOURCE
                                                ? m->direct_source_prefixes
                                                : m->source_prefixes;
        unsigned n = level == LEVEL_PREFIX          ? m->n_prefixes
                     : level == LEVEL_DIRECT_SOURCE ? m->n_direct_source_prefixes
                                                    : m->n_source_prefixes;
        bool alive = n > 0;
        for (int k = 0; alive && k < (int)level; k++)
            alive = agrees(m, c, (enum level)k);
        for (unsigned p = 0; alive && p < n; p++) {
            if (address_prefix_contains(&list[p], a) &&
                (!best || list[p].prefix_len > best->prefix_len))
                best = &list[p];
        }
    }
    *taken = best;
    return best || first(l, c, (int)level);
}

static bool level_server_name(const struct listener_entry *l, struct choice *c, struct bytes name)
{
    char wildcard[256];
    c->server_name = name;
    if (name.len && first(l, c, LEVEL_SERVER_NAME))
        return true;
    struct bytes rest = name;
    ptrdiff_t dot;
    while (name.len < sizeof(wildcard) - 1 && (dot = bytes_find_char(rest, '.')) >= 0) {
        rest = bytes_skip(rest, (size_t)dot);
        wildcard[0] = '*';
        memcpy(wildcard + 1, rest.data, rest.len);
        c->server_name = bytes_from(wildcard, rest.len + 1);
        struct chain_binding *found = first(l, c, LEVEL_SERVER_NAME);
        if (found) { /* point into the chain: wildcard is ours alone */
            const struct filter_chain_match *m = &found->chain->match;
            for (unsigned i = 0; i < m->n_server_names; i++) {
                if (bytes_eq(m->server_names[i], c->server_name)) {
                    c->server_name = m->server_names[i];
                    return true;
                }
            }
        }
        rest = bytes_skip(rest, 1);
    }
    c->server_name = BYTES_NONE;
    return first(l, c, LEVEL_SERVER_NAME) != NULL;
}

static bool level_application(const struct listener_entry *l, struct choice *c,
                              const struct chain_query *q)
{
    for (unsigned i = 0; i < q->n_application_protocols; i++) {
        c->application = q->application_protocols[i];
        if (c->application.len && first(l, c, LEVEL_APPLICATION))
            return true;
    }
    c->application = BYTES_NONE;
    return first(l, c, LEVEL_APPLICATION) != NULL;
}

static bool is_local(const struct chain_query *q)
{
    if (!address_is_ip(&q->remote) || !address_is_ip(&q->local))
        return q->remote.kind == ADDRESS_PIPE;
    return address_eq_ip(&q->local, &q->remote) || address_is_loopback(&q->remote);
}

static bool level_source_type(const struct listener_entry *l, struct choice *c,
                              const struct chain_query *q)
{
    c->source_type = is_local(q) ? SOURCE_TYPE_SAME_IP_OR_LOOPBACK : SOURCE_TYPE_EXTERNAL;
    if (first(l, c, LEVEL_SOURCE_TYPE))
        return true;
    c->source_type = SOURCE_TYPE_ANY;
    return first(l, c, LEVEL_SOURCE_TYPE) != NULL;
}

static bool level_port(const struct listener_entry *l, struct choice *c, enum level level,
                       uint16_t port, uint16_t *taken)
{
    *taken = port;
    if (port && first(l, c, (int)level))
        return true;
    *taken = 0;
    return first(l, c, (int)level) != NULL;
}

static bool choose(const struct listener_entry *l, const struct chain_query *q, struct choice *c)
{
    struct bytes transport =
        q->transport_protocol.len ? q->transport_protocol : BYTES("raw_buffer");
    if (!level_port(l, c, LEVEL_DESTINATION_PORT, q->local.port, &c->destination_port) ||
        !level_prefix(l, c, LEVEL_PREFIX, &q->local, &c->prefix) ||
        !level_server_name(l, c, q->server_name))
        return false;
    c->transport = transport;
    if (!first(l, c, LEVEL_TRANSPORT))
        c->transport = BYTES_NONE;
    return first(l, c, LEVEL_TRANSPORT) && level_application(l, c, q) &&
           level_prefix(l, c, LEVEL_DIRECT_SOURCE, &q->direct_remote, &c->direct_source) &&
           level_source_type(l, c, q) && level_prefix(l, c, LEVEL_SOURCE, &q->remote, &c->source) &&
           level_port(l, c, LEVEL_SOURCE_PORT, q->remote.port, &c->source_port);
}

struct chain_binding *listener_find_chain(const struct listener_entry *l,
                                          const struct chain_query *q)
{
    struct choice c = {0};
    if (l->n_chains && choose(l, q, &c))
        return first(l, &c, LEVEL_SOURCE_PORT);
    return l->default_chain;
}

struct chain_binding *listener_find_chain_key(const struct listener_entry *l, struct bytes key)
{
    for (unsigned i = 0; i < l->n_chains; i++) {
        if (bytes_eq(l->chains[i]->chain->key, key))
            return l->chains[i];
    }
    if (l->default_chain && bytes_eq(l->default_chain->chain->key, key))
        return l->default_chain;
    return NULL;
}
