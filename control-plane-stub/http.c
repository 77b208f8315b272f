#include "http.h"

#include "http_parse.h"
#include "listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 100

struct http_server {
    int fd, port;
    const struct http_handler *handler;
    void *user;
    struct http_conn *conns[CONNECTIONS];
    size_t count;
};

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Error";
    }
}

void http_reply(struct http_conn *c, int status, const char *content_type, const char *body,
                size_t len)
{
    text_printf(&c->out,
                "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n"
                "cache-control: no-store\r\n%s\r\n",
                status, reason(status), content_type, len,
                c->closing ? "connection: close\r\n" : "");
    text_add(&c->out, body, len);
    c->parked = false;
}

static void flush(struct http_conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

        if (n < 0) {
            c->dead = c->dead || (errno != EAGAIN && errno != EINTR);
            return;
        }
        c->sent += (size_t)n;
    }
    text_fini(&c->out);
    c->sent = 0;
    if (c->closing && !c->parked)
        c->dead = true;
}

static void reply_bad(struct http_conn *c, int status)
{
    static const char body[] = "{\"error\":\"this is no request that xylem-stub understands\"}\n";

    c->closing = true;
    text_fini(&c->in);
    http_reply(c, status, "application/json", body, strlen(body));
}

static void consume(struct text *in, size_t n)
{
    memmove(in->data, in->data + n, in->len - n);
    in->len -= n;
}

/* Hand over the request at the front of the input, if it is whole. Was there one? */
static bool take_request(struct http_server *s, struct http_conn *c)
{
    struct http_head head;
    struct http_request r = {0};
    enum parse got = http_parse_head(&c->in, &head);
    bool whole = got == PARSE_DONE && c->in.len >= head.head_len + head.body_len;

    if (got == PARSE_BAD) {
        reply_bad(c, head.status);
    } else if (whole) {
        c->continued = false;
        c->closing = !head.keep_alive;
        c->parked = true;
        r.method = head.method;
        r.body = c->in.data + head.head_len;
        r.body_len = head.body_len;
        if (http_parse_target(head.target, &r))
            s->handler->request(s->user, c, &r);
        else
            reply_bad(c, 400);
        http_request_fini(&r);
        if (c->in.len)
            consume(&c->in, head.head_len + head.body_len);
    } else if (got == PARSE_DONE && head.expect_continue && !c->continued) {
        c->continued = true;
        text_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    http_head_fini(&head);
    return whole;
}

static void receive(struct http_conn *c)
{
    char buffer[65536];

    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);

        if (n > 0) {
            text_add(&c->in, buffer, (size_t)n);
            continue;
        }
        if (n == 0)
            c->eof = true;
        else if (errno != EAGAIN && errno != EINTR)
            c->dead = true;
        return;
    }
}

static void serve(struct http_server *s, struct http_conn *c, short events)
{
    if (events & (POLLIN | POLLHUP | POLLERR))
        receive(c);
    while (!c->dead && !c->parked && !c->closing && take_request(s, c))
        ;
    if (c->eof && c->parked)
        c->dead = true; /* nobody waits for the answer any more */
    else if (c->eof)
        c->closing = true;
    flush(c);
}

static void conn_free(struct http_server *s, struct http_conn *c)
{
    if (c->parked && c->wait)
        s->handler->gone(s->user, c);
    close(c->fd);
    text_fini(&c->in);
    text_fini(&c->out);
    free(c);
}

static void reap(struct http_server *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (s->conns[i]->dead)
            conn_free(s, s->conns[i]);
        else
            s->conns[kept++] = s->conns[i];
    }
    s->count = kept;
}

static void accept_all(struct http_server *s)
{
    while (s->count < CONNECTIONS) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        s->conns[s->count] = mem_zero(sizeof(struct http_conn));
        s->conns[s->count++]->fd = fd;
    }
}

size_t http_poll_fds(struct http_server *s, struct pollfd *fds, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        serve(s, s->conns[i], 0); /* a parked request may have been answered meanwhile */
    reap(s);
    for (; n < s->count && n < room; n++)
        fds[n] = (struct pollfd){s->conns[n]->fd,
                                 (short)(POLLIN | (s->conns[n]->out.len ? POLLOUT : 0)), 0};
    if (n < room)
        fds[n++] = (struct pollfd){s->fd, s->count < CONNECTIONS ? POLLIN : 0, 0};
    return n;
}

void http_run(struct http_server *s, const struct pollfd *fds, size_t count)
{
    size_t n = s->count < count ? s->count : count;

    for (size_t i = 0; i < n; i++)
        if (fds[i].fd == s->conns[i]->fd && (fds[i].revents || s->conns[i]->in.len))
            serve(s, s->conns[i], fds[i].revents);
    reap(s);
    accept_all(s);
}

bool http_start(struct http_server **out, const char *address, const struct http_handler *handler,
                void *user, struct error *err)
{
    struct http_server *s = mem_zero(sizeof(*s));

    s->handler = handler;
    s->user = user;
    *out = s;
    s->fd = listen_at(address, &s->port, err);
    if (s->fd < 0) {
        http_stop(out);
        return false;
    }
    return true;
}

bool http_adopt(struct http_server *s, int fd)
{
    if (s->count == CONNECTIONS)
        return false;
    s->conns[s->count] = mem_zero(sizeof(struct http_conn));
    s->conns[s->count]->fd = fd;
    s->conns[s->count++]->outside = true;
    return true;
}

void http_stop(struct http_server **server)
{
    struct http_server *s = *server;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        flush(s->conns[i]);
        conn_free(s, s->conns[i]);
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    *server = NULL;
}

int http_port(const struct http_server *s)
{
    return s->port;
}
