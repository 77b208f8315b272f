/* One client on libev: sends a request, reads the answer, says when. An HTTP/1.1 connection of its
 * own, or a place on an HTTP/2 connection that it shares with others (h2.h). What the sub-commands
 * of `load` are made of. One thread. */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/h2.h"

enum { CLIENT_HEAD_MAX = 8192 };

struct client;
struct ssl_st;

struct client_ops {
    void (*on_connected)(struct client *c); /* or NULL; with TLS: after the handshake */
    void (*on_answer)(struct client *c);    /* status, head and n_head are the answer's */
    /* The peer has closed, or reset, or sent what is no answer. The client has no descriptor any
     * more: connect again or leave it. */
    void (*on_closed)(struct client *c);
};

struct client {
    ev_io io;
    const struct client_ops *ops;
    void *owner;
    struct h2_link *h2; /* NULL: HTTP/1.1 */
    struct ssl_st *ssl; /* NULL: no TLS */
    int tls_wants;
    bool connecting, shaking, waiting; /* waiting: a request is out */
    int status;
    int grpc_status;                /* -1: none was told */
    char head[CLIENT_HEAD_MAX + 1]; /* NUL-terminated once whole */
    size_t n_head;
    bool in_body, last;
    uint64_t body_left, body_bytes;
    const char *unsent; /* the caller's request, which outlives it */
    size_t n_unsent;
};

struct load_options {
    int port, connections, requests, at_once;
    double rate, seconds, warm_up;
    const char *path, *host;
    const char *headers; /* further lines, each with CRLF */
    bool close, fresh;
    bool tls, resume;
    bool http2, grpc;     /* grpc: unary calls, of a message of so many bytes each */
    int streams, message; /* streams: requests at a time on a connection */
    const char *ca, *cert, *key;
    const char *each; /* a file, or NULL */
};

extern struct ev_loop *client_loop;

uint64_t now_ns(void); /* CLOCK_MONOTONIC: the same in all processes */
/* A socket on its way to a port of this machine; the program ends if there is none. */
int client_socket(int port);
void client_init(struct client *c, const struct client_ops *ops, void *owner);
void client_connect(struct client *c, int port);
/* HTTP/2: of all that share the connection, which are told once. */
void client_close(struct client *c);
static inline bool client_open(const struct client *c)
{
    return c->h2 ? h2_link_open(c->h2) : c->io.fd >= 0;
}
/* How many clients the options ask for, and all of them, made. */
int client_count(const struct load_options *o);
void clients_init(struct client **clients, const struct client_ops *ops, void *owner,
                  const struct load_options *o);
/* The text lives until the answer is there; HTTP/2 makes it of the options. */
void client_send(struct client *c, const char *request, size_t len);
/* The request that the options describe; the caller frees it. */
char *client_request(const struct load_options *o, size_t *len);

/* A timer finer than the loop's: a callback each `period_ns`, with the number of periods since the
 * last. */
struct ticker {
    ev_io io;
    void (*fn)(struct ticker *t);
    void *owner;
};
void ticker_start(struct ticker *t, uint64_t period_ns, void (*fn)(struct ticker *t), void *owner);
void ticker_stop(struct ticker *t);

int load_run(const struct load_options *o);
int load_hold(const struct load_options *o);
int load_probe(const struct load_options *o);
int load_steps(const struct load_options *o);
