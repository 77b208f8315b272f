/* TLS for a client of `load`: handshake, records, sessions that are resumed. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct client;
struct load_options;

/* Once, before the first connection. The program ends if the files cannot be read. */
void client_tls_init(const struct load_options *o);
bool client_tls_wanted(void); /* client_tls_init() was called */
/* After the descriptor is connected. */
void client_tls_begin(struct client *c);
void client_tls_end(struct client *c);
/* 1: done. 0: wait for c->tls_wants (EV_READ or EV_WRITE). -1: refused. */
int client_tls_handshake(struct client *c);
/* As recv() and send(): -1 with EAGAIN, 0 at the end. */
ssize_t client_tls_recv(struct client *c, char *buf, size_t len);
ssize_t client_tls_send(struct client *c, const char *data, size_t len);

/* Handshakes since the start, by sort. */
extern uint64_t client_tls_full, client_tls_resumed;
