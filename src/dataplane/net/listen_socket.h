/* Listening sockets: how they are opened. Any thread (the config thread: a failure becomes a NACK);
 * the descriptors belong to the registry in main. See acceptor.h for the accept loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/address.h"
#include "dataplane/net/sock_option.h"

struct listen_options {
    struct address address; /* port 0: the kernel chooses; all sockets get the same one */
    bool reuse_port;        /* a socket of its own for each worker; else one, duplicated */
    bool ipv4_compat;       /* "::" accepts IPv4 too */
    bool freebind, transparent;
    bool no_listen;                    /* only bind; listen_socket_listen() follows */
    uint32_t backlog;                  /* 0: net.core.somaxconn */
    uint32_t fast_open;                /* queue length of TCP fast open; 0: off */
    uint32_t pipe_mode;                /* permissions of a Unix socket's file; 0: the umask's */
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
