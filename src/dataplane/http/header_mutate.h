/* Header additions and removals of a matched route, applied: cluster weight, route, virtual host,
 * route configuration, in Envoy's order. Values are literal or made by the format operators.
 * Worker thread; allocates in the stream's arena. */
#pragma once

struct stream;

/* To s->request_headers. */
void header_mutate_request(struct stream *s);
/* To s->response_headers. */
void header_mutate_response(struct stream *s);
/* The same for an answer of our own, which has nothing but a status so far. */
void header_mutate_reply(struct stream *s, unsigned status);
