/* TLS in front of everything that the xDS port serves: it accepts, shakes hands, and hands what is
 * inside to those who serve it, as one end of a socket pair: gRPC where the first bytes are the
 * preface of HTTP/2, REST where not. Bytes then go both ways, a bounded buffer each.
 *
 * Lives on the main thread's poll loop. Each handshake is an event `handshake`. */
#pragma once

#include "hub.h"
#include "tls.h"

#include <poll.h>

struct front;

/* Serve the bytes of this descriptor. false: it cannot; the descriptor stays the caller's. */
typedef bool front_taker(void *user, int fd, bool http2);

MUST_CHECK bool front_start(struct front **out, const struct tls_files *files,
                            char *const *addresses, size_t count, struct hub *hub,
                            struct error *err);
/* Whom to hand connections to; before the first front_run(). */
void front_give(struct front *f, front_taker *take, void *user);
/* The port of the first address that has one. */
int front_port(const struct front *f);
/* The descriptors to poll; front_run() takes the same array afterwards. */
size_t front_poll_fds(struct front *f, struct pollfd *fds, size_t room);
void front_run(struct front *f, const struct pollfd *fds, size_t count);
void front_stop(struct front **f);
