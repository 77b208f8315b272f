/* struct transport: how a connection's bytes travel: socket, memory pair, TLS over either. A table
 * of functions; the transport owns what lies below it and tells its user about readiness. Used
 * only on the thread of its loop. The user (a connection, or a transport stacked on this one) owns
 * it and ends it with transport_close(). */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "dataplane/net/io.h"
#include "dataplane/net/loop.h"

struct transport;
struct address;

typedef void transport_ready_fn(void *ctx, unsigned events); /* IO_READ | IO_WRITE */

struct transport_ops {
    const char *name;
    /* Bytes read (> 0), IO_AGAIN, IO_EOF, IO_ERROR. len > 0. */
    ssize_t (*read)(struct transport *t, char *buf, size_t len);
    /* Bytes taken (may be fewer), IO_AGAIN, IO_ERROR. What was not taken comes again, first: a
     * transport may have begun with it. */
    ssize_t (*writev)(struct transport *t, const struct iovec *iov, int n);
    /* 0 done, IO_AGAIN (it arranged to be ready again by itself: want() belongs to it until done),
     * IO_ERROR. NULL: nothing to do. For a socket that is being connected, this is the connect. */
    ssize_t (*handshake)(struct transport *t);
    /* Which readiness to report; IO_READ, IO_WRITE or both, or 0. */
    void (*want)(struct transport *t, unsigned interest);
    void (*shutdown_write)(struct transport *t);
    /* Closes and frees. reset: the peer should see an abort (RST), where there is such a thing. */
    void (*close)(struct transport *t, bool reset);
    /* Optional. True: read() would return bytes although no readiness will be reported. */
    bool (*pending)(const struct transport *t);
    /* Optional: the protocol negotiated (ALPN), the name asked for (SNI); empty when none. */
    struct bytes (*protocol)(const struct transport *t);
    struct bytes (*server_name)(const struct transport *t);
    /* Optional: the descriptor below, or -1. */
    int (*fd)(const struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
    struct loop *loop;
    transport_ready_fn *ready;
    void *ready_ctx;
    int error;           /* errno of the last IO_ERROR */
    bool opened;         /* of one with a handshake: what it lies on is connected */
    const char *failure; /* static or transport-owned sentence; NULL: strerror(error) */
};

/* A connected (or connecting) non-blocking socket; takes over fd. */
struct transport *transport_socket_new(struct loop *loop, int fd, bool connecting);

static inline void transport_on_ready(struct transport *t, transport_ready_fn *fn, void *ctx)
{
    t->ready = fn;
    t->ready_ctx = ctx;
}

static inline ssize_t transport_read(struct transport *t, char *buf, size_t len)
{
    return t->ops->read(t, buf, len);
}

static inline ssize_t transport_writev(struct transport *t, const struct iovec *iov, int n)
{
    return t->ops->writev(t, iov, n);
}

static inline ssize_t transport_handshake(struct transport *t)
{
    return t->ops->handshake ? t->ops->handshake(t) : 0;
}

static inline void transport_want(struct transport *t, unsigned interest)
{
    t->ops->want(t, interest);
}

static inline void transport_shutdown_write(struct transport *t)
{
    t->ops->shutdown_write(t);
}

static inline bool transport_pending(const struct transport *t)
{
    return t->ops->pending && t->ops->pending(t);
}

static inline struct bytes transport_protocol(const struct transport *t)
{
    return t->ops->protocol ? t->ops->protocol(t) : BYTES_NONE;
}

static inline struct bytes transport_server_name(const struct transport *t)
{
    return t->ops->server_name ? t->ops->server_name(t) : BYTES_NONE;
}

static inline int transport_fd(const struct transport *t)
{
    return t->ops->fd ? t->ops->fd(t) : -1;
}

/* Accepts *t == NULL; clears it. */
static inline void transport_close(struct transport **t, bool reset)
{
    struct transport *gone = *t;
    *t = NULL;
    if (gone)
        gone->ops->close(gone, reset);
}
