/* Two transports joined in memory, both ends on one loop: loopback tests, internal listeners. Each
 * direction is a bounded buffer; half-close works; readiness comes at the end of the turn, so that
 * neither end is ever called from inside the other's call. */
#pragma once

#include "dataplane/net/chunk.h"
#include "dataplane/net/transport.h"

/* limit: bytes held per direction before writev() answers IO_AGAIN; 0 takes 64 KiB. Each end is
 * closed on its own; the memory goes with the second. */
void transport_pair_new(struct loop *loop, struct chunk_pool *pool, size_t limit,
                        struct transport *ends[2]);
