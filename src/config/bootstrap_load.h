/* The bootstrap: a file (-c) and a string (--config-yaml) merged over it as protobuf merges, read,
 * completed and validated; the result is the bytes of envoy.config.bootstrap.v3.Bootstrap. Filters
 * without typed_config get the type that Envoy once knew by their name. Config thread (or main
 * before any other thread runs). */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/descriptors.h"
#include "config/field_report.h"
#include "config/source_text.h"
#include "config/validate.h"

struct bootstrap_source {
    const char *path;   /* .yaml .yml .json .pb; NULL: none */
    const char *yaml;   /* YAML or JSON text; NULL: none */
    bool allow_unknown; /* --allow-unknown-static-fields */
    bool strict;        /* what is not implemented is refused */
};

/* Body is in the arena, and so are the trees that text refers to; report gets unknown fields
 * (allowed ones), deprecated ones and those that are not implemented, but the latter not inside
 * static_resources: the decoders of these report them. All errors at once, one a line. */
MUST_CHECK bool bootstrap_load(struct descriptors *d, struct validator *v,
                               const struct bootstrap_source *source, struct arena *a,
                               struct bytes *body, struct source_text *text,
                               struct field_report *report, struct error *err);

/* "envoy.filters.http.router" gives "envoy.extensions.filters.http.router.v3.Router"; NULL: a name
 * that never loaded by itself. Aliases of old ("envoy.router") are known too. */
const char *extension_type_by_name(struct bytes name);
/* An extension by its name alone and no typed_config: adds the typed_config to the tree, everywhere
 * below node. */
struct yaml_node;
void bootstrap_add_types(struct arena *a, struct yaml_node *node);

/* What the two flags mean for a field that the API does not have. */
enum unknown_fields { UNKNOWN_ALLOW, UNKNOWN_REJECT };
/* False and *err when the report has unknown fields and the policy rejects them. */
MUST_CHECK bool unknown_fields_check(const struct field_report *report, enum unknown_fields policy,
                                     struct error *err);
