/* struct relay: carries bytes between two connections of one loop, both ways, with half-close and
 * back-pressure (the output limit of one side pauses the reading of the other). Used for the
 * control channel (a socket pair's end and an upstream connection). Belongs to itself. */
#pragma once

#include "dataplane/net/connection.h"

struct relay;

struct relay_ops {
    /* Both connections are gone; who: 0 or 1, the side that ended it first, and why. The relay is
     * freed afterwards. */
    void (*on_end)(void *owner, unsigned who, enum close_reason reason);
    /* Optional. So many bytes came from side 0 or 1 and were handed to the other one. */
    void (*on_bytes)(void *owner, unsigned from, uint64_t n);
};

/* Takes over both connections (their owner becomes the relay); a side may still be connecting.
 * limit: bytes held per direction; 0 takes 256 KiB. */
struct relay *relay_new(struct connection *a, struct connection *b, uint32_t limit,
                        const struct relay_ops *ops, void *owner);
/* Ends both sides; on_end follows. */
void relay_close(struct relay *r, enum close_reason reason);
