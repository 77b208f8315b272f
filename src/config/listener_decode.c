/* envoy.config.listener.v3.Listener into const nodes. */
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/filter_chain_decode.h"
#include "config/http_manager_parts.h"
#include "config/listener_filter_decode.h"
#include "config/runtime.h"
#include "config/wire_slice.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/socket_option.upb.h"
#include "envoy/config/listener/v3/listener.upb.h"
#include "envoy/config/listener/v3/listener_components.upb.h"

#define LISTENER(f) envoy_config_listener_v3_Listener_##f
#define OPTION(f) envoy_config_core_v3_SocketOption_##f

typedef envoy_config_listener_v3_Listener listener_msg;

enum {
    FIELD_FILTER_CHAINS = 3,
    FIELD_METADATA = 6,
    FIELD_ACCESS_LOG = 22,
    FIELD_DEFAULT_FILTER_CHAIN = 25,
    ADDRESSES_MAX = 100,
};

/* What would accept or send traffic elsewhere if it were ignored. */
static bool check_refused(const listener_msg *m, struct error *err)
{
    if (upb_bool(LISTENER(use_original_dst)(m), false))
        return error_set(err, "use_original_dst: not implemented");
    if (LISTENER(internal_listener)(m))
        return error_set(err, "internal_listener is not implemented");
    if (LISTENER(api_listener)(m))
        return error_set(err, "api_listener is not implemented");
    if (LISTENER(udp_listener_config)(m))
        return error_set(err, "udp_listener_config is not implemented");
    if (LISTENER(filter_chain_matcher)(m))
        return error_set(err, "filter_chain_matcher is not implemented");
    if (LISTENER(fcds_config)(m))
        return error_set(err, "fcds_config is not implemented");
    return true;
}

static bool take_one_address(const envoy_config_core_v3_Address *m, struct listen_address *out,
                             struct error *err)
{
    const envoy_config_core_v3_SocketAddress *s =
        m ? envoy_config_core_v3_Address_socket_address(m) : NULL;
    const envoy_config_core_v3_Pipe *p = m ? envoy_config_core_v3_Address_pipe(m) : NULL;
    if (!m)
        return error_set(err, "address is necessary");
    if (!take_address(m, &out->address, err))
        return error_prefix(err, "address: ");
    if (s)
        out->ipv4_compat = envoy_config_core_v3_SocketAddress_ipv4_compat(s);
    if (p)
        out->uds_mode = envoy_config_core_v3_Pipe_mode(p);
    if (out->uds_mode > 0777)
        return error_set(err, "pipe.mode: %u is greater than 511", out->uds_mode);
    char text[ADDRESS_TEXT_MAX];
    out->id = (uint32_t)bytes_hash(bytes_of(address_format(&out->address, text))) | 1;
    return true;
}

static bool take_addresses(struct listener *l, const listener_msg *m, struct error *err)
{
    size_t n;
    const envoy_config_listener_v3_AdditionalAddress *const *more =
        LISTENER(additional_addresses)(m, &n);
    if (n > ADDRESSES_MAX)
        return error_set(err, "additional_addresses: more than %d", ADDRESSES_MAX);
    l->addresses = ARENA_ARRAY(l->node.arena, struct listen_address, n + 1);
    l->n_addresses = (unsigned)n + 1;
    if (!take_one_address(LISTENER(address)(m), &l->addresses[0], err))
        return error_prefix(err, "error adding listener named '%.*s': ", BYTES_ARG(l->name));
    for (size_t i = 0; i < n; i++) {
        if (envoy_config_listener_v3_AdditionalAddress_socket_options(more[i]))
            return error_set(err, "additional_addresses[%zu].socket_options is not implemented", i);
        if (!take_one_address(envoy_config_listener_v3_AdditionalAddress_address(more[i]),
                              &l->addresses[i + 1], err))
            return error_prefix(err, "additional_addresses[%zu]: ", i);
    }
    return true;
}

static bool take_socket_options(struct listener *l, const listener_msg *m, struct error *err)
{
    size_t n;
    struct arena *a = l->node.arena;
    const envoy_config_core_v3_SocketOption *const *list = LISTENER(socket_options)(m, &n);
    l->socket_options = ARENA_ARRAY(a, struct socket_option, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        struct socket_option *o = &l->socket_options[l->n_socket_options++];
        int64_t level = OPTION(level)(list[i]), name = OPTION(name)(list[i]);
        if (level < INT32_MIN || level > INT32_MAX || name < INT32_MIN || name > INT32_MAX)
            return error_set(err, "socket_options[%zu]: level and name must fit into 32 bits", i);
        o->level = (int)level;
        o->name = (int)name;
        o->state = OPTION(state)(list[i]);
        o->is_int = OPTION(value_case)(list[i]) == OPTION(value_int_value);
        o->int_value = OPTION(int_value)(list[i]);
        o->buf_value = arena_dup(a, upb_bytes(OPTION(buf_value)(list[i])));
        if (OPTION(value_case)(list[i]) == OPTION(value_NOT_SET))
            return error_set(err, "socket_options[%zu]: expected int_value or buf_value", i);
    }
    return true;
}

static bool take_socket(struct listener *l, const listener_msg *m, struct error *err)
{
    const envoy_config_listener_v3_Listener_DeprecatedV1 *v1 = LISTENER(deprecated_v1)(m);
    bool bind = v1 ? upb_bool(LISTENER(DeprecatedV1_bind_to_port)(v1), true) : true;
    l->bind_to_port = upb_bool(LISTENER(bind_to_port)(m), bind);
    l->enable_reuse_port = upb_bool(LISTENER(enable_reuse_port)(m), true);
    l->freebind = upb_bool(LISTENER(freebind)(m), false);
    l->transparent = upb_bool(LISTENER(transparent)(m), false);
    l->modify_only_drain = LISTENER(drain_type)(m) == LISTENER(MODIFY_ONLY);
    l->buffer_limit = upb_u32(LISTENER(per_connection_buffer_limit_bytes)(m), 1024 * 1024);
    l->backlog = upb_u32(LISTENER(tcp_backlog_size)(m), 0);
    l->fast_open_queue = -1;
    if (LISTENER(tcp_fast_open_queue_length)(m))
        l->fast_open_queue =
            (int32_t)(upb_u32(LISTENER(tcp_fast_open_queue_length)(m), 0) & INT32_MAX);
    l->max_accepts_per_event = upb_u32(LISTENER(max_connections_to_accept_per_socket_event)(m), 0);
    l->ignore_global_conn_limit = LISTENER(ignore_global_conn_limit)(m);
    return take_socket_options(l, m, err);
}

/* Connections pin a listener that has logs, which they write at their end. */
static bool take_logs(struct decode_context *ctx, struct listener *l, struct bytes wire,
                      struct error *err)
{
    if (!access_logs_decode(ctx, l->node.arena, wire, FIELD_ACCESS_LOG, &l->access_logs,
                            &l->n_access_logs, err))
        return false;
    if (l->n_access_logs)
        node_make_pinnable(&l->node);
    return true;
}

static bool take_listener(struct decode_context *ctx, struct listener *l, const listener_msg *m,
                          struct bytes wire, struct error *err)
{
    struct arena *a = l->node.arena;
    struct bytes name = upb_bytes(LISTENER(name)(m));
    int32_t direction = LISTENER(traffic_direction)(m);
    if (name.len == 0)
        name = ctx->default_name;
    if (name.len == 0 || memchr(name.data, '\0', name.len))
        return error_set(err, "name: expected at least one character");
    l->name = arena_dup(a, name);
    if (direction < 0 || direction > (int32_t)DIRECTION_OUTBOUND)
        return error_set(err, "traffic_direction: %d is not known", direction);
    l->direction = (enum traffic_direction)direction;
    l->stat_prefix = arena_dup(a, upb_bytes(LISTENER(stat_prefix)(m)));
    l->connection_limit = runtime_listener_connection_limit(ctx->runtime, name);
    l->added_via_api = !ctx->is_static;
    l->metadata = arena_dup(a, wire_message(a, wire, FIELD_METADATA));
    return check_refused(m, err) && listener_filters_decode(ctx, a, m, &l->filters, err) &&
           take_addresses(l, m, err) && take_socket(l, m, err) && take_logs(ctx, l, wire, err);
}

static void listener_fini(struct node *n)
{
    struct listener *l = CONTAINER_OF(n, struct listener, node);
    for (unsigned i = 0; i < l->n_access_logs; i++)
        access_log_fini(l->access_logs[i]);
}

static void parts_fini(struct node *n)
{
    struct listener_parts *p = CONTAINER_OF(n, struct listener_parts, node);
    for (unsigned i = 0; i < p->n_chains; i++)
        listener_chain_fini(&p->chains[i]);
    if (p->default_chain)
        listener_chain_fini(p->default_chain);
    NODE_UNREF(&p->listener);
}

bool listener_has_tls(const struct listener_parts *p)
{
    for (unsigned i = 0; i < p->n_chains; i++) {
        if (p->chains[i].chain && p->chains[i].chain->tls)
            return true;
    }
    return p->default_chain && p->default_chain->chain && p->default_chain->chain->tls;
}

static bool take_chains(struct decode_context *ctx, struct listener_parts *p, struct bytes wire,
                        size_t n, const struct listener_parts *previous, struct error *err)
{
    struct arena *a = p->node.arena;
    struct bytes rest = wire, def = wire_message(a, wire, FIELD_DEFAULT_FILTER_CHAIN);
    struct wire_field f;
    p->chains = ARENA_ARRAY(a, struct listener_chain, n ? n : 1);
    while (wire_next(&rest, &f) && p->n_chains < n) {
        if (f.number != FIELD_FILTER_CHAINS || f.type != WIRE_BYTES)
            continue;
        struct bytes kept = arena_dup(a, f.bytes);
        if (!filter_chain_decode(ctx, kept, previous, &p->chains[p->n_chains], err))
            return error_prefix(err, "filter_chains[%u]: ", p->n_chains);
        p->n_chains++;
    }
    if (!def.data)
        return true;
    struct listener_chain *c = ARENA_NEW(a, struct listener_chain);
    if (!filter_chain_decode(ctx, arena_dup(a, def), previous, c, err))
        return error_prefix(err, "default_filter_chain: ");
    p->default_chain = c;
    return true;
}

static bool take_parts(struct decode_context *ctx, struct listener_parts *p, const listener_msg *m,
                       struct bytes wire, const struct listener_parts *previous, struct error *err)
{
    static const uint32_t chain_fields[] = {FIELD_FILTER_CHAINS, FIELD_DEFAULT_FILTER_CHAIN};
    char where[ADDRESS_TEXT_MAX];
    size_t n;
    p->listener = node_new(NODE_LISTENER, sizeof(*p->listener), 256, listener_fini);
    if (!take_listener(ctx, p->listener, m, wire, err))
        return false;
    address_format(&p->listener->addresses[0].address, where);
    LISTENER(filter_chains)(m, &n);
    if (n == 0 && !LISTENER(default_filter_chain)(m))
        return error_set(err, "error adding listener '%s': no filter chains specified", where);
    p->wire_rest = wire_without(p->node.arena, wire, chain_fields, ARRAY_SIZE(chain_fields));
    bool ok = take_chains(ctx, p, wire, n, previous, err) &&
              filter_chains_check(p->chains, p->n_chains, where, err);
    if (!ok || listener_has_tls(p)) /* a chain that was refused may have had a key */
        arena_wipe_on_free(p->node.arena);
    return ok;
}

struct listener_parts *listener_decode(struct decode_context *ctx, struct bytes wire,
                                       const struct listener_parts *previous, struct error *err)
{
    if (!decode_check(ctx, "envoy.config.listener.v3.Listener", wire, err))
        return NULL;
    upb_Arena *arena = upb_Arena_New();
    const listener_msg *m = LISTENER(parse_ex)(wire.data, wire.len, NULL, UPB_VIEW, arena);
    struct listener_parts *p = NULL;
    if (!m) {
        error_set(err, "the bytes are no Listener");
    } else {
        p = node_new(NODE_LISTENER, sizeof(*p), wire.len + 1024, parts_fini);
        if (!take_parts(ctx, p, m, wire, previous, err))
            NODE_UNREF(&p);
    }
    upb_Arena_Free(arena);
    return p;
}
