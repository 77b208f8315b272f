/* The listening sockets of the process (architecture section 4): bound by the config thread before
 * a listener warms, found by their configured address and socket options, shared by whichever
 * listeners of old and new versions name them, so that an update never closes a socket that it does
 * not change. They listen once their listener is warm and the process serves: until then who
 * connects is refused, and does not wait. Workers take duplicates of their own socket. Any thread;
 * a lock. */
#pragma once

#include "base/strbuf.h"
#include "config/listener.h"

struct listener_registry;

struct listener_registry *listener_registry_new(unsigned n_workers);
void listener_registry_free(struct listener_registry **r);

/* All addresses or none. A reference for each; a listener that does not bind needs none. */
MUST_CHECK bool listener_registry_bind(struct listener_registry *r, const struct listener *l,
                                       struct error *err);

enum listen_result { LISTEN_LATER, LISTEN_DONE, LISTEN_FAILED };

/* A bound listener is warm: it listens as soon as the process serves. To bind reserves nothing: who
 * listens on the address first keeps it. A failure is logged, and listener_registry_take() tries
 * again. */
enum listen_result listener_registry_listen(struct listener_registry *r, const struct listener *l);
/* The process serves from now on. */
void listener_registry_serve(struct listener_registry *r);
/* Of l an address does not listen, though it should. */
bool listener_registry_failed(struct listener_registry *r, const struct listener *l);
/* How many addresses of all listeners. */
unsigned listener_registry_n_failed(struct listener_registry *r);
void listener_registry_release(struct listener_registry *r, const struct listener *l);

/* Closes the sockets, all or those of inbound listeners, for good: also those that come later.
 * Their references stay to be released. */
void listener_registry_close(struct listener_registry *r, bool inbound_only);

/* The key under which the socket of l->addresses[i] is known: equal keys share a socket. */
void listener_registry_key(const struct listener *l, unsigned i, struct strbuf *out);
/* Which opening of that address this is: an address that was closed and opened again has another
 * serial. 0: not bound. */
uint64_t listener_registry_serial(struct listener_registry *r, struct bytes key);
/* A duplicate of the worker's socket, the caller's to close, and its serial. -1: not bound, serial
 * 0; or it does not listen, or there is no descriptor, see errno. */
int listener_registry_take(struct listener_registry *r, struct bytes key, unsigned worker,
                           uint64_t *serial);
/* The address that the kernel gave (port 0); false: not bound. */
bool listener_registry_bound(struct listener_registry *r, const struct listener *l, unsigned i,
                             struct address *out);
