/* A minimal origin: fixed bytes for every request of a keep-alive HTTP/1.1 connection. The target
 * says what else: "/any/size=1048576/delay=20/status=503" (bytes, milliseconds, code). One thread.
 * "vary=4000": the first so many answers differ in a header, so that tables of headers fill.
 * A connection that begins with HTTP/2's preface is served by h2.c: the same without delays, and
 * with a "grpc-status: 0" after the bytes of an answer to "content-type: application/grpc".
 *
 *     origin [NAME...]      one listening socket a NAME ("a" without any); prints their ports
 *
 * Answers carry "x-origin: NAME". Request bodies with a content-length are read and dropped. */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "origin/h2.h"

enum { HEAD_MAX = 65536, BODY_MAX = 1 << 24, DOORS = 1024, DEFAULT_SIZE = 128 };

struct door {
    ev_io io;
    const char *name;
};

struct conn {
    ev_io in, out;
    ev_timer delay;
    const char *name;
    char head[512]; /* of the answer */
    size_t n_head, n_body, sent;
    size_t skip; /* bytes of a request's body */
    bool busy, last;
    bool begun; /* its first bytes were no preface */
    size_t n_data;
    char data[HEAD_MAX];
};

static struct ev_loop *loop;
static char *body;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void conn_free(struct conn *c)
{
    ev_io_stop(loop, &c->in);
    ev_io_stop(loop, &c->out);
    ev_timer_stop(loop, &c->delay);
    close(c->in.fd);
    free(c);
}

static void serve(struct conn *c);

/* False: the connection is gone. */
static bool answer(struct conn *c)
{
    size_t total = c->n_head + c->n_body;
    while (c->sent < total) {
        struct iovec v[2];
        int n = 0;
        if (c->sent < c->n_head)
            v[n++] = (struct iovec){c->head + c->sent, c->n_head - c->sent};
        size_t from = c->sent > c->n_head ? c->sent - c->n_head : 0;
        if (from < c->n_body)
            v[n++] = (struct iovec){body + from, c->n_body - from};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
        ssize_t wrote = sendmsg(c->in.fd, &m, MSG_NOSIGNAL);
        if (wrote < 0 && errno == EAGAIN) {
            ev_io_start(loop, &c->out);
            return true;
        }
        if (wrote < 0) {
            conn_free(c);
            return false;
        }
        c->sent += (size_t)wrote;
    }
    ev_io_stop(loop, &c->out);
    c->busy = false;
    if (c->last) {
        conn_free(c);
        return false;
    }
    return true;
}

const char *origin_value(const char *name, unsigned long first)
{
    static char text[64];
    static unsigned long n;
    n += n < first;
    snprintf(text, sizeof(text), "%s %lu", name, n);
    return first ? text : name;
}

static long number_after(const char *text, const char *key, long otherwise)
{
    const char *found = strstr(text, key);
    return found ? strtol(found + strlen(key), NULL, 10) : otherwise;
}

/* head: NUL-terminated, lower case from the first header on. */
static void start_answer(struct conn *c, char *head)
{
    char *line_end = strstr(head, "\r\n");
    *line_end = '\0';
    long size = number_after(head, "size=", DEFAULT_SIZE);
    long delay = number_after(head, "delay=", 0);
    long status = number_after(head, "status=", 200);
    const char *name = origin_value(c->name, (unsigned long)number_after(head, "vary=", 0));
    for (char *p = line_end + 1; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    c->skip = (size_t)number_after(line_end + 1, "\ncontent-length:", 0);
    c->last = strstr(line_end + 1, "\nconnection: close") != NULL;
    c->n_body = (size_t)(size < 0 || size > BODY_MAX ? DEFAULT_SIZE : size);
    c->n_head = (size_t)snprintf(c->head, sizeof(c->head),
                                 "HTTP/1.1 %ld OK\r\ncontent-length: %zu\r\nx-origin: %s\r\n%s\r\n",
                                 status, c->n_body, name, c->last ? "connection: close\r\n" : "");
    c->sent = 0;
    c->busy = true;
    if (delay > 0) {
        ev_timer_set(&c->delay, (double)delay / 1000, 0);
        ev_timer_start(loop, &c->delay);
    }
}

static size_t drop(struct conn *c, size_t n)
{
    memmove(c->data, c->data + n, c->n_data - n);
    c->n_data -= n;
    return n;
}

/* Answers what has arrived, one request after the other. */
static void serve(struct conn *c)
{
    while (!c->busy) {
        c->skip -= drop(c, c->skip < c->n_data ? c->skip : c->n_data);
        char *end = c->skip ? NULL : memmem(c->data, c->n_data, "\r\n\r\n", 4);
        if (!end)
            return;
        end[3] = '\0';
        start_answer(c, c->data);
        drop(c, (size_t)(end + 4 - c->data));
        if (!ev_is_active(&c->delay) && !answer(c))
            return;
    }
}

static void on_readable(struct ev_loop *l, ev_io *io, int events)
{
    struct conn *c = io->data;
    ssize_t n = recv(io->fd, c->data + c->n_data, sizeof(c->data) - c->n_data, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            conn_free(c);
        return;
    }
    c->n_data += (size_t)n;
    size_t preface = sizeof(H2_PREFACE) - 1;
    if (c->begun || c->n_data < preface || memcmp(c->data, H2_PREFACE, preface) != 0) {
        c->begun |= c->n_data >= preface;
        serve(c);
        return;
    }
    ev_io_stop(loop, &c->in);
    h2_serve(loop, io->fd, c->name, c->data, c->n_data);
    free(c);
}

static void on_writable(struct ev_loop *l, ev_io *io, int events)
{
    if (answer(io->data))
        serve(io->data);
}

static void on_delayed(struct ev_loop *l, ev_timer *t, int events)
{
    if (answer(t->data))
        serve(t->data);
}

static void on_connection(struct ev_loop *l, ev_io *io, int events)
{
    int one = 1, fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct conn *c = malloc(sizeof(*c));
    if (!c)
        fail("malloc");
    c->busy = c->last = c->begun = false;
    c->skip = c->n_data = 0;
    c->name = ((struct door *)io)->name;
    ev_io_init(&c->in, on_readable, fd, EV_READ);
    ev_io_init(&c->out, on_writable, fd, EV_WRITE);
    ev_timer_init(&c->delay, on_delayed, 0, 0);
    c->in.data = c->out.data = c->delay.data = c;
    ev_io_start(loop, &c->in);
}

static void open_door(struct door *d, const char *name)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(own);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) < 0)
        fail("listen");
    printf("%d\n", ntohs(own.sin_port));
    d->name = name;
    ev_io_init(&d->io, on_connection, fd, EV_READ);
    ev_io_start(loop, &d->io);
}

int main(int argc, char **argv)
{
    static struct door doors[DOORS];
    loop = ev_default_loop(0);
    body = malloc(BODY_MAX);
    if (!loop || !body || argc > DOORS)
        fail("start");
    memset(body, 'x', BODY_MAX);
    for (int i = 1; i < argc; i++)
        open_door(&doors[i - 1], argv[i]);
    if (argc < 2)
        open_door(&doors[0], "a");
    fflush(stdout);
    ev_run(loop, 0);
    return 0;
}
