/* PINGs of an HTTP/2 connection, and the end of one that does not answer them. Embedded by the
 * owner of the connection, on either side. Worker thread. */
#pragma once

#include "base/random.h"
#include "config/http2.h"
#include "dataplane/net/loop.h"

struct h2_keepalive {
    struct timer timer;
    struct random_source *random;
    uint64_t interval_ms, timeout_ms, idle_ms;
    uint64_t active_ms; /* when the last stream began or ended */
    uint32_t jitter;
    bool waiting; /* for an answer */
    void (*ping)(void *owner);
    void (*failed)(void *owner);
    void *owner;
};

/* Does nothing where the options ask for no PINGs. */
void h2_keepalive_init(struct h2_keepalive *k, const struct http2_options *o, struct loop *loop,
                       struct random_source *random);
void h2_keepalive_start(struct h2_keepalive *k);
void h2_keepalive_answered(struct h2_keepalive *k);
/* We begin a stream, perhaps after a long silence (connection_idle_interval): not for those of
 * clients. */
void h2_keepalive_used(struct h2_keepalive *k);
void h2_keepalive_stop(struct h2_keepalive *k);
