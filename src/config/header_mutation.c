#include "config/header_mutation.h"

#include "config/upb_util.h"
#include "envoy/config/core/v3/base.upb.h"

static bool action_decode(const envoy_config_core_v3_HeaderValueOption *o,
                          struct header_addition *out, struct error *err)
{
    int action = envoy_config_core_v3_HeaderValueOption_append_action(o);
    const google_protobuf_BoolValue *append = envoy_config_core_v3_HeaderValueOption_append(o);
    if (append && action != APPEND_IF_EXISTS_OR_ADD)
        return error_set(err, "Both append and append_action are set and it's not allowed");
    if (action < 0 || action > OVERWRITE_IF_EXISTS)
        return error_set(err, "append_action: %d is not a defined value", action);
    out->action = (enum append_action)action;
    if (append && !google_protobuf_BoolValue_value(append))
        out->action = OVERWRITE_IF_EXISTS_OR_ADD;
    return true;
}

/* The rules of the API take all but line ends, so that "a: b" would pass. */
static bool name_allowed(struct bytes name, struct error *err)
{
    if (name.len == 0)
        return error_set(err, "header.key: expected at least 1 character");
    struct bytes plain = bytes_skip(name, name.data[0] == ':');
    if (plain.len && !header_name_is_token(plain))
        return error_set(err,
                         "header.key: expected letters, digits and -_.!#$%%&'*+^`|~, got '%.*s'",
                         BYTES_ARG(name));
    if (name.data[0] == ':' || bytes_eq_str(name, "host"))
        return error_set(err, ":-prefixed or host headers may not be modified ('%.*s')",
                         BYTES_ARG(name));
    return true;
}

static bool addition_decode(const envoy_config_core_v3_HeaderValueOption *o, struct arena *a,
                            struct header_addition *out, struct error *err)
{
    const envoy_config_core_v3_HeaderValue *h = envoy_config_core_v3_HeaderValueOption_header(o);
    if (!h)
        return error_set(err, "header: expected a header, got nothing");
    out->key = header_key(upb_lower(envoy_config_core_v3_HeaderValue_key(h), a));
    if (!name_allowed(out->key.name, err) || !action_decode(o, out, err))
        return false;
    out->keep_empty_value = envoy_config_core_v3_HeaderValueOption_keep_empty_value(o);
    struct bytes value = upb_bytes(envoy_config_core_v3_HeaderValue_value(h));
    if (value.len == 0)
        value = upb_bytes(envoy_config_core_v3_HeaderValue_raw_value(h));
    if (!format_compile(a, arena_dup(a, value), &out->value, err))
        return error_prefix(err, "header.value: ");
    out->value.omit_empty = true;
    out->literal = out->value.n_parts == 0 ||
                   (out->value.n_parts == 1 && out->value.parts[0].op == FORMAT_LITERAL);
    if (out->literal)
        out->text = out->value.n_parts ? out->value.parts[0].text : BYTES("");
    return true;
}

bool header_additions_decode(const envoy_config_core_v3_HeaderValueOption *const *list, size_t n,
                             struct arena *a, struct header_mutations *out, struct error *err)
{
    if (n > ROUTE_LIST_MAX)
        return error_set(err, ": more than %d", ROUTE_LIST_MAX);
    out->add = n ? ARENA_ARRAY(a, struct header_addition, n) : NULL;
    out->n_add = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        if (!addition_decode(list[i], a, &out->add[i], err))
            return error_prefix(err, "[%zu].", i);
        out->upstream_metadata |= out->add[i].value.has_upstream_metadata;
    }
    return true;
}

bool header_removal_add(struct header_mutations *out, struct bytes name, struct error *err)
{
    if (name.len && (name.data[0] == ':' || bytes_eq_str(name, "host")))
        return error_set(err, ":-prefixed or host headers may not be removed ('%.*s')",
                         BYTES_ARG(name));
    if (out->n_remove == ROUTE_LIST_MAX)
        return error_set(err, "more than %d", ROUTE_LIST_MAX);
    out->remove[out->n_remove++] = header_key(name);
    return true;
}
