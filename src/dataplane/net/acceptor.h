/* struct acceptor: a worker's accept loop over one listening socket. Embedded; used on the thread
 * of its loop; owns the descriptor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "dataplane/net/loop.h"

struct acceptor;

struct acceptor_ops {
    /* fd is non-blocking with TCP_NODELAY; the callee owns it. Who comes over IPv4 has an IPv4
     * address, at a socket for both families, too; so has acceptor_local(). */
    void (*on_accept)(struct acceptor *a, int fd, const struct address *remote);
    /* Optional: the process has no descriptor or memory left (errno); accepting pauses for retry_ms
     * and goes on by itself. */
    void (*on_exhausted)(struct acceptor *a, int error, uint64_t retry_ms);
    /* Optional: an event has ended, which brought n > 0 connections. */
    void (*on_accepted)(struct acceptor *a, unsigned n);
};

struct acceptor {
    const struct acceptor_ops *ops;
    void *owner;
    struct loop *loop;
    struct address local; /* of all of its connections; kind ADDRESS_NONE: each has its own */
    uint64_t last_turn;   /* of the loop, in which the last event was */
    struct io_watch watch;
    struct timer retry;
    uint64_t backoff_ms;
    unsigned max_per_event;
    unsigned disabled; /* counted */
    int reserve;       /* a spare descriptor, given up to accept dry when none is left */
    bool exhausted;
};

/* Watches fd, which it takes over. max_per_event: connections accepted before other events get
 * their turn; 0 takes 64. */
void acceptor_init(struct acceptor *a, struct loop *loop, int fd, unsigned max_per_event,
                   const struct acceptor_ops *ops, void *owner);
void acceptor_pause(struct acceptor *a); /* counted: connections wait in the backlog */
void acceptor_resume(struct acceptor *a);
/* Accepts what the kernel has queued (on_accept is called), then closes: nobody who was connected
 * is lost. */
void acceptor_fini(struct acceptor *a);
/* The local address of one that was accepted. */
struct address acceptor_local(const struct acceptor *a, int fd);
int acceptor_fd(const struct acceptor *a);
