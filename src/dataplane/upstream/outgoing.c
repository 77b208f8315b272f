#include "dataplane/upstream/outgoing.h"

enum { REFUSED_MAX = 3 };

void outgoing_init(struct outgoing *o, const struct pool_request_ops *ops, void *owner,
                   struct headers *response, struct headers *trailers, struct chunk_pool *chunks)
{
    *o = (struct outgoing){0};
    buffer_init(&o->body, chunks);
    pool_request_init(&o->request, ops, owner, response, trailers);
}

void outgoing_fini(struct outgoing *o)
{
    if (UNLIKELY(o->interim != NULL))
        arena_free(&o->interim);
}

/* The first costs nothing that way, and more than one are rare. */
void outgoing_forget_interim(struct outgoing *o)
{
    if (o->interim)
        arena_reset(o->interim);
    else if (o->interim_came)
        o->interim = arena_new(0);
    o->interim_came = true;
    if (o->interim)
        o->request.response->arena = o->interim;
}

void outgoing_send(struct outgoing *o)
{
    struct pool_request *r = &o->request;
    bool body = o->body.len > 0;
    bool end = o->ended && !o->trailers;
    pool_request_send_headers(r, o->headers, end && !body);
    if (body && r->conn) {
        o->body_sent = true;
        pool_request_send_data(r, &o->body, end);
    }
    if (o->trailers && r->conn)
        pool_request_send_trailers(r, o->trailers);
}

bool outgoing_repeats(struct outgoing *o, enum upstream_failure why)
{
    if (why != UPSTREAM_REFUSED || o->body_sent || o->refused >= REFUSED_MAX)
        return false;
    o->refused++;
    return true;
}
