/* A whole proxy in memory for router tests: a client's connection, the HTTP connection manager with
 * the router as its only filter, routes from YAML, origins at the other end of memory pairs. */
#pragma once

#include "../upstream/world.h"
#include "config/listener.h"
#include "config/route.h"
#include "dataplane/http/http_conn.h"
#include "filters/http/router/router_config.h"

struct proxy {
    struct world *w;
    struct arena *arena;
    struct router_config router;
    struct http_manager *manager;
    struct route_config *routes;
    struct chain_binding *binding;
    struct listener_entry entry;
    struct listener listener;
    struct filter_chain chain;
    struct chain_binding *chains[1];
    struct http_filter_slot slots[2];
    struct connection *client; /* NULL: closed by the proxy */
    struct strbuf received;
};

/* yaml: a RouteConfiguration. Clusters c0 (host 8000), c1 (8001), c2 (no host). */
struct proxy *proxy_new(const char *yaml);
/* The same in two steps; proxy_new_with() takes a reference of its own. */
struct route_config *proxy_routes(const char *yaml);
struct proxy *proxy_new_with(struct route_config *routes);
/* Puts a filter before the router; before clients connect. */
void proxy_add_filter(struct proxy *p, const struct filter_factory *factory);
void proxy_free(struct proxy *p);
/* Sends bytes on the client's connection (a new one if there is none) and runs the loop. */
void proxy_send(struct proxy *p, const char *text);
void proxy_send_bytes(struct proxy *p, struct bytes bytes);
/* "GET PATH" with further header lines ("a: b\r\n"). */
void proxy_get(struct proxy *p, const char *path, const char *headers);
void proxy_client_close(struct proxy *p);
/* What the client has got since the last call, without the date. */
const char *proxy_received(struct proxy *p);
/* What the newest origin has got since the last call. */
const char *proxy_forwarded(struct proxy *p);
void proxy_answer(struct proxy *p, const char *text);
void proxy_answer_bytes(struct proxy *p, struct bytes bytes);
int64_t proxy_http_stat(struct proxy *p, enum http_stat id);
