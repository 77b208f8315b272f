/* The floor: what forwarding a request costs when nothing is done with it. One thread, one upstream
 * connection for each client connection, both kept alive; what is readable is read once and written
 * to the other side at once: four data calls a request (read client, write upstream, read upstream,
 * write client), no parsing, no memory. No proxy can be cheaper on these sockets.
 *
 *     floor ORIGIN_PORT     prints the port it listens on */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 65536, EVENTS = 256 };

struct side {
    int fd;
    struct side *other;
    bool closed; /* nobody may use it after this turn */
    char *kept;  /* read from here; the other side was full */
    size_t n_kept, kept_from;
    struct side *next_closed;
};

static int loop;
static struct sockaddr_in origin = {.sin_family = AF_INET};
static struct side *closed;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct side *s, int operation, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    if (epoll_ctl(loop, operation, s->fd, &e) < 0)
        fail("epoll_ctl");
}

static void close_side(struct side *s)
{
    if (s->closed)
        return;
    s->closed = true;
    close(s->fd);
    s->next_closed = closed;
    closed = s;
}

static void close_pair(struct side *s)
{
    close_side(s);
    close_side(s->other);
}

/* Nobody reads where bytes are kept, and waits for room where they shall go. */
static void rewatch(struct side *s)
{
    watch(s, EPOLL_CTL_MOD, (s->kept ? 0 : EPOLLIN) | (s->other->kept ? (uint32_t)EPOLLOUT : 0));
}

/* The other side is full: stop reading here until it has taken the rest. */
static void keep(struct side *s, const char *data, size_t len)
{
    s->kept = malloc(len);
    if (!s->kept)
        fail("malloc");
    memcpy(s->kept, data, len);
    s->n_kept = len;
    s->kept_from = 0;
    rewatch(s);
    rewatch(s->other);
}

static void on_readable(struct side *s)
{
    static char buffer[READ_SIZE];
    ssize_t n = recv(s->fd, buffer, sizeof(buffer), 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_pair(s);
        return;
    }
    ssize_t sent = send(s->other->fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        close_pair(s);
        return;
    }
    if (sent < n)
        keep(s, buffer + (sent < 0 ? 0 : sent), (size_t)(n - (sent < 0 ? 0 : sent)));
}

static void on_writable(struct side *s)
{
    struct side *from = s->other;
    ssize_t n =
        send(s->fd, from->kept + from->kept_from, from->n_kept - from->kept_from, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            close_pair(s);
        return;
    }
    from->kept_from += (size_t)n;
    if (from->kept_from < from->n_kept)
        return;
    free(from->kept);
    from->kept = NULL;
    from->n_kept = 0;
    rewatch(s);
    rewatch(from);
}

static void on_connection(int door)
{
    int one = 1, client = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    int upstream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (upstream < 0 || connect(upstream, (struct sockaddr *)&origin, sizeof(origin)) < 0)
        fail("connect to the origin");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct side *pair = calloc(2, sizeof(*pair));
    if (!pair)
        fail("calloc");
    pair[0] = (struct side){.fd = client, .other = &pair[1]};
    pair[1] = (struct side){.fd = upstream, .other = &pair[0]};
    watch(&pair[0], EPOLL_CTL_ADD, EPOLLIN);
    watch(&pair[1], EPOLL_CTL_ADD, EPOLLIN);
}

/* Both sides of a pair are on the list: the lower address is the allocation. */
static void free_closed(void)
{
    while (closed) {
        struct side *s = closed;
        closed = s->next_closed;
        free(s->kept);
        s->kept = NULL;
        if (closed == s->other) {
            closed = closed->next_closed;
            free(s->other->kept);
            free(s < s->other ? s : s->other);
        }
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(own);
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (door < 0 || bind(door, (struct sockaddr *)&own, len) < 0 || listen(door, 1024) < 0 ||
        getsockname(door, (struct sockaddr *)&own, &len) < 0)
        fail("listen");
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    return door;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS], e = {.events = EPOLLIN};
    if (argc != 2) {
        fprintf(stderr, "usage: floor ORIGIN_PORT\n");
        return 2;
    }
    origin.sin_port = htons((uint16_t)atoi(argv[1]));
    origin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int door = listen_anywhere();
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, door, &e) < 0)
        fail("epoll");
    for (;;) {
        int n = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = events[i].data.ptr;
            if (!s)
                on_connection(door);
            else if (s->closed)
                continue;
            else if (events[i].events & EPOLLOUT && s->other->kept)
                on_writable(s);
            else if (s->kept)
                close_pair(s); /* not watched for bytes: it has hung up */
            else
                on_readable(s);
        }
        free_closed();
    }
}
