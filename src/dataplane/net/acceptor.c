#include "dataplane/net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/check.h"
#include "dataplane/net/sock_option.h"

enum {
    MAX_PER_EVENT = 64,
    BROKEN_MAX = 64,
    DRY_MAX = 65536,
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 500
};

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void update(struct acceptor *a)
{
    io_watch_set(&a->watch, a->disabled == 0 && !a->exhausted ? IO_READ : 0);
}

static bool is_exhaustion(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* One connection. 0 accepted, -1 nothing there, else errno of what is exhausted. */
static int accept_one(struct acceptor *a)
{
    struct sockaddr_storage ss;
    socklen_t len;
    int fd, tries = 0;

    do {
        len = sizeof(ss);
        fd = accept4(a->watch.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        /* Errors of one connection that broke while it waited are not ours */
    } while (fd < 0 && errno != EAGAIN && !is_exhaustion(errno) && ++tries < BROKEN_MAX);
    if (fd < 0)
        return is_exhaustion(errno) ? errno : -1;
    struct address remote = address_from_sockaddr((struct sockaddr *)&ss, len);
    remote = remote.kind == ADDRESS_PIPE ? a->local : address_unmap(&remote);
    a->ops->on_accept(a, fd, &remote);
    return 0;
}

static void exhausted(struct acceptor *a, int error)
{
    a->exhausted = true;
    a->backoff_ms = a->backoff_ms ? a->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (a->backoff_ms > BACKOFF_MAX_MS)
        a->backoff_ms = BACKOFF_MAX_MS;
    timer_start(&a->retry, a->backoff_ms);
    update(a);
    if (a->ops->on_exhausted)
        a->ops->on_exhausted(a, error, a->backoff_ms);
}

/* Most events bring one connection, and to ask for another is a call in vain. What is left waiting
 * brings an event in the next turn, or the next but one, and then all are taken. */
static unsigned how_many(struct acceptor *a)
{
    uint64_t turn = loop_turns(a->loop);
    bool crowded = turn - a->last_turn <= 2;
    a->last_turn = turn;
    return crowded ? a->max_per_event : 1;
}

static void accept_some(struct acceptor *a)
{
    unsigned n = 0, most = how_many(a);
    int error = 0;
    while (error == 0 && n < most && a->disabled == 0) {
        error = accept_one(a);
        if (error == 0) {
            a->backoff_ms = 0;
            n++;
        }
    }
    if (error > 0)
        exhausted(a, error);
    if (n > 0 && a->ops->on_accepted)
        a->ops->on_accepted(a, n);
}

static void on_readable(struct io_watch *w, unsigned events UNUSED)
{
    accept_some(w->owner);
}

static void on_retry(struct timer *t)
{
    struct acceptor *a = t->owner;

    a->exhausted = false;
    if (a->reserve < 0)
        a->reserve = open_reserve();
    update(a);
    accept_some(a);
}

/* What each of its connections has as its local address, if that is known before: not behind a
 * wildcard, nor where connections to any address come in. A pipe's clients have the same, as in
 * Envoy: what they call themselves is theirs to choose. */
static struct address local_of_all(int fd)
{
    struct address a = address_local(fd);
    int transparent = 0;
    socklen_t len = sizeof(transparent);
    bool v6 = a.kind == ADDRESS_IPV6;
    if (a.kind == ADDRESS_PIPE)
        return a;
    if (!address_is_ip(&a) || address_is_any(&a) ||
        getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT,
                   &transparent, &len) < 0 ||
        transparent)
        a.kind = ADDRESS_NONE;
    return a;
}

void acceptor_init(struct acceptor *a, struct loop *loop, int fd, unsigned max_per_event,
                   const struct acceptor_ops *ops, void *owner)
{
    *a = (struct acceptor){.ops = ops, .owner = owner, .loop = loop, .local = local_of_all(fd)};
    a->last_turn = loop_turns(loop);
    (void)sock_option_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* of TCP: its connections inherit it */
    a->max_per_event = max_per_event ? max_per_event : MAX_PER_EVENT;
    a->reserve = open_reserve();
    io_watch_init(&a->watch, loop, fd, on_readable, a);
    timer_init(&a->retry, loop, on_retry, a);
    update(a);
}

void acceptor_pause(struct acceptor *a)
{
    a->disabled++;
    update(a);
}

void acceptor_resume(struct acceptor *a)
{
    CHECK(a->disabled > 0);
    a->disabled--;
    update(a);
}

void acceptor_fini(struct acceptor *a)
{
    for (unsigned i = 0; i < DRY_MAX; i++) {
        int error = accept_one(a);
        if (error > 0 && a->reserve >= 0) {
            close(a->reserve);
            a->reserve = -1;
        } else if (error != 0) {
            break;
        }
    }
    io_watch_stop(&a->watch);
    timer_stop(&a->retry);
    close(a->watch.fd);
    if (a->reserve >= 0)
        close(a->reserve);
    a->watch.fd = a->reserve = -1;
}

struct address acceptor_local(const struct acceptor *a, int fd)
{
    struct address local = a->local.kind != ADDRESS_NONE ? a->local : address_local(fd);
    return address_unmap(&local);
}

int acceptor_fd(const struct acceptor *a)
{
    return a->watch.fd;
}
