/* The HTTP filter: the run-time half. A filter is one struct http_filter_ops in filters/http/NAME/;
 * its configuration half is the factory, its first member. Hooks run on the worker that owns the
 * stream; a NULL hook passes through. Request hooks run in chain order, response hooks in reverse.
 *
 * Headers and data given to a hook are the stream's: change them in place. `end` says that nothing
 * of that direction follows. */
#pragma once

#include "config/filter_factory.h"
#include "dataplane/http/headers.h"
#include "dataplane/http/stream_error.h"
#include "dataplane/net/buffer.h"

struct stream;

enum filter_status {
    FILTER_CONTINUE, /* on to the next filter */
    FILTER_PAUSE,    /* hold everything and stop reading until filter_resume() */
    FILTER_BUFFER,   /* hold, and keep collecting body up to the limit (413, 500 beyond it) */
    FILTER_TAKEN,    /* the filter took the data; filter_inject() gives some back */
    FILTER_REPLIED,  /* a response has been started, the chain ends here */
};

enum filter_direction { FILTER_REQUEST, FILTER_RESPONSE };

struct http_filter {
    const struct http_filter_ops *ops;
    const void *config;
    void *state; /* ops->factory.state_size bytes, zeroed, in the stream's arena */
    struct stream *stream;
    unsigned position; /* in the chain: the key of per-route configuration and shared state */
};

struct http_filter_ops {
    struct filter_factory factory; /* first member */
    enum filter_status (*on_request_headers)(struct http_filter *f, struct headers *h, bool end);
    enum filter_status (*on_request_data)(struct http_filter *f, struct buffer *data, bool end);
    enum filter_status (*on_request_trailers)(struct http_filter *f, struct headers *h);
    enum filter_status (*on_response_headers)(struct http_filter *f, struct headers *h, bool end);
    enum filter_status (*on_response_data)(struct http_filter *f, struct buffer *data, bool end);
    enum filter_status (*on_response_trailers)(struct http_filter *f, struct headers *h);
    /* Terminal filters: the downstream cannot take more response bytes now (true), or can again. */
    void (*on_downstream_watermark)(struct http_filter *f, bool above);
    /* The stream has failed or its downstream is gone; on_destroy follows. */
    void (*on_reset)(struct http_filter *f, const struct stream_error *why);
    void (*on_destroy)(struct http_filter *f); /* once, last; cancel timers and calls here */
};

/* Goes on where this filter stopped. Not from inside its own hook. */
void filter_resume(struct http_filter *f, enum filter_direction dir);
/* A request that waits at this filter goes through all filters anew, made for the route that it has
 * now: by it some may be on or off, or configured otherwise. f is gone then. Not from inside its
 * own hook. */
void filter_restart(struct http_filter *f);
/* Gives data to the filters after this one (or before it, on the way back). */
void filter_inject(struct http_filter *f, enum filter_direction dir, struct buffer *data, bool end);
/* What BUFFER and PAUSE have collected here, to read or change in place. */
struct buffer *filter_buffered(struct http_filter *f, enum filter_direction dir);
/* Per-route configuration of this filter (most specific first: weighted cluster, route, virtual
 * host, route configuration), or NULL. Matches the route if nobody has. */
const void *filter_route_config(struct http_filter *f);

/* For the terminal filter: starts and feeds the response, which then runs through the filters in
 * reverse. h must live in the stream's arena (stream_response_headers()). */
void filter_respond_headers(struct http_filter *f, bool end);
void filter_respond_informational(struct http_filter *f, struct headers *h);
void filter_respond_data(struct http_filter *f, struct buffer *data, bool end);
void filter_respond_trailers(struct http_filter *f);
/* Back-pressure from the terminal filter: stop or go on reading the request (counted). */
void filter_request_watermark(struct http_filter *f, bool above);
