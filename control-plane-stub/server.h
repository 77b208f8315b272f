/* The gRPC server: streams of bytes to and from the hub. The only user of gRPC.
 *
 * One thread of its own pumps the completion queue; transport calls (kick, end) come from any
 * thread that holds the hub's lock. */
#pragma once

#include "hub.h"

struct server;

/* Listen on every ADDRESS:PORT (port 0: any free one) and unix:PATH and start the thread. */
/* goaway_ms: how old connections get; 0: as old as they like. */
MUST_CHECK bool server_start(struct server **out, struct hub *hub, char *const *addresses,
                             size_t count, unsigned goaway_ms, struct error *err);
/* The first TCP port, or 0 where there are unix sockets only. */
/* Serve this connection, too: one end of a socket pair, which is gRPC's then. */
void server_adopt(struct server *s, int fd);
int server_port(const struct server *s);
/* End all streams, stop the thread, free everything. */
void server_stop(struct server **s);
