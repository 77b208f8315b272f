#include <stdio.h>

#include "base/arena.h"
#include "base/memory.h"
#include "config/config_source.h"
#include "config/google_grpc.h"
#include "dataplane/net/connection.h"
#include "dataplane/net/dns.h"
#include "dataplane/net/transport_tls.h"
#include "dataplane/net/worker.h"
#include "main/dial_internal.h"
#include "main/dns_driver.h"

struct dial_target *dial_target_new(const struct dial_request *q)
{
    struct dial_target *t = NEW(struct dial_target);
    t->arena = arena_new(0);
    t->google = google_grpc_copy(t->arena, q->service->google);
    t->tls = q->tls;
    return t;
}

void dial_target_free(struct dial_target **tp)
{
    struct dial_target *t = *tp;
    *tp = NULL;
    if (!t)
        return;
    tls_context_unref(&t->tls);
    arena_free(&t->arena);
    mem_free(t);
}

static void add(struct dial_target *t, const struct address *a)
{
    if (t->n_addresses < DIAL_ADDRESSES_MAX)
        t->addresses[t->n_addresses++] = *a;
}

static void on_answer(void *ctx, const struct dns_answer *r)
{
    struct dial *d = ctx;
    struct dial_target *t = d->target;
    t->query = NULL;
    for (size_t i = 0; r->status == DNS_OK && i < r->count; i++)
        add(t, &r->addresses[i]);
    if (r->status != DNS_OK)
        snprintf(d->error, sizeof(d->error), "%.*s: %s", BYTES_ARG(d->cluster), r->error);
    dial_target_next(d);
}

static void resolve(struct dial *d, const struct google_target *g)
{
    struct error err = ERROR_INIT;
    struct dns_resolver *r = dns_driver_resolver(d->dialer->dns, &err);
    if (r) {
        d->target->query = dns_resolve(r, g->name, g->port, DNS_ALL, on_answer, d);
        return;
    }
    snprintf(d->error, sizeof(d->error), "%.*s: %s", BYTES_ARG(d->cluster), error_text(&err));
    error_fini(&err);
    dial_finish(d, -1);
}

/* The channel speaks HTTP/2, and the certificate must be for who was meant. */
static struct transport *wrap_tls(void *ctx, struct transport *socket)
{
    static const struct bytes h2[] = {BYTES("h2")};
    const struct dial *d = ctx;
    struct tls_connect_options o = {
        .alpn = h2, .n_alpn = 1, .verify_sans = &d->target->google->tls_name, .n_verify_sans = 1};
    return transport_tls_new(d->target->tls, socket, d->dialer->main_worker->chunks, &o);
}

void dial_target_next(struct dial *d)
{
    struct dial_target *t = d->target;
    const struct google_grpc *g = t->google;
    while (t->next_address == t->n_addresses && t->next_name < g->n_targets) {
        const struct google_target *next = &g->targets[t->next_name++];
        if (next->name.data) {
            resolve(d, next);
            return;
        }
        add(t, &next->address);
    }
    if (t->next_address == t->n_addresses) {
        if (!d->error[0])
            snprintf(d->error, sizeof(d->error), "%.*s has no address", BYTES_ARG(d->cluster));
        dial_finish(d, -1);
        return;
    }
    struct connect_options o = {.timeout_ms = g->connect_timeout_ms};
    if (t->tls) {
        o.wrap = wrap_tls;
        o.wrap_ctx = d;
    }
    const struct address *to = &t->addresses[t->next_address++];
    d->tries_left = t->n_addresses - t->next_address + g->n_targets - t->next_name;
    dial_connect(d, to, &o);
}

void dial_target_cancel(struct dial *d)
{
    if (d->target && d->target->query)
        dns_cancel(&d->target->query);
}
