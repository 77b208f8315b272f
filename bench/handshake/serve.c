/* The floor of a proxy that speaks TLS: a loop, a socket, the library, and an answer that is always
 * the same. */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 18 << 10, EVENTS = 64, WAITING = 4096 };

static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

struct conn {
    int fd;
    SSL *ssl;
    BIO *net; /* the wire's side of what the library reads and writes */
    bool done;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, WAITING) < 0)
        die("listen");
    return fd;
}

static void watch(int epoll, int fd, void *ctx)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = ctx};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static void add(int epoll, int fd, SSL_CTX *ctx)
{
    struct conn *c = calloc(1, sizeof(*c));
    BIO *inner;
    if (!c || !(c->ssl = SSL_new(ctx)) || !BIO_new_bio_pair(&inner, ROOM, &c->net, ROOM))
        die("memory");
    c->fd = fd;
    SSL_set_bio(c->ssl, inner, inner);
    SSL_set_accept_state(c->ssl);
    watch(epoll, fd, c);
}

static void drop(struct conn *c)
{
    SSL_free(c->ssl);
    BIO_free(c->net);
    close(c->fd);
    free(c);
}

/* False: there is nobody any more. So little fits into any socket, and into the room. */
static bool take_in(struct conn *c)
{
    char bytes[ROOM];
    ssize_t got = recv(c->fd, bytes, BIO_ctrl_get_write_guarantee(c->net), 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    return BIO_write(c->net, bytes, (int)got) == got;
}

static bool give_out(struct conn *c)
{
    char bytes[ROOM];
    int n = BIO_read(c->net, bytes, sizeof(bytes));
    return n <= 0 || send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static bool serve_one(struct conn *c)
{
    char request[4096];
    if (!take_in(c))
        return false;
    if (!c->done) {
        int n = SSL_do_handshake(c->ssl);
        if (n != 1 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
            return false;
        c->done = n == 1;
    }
    if (c->done) {
        int n = SSL_read(c->ssl, request, sizeof(request));
        if (n > 0)
            SSL_write(c->ssl, answer, sizeof(answer) - 1);
        else if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
            return false;
    }
    return give_out(c);
}

void serve(SSL_CTX *ctx, int port)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(port);
    watch(epoll, listener, NULL);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            int fd;
            if (c && !serve_one(c))
                drop(c);
            if (!c && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                add(epoll, fd, ctx);
        }
    }
}
