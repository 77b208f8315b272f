/* Listening sockets by their address. Any thread. */
#pragma once

#include "text.h"

/* Is it ADDRESS:PORT or unix:PATH, by its form? */
MUST_CHECK bool listen_check(const char *address, struct error *err);
/* Why somebody else could not listen there. */
void listen_explain(const char *address, struct error *err);
/* A socket that listens on ADDRESS:PORT ("127.0.0.1:0", "[::1]:0") or unix:PATH, without blocking;
 * *port becomes the one it got (0 for a path). -1 with `err` set: none. */
MUST_CHECK int listen_at(const char *address, int *port, struct error *err);
