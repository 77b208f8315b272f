/* struct outgoing: a request on its way to an upstream, of a stream (attempt.h) or of the proxy's
 * own (async_call.h): what of it waits for a connection, how it goes out once there is one, and
 * whether it may go out once more. Embedded. Worker thread only. */
#pragma once

#include "dataplane/net/buffer.h"
#include "dataplane/upstream/conn_pool.h"

struct outgoing {
    struct pool_request request;
    const struct headers *headers;
    const struct headers *trailers; /* NULL: none so far */
    struct buffer body;             /* waiting for a connection, or for a tunnel to open */
    bool ended;                     /* the last byte was given to us */
    bool body_sent;                 /* some of it is gone: it cannot be sent again from here */
    uint8_t refused;                /* times */
    bool interim_came;              /* one (1xx) at least */
    struct arena *interim;          /* where heads of answers go since the second; NULL: nowhere */
};

/* The headers are set before there is a connection, and stay where they are. */
void outgoing_init(struct outgoing *o, const struct pool_request_ops *ops, void *owner,
                   struct headers *response, struct headers *trailers, struct chunk_pool *chunks);
/* After the last look at the answer's head. */
void outgoing_fini(struct outgoing *o);
/* Nobody looks at the interim answer any more. However many come, they take the memory of three. */
void outgoing_forget_interim(struct outgoing *o);
/* There is a connection: sends what has come so far. No callback comes from inside of it but
 * on_watermark: what fails is told in a later turn. */
void outgoing_send(struct outgoing *o);
/* The request has failed, unanswered: may all of it go to another connection, since the upstream
 * has not touched it (GOAWAY, REFUSED_STREAM)? Counts: true only a few times. */
bool outgoing_repeats(struct outgoing *o, enum upstream_failure why);
