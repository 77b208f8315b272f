/* load probe: says when a change is served. A line TEXT on standard input starts a request every
 * 200 microseconds (never two at once) until the head of an answer holds TEXT; then one line tells
 * when that answer came, on the monotonic clock that all processes share. --fresh opens a
 * connection for every request: for proxies whose old connections do not see the change. Over TLS
 * that is every two milliseconds: more handshakes than that keep a CPU busy, and the change waits
 * for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/client.h"

enum { PERIOD_NS = 200000, HANDSHAKE_PERIOD_NS = 2000000, LINE = 256 };

struct probe {
    const struct load_options *o;
    struct client client;
    struct ticker ticker;
    ev_io input;
    char *text;
    size_t n_text;
    char wanted[LINE];
    bool looking;
    uint64_t asked, failed, closed;
};

static void on_tick(struct ticker *t)
{
    struct probe *p = t->owner;
    struct client *c = &p->client;
    if (!p->looking || c->waiting || c->connecting || c->shaking)
        return;
    if (client_open(c))
        client_send(c, p->text, p->n_text);
    else
        client_connect(c, p->o->port);
    p->asked++;
}

static void on_connected(struct client *c)
{
    struct probe *p = c->owner;
    client_send(c, p->text, p->n_text);
}

static void on_answer(struct client *c)
{
    struct probe *p = c->owner;
    uint64_t now = now_ns();
    if (p->o->fresh)
        client_close(c);
    p->failed += c->status >= 500;
    if (!strstr(c->head, p->wanted))
        return;
    p->looking = false;
    printf("{\"seen_ns\": %llu, \"asked\": %llu, \"failed\": %llu, \"closed\": %llu}\n",
           (unsigned long long)now, (unsigned long long)p->asked, (unsigned long long)p->failed,
           (unsigned long long)p->closed);
    fflush(stdout);
}

static void on_closed(struct client *c)
{
    struct probe *p = c->owner;
    p->closed++;
    p->failed += c->waiting;
    c->waiting = false;
}

static void on_input(struct ev_loop *l, ev_io *io, int events)
{
    struct probe *p = io->data;
    ssize_t n = read(io->fd, p->wanted, sizeof(p->wanted) - 1);
    if (n <= 0) {
        ev_break(l, EVBREAK_ALL);
        return;
    }
    p->wanted[n] = '\0';
    p->wanted[strcspn(p->wanted, "\n")] = '\0';
    p->asked = p->failed = p->closed = 0;
    p->looking = true;
}

static const struct client_ops probe_ops = {on_connected, on_answer, on_closed};

int load_probe(const struct load_options *o)
{
    struct probe p = {.o = o};
    p.text = client_request(o, &p.n_text);
    client_init(&p.client, &probe_ops, &p);
    ticker_start(&p.ticker, o->tls && o->fresh ? HANDSHAKE_PERIOD_NS : PERIOD_NS, on_tick, &p);
    ev_io_init(&p.input, on_input, 0, EV_READ);
    p.input.data = &p;
    ev_io_start(client_loop, &p.input);
    ev_run(client_loop, 0);
    return 0;
}
