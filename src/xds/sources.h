/* The set of sources: one mux for each distinct server and one file source for each file, found by
 * the key of the ConfigSource; a secret has a stream of its own. The builder's wants and unwants
 * come here. Config thread. */
#pragma once

#include "config/builder.h"
#include "xds/xds_table.h"

struct xds_sources;

struct xds_sources_options {
    const struct xds_table *table;
    const struct config_source *ads; /* kind SOURCE_NONE: no ads_config; outlives the sources */
    struct bytes node;               /* bytes of core.v3.Node; outlive the sources */
};

struct xds_sources *xds_sources_new(const struct xds_sources_options *o);
/* The builder that answers go to: before the first want. */
void xds_sources_set_builder(struct xds_sources *s, struct builder *b);
void xds_sources_free(struct xds_sources **s);

/* For struct builder_table. */
void xds_sources_want(struct xds_sources *s, const struct config_source *source,
                      enum resource_type type, struct bytes name);
void xds_sources_unwant(struct xds_sources *s, const struct config_source *source,
                        enum resource_type type, struct bytes name);
void xds_sources_flush(struct xds_sources *s);
void xds_sources_fetch_timed_out(struct xds_sources *s, const struct config_source *source,
                                 enum resource_type type, struct bytes name);
