#include "config/decode.h"

#include "config/decode_util.h"
#include "config/descriptors.h"
#include "config/field_report.h"
#include "config/wire.h"
#include "config/typed.h"
#include "config/unsupported.h"
#include "config/validate.h"
#include "envoy/config/core/v3/address.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "google/protobuf/any.upb.h"

static bool check_unknown(const struct field_report *found, struct error *err)
{
    for (size_t i = 0; i < found->n; i++) {
        if (found->entries[i].class == FIELD_UNKNOWN)
            return error_set(err, "%s: the field is not known (%s)", found->entries[i].path,
                             found->entries[i].detail);
    }
    return true;
}

/* Paths begin with what they stand in: "Cluster 'web': lb_subset_config". */
static void tell_report(const struct decode_context *ctx, struct bytes message, struct bytes wire,
                        const struct field_report *found)
{
    struct strbuf path = STRBUF_INIT;
    struct bytes name = wire_find_bytes(wire, 1);
    message = bytes_skip(message, (size_t)(bytes_rfind_char(message, '.') + 1));
    strbuf_printf(&path, "%.*s", BYTES_ARG(message));
    if (name.len && name.len < 256)
        strbuf_printf(&path, " '%.*s'", BYTES_ARG(name));
    strbuf_add_str(&path, ": ");
    size_t head = path.len;
    for (size_t i = 0; i < found->n; i++) {
        const struct field_entry *e = &found->entries[i];
        if (e->class == FIELD_DEPRECATED && ctx->is_static)
            continue; /* the text of the bootstrap has told */
        strbuf_cut(&path, head);
        strbuf_add_str(&path, e->path);
        bool whole = e->class == FIELD_UNKNOWN_SET; /* whatever resource it is in */
        field_report_add(ctx->report, e->class, whole ? bytes_of(e->path) : strbuf_bytes(&path),
                         e->detail);
    }
    strbuf_fini(&path);
}

bool decode_check(struct decode_context *ctx, const char *message, struct bytes wire,
                  struct error *err)
{
    struct bytes name = bytes_of(message);
    unsigned sure = ctx->validator ? validate_quick(ctx->validator, name, wire) : 0;
    if (ctx->validator && !(sure & SURELY_VALID) &&
        !validate_message(ctx->validator, name, wire, err))
        return false;
    if (!ctx->descriptors || (sure & SURELY_SUPPORTED))
        return true;
    struct field_report found = FIELD_REPORT_INIT;
    bool ok = unsupported_scan(ctx->descriptors, name, wire, &found, err);
    ok = ok && (!ctx->reject_unknown || check_unknown(&found, err));
    ok = ok && unsupported_check(&found, ctx->strict, err);
    if (ok && ctx->report)
        tell_report(ctx, name, wire, &found);
    field_report_fini(&found);
    return ok;
}

/* As Envoy, which counts them in nanoseconds. */
#define DURATION_MAX_S 9223372035ll

static bool take_ms(const struct google_protobuf_Duration *d, const char *field, uint32_t more_ns,
                    uint64_t *out, struct error *err)
{
    if (!d)
        return true;
    int64_t s = google_protobuf_Duration_seconds(d);
    int32_t ns = google_protobuf_Duration_nanos(d);
    if (s < 0 || ns < 0)
        return error_set(err, "%s: a duration must not be negative", field);
    if (s > DURATION_MAX_S || ns > 999999999)
        return error_set(err, "%s: the duration is out of range", field);
    *out = (uint64_t)s * 1000 + ((uint64_t)ns + more_ns) / 1000000;
    return true;
}

bool take_duration_ms(const struct google_protobuf_Duration *d, const char *field, uint64_t *out,
                      struct error *err)
{
    return take_ms(d, field, 999999, out, err);
}

bool take_limit_ms(const struct google_protobuf_Duration *d, const char *field, uint64_t *out,
                   struct error *err)
{
    return take_ms(d, field, 0, out, err);
}

bool take_ip(struct bytes ip, uint16_t port, struct address *out)
{
    return (ip.len == 0 || ip.data[0] != '[') && address_parse_ip(ip, port, out);
}

bool take_socket_address(const struct envoy_config_core_v3_SocketAddress *m, struct address *out,
                         struct error *err)
{
    struct bytes ip = upb_bytes(envoy_config_core_v3_SocketAddress_address(m));
    if (envoy_config_core_v3_SocketAddress_protocol(m) != envoy_config_core_v3_SocketAddress_TCP)
        return error_set(err, "socket_address.protocol: only TCP is implemented");
    if (envoy_config_core_v3_SocketAddress_has_named_port(m))
        return error_set(err, "socket_address.named_port is not implemented");
    if (envoy_config_core_v3_SocketAddress_resolver_name(m).size > 0)
        return error_set(err, "socket_address.resolver_name is not implemented");
    if (envoy_config_core_v3_SocketAddress_network_namespace_filepath(m).size > 0)
        return error_set(err, "socket_address.network_namespace_filepath is not implemented");
    uint32_t port = envoy_config_core_v3_SocketAddress_port_value(m);
    if (port > 65535)
        return error_set(err, "socket_address.port_value: %u is no port", port);
    if (!take_ip(ip, (uint16_t)port, out))
        return error_set(err, "socket_address.address: malformed IP address: %.*s", BYTES_ARG(ip));
    return true;
}

bool take_address(const struct envoy_config_core_v3_Address *m, struct address *out,
                  struct error *err)
{
    const envoy_config_core_v3_SocketAddress *s = envoy_config_core_v3_Address_socket_address(m);
    if (s)
        return take_socket_address(s, out, err);
    const envoy_config_core_v3_Pipe *p = envoy_config_core_v3_Address_pipe(m);
    if (!p)
        return error_set(err, envoy_config_core_v3_Address_envoy_internal_address(m)
                                  ? "envoy_internal_address is not implemented"
                                  : "expected socket_address or pipe");
    struct bytes path = upb_bytes(envoy_config_core_v3_Pipe_path(p));
    if (memchr(path.data ? path.data : "", '\0', path.len) || !address_from_path(path, out))
        return error_set(err, "pipe.path: \"%.*s\" is no usable path (at most 107 bytes)",
                         BYTES_ARG(bytes_first(path, 120)));
    return true;
}

bool address_decode(struct bytes wire, struct address *out, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_core_v3_Address *m =
        envoy_config_core_v3_Address_parse(wire.data, wire.len, arena);
    bool ok = m ? take_address(m, out, err) : error_set(err, "no readable address");
    upb_Arena_Free(arena);
    return ok;
}

bool take_cidr(const struct envoy_config_core_v3_CidrRange *m, struct address_prefix *out,
               struct error *err)
{
    struct bytes ip = upb_bytes(envoy_config_core_v3_CidrRange_address_prefix(m));
    uint32_t len = upb_u32(envoy_config_core_v3_CidrRange_prefix_len(m), 0);
    struct address base;
    if (!take_ip(ip, 0, &base))
        return error_set(err, "malformed IP address: %.*s", BYTES_ARG(ip));
    if (len > 128 || !address_prefix_init(out, &base, len))
        return error_set(err, "invalid range: %.*s/%u", BYTES_ARG(ip), len);
    return true;
}

bool take_any(struct decode_context *ctx, struct arena *a, const struct google_protobuf_Any *any,
              struct typed *out, struct error *err)
{
    *out = (struct typed){BYTES_NONE, BYTES_NONE, BYTES_NONE};
    if (!any)
        return true;
    struct bytes url = upb_bytes(google_protobuf_Any_type_url(any));
    struct bytes value = upb_bytes(google_protobuf_Any_value(any));
    return typed_unwrap(ctx->descriptors, url, value, a, out, err);
}

struct bytes stat_name_of(struct arena *a, struct bytes name)
{
    char *out = arena_alloc(a, name.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (c == ':') {
            c = '_';
            for (int k = 0; k < 2 && i + 1 < name.len && name.data[i + 1] == '/'; k++)
                i++;
        }
        out[n++] = c ? c : '_';
    }
    while (n && out[n - 1] == '.')
        n--;
    return bytes_from(out, n);
}
