/* Listening sockets. Opening is for the config thread (a failure becomes a NACK); the descriptors
 * belong to the registry in main. struct acceptor is a worker's accept loop over one of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/address.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/loop.h"

struct listen_options {
    struct address address;  /* port 0: the kernel chooses; all sockets get the same one */
    bool reuse_port;         /* a socket of its own for each worker; else one, duplicated */
    bool ipv4_compat;        /* "::" accepts IPv4 too */
    bool freebind, transparent;
    bool no_listen;          /* only bind; listen_socket_listen() follows */
    uint32_t backlog;        /* 0: net.core.somaxconn */
    uint32_t fast_open;      /* queue length of TCP fast open; 0: off */
    uint32_t pipe_mode;      /* permissions of a Unix socket's file; 0: the umask's */
    const struct sock_option *options; /* set before bind */
    size_t n_options;
};

/* Opens count sockets (non-blocking, close on exec) into fds, and the address they got into *bound.
 * All or none. "cannot bind '127.0.0.1:80': Address already in use". */
MUST_CHECK bool listen_socket_open(const struct listen_options *opt, unsigned count, int *fds,
                                   struct address *bound, struct error *err);
MUST_CHECK bool listen_socket_listen(int fd, uint32_t backlog, struct error *err);
/* Removes the file of a pipe address, if it is a socket. After the last close. */
void listen_socket_unlink(const struct address *a);

struct acceptor;

struct acceptor_ops {
    /* fd is non-blocking with TCP_NODELAY; the callee owns it. */
    void (*on_accept)(struct acceptor *a, int fd, const struct address *remote);
    /* Optional: the process has no descriptor or memory left (errno); accepting pauses for retry_ms
     * and goes on by itself. */
    void (*on_exhausted)(struct acceptor *a, int error, uint64_t retry_ms);
};

struct acceptor {
    const struct acceptor_ops *ops;
    void *owner;
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
void acceptor_pause(struct acceptor *a);            /* counted: connections wait in the backlog */
void acceptor_resume(struct acceptor *a);
/* Accepts what the kernel has queued (on_accept is called), then closes: nobody who was connected
 * is lost. */
void acceptor_fini(struct acceptor *a);
int acceptor_fd(const struct acceptor *a);
