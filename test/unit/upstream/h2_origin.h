/* The origins of a world that speak HTTP/2: a codec at the other end of each connection. Test
 * support. */
#pragma once

#include "../http/h2_pair.h"
#include "world.h"

enum { H2_ORIGINS = 4 };

struct h2_origins {
    struct world *w;
    struct http2_options options;
    struct h2_pair pairs[H2_ORIGINS];
};

void h2_origins_init(struct h2_origins *o, struct world *w);
void h2_origins_fini(struct h2_origins *o);
/* The codec of the i-th connection. */
struct h2_side *h2_origin(struct h2_origins *o, unsigned i);
/* What the proxy has sent goes into it, and its answers come back. */
void h2_origin_serve(struct h2_origins *o, unsigned i);
/* Of a stream that it has seen: a head ("name: value" lines), a body, trailers. */
void h2_origin_head(struct h2_origins *o, unsigned i, unsigned stream, const char *lines, bool end);
void h2_origin_body(struct h2_origins *o, unsigned i, unsigned stream, struct bytes body, bool end);
void h2_origin_trailers(struct h2_origins *o, unsigned i, unsigned stream, const char *lines);
