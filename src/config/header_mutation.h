/* Header additions and removals of the route configuration, compiled. Values are command strings
 * (config/format.h); a literal one has a single literal part. Const data. */
#pragma once

#include "base/header_name.h"
#include "config/format.h"

enum append_action {
    APPEND_IF_EXISTS_OR_ADD,
    ADD_IF_ABSENT,
    OVERWRITE_IF_EXISTS_OR_ADD,
    OVERWRITE_IF_EXISTS,
};

struct header_addition {
    struct header_key key;
    struct format value;
    bool literal; /* `text` is the whole value */
    struct bytes text;
    enum append_action action;
    bool keep_empty_value;
};

enum { ROUTE_LIST_MAX = UINT16_MAX }; /* of lists whose count has 16 bits, as here */

struct header_mutations {
    struct header_addition *add;
    struct header_key *remove; /* runs first, as in Envoy */
    uint16_t n_add, n_remove;
    bool upstream_metadata; /* a value tells of the cluster's or the host's */
};

struct envoy_config_core_v3_HeaderValueOption;

/* request: ":path"-like names and Host are refused where Envoy refuses them. */
MUST_CHECK bool
header_additions_decode(const struct envoy_config_core_v3_HeaderValueOption *const *list, size_t n,
                        struct arena *a, struct header_mutations *out, struct error *err);
/* One name to remove, at position out->n_remove of an array that has room for it. */
MUST_CHECK bool header_removal_add(struct header_mutations *out, struct bytes lower_name,
                                   struct error *err);
