/* load run: an open loop. Request i is due at start + i / rate, whatever the answers do; its
 * latency counts from there, so a proxy that stands still for a while is seen by all who would have
 * come meanwhile (no coordinated omission). A request waits here while all connections are busy.
 * With --each FILE all that were answered with 2xx are written there at the end, each as two
 * numbers of 64 bits, nanoseconds of CLOCK_MONOTONIC: when it was due, and was answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/client.h"
#include "load/histogram.h"
#include "load/tls.h"

enum { END_WAIT_NS = 3000000000u, TICK_MIN_NS = 100000 };

struct moments {
    uint64_t due, answered;
};

struct request {
    struct client client;
    uint64_t due;
};

struct run {
    const struct load_options *o;
    struct request *requests;
    int n;                 /* requests at a time */
    struct request **idle; /* ring: the one that has rested longest is next */
    uint64_t idle_from, idle_to;
    struct ticker ticker;
    char *text;
    size_t n_text;
    int connected;
    uint64_t begun, warm_from, ends, n_due, n_sent, out;
    uint64_t good, failed, closed, statuses[6], bytes;
    struct histogram latency, lag;
    struct moments *each; /* n_each of them; NULL without --each */
    uint64_t n_each;
};

static void rest(struct run *r, struct request *q)
{
    r->idle[r->idle_to++ % (uint64_t)r->n] = q;
}

static uint64_t due_at(const struct run *r, uint64_t i)
{
    return r->begun + (uint64_t)((double)i * 1e9 / r->o->rate);
}

static void dispatch(struct run *r)
{
    uint64_t now = now_ns();
    while (r->n_sent < r->n_due && due_at(r, r->n_sent) <= now && r->idle_from < r->idle_to) {
        struct request *q = r->idle[r->idle_from++ % (uint64_t)r->n];
        q->due = due_at(r, r->n_sent++);
        r->out++;
        if (q->due >= r->warm_from)
            histogram_add(&r->lag, now - q->due);
        if (client_open(&q->client))
            client_send(&q->client, r->text, r->n_text);
        else
            client_connect(&q->client, r->o->port);
    }
    if ((r->n_sent == r->n_due && r->out == 0) || now > r->ends + END_WAIT_NS)
        ev_break(client_loop, EVBREAK_ALL);
}

static void on_tick(struct ticker *t)
{
    dispatch(t->owner);
}

static void begin(struct run *r)
{
    uint64_t period = (uint64_t)(1e9 / r->o->rate);
    r->begun = now_ns() + 1000000;
    r->warm_from = r->begun + (uint64_t)(r->o->warm_up * 1e9);
    r->ends = r->warm_from + (uint64_t)(r->o->seconds * 1e9);
    r->n_due = (uint64_t)((r->o->warm_up + r->o->seconds) * r->o->rate);
    if (r->o->each && !(r->each = calloc(r->n_due + 1, sizeof(*r->each))))
        exit(1);
    ticker_start(&r->ticker, period > TICK_MIN_NS ? period : TICK_MIN_NS, on_tick, r);
}

static void on_connected(struct client *c)
{
    struct request *q = (struct request *)c;
    struct run *r = c->owner;
    if (r->begun && q->due)
        client_send(c, r->text, r->n_text);
    if (r->begun)
        return; /* or a stream's place that rests, on a connection that is opened again */
    rest(r, q);
    if (++r->connected == r->n)
        begin(r);
}

static void on_answer(struct client *c)
{
    struct request *q = (struct request *)c;
    struct run *r = c->owner;
    uint64_t now = now_ns();
    r->out--;
    r->statuses[c->status >= 100 && c->status < 600 ? c->status / 100 : 0]++;
    r->bytes += c->body_bytes;
    c->body_bytes = 0;
    if (c->status / 100 != 2) {
        r->failed++;
    } else {
        r->good++;
        if (r->each)
            r->each[r->n_each++] = (struct moments){q->due, now};
        if (q->due >= r->warm_from)
            histogram_add(&r->latency, now - q->due);
    }
    q->due = 0;
    if (r->o->close)
        client_close(c);
    rest(r, q);
    dispatch(r);
}

static void on_closed(struct client *c)
{
    struct request *q = (struct request *)c;
    struct run *r = c->owner;
    r->closed++;
    if (!r->begun) {
        fprintf(stderr, "load: cannot connect to port %d\n", r->o->port);
        exit(1);
    }
    if (!q->due)
        return; /* while it rested: it is opened again when its turn comes */
    r->failed++;
    r->out--;
    q->due = 0;
    rest(r, q);
}

/* Not sent, or not answered, when the time was over. */
static uint64_t unfinished(const struct run *r)
{
    return r->out + (r->n_due - r->n_sent);
}

static void report(const struct run *r)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    printf("{\"due\": %llu, \"good\": %llu, \"failed\": %llu, \"unfinished\": %llu, \"closed\": "
           "%llu, \"bytes\": %llu, "
           "\"full\": %llu, \"resumed\": %llu, \"statuses\": [",
           (unsigned long long)r->n_due, (unsigned long long)r->good,
           (unsigned long long)(r->failed + unfinished(r)), (unsigned long long)unfinished(r),
           (unsigned long long)r->closed, (unsigned long long)r->bytes,
           (unsigned long long)client_tls_full, (unsigned long long)client_tls_resumed);
    for (int i = 0; i < 6; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)r->statuses[i]);
    printf("], \"rate\": %.1f", (double)r->good * 1e9 / (double)(now_ns() - r->begun));
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        printf(", \"%s\": %.1f", parts[i].name,
               (double)histogram_at(&r->latency, parts[i].part) / 1000);
    printf(", \"max_us\": %.1f, \"mean_us\": %.1f, \"late_p99_us\": %.1f, \"late_p999_us\": %.1f, "
           "\"late_max_us\": %.1f}\n",
           (double)r->latency.max / 1000,
           r->latency.count ? r->latency.sum / (double)r->latency.count / 1000 : 0,
           (double)histogram_at(&r->lag, 0.99) / 1000, (double)histogram_at(&r->lag, 0.999) / 1000,
           (double)r->lag.max / 1000);
}

static int write_each(const struct run *r)
{
    FILE *f = fopen(r->o->each, "wbe");
    bool written = f && fwrite(r->each, sizeof(*r->each), r->n_each, f) == r->n_each;
    if (f && fclose(f) != 0)
        written = false;
    if (!written)
        perror(r->o->each);
    return written ? 0 : 1;
}

static const struct client_ops run_ops = {on_connected, on_answer, on_closed};

/* The places of a connection stand together in `requests`; in the ring they alternate. */
static void clients_of(struct run *r)
{
    struct client **all = calloc((size_t)r->n, sizeof(struct client *));
    if (!all)
        exit(1);
    for (int i = 0; i < r->n; i++)
        all[i] = &r->requests[i].client;
    clients_init(all, &run_ops, r, r->o);
    for (int stream = 0, each = r->n / r->o->connections; stream < each; stream++) {
        for (int i = stream; i < r->n; i += each) {
            if (r->o->close)
                rest(r, &r->requests[i]);
            else
                client_connect(&r->requests[i].client, r->o->port);
        }
    }
}

int load_run(const struct load_options *o)
{
    struct run *r = calloc(1, sizeof(*r));
    size_t n = (size_t)client_count(o);
    if (!r || n == 0 || !(r->requests = calloc(n, sizeof(*r->requests))) ||
        !(r->idle = calloc(n, sizeof(struct request *))))
        return 1;
    r->o = o;
    r->n = (int)n;
    r->text = client_request(o, &r->n_text);
    clients_of(r);
    if (o->close)
        begin(r);
    ev_run(client_loop, 0);
    report(r);
    return r->each ? write_each(r) : 0;
}
