/* Read-only views of the store for the admin pages. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/builder_private.h"

static int by_name(const void *a, const void *b)
{
    const struct resource *const *x = a, *const *y = b;
    return bytes_cmp((*x)->name, (*y)->name);
}

static void make_sorted(struct builder *b, enum resource_type type)
{
    size_t n = 0;
    if (b->sorted[type])
        return;
    b->sorted[type] = mem_alloc((b->store.counts[type] + 1) * sizeof(struct resource *));
    LIST_EACH(it, &b->store.lists[type])
    {
        struct resource *r = LIST_ENTRY(it, struct resource, link);
        if (!r->stands_for_all)
            b->sorted[type][n++] = r;
    }
    b->sorted[type][n] = NULL;
    if (n)
        qsort(b->sorted[type], n, sizeof(struct resource *), by_name);
}

static enum client_status status_of(const struct resource *r)
{
    if (r->rejected)
        return CLIENT_NACKED;
    if (r->active || r->pending)
        return CLIENT_ACKED;
    if (r->timed_out)
        return CLIENT_TIMEOUT;
    return r->absent ? CLIENT_DOES_NOT_EXIST : CLIENT_REQUESTED;
}

static void describe_wait(const struct resource_version *v, char *out, size_t size)
{
    size_t n = 0;
    for (unsigned i = 0; i < v->n_deps && n < size; i++) {
        const struct resource *on = v->deps[i].on;
        if (builder_awaits(v, on))
            n += (size_t)snprintf(out + n, size - n, "%s%s %.*s", n ? ", " : "",
                                  resource_type_short(on->type), BYTES_ARG(on->name));
    }
    for (uint32_t i = 0; v->dns && i < v->cluster->n_dns_targets && n < size; i++) {
        if (!v->dns[i].answered)
            n += (size_t)snprintf(out + n, size - n, "%sdns %.*s", n ? ", " : "",
                                  BYTES_ARG(v->cluster->dns_targets[i].name));
    }
}

static const struct host_set *hosts_of(const struct resource *r)
{
    if (r->type == RESOURCE_ENDPOINT) {
        struct list *l = list_first(&r->dependants);
        return l ? LIST_ENTRY(l, struct dependency, link)->from->hosts : NULL;
    }
    const struct resource_version *v = r->active ? r->active : r->pending;
    return v ? v->hosts : NULL;
}

static const struct resource_rejected *endpoints_rejected(const struct resource_version *v)
{
    for (unsigned i = 0; v && i < v->n_deps; i++) {
        if (v->deps[i].on->type == RESOURCE_ENDPOINT)
            return v->deps[i].on->rejected;
    }
    return NULL;
}

static struct resource_view view_of(struct builder *b, const struct resource *r)
{
    struct resource_view v = {.type = r->type,
                              .name = r->name,
                              .is_static = r->is_static,
                              .active = r->active,
                              .warming = r->pending,
                              .rejected = r->rejected,
                              .status = status_of(r),
                              .hosts = hosts_of(r)};
    if (r->type == RESOURCE_CLUSTER) {
        v.cluster = pmap_get(&b->clusters, r->name);
        v.endpoints_rejected = endpoints_rejected(r->pending ? r->pending : r->active);
    }
    if (r->type == RESOURCE_LISTENER)
        v.listener = pmap_get(&b->listeners, r->name);
    if (r->pending && r->type == RESOURCE_ROUTE)
        builder_hold_describe(b, r, v.waiting_for, sizeof(v.waiting_for));
    else if (r->pending)
        describe_wait(r->pending, v.waiting_for, sizeof(v.waiting_for));
    return v;
}

size_t builder_each(struct builder *b, enum resource_type type, size_t from, resource_view_fn *fn,
                    void *ctx)
{
    make_sorted(b, type);
    for (size_t i = from; i < b->store.counts[type] && b->sorted[type][i]; i++) {
        struct resource_view v = view_of(b, b->sorted[type][i]);
        if (!fn(ctx, &v))
            return i + 1;
    }
    return SIZE_MAX;
}

void builder_each_held(const struct builder *b, const struct config_source *source,
                       enum resource_type type, builder_held_fn *fn, void *arg)
{
    LIST_EACH(it, &b->store.lists[type])
    {
        const struct resource *r = LIST_ENTRY(it, struct resource, link);
        const struct resource_version *v = r->pending ? r->pending : r->active;
        if (v && !r->is_static && !r->absent && !r->doomed &&
            bytes_eq(r->source->source.key, source->key))
            fn(arg, r->name, bytes_of(v->version->text));
    }
}
