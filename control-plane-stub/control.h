/* The control port: HTTP/1.1 on loopback, JSON answers. See README.md for the requests.
 *
 * Lives on the main thread's poll loop; a long poll (POST /wait) parks its connection and is looked
 * at again after each wake of the hub. */
#pragma once

#include "publisher.h"

#include <poll.h>

struct control;

MUST_CHECK bool control_start(struct control **out, struct publisher *publisher,
                              const char *address, struct error *err);
int control_port(const struct control *c);
/* A client that polls came by the xDS port: serve it /v3/ and nothing else. false: there are too
 * many; the descriptor stays the caller's. */
MUST_CHECK bool control_adopt(struct control *c, int fd);
/* The descriptors to poll; control_run() takes the same array afterwards. */
size_t control_poll_fds(struct control *c, struct pollfd *fds, size_t room);
void control_run(struct control *c, const struct pollfd *fds, size_t count);
/* When the next parked request times out; UINT64_MAX: none is parked. */
uint64_t control_deadline(const struct control *c);
void control_stop(struct control **c);
