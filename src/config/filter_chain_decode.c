#include "config/filter_chain_decode.h"

#include "base/strbuf.h"
#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/tls_decode.h"
#include "config/typed.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/listener/v3/listener_components.upb.h"

#define CHAIN(f) envoy_config_listener_v3_FilterChain_##f
#define MATCH(f) envoy_config_listener_v3_FilterChainMatch_##f
#define FILTER(f) envoy_config_listener_v3_Filter_##f

typedef envoy_config_listener_v3_FilterChain chain_msg;
typedef envoy_config_listener_v3_FilterChainMatch match_msg;
typedef envoy_config_listener_v3_Filter filter_msg;

static const char hcm_name[] =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

enum {
    FIELD_MATCH = 1,
    FIELD_FILTERS = 3,
    FIELD_METADATA = 5,
    FIELD_TRANSPORT_SOCKET = 6,
    NETWORK_FILTERS_MAX = 100
};

/* A network filter resolved. */
struct network_filter {
    struct bytes wire, name;
    struct typed typed;
};

static bool take_network_filters(struct decode_context *ctx, struct arena *scratch,
                                 const chain_msg *m, struct bytes wire, struct network_filter *out,
                                 size_t n, struct error *err)
{
    size_t n_msgs, at = 0;
    const filter_msg *const *filters = CHAIN(filters)(m, &n_msgs);
    struct wire_field f;
    while (wire_next(&wire, &f) && at < n) {
        if (f.number != FIELD_FILTERS || f.type != WIRE_BYTES)
            continue;
        out[at].wire = f.bytes;
        out[at].name = upb_bytes(FILTER(name)(filters[at]));
        if (FILTER(config_discovery)(filters[at]))
            return error_set(err, "filters[%zu].config_discovery is not implemented", at);
        if (!take_any(ctx, scratch, FILTER(typed_config)(filters[at]), &out[at].typed, err))
            return error_prefix(err, "filters[%zu]: ", at);
        at++;
    }
    return at == n_msgs || error_set(err, "filters: the bytes are malformed");
}

static bool is_hcm(const struct network_filter *f)
{
    return bytes_eq_str(f->typed.type_name, hcm_name) ||
           (f->typed.type_name.len == 0 &&
            bytes_eq_str(f->name, "envoy.filters.network.http_connection_manager"));
}

/* All that a connection of this chain depends on for its whole life. */
static struct bytes chain_key(struct arena *a, struct bytes wire, const struct network_filter *f,
                              size_t n)
{
    static const uint32_t without[] = {FIELD_FILTERS, FIELD_METADATA};
    struct strbuf key = STRBUF_INIT;
    strbuf_add_bytes(&key, wire_without(a, wire, without, ARRAY_SIZE(without)));
    for (size_t i = 0; i < n; i++) {
        struct bytes part = is_hcm(&f[i]) ? BYTES("http") : f[i].wire;
        strbuf_printf(&key, "|%zu:", part.len);
        strbuf_add_bytes(&key, part);
    }
    struct bytes out = arena_dup(a, strbuf_bytes(&key));
    explicit_bzero(key.data, key.len); /* a private key may stand in it */
    strbuf_fini(&key);
    return out;
}

static struct bytes *take_strings(struct arena *a, upb_StringView const *list, size_t n, bool lower)
{
    struct bytes *out = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i] = lower ? upb_lower(list[i], a) : arena_dup(a, upb_bytes(list[i]));
    return out;
}

static bool take_prefixes(struct arena *a, const envoy_config_core_v3_CidrRange *const *list,
                          size_t n, const char *field, struct address_prefix **out, unsigned *count,
                          struct error *err)
{
    *out = ARENA_ARRAY(a, struct address_prefix, n ? n : 1);
    *count = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        if (!take_cidr(list[i], &(*out)[i], err))
            return error_prefix(err, "filter_chain_match.%s[%zu]: ", field, i);
    }
    return true;
}

static bool take_match_addresses(struct arena *a, const match_msg *m,
                                 struct filter_chain_match *out, struct error *err)
{
    size_t n1, n2, n3, n_ports;
    const envoy_config_core_v3_CidrRange *const *p1 = MATCH(prefix_ranges)(m, &n1);
    const envoy_config_core_v3_CidrRange *const *p2 = MATCH(source_prefix_ranges)(m, &n2);
    const envoy_config_core_v3_CidrRange *const *p3 = MATCH(direct_source_prefix_ranges)(m, &n3);
    const uint32_t *ports = MATCH(source_ports)(m, &n_ports);
    out->source_ports = ARENA_ARRAY(a, uint16_t, n_ports ? n_ports : 1);
    out->n_source_ports = (unsigned)n_ports;
    for (size_t i = 0; i < n_ports; i++) {
        if (ports[i] == 0 || ports[i] > 65535)
            return error_set(err, "filter_chain_match.source_ports[%zu]: %u is no port", i,
                             ports[i]);
        out->source_ports[i] = (uint16_t)ports[i];
    }
    return take_prefixes(a, p1, n1, "prefix_ranges", &out->prefixes, &out->n_prefixes, err) &&
           take_prefixes(a, p2, n2, "source_prefix_ranges", &out->source_prefixes,
                         &out->n_source_prefixes, err) &&
           take_prefixes(a, p3, n3, "direct_source_prefix_ranges", &out->direct_source_prefixes,
                         &out->n_direct_source_prefixes, err);
}

static bool take_match(struct arena *a, const match_msg *m, struct filter_chain_match *out,
                       struct error *err)
{
    size_t n_names, n_alpn;
    if (!m)
        return true;
    uint32_t port = upb_u32(MATCH(destination_port)(m), 0);
    if (port > 65535)
        return error_set(err, "filter_chain_match.destination_port: %u is no port", port);
    if (MATCH(address_suffix)(m).size || MATCH(suffix_len)(m))
        return error_set(err,
                         "filter_chain_match: address_suffix and suffix_len are not implemented");
    out->destination_port = (uint16_t)port;
    upb_StringView const *names = MATCH(server_names)(m, &n_names);
    upb_StringView const *alpn = MATCH(application_protocols)(m, &n_alpn);
    out->server_names = take_strings(a, names, n_names, true);
    out->n_server_names = (unsigned)n_names;
    out->application_protocols = take_strings(a, alpn, n_alpn, false);
    out->n_application_protocols = (unsigned)n_alpn;
    out->transport_protocol = arena_dup(a, upb_bytes(MATCH(transport_protocol)(m)));
    switch (MATCH(source_type)(m)) {
    case MATCH(ANY):
        out->source_type = SOURCE_TYPE_ANY;
        break;
    case MATCH(SAME_IP_OR_LOOPBACK):
        out->source_type = SOURCE_TYPE_SAME_IP_OR_LOOPBACK;
        break;
    case MATCH(EXTERNAL):
        out->source_type = SOURCE_TYPE_EXTERNAL;
        break;
    default:
        return error_set(err, "filter_chain_match.source_type: %d is not known",
                         MATCH(source_type)(m));
    }
    return take_match_addresses(a, m, out, err);
}

/* There are none but the HTTP connection manager, and observers that may be left out before it. */
static bool check_other(struct decode_context *ctx, const struct network_filter *f, bool last,
                        struct error *err)
{
    const struct filter_registry *r = ctx->filters;
    bool skip = false;
    for (unsigned i = 0; i < r->n_skippable; i++)
        skip |= f->typed.type_name.len && bytes_eq_str(f->typed.type_name, r->skippable[i]);
    if (!skip || last)
        return error_set(err,
                         "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'",
                         BYTES_ARG(f->name), BYTES_ARG(f->typed.type_name));
    if (ctx->report)
        field_report_add(ctx->report, FIELD_IGNORED, f->name, "the filter is skipped");
    return true;
}

static bool check_filters(struct decode_context *ctx, struct filter_chain *c,
                          const struct network_filter *f, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool last = i + 1 == n;
        if (is_hcm(&f[i])) {
            c->is_http = true;
            if (!last)
                return error_set(err,
                                 "Error: terminal filter named %.*s of type "
                                 "envoy.filters.network.http_connection_manager must be the last "
                                 "filter in a network filter chain.",
                                 BYTES_ARG(f[i].name));
        } else if (!check_other(ctx, &f[i], last, err)) {
            return error_prefix(err, "filters[%zu]: ", i);
        }
    }
    return true;
}

static void filter_chain_fini(struct node *n)
{
    struct filter_chain *c = CONTAINER_OF(n, struct filter_chain, node);
    tls_socket_fini((struct tls_socket *)c->tls);
}

/* What this chain let in is nothing to another one. */
static bool bind_sessions(struct filter_chain *c, struct bytes wire)
{
    struct tls_socket *s = (struct tls_socket *)c->tls;
    if (s)
        s->settings.session_scope =
            arena_dup(c->node.arena, wire_message(c->node.arena, wire, FIELD_MATCH));
    return true;
}

static bool take_chain(struct decode_context *ctx, struct filter_chain *c, const chain_msg *m,
                       struct bytes wire, const struct network_filter *f, size_t n,
                       struct error *err)
{
    struct arena *a = c->node.arena;
    c->name = arena_dup(a, upb_bytes(CHAIN(name)(m)));
    if (upb_bool(CHAIN(use_proxy_proto)(m), false))
        return error_set(err, "use_proxy_proto is not implemented");
    c->transport_connect_timeout_ms = 0;
    return take_duration_ms(CHAIN(transport_socket_connect_timeout)(m),
                            "transport_socket_connect_timeout", &c->transport_connect_timeout_ms,
                            err) &&
           transport_socket_decode(ctx, a, CHAIN(transport_socket)(m), true, "transport_socket",
                                   &c->tls, err) &&
           bind_sessions(c, wire) && take_match(a, CHAIN(filter_chain_match)(m), &c->match, err) &&
           check_filters(ctx, c, f, n, err);
}

static const struct listener_chain *nth_previous(const struct listener_parts *p, unsigned i)
{
    if (!p)
        return NULL;
    if (i < p->n_chains)
        return &p->chains[i];
    return i == p->n_chains ? p->default_chain : NULL;
}

static const struct listener_chain *find_previous(const struct listener_parts *p, struct bytes key,
                                                  struct bytes wire)
{
    const struct listener_chain *c;
    for (unsigned i = 0; p && (i <= p->n_chains); i++) {
        c = nth_previous(p, i);
        if (c && (wire.data ? bytes_eq(c->wire, wire) : bytes_eq(c->chain->key, key)))
            return c;
    }
    return NULL;
}

static bool decode_chain(struct decode_context *ctx, struct arena *scratch, const chain_msg *m,
                         struct bytes wire, const struct listener_parts *previous,
                         struct listener_chain *out, struct error *err)
{
    size_t n;
    CHAIN(filters)(m, &n);
    if (n > NETWORK_FILTERS_MAX)
        return error_set(err, "filters: more than %d", NETWORK_FILTERS_MAX);
    struct network_filter *f = ARENA_ARRAY(scratch, struct network_filter, n ? n : 1);
    if (!take_network_filters(ctx, scratch, m, wire, f, n, err))
        return false;
    struct bytes key = chain_key(scratch, wire, f, n);
    const struct listener_chain *old = find_previous(previous, key, BYTES_NONE);
    if (old) {
        out->chain = NODE_REF(old->chain);
    } else {
        out->chain =
            node_new(NODE_FILTER_CHAIN, sizeof(*out->chain), key.len + 256, filter_chain_fini);
        out->chain->key = arena_dup(out->chain->node.arena, key);
        if (!take_chain(ctx, out->chain, m, wire, f, n, err))
            return false;
    }
    if (!out->chain->is_http)
        return true;
    const struct listener_chain *like = old ? old : nth_previous(previous, 0);
    out->manager = http_manager_decode(ctx, f[n - 1].typed.value, like ? like->manager : NULL, err);
    return out->manager || error_prefix(err, "filters[%zu]: ", n - 1);
}

bool filter_chain_decode(struct decode_context *ctx, struct bytes wire,
                         const struct listener_parts *previous, struct listener_chain *out,
                         struct error *err)
{
    *out = (struct listener_chain){.wire = wire};
    const struct listener_chain *same = find_previous(previous, BYTES_NONE, wire);
    if (same) {
        out->chain = NODE_REF(same->chain);
        out->manager = same->manager ? NODE_REF(same->manager) : NULL;
        return true;
    }
    struct arena *scratch = arena_new(0);
    upb_Arena *arena = upb_Arena_New();
    if (wire_has(wire, FIELD_TRANSPORT_SOCKET))
        arena_wipe_on_free(scratch);
    const chain_msg *m = CHAIN(parse_ex)(wire.data, wire.len, NULL, UPB_VIEW, arena);
    bool ok = m ? decode_chain(ctx, scratch, m, wire, previous, out, err)
                : error_set(err, "the bytes are no FilterChain");
    upb_Arena_Free(arena);
    arena_free(&scratch);
    if (!ok)
        listener_chain_fini(out);
    return ok;
}

void listener_chain_fini(struct listener_chain *c)
{
    NODE_UNREF(&c->chain);
    NODE_UNREF(&c->manager);
}
