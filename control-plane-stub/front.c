#include "front.h"

#include "json.h"
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 100
#define PREFACE "PRI" /* how HTTP/2 begins */

/* Bytes on their way. */
struct lane {
    char data[16384];
    size_t begin, end;
    bool over; /* no more come */
};

struct conn {
    int fd, inner; /* the client's; our end of the pair, -1 until it is known who serves it */
    struct tls_conn *tls;
    struct lane in, out;
    bool shaken, dead;
};

struct front {
    struct tls *tls;
    struct hub *hub;
    int *listeners;
    size_t listener_count;
    int port;
    struct conn *conns[CONNECTIONS];
    size_t count;
    front_taker *take;
    void *user;
};

static size_t held(const struct lane *l)
{
    return l->end - l->begin;
}

static size_t room(const struct lane *l)
{
    return l->over ? 0 : sizeof(l->data) - l->end;
}

static void used(struct lane *l, size_t n)
{
    l->begin += n;
    if (l->begin == l->end)
        l->begin = l->end = 0;
}

/* Log */

static void put_peer(struct text *line, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "";
    struct text peer = {0};

    if (getpeername(fd, &a.any, &len))
        return;
    if (a.any.sa_family == AF_INET && inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host)))
        text_printf(&peer, "%s:%d", host, ntohs(a.v4.sin_port));
    else if (a.any.sa_family == AF_INET6 &&
             inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host)))
        text_printf(&peer, "[%s]:%d", host, ntohs(a.v6.sin6_port));
    else
        text_puts(&peer, "unix");
    json_member(line, "peer", text_str(&peer));
    text_fini(&peer);
}

static void log_handshake(struct front *f, const struct conn *c, const char *problem)
{
    struct text line = {0}, alpn = {0}, serial = {0};

    hub_lock(f->hub);
    event_begin(&f->hub->events, &line, "handshake", 0, NULL, NULL);
    put_peer(&line, c->fd);
    if (problem) {
        json_member(&line, "error", problem);
    } else {
        tls_conn_alpn(c->tls, &alpn);
        tls_conn_serial(c->tls, &serial);
        json_member(&line, "version", tls_conn_version(c->tls));
        json_member(&line, "alpn", text_str(&alpn));
        json_member(&line, "client_serial", text_str(&serial));
    }
    event_log_add(&f->hub->events, "handshake", NULL, NULL, &line, NULL);
    hub_wake(f->hub);
    hub_unlock(f->hub);
    text_fini(&alpn);
    text_fini(&serial);
}

/* One connection */

static void conn_free(struct conn **conn)
{
    struct conn *c = *conn;

    tls_conn_end(c->tls);
    tls_conn_free(&c->tls);
    close(c->fd);
    if (c->inner >= 0)
        close(c->inner);
    free(c);
    *conn = NULL;
}

static void shake(struct front *f, struct conn *c)
{
    struct error err = {0};
    int got = tls_conn_accept(c->tls, &err);

    if (got == TLS_AGAIN)
        return;
    c->shaken = got == 1;
    c->dead = !c->shaken;
    log_handshake(f, c, c->dead ? err.text : NULL);
    error_fini(&err);
}

/* Who serves it shows in what it begins with. */
static void hand_over(struct front *f, struct conn *c)
{
    size_t n = held(&c->in);
    bool http2 = n && !memcmp(c->in.data, PREFACE, n < strlen(PREFACE) ? n : strlen(PREFACE));
    int pair[2];

    if (!n || (http2 && n < strlen(PREFACE)))
        return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
        c->dead = true;
        return;
    }
    c->inner = pair[0];
    if (!f->take(f->user, pair[1], http2)) {
        close(pair[1]);
        c->dead = true;
    }
}

static bool read_client(struct conn *c)
{
    ssize_t n =
        room(&c->in) ? tls_conn_read(c->tls, c->in.data + c->in.end, room(&c->in)) : TLS_AGAIN;

    if (n == TLS_AGAIN)
        return false;
    if (n > 0)
        c->in.end += (size_t)n;
    else
        c->in.over = true;
    return true;
}

static bool write_client(struct conn *c)
{
    ssize_t n = held(&c->out) ? tls_conn_write(c->tls, c->out.data + c->out.begin, held(&c->out))
                              : TLS_AGAIN;

    if (n > 0)
        used(&c->out, (size_t)n);
    else if (n != TLS_AGAIN)
        c->dead = true;
    return n > 0;
}

static bool read_inner(struct conn *c)
{
    ssize_t n;

    if (c->inner < 0 || !room(&c->out))
        return false;
    n = recv(c->inner, c->out.data + c->out.end, room(&c->out), 0);
    if (n > 0)
        c->out.end += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->out.over = true;
    return n > 0;
}

static bool write_inner(struct conn *c)
{
    ssize_t n;

    if (c->inner < 0 || !held(&c->in))
        return false;
    n = send(c->inner, c->in.data + c->in.begin, held(&c->in), MSG_NOSIGNAL);
    if (n > 0)
        used(&c->in, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        c->out.over = true; /* it was closed; what it said before still goes */
    return n > 0;
}

/* All that can be done now. One side's end is the other's, once what it said has gone. */
static void run(struct front *f, struct conn *c)
{
    bool moved = true;

    if (!c->shaken)
        shake(f, c);
    while (c->shaken && !c->dead && moved) {
        moved = read_client(c);
        if (c->inner < 0)
            hand_over(f, c);
        moved |= write_inner(c);
        moved |= read_inner(c);
        moved |= write_client(c);
    }
    if ((c->in.over && (c->inner < 0 || !held(&c->in))) || (c->out.over && !held(&c->out)))
        c->dead = true;
}

/* All connections */

static void reap(struct front *f)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->count; i++) {
        if (f->conns[i]->dead)
            conn_free(&f->conns[i]);
        else
            f->conns[kept++] = f->conns[i];
    }
    f->count = kept;
}

/* New files are for new connections; the last ones that were good serve where they are bad. */
static void refresh(struct front *f)
{
    struct error err = {0};

    if (!tls_refresh(f->tls, &err)) {
        fprintf(stderr, "xylem-stub: %s\n", err.text);
        error_fini(&err);
    }
}

static void accept_all(struct front *f, int listener)
{
    while (f->count < CONNECTIONS) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct conn *c;

        if (fd < 0)
            return;
        refresh(f);
        c = mem_zero(sizeof(*c));
        c->fd = fd;
        c->inner = -1;
        c->tls = tls_conn_new(f->tls, fd);
        f->conns[f->count++] = c;
    }
}

/* Nothing is asked of it where nothing could be done: not even whether it hung up. */
static struct pollfd poll_for(int fd, bool reads, bool writes)
{
    short events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));

    return (struct pollfd){events ? fd : -1, events, 0};
}

size_t front_poll_fds(struct front *f, struct pollfd *fds, size_t space)
{
    size_t n = 0;

    for (size_t i = 0; f && i < f->listener_count && n < space; i++)
        fds[n++] = (struct pollfd){f->listeners[i], f->count < CONNECTIONS ? POLLIN : 0, 0};
    for (size_t i = 0; f && i < f->count && n + 2 <= space; i++) {
        const struct conn *c = f->conns[i];
        bool reads = !c->shaken ? !tls_conn_wants_write(c->tls) : room(&c->in) > 0;
        bool writes = !c->shaken ? tls_conn_wants_write(c->tls) : held(&c->out) > 0;

        fds[n++] = poll_for(c->fd, reads, writes);
        fds[n++] = poll_for(c->inner, room(&c->out) > 0, held(&c->in) > 0);
    }
    return n;
}

void front_run(struct front *f, const struct pollfd *fds, size_t count)
{
    if (!f)
        return;
    for (size_t i = 0, at = f->listener_count; i < f->count && at + 2 <= count; i++, at += 2)
        if (fds[at].revents || fds[at + 1].revents)
            run(f, f->conns[i]);
    reap(f);
    for (size_t i = 0; i < f->listener_count; i++)
        accept_all(f, f->listeners[i]);
}

static bool listen_all(struct front *f, char *const *addresses, size_t count, struct error *err)
{
    f->listeners = mem_zero(count * sizeof(*f->listeners));
    for (size_t i = 0; i < count; i++) {
        int port = 0, fd = listen_at(addresses[i], &port, err);

        if (fd < 0)
            return false;
        f->listeners[f->listener_count++] = fd;
        f->port = f->port ? f->port : port;
    }
    return true;
}

bool front_start(struct front **out, const struct tls_files *files, char *const *addresses,
                 size_t count, struct hub *hub, struct error *err)
{
    struct front *f = mem_zero(sizeof(*f));

    *out = f;
    f->hub = hub;
    if (tls_new(&f->tls, files, err) && listen_all(f, addresses, count, err))
        return true;
    front_stop(out);
    return false;
}

void front_give(struct front *f, front_taker *take, void *user)
{
    f->take = take;
    f->user = user;
}

int front_port(const struct front *f)
{
    return f->port;
}

void front_stop(struct front **front)
{
    struct front *f = *front;

    if (!f)
        return;
    while (f->count)
        conn_free(&f->conns[--f->count]);
    for (size_t i = 0; i < f->listener_count; i++)
        close(f->listeners[i]);
    free(f->listeners);
    tls_free(&f->tls);
    free(f);
    *front = NULL;
}
