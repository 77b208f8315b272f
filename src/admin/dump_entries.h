/* The entries of /config_dump as bytes of envoy.admin.v3 messages: what was received is echoed,
 * nothing is filled in. Config thread. */
#pragma once

#include "config/builder.h"
#include "base/strbuf.h"

/* Each adds the bytes of one entry to *out; false: the resource has no such entry. */
typedef bool dump_entry_fn(const struct resource_view *v, struct strbuf *out);
dump_entry_fn dump_static_cluster, dump_active_cluster, dump_warming_cluster, dump_static_listener,
    dump_dynamic_listener, dump_dynamic_route, dump_extension, dump_static_endpoints,
    dump_dynamic_endpoints, dump_static_secret, dump_active_secret, dump_warming_secret;

/* ClientConfig.GenericXdsConfig of CSDS: of any resource, there or not. contents: and its bytes. */
void dump_client_status(const struct resource_view *v, bool contents, struct strbuf *out);

/* The route configurations that stand inside the connection managers of a listener, one a call:
 * i = 0, 1 ... ; *name is the configuration's. False: there is no i-th. */
bool dump_static_route(const struct resource_view *v, unsigned i, struct strbuf *out,
                       struct bytes *name);

/* The same of scoped routes: the scopes whose names are wanted. Nothing in *out: the i-th has none
 * in the listener. */
typedef bool dump_name_fn(void *arg, struct bytes name);
bool dump_inline_scopes(const struct resource_view *v, unsigned i, dump_name_fn *wanted, void *arg,
                        struct strbuf *out);
/* Those that came apart; false: none have. */
bool dump_dynamic_scopes(const struct builder *b, const struct scopes_view *v, dump_name_fn *wanted,
                         void *arg, struct strbuf *out);

/* BootstrapConfigDump: the bootstrap with the node that is really sent. */
void dump_bootstrap(struct bytes bootstrap, struct bytes node, uint64_t wall_ns,
                    struct strbuf *out);

/* ClusterLoadAssignment as the hosts stand now (dump_endpoints.c). */
void dump_load_assignment(struct bytes name, const struct host_set *hosts, struct strbuf *out);

/* ---- bytes ---- */

/* inner is emptied. */
void dump_put_message(struct strbuf *out, uint32_t number, struct strbuf *inner);
void dump_put_varint(struct strbuf *out, uint32_t number, uint64_t value);
/* A field with its default value is left out. */
void dump_put_text(struct strbuf *out, uint32_t number, struct bytes text);
void dump_put_any(struct strbuf *out, uint32_t number, const char *message, struct bytes value);
