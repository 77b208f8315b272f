#include "dataplane/net/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

/* A stream socket as the kernel gives it. */
struct transport_socket {
    struct transport transport; /* first member */
    struct io_watch watch;
    bool connecting;
};

static struct transport_socket *socket_of(struct transport *t)
{
    return CONTAINER_OF(t, struct transport_socket, transport);
}

static ssize_t failed(struct transport *t, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return IO_AGAIN;
    t->error = error;
    return IO_ERROR;
}

static ssize_t socket_read(struct transport *t, char *buf, size_t len)
{
    ssize_t n;

    do
        n = recv(socket_of(t)->watch.fd, buf, len, 0); /* cheaper than read() */
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return failed(t, errno);
    return n == 0 ? IO_EOF : n;
}

static ssize_t send_slices(int fd, const struct iovec *iov, int n_iov)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov};

    if (n_iov == 1) /* the usual case, without a structure for the kernel to copy */
        return send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t socket_writev(struct transport *t, const struct iovec *iov, int n_iov)
{
    ssize_t n;

    do
        n = send_slices(socket_of(t)->watch.fd, iov, n_iov);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failed(t, errno) : n;
}

static ssize_t socket_handshake(struct transport *t)
{
    struct transport_socket *s = socket_of(t);
    struct sockaddr_storage peer;
    socklen_t len = sizeof(int), peer_len = sizeof(peer);
    int error = 0;

    if (!s->connecting)
        return 0;
    if (getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error)
        return failed(t, error == EAGAIN ? ECONNREFUSED : error);
    /* No error does not mean connected: this may be an early call */
    if (getpeername(s->watch.fd, (struct sockaddr *)&peer, &peer_len) < 0) {
        if (errno != ENOTCONN)
            return failed(t, errno);
        io_watch_set(&s->watch, IO_WRITE);
        return IO_AGAIN;
    }
    s->connecting = false;
    return 0;
}

static void socket_want(struct transport *t, unsigned interest)
{
    io_watch_set(&socket_of(t)->watch, interest);
}

static void socket_shutdown_write(struct transport *t)
{
    (void)shutdown(socket_of(t)->watch.fd, SHUT_WR);
}

static void socket_close(struct transport *t, bool reset)
{
    struct transport_socket *s = socket_of(t);

    io_watch_stop(&s->watch);
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    }
    close(s->watch.fd);
    mem_free(s);
}

static int socket_fd(const struct transport *t)
{
    return CONTAINER_OF(t, const struct transport_socket, transport)->watch.fd;
}

static const struct transport_ops socket_ops = {
    .name = "raw_buffer",
    .read = socket_read,
    .writev = socket_writev,
    .handshake = socket_handshake,
    .want = socket_want,
    .shutdown_write = socket_shutdown_write,
    .close = socket_close,
    .fd = socket_fd,
};

static void on_io(struct io_watch *w, unsigned events)
{
    struct transport_socket *s = w->owner;

    if (s->transport.ready)
        s->transport.ready(s->transport.ready_ctx, events);
}

struct transport *transport_socket_new(struct loop *loop, int fd, bool connecting)
{
    struct transport_socket *s = NEW(struct transport_socket);

    s->transport.ops = &socket_ops;
    s->transport.loop = loop;
    s->connecting = connecting;
    io_watch_init(&s->watch, loop, fd, on_io, s);
    return &s->transport;
}
