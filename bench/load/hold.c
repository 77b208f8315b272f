/* load hold: opens connections, sends a request on each (unless --requests 0), says so, and keeps
 * them. --at-once N: of so many the answer is awaited at a time. Lines on standard input: "ask
 * TEXT" sends a request on each and says how many answers held TEXT in their head (HTTP/1); the end
 * of the input ends the program. A connection that the peer closes is counted and not opened again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/client.h"

struct hold {
    const struct load_options *o;
    struct client *clients;
    char *text;
    size_t n_text;
    int opened, ready, closed; /* opened: begun to connect */
    int asked, answered, matched;
    char wanted[512];
    ev_io input;
};

static void open_more(struct hold *h)
{
    while (h->opened < h->o->connections && h->opened - h->ready - h->closed < h->o->at_once)
        client_connect(&h->clients[h->opened++], h->o->port);
}

static void say_held(const struct hold *h)
{
    printf("{\"held\": %d, \"closed\": %d}\n", h->ready, h->closed);
    fflush(stdout);
}

static void is_ready(struct hold *h)
{
    h->ready++;
    open_more(h);
    if (h->ready + h->closed == h->o->connections)
        say_held(h);
}

static void on_connected(struct client *c)
{
    struct hold *h = c->owner;
    if (h->o->requests)
        client_send(c, h->text, h->n_text);
    else
        is_ready(h);
}

static void say_asked(struct hold *h)
{
    if (h->asked == 0 || h->answered + h->closed < h->o->connections)
        return;
    printf("{\"asked\": %d, \"answered\": %d, \"with\": %d, \"closed\": %d}\n", h->asked,
           h->answered, h->matched, h->closed);
    fflush(stdout);
    h->asked = 0;
}

static void on_answer(struct client *c)
{
    struct hold *h = c->owner;
    if (!client_open(c))
        h->closed++;
    if (h->asked == 0) {
        if (client_open(c))
            is_ready(h);
        return;
    }
    h->answered += client_open(c);
    h->matched += strstr(c->head, h->wanted) != NULL;
    say_asked(h);
}

static void on_closed(struct client *c)
{
    struct hold *h = c->owner;
    h->closed++;
    if (h->ready + h->closed <= h->o->connections && h->asked == 0 && h->ready < h->opened)
        open_more(h);
    say_asked(h);
}

static void ask(struct hold *h, const char *wanted)
{
    snprintf(h->wanted, sizeof(h->wanted), "%s", wanted);
    h->asked = h->answered = h->matched = 0;
    for (int i = 0; i < h->o->connections; i++) {
        if (client_open(&h->clients[i])) {
            h->asked++;
            client_send(&h->clients[i], h->text, h->n_text);
        }
    }
    if (h->asked == 0) {
        h->asked = 1; /* nobody is left: say so */
        say_asked(h);
    }
}

static void on_input(struct ev_loop *l, ev_io *io, int events)
{
    char line[512];
    ssize_t n = read(io->fd, line, sizeof(line) - 1);
    if (n <= 0) {
        ev_break(l, EVBREAK_ALL);
        return;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "ask ", 4) == 0)
        ask(io->data, line + 4);
    else
        say_held(io->data);
}

static const struct client_ops hold_ops = {on_connected, on_answer, on_closed};

int load_hold(const struct load_options *o)
{
    struct hold h = {.o = o};
    h.clients = calloc((size_t)o->connections, sizeof(*h.clients));
    h.text = client_request(o, &h.n_text);
    struct client **all = calloc((size_t)o->connections + 1, sizeof(struct client *));
    if (!h.clients || !all || o->streams != 1)
        return 1;
    for (int i = 0; i < o->connections; i++)
        all[i] = &h.clients[i];
    clients_init(all, &hold_ops, &h, o);
    open_more(&h);
    if (o->connections == 0)
        say_held(&h);
    ev_io_init(&h.input, on_input, 0, EV_READ);
    h.input.data = &h;
    ev_io_start(client_loop, &h.input);
    ev_run(client_loop, 0);
    return 0;
}
