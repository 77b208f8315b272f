#include "load/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load/tls.h"

struct ev_loop *client_loop;

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void client_close(struct client *c)
{
    if (c->h2)
        h2_link_close(c->h2);
    if (c->io.fd < 0)
        return;
    ev_io_stop(client_loop, &c->io);
    client_tls_end(c);
    close(c->io.fd);
    c->io.fd = -1;
    c->connecting = c->waiting = false;
}

static void lost(struct client *c)
{
    bool waiting = c->waiting;
    client_close(c);
    c->waiting = waiting; /* the owner wants to know; client_connect() clears it */
    c->ops->on_closed(c);
}

static void watch(struct client *c, int events)
{
    if ((c->io.events & (EV_READ | EV_WRITE)) == events && ev_is_active(&c->io))
        return;
    ev_io_stop(client_loop, &c->io);
    ev_io_set(&c->io, c->io.fd, events);
    ev_io_start(client_loop, &c->io);
}

static uint64_t number_of(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* False: this is no answer that we read. */
static bool head_done(struct client *c)
{
    c->head[c->n_head] = '\0';
    if (strncmp(c->head, "HTTP/1.1 ", 9) != 0 || strcasestr(c->head, "\ntransfer-encoding:"))
        return false;
    c->status = atoi(c->head + 9);
    c->body_left = number_of(c->head, "\ncontent-length:");
    c->last = strcasestr(c->head, "\nconnection: close") != NULL;
    c->in_body = true;
    return true;
}

static void answered(struct client *c)
{
    c->in_body = c->waiting = false;
    if (c->last)
        client_close(c);
    c->ops->on_answer(c);
    c->n_head = 0;
}

/* Bytes of the head end up in c->head; returns how many were used, or -1. */
static ssize_t feed_head(struct client *c, const char *data, size_t len)
{
    size_t old = c->n_head, room = CLIENT_HEAD_MAX - old;
    size_t n = len < room ? len : room;
    memcpy(c->head + old, data, n);
    size_t from = old > 3 ? old - 3 : 0;
    char *end = memmem(c->head + from, old + n - from, "\r\n\r\n", 4);
    if (!end) {
        c->n_head += n;
        return n == len ? (ssize_t)n : -1;
    }
    c->n_head = (size_t)(end + 4 - c->head);
    return head_done(c) ? (ssize_t)(c->n_head - old) : -1;
}

/* False: the connection is gone. */
static bool feed(struct client *c, const char *data, size_t len)
{
    if (!c->waiting)
        return false;
    if (!c->in_body) {
        ssize_t used = feed_head(c, data, len);
        if (used < 0)
            return false;
        data += used;
        len -= (size_t)used;
    }
    if (!c->in_body)
        return true;
    if (len > c->body_left)
        return false;
    c->body_left -= len;
    c->body_bytes += len;
    if (c->body_left == 0)
        answered(c);
    return true;
}

static void send_rest(struct client *c)
{
    ssize_t n = c->ssl ? client_tls_send(c, c->unsent, c->n_unsent)
                       : send(c->io.fd, c->unsent, c->n_unsent, MSG_NOSIGNAL);
    if (n > 0) {
        c->unsent += n;
        c->n_unsent -= (size_t)n;
    }
    watch(c, c->n_unsent ? EV_READ | EV_WRITE : EV_READ);
}

static void shake(struct client *c)
{
    switch (client_tls_handshake(c)) {
    case 0:
        watch(c, c->tls_wants);
        break;
    case 1:
        watch(c, EV_READ);
        if (c->ops->on_connected)
            c->ops->on_connected(c);
        break;
    default:
        lost(c);
    }
}

static void on_connect(struct client *c)
{
    int error = 0;
    getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)});
    if (error) {
        lost(c);
        return;
    }
    c->connecting = false;
    if (client_tls_wanted()) {
        client_tls_begin(c);
        shake(c);
        return;
    }
    watch(c, EV_READ);
    if (c->ops->on_connected)
        c->ops->on_connected(c);
}

static void on_event(struct ev_loop *l, ev_io *io, int events)
{
    static char buffer[262144];
    struct client *c = io->data;
    if (c->connecting) {
        on_connect(c);
        return;
    }
    if (c->shaking) {
        shake(c);
        return;
    }
    if (events & EV_WRITE && c->n_unsent)
        send_rest(c);
    if (!(events & EV_READ))
        return;
    ssize_t n = c->ssl ? client_tls_recv(c, buffer, sizeof(buffer))
                       : recv(io->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !feed(c, buffer, (size_t)n))
        lost(c);
}

void client_init(struct client *c, const struct client_ops *ops, void *owner)
{
    memset(c, 0, sizeof(*c));
    c->ops = ops;
    c->owner = owner;
    ev_init(&c->io, on_event);
    c->io.fd = -1;
    c->io.data = c;
}

int client_count(const struct load_options *o)
{
    return o->connections * (o->http2 ? o->streams : 1);
}

void clients_init(struct client **clients, const struct client_ops *ops, void *owner,
                  const struct load_options *o)
{
    for (int i = 0; i < client_count(o); i++)
        client_init(clients[i], ops, owner);
    for (int i = 0; o->http2 && i < o->connections; i++)
        h2_link_new(clients + (ptrdiff_t)i * o->streams, o->streams, o);
}

int client_socket(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        perror("load: socket");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
        perror("load: connect");
        exit(1);
    }
    return fd;
}

void client_connect(struct client *c, int port)
{
    c->n_head = c->n_unsent = 0;
    c->in_body = c->waiting = c->last = false;
    if (c->h2) {
        h2_link_connect(c->h2, port);
        return;
    }
    c->connecting = true;
    ev_io_set(&c->io, client_socket(port), EV_WRITE);
    ev_io_start(client_loop, &c->io);
}

void client_send(struct client *c, const char *request, size_t len)
{
    if (c->h2) {
        h2_link_request(c);
        return;
    }
    c->waiting = true;
    c->unsent = request;
    c->n_unsent = len;
    send_rest(c);
}

char *client_request(const struct load_options *o, size_t *len)
{
    char *text = NULL;
    int n = asprintf(&text, "GET %s HTTP/1.1\r\nhost: %s\r\n%s%s\r\n", o->path, o->host,
                     o->headers ? o->headers : "", o->close ? "connection: close\r\n" : "");
    if (n < 0)
        exit(1);
    *len = (size_t)n;
    return text;
}

static void on_tick(struct ev_loop *l, ev_io *io, int events)
{
    struct ticker *t = io->data;
    uint64_t periods;
    if (read(io->fd, &periods, sizeof(periods)) == sizeof(periods))
        t->fn(t);
}

void ticker_start(struct ticker *t, uint64_t period_ns, void (*fn)(struct ticker *t), void *owner)
{
    struct timespec period = {(time_t)(period_ns / 1000000000u), (long)(period_ns % 1000000000u)};
    struct itimerspec spec = {period, period};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0 || timerfd_settime(fd, 0, &spec, NULL) < 0) {
        perror("load: timer");
        exit(1);
    }
    t->fn = fn;
    t->owner = owner;
    ev_io_init(&t->io, on_tick, fd, EV_READ);
    t->io.data = t;
    ev_io_start(client_loop, &t->io);
}

void ticker_stop(struct ticker *t)
{
    ev_io_stop(client_loop, &t->io);
    close(t->io.fd);
}
