/* What the tests of this room share: a loop with a pool that fails the test instead of hanging, and
 * an owner of a connection that writes down what happens to it. */
#pragma once

#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "dataplane/net/connection.h"

struct fixture {
    struct loop *loop;
    struct chunk_pool *pool;
    struct timer guard;
};

void fixture_init(struct fixture *f);
void fixture_fini(struct fixture *f); /* checks that every chunk is back */

#define RUN_UNTIL(f, cond)                                                                         \
    do {                                                                                           \
        timer_start(&(f)->guard, 10000);                                                           \
        while (!(cond))                                                                            \
            loop_turn((f)->loop, true);                                                            \
        timer_stop(&(f)->guard);                                                                   \
    } while (0)
/* Lets everything that is ready happen. */
void settle_loop(struct fixture *f);

struct peer {
    struct connection *conn; /* NULL after on_close */
    struct strbuf got;
    bool connected, eof, closed;
    bool hold; /* leave input where it is */
    bool echo;
    enum close_reason reason;
    char failure[1000];
    int error;
    unsigned high, low, flushed, data_calls, closes;
    void (*hook)(struct peer *p); /* called at the end of on_data */
};

extern const struct connection_ops peer_ops;
void peer_fini(struct peer *p);
void peer_write(struct peer *p, const char *text);
void peer_write_n(struct peer *p, size_t n); /* n bytes of a pattern */
bool is_pattern(const struct strbuf *s);

/* Two connected non-blocking sockets. */
void socket_pair(int fds[2]);

/* A transport over another that counts calls and misbehaves as told. */
struct tap {
    bool stays_open; /* the end of writing is not passed on: the peer sees what was written alone */
    struct transport transport;
    struct transport *inner;
    unsigned reads, writes, wants;
    size_t max_read, max_write; /* 0: no limit */
    int fail_read, fail_write;  /* errno to answer with */
    unsigned handshakes_left;   /* IO_AGAIN that many times */
    bool fail_handshake;
    uint64_t handshake_ns; /* how long it takes, in the turn where it succeeds */
    uint64_t handshake_end_ns;
};
struct transport *tap_init(struct tap *t, struct transport *inner);
