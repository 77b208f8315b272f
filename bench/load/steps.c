/* load steps: requests in step. A line "run N" on standard input: N times a request from each
 * client at once (so many connections, so many streams on each), all answers awaited before the
 * next time; then one line tells. The same work in the same order each time: for what is counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/client.h"

struct steps {
    const struct load_options *o;
    struct client *clients;
    char *text;
    size_t n_text;
    int n, connected, out;
    long left;
    unsigned long long answered, failed;
    ev_io input;
};

static void say(struct steps *s)
{
    printf("{\"answered\": %llu, \"failed\": %llu}\n", s->answered, s->failed);
    fflush(stdout);
    s->answered = s->failed = 0;
}

static void step(struct steps *s)
{
    if (s->left-- == 0) {
        say(s);
        return;
    }
    s->out = s->n;
    for (int i = 0; i < s->n; i++)
        client_send(&s->clients[i], s->text, s->n_text);
}

static void on_connected(struct client *c)
{
    struct steps *s = c->owner;
    if (++s->connected == s->n)
        say(s);
}

static void on_answer(struct client *c)
{
    struct steps *s = c->owner;
    s->answered++;
    s->failed += c->status != 200;
    if (--s->out == 0)
        step(s);
}

static void on_closed(struct client *c)
{
    fprintf(stderr, "load: a connection was closed\n");
    exit(1);
}

static void on_input(struct ev_loop *l, ev_io *io, int events)
{
    struct steps *s = io->data;
    char line[64];
    ssize_t n = read(io->fd, line, sizeof(line) - 1);
    if (n <= 0) {
        ev_break(l, EVBREAK_ALL);
        return;
    }
    line[n] = '\0';
    s->left = strncmp(line, "run ", 4) == 0 ? strtol(line + 4, NULL, 10) : 0;
    step(s);
}

static const struct client_ops steps_ops = {on_connected, on_answer, on_closed};

int load_steps(const struct load_options *o)
{
    struct steps s = {.o = o, .n = client_count(o)};
    s.clients = calloc((size_t)s.n, sizeof(*s.clients));
    struct client **all = calloc((size_t)s.n, sizeof(struct client *));
    if (!s.clients || !all)
        return 1;
    s.text = client_request(o, &s.n_text);
    for (int i = 0; i < s.n; i++)
        all[i] = &s.clients[i];
    clients_init(all, &steps_ops, &s, o);
    for (int i = 0; i < s.n; i++)
        client_connect(&s.clients[i], o->port);
    ev_io_init(&s.input, on_input, 0, EV_READ);
    s.input.data = &s;
    ev_io_start(client_loop, &s.input);
    ev_run(client_loop, 0);
    return 0;
}
