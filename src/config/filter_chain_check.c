/* Two filter chains of one listener must not claim the same connections: Envoy's check, by writing
 * out every combination of what a chain matches. */
#include "base/map.h"
#include "base/strbuf.h"
#include "config/filter_chain_decode.h"

enum { COMBINATIONS_MAX = 200000 };

struct expansion {
    struct map seen; /* combination -> chain */
    const struct filter_chain *chain;
    struct strbuf key;
    size_t n;
};

static void add_prefix(struct strbuf *s, const struct address_prefix *p)
{
    char text[ADDRESS_TEXT_MAX];
    strbuf_printf(s, "%s/%u", address_format_ip(&p->base, text), p->prefix_len);
}

/* As it is matched: an empty name is as none, and ".a.test" is "*.a.test". */
static void add_meant(struct strbuf *s, struct bytes name, bool wildcard)
{
    if (!name.len)
        return;
    if (wildcard && bytes_starts_with(name, BYTES("*.")))
        name = bytes_skip(name, 1);
    strbuf_printf(s, "=%zu:", name.len);
    strbuf_add_bytes(s, name);
}

/* The i-th value of one dimension, as text. False: there is no such value. An empty list has one
 * value, "any". written: names as they stand there, or as they are matched. */
static bool dimension(const struct filter_chain_match *m, unsigned d, unsigned i, bool written,
                      struct strbuf *s)
{
    const unsigned counts[] = {m->n_prefixes,
                               m->n_server_names,
                               m->n_application_protocols,
                               m->n_direct_source_prefixes,
                               m->n_source_prefixes,
                               m->n_source_ports};
    strbuf_add_char(s, '|');
    if (counts[d] == 0)
        return i == 0;
    if (i >= counts[d])
        return false;
    if (!written && (d == 1 || d == 2)) {
        add_meant(s, d == 1 ? m->server_names[i] : m->application_protocols[i], d == 1);
        return true;
    }
    strbuf_add_char(s, '=');
    switch (d) {
    case 0:
        add_prefix(s, &m->prefixes[i]);
        break;
    case 1:
        strbuf_add_bytes(s, m->server_names[i]);
        break;
    case 2:
        strbuf_printf(s, "%zu:", m->application_protocols[i].len);
        strbuf_add_bytes(s, m->application_protocols[i]);
        break;
    case 3:
        add_prefix(s, &m->direct_source_prefixes[i]);
        break;
    case 4:
        add_prefix(s, &m->source_prefixes[i]);
        break;
    default:
        strbuf_printf(s, "%u", m->source_ports[i]);
    }
    return true;
}

enum { DIMENSIONS = 6 };

static bool expand(struct expansion *x, unsigned d, const char *where, struct error *err)
{
    if (d == DIMENSIONS) {
        if (++x->n > COMBINATIONS_MAX)
            return error_set(err,
                             "error adding listener '%s': filter chain matches expand to more "
                             "than %d combinations",
                             where, COMBINATIONS_MAX);
        if (!map_set(&x->seen, strbuf_bytes(&x->key), (void *)x->chain))
            return true;
        return error_set(err,
                         "error adding listener '%s': multiple filter chains with overlapping "
                         "matching rules are defined",
                         where);
    }
    size_t before = x->key.len;
    for (unsigned i = 0; dimension(&x->chain->match, d, i, false, &x->key); i++) {
        if (!expand(x, d + 1, where, err))
            return false;
        strbuf_cut(&x->key, before);
    }
    strbuf_cut(&x->key, before);
    return true;
}

static void add_all(struct strbuf *s, const struct filter_chain_match *m)
{
    for (unsigned d = 0; d < DIMENSIONS; d++) {
        for (unsigned i = 0; dimension(m, d, i, true, s); i++)
            ;
    }
}

static void add_fixed(struct strbuf *s, const struct filter_chain_match *m)
{
    strbuf_printf(s, "%u|%d|%zu:", m->destination_port, (int)m->source_type,
                  m->transport_protocol.len);
    strbuf_add_bytes(s, m->transport_protocol);
}

/* Equal matches have an own sentence, which names both chains. */
static bool check_equal(const struct listener_chain *chains, unsigned n, const char *where,
                        struct error *err)
{
    struct map seen = MAP_INIT;
    struct strbuf key = STRBUF_INIT;
    const struct filter_chain *same = NULL, *chain = NULL;
    for (unsigned i = 0; i < n && !same; i++) {
        chain = chains[i].chain;
        strbuf_reset(&key);
        add_fixed(&key, &chain->match);
        add_all(&key, &chain->match);
        same = map_set(&seen, strbuf_bytes(&key), (void *)chain);
    }
    if (same)
        error_set(err,
                  "error adding listener '%s': filter chain '%.*s' has the same matching rules "
                  "defined as '%.*s'",
                  where, BYTES_ARG(chain->name), BYTES_ARG(same->name));
    strbuf_fini(&key);
    map_fini(&seen);
    return !same;
}

static bool check_names(const struct listener_chain *chains, unsigned n, const char *where,
                        struct error *err)
{
    for (unsigned i = 0; i < n; i++) {
        const struct filter_chain_match *m = &chains[i].chain->match;
        for (unsigned k = 0; k < m->n_server_names; k++) {
            struct bytes s = m->server_names[k];
            if (bytes_find_char(s, '*') >= 0 && !bytes_starts_with(s, BYTES("*.")))
                return error_set(err,
                                 "error adding listener '%s': partial wildcards are not supported "
                                 "in \"server_names\"",
                                 where);
        }
    }
    return true;
}

bool filter_chains_check(const struct listener_chain *chains, unsigned n, const char *where,
                         struct error *err)
{
    struct expansion x = {.seen = MAP_INIT};
    bool ok = check_names(chains, n, where, err) && check_equal(chains, n, where, err);
    for (unsigned i = 0; ok && i < n; i++) {
        x.chain = chains[i].chain;
        strbuf_reset(&x.key);
        add_fixed(&x.key, &x.chain->match);
        ok = expand(&x, 0, where, err);
    }
    strbuf_fini(&x.key);
    map_fini(&x.seen);
    return ok;
}
