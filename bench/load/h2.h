/* HTTP/2 for `load`: several clients share a connection, a stream for each request. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct client;
struct h2_link;
struct load_options;

/* clients: so many, each without a request; they use the connection from now on, which is made
 * when one of them connects. o outlives it. */
struct h2_link *h2_link_new(struct client **clients, int n, const struct load_options *o);
/* For client.c: as the functions of its names. */
void h2_link_connect(struct h2_link *l, int port);
void h2_link_request(struct client *c);
bool h2_link_open(const struct h2_link *l);
void h2_link_close(struct h2_link *l);
