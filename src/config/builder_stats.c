/* Statistics of named subscriptions, where Envoy keeps them: those of endpoints with their cluster
 * (cluster.NAME.update_success), those of routes and secrets by themselves
 * (http.PREFIX.rds.NAME.*, sds.NAME.*). */
#include "base/xxhash64.h"
#include "config/builder_private.h"

struct names {
    unsigned endpoint, route, secret;
};

static const struct names names[] = {
    [SUBSCRIPTION_ATTEMPT] = {STAT_CLUSTER_DNS_ATTEMPT, STAT_RDS_UPDATE_ATTEMPT,
                              STAT_SDS_UPDATE_ATTEMPT},
    [SUBSCRIPTION_SUCCESS] = {STAT_CLUSTER_DNS_SUCCESS, STAT_RDS_UPDATE_SUCCESS,
                              STAT_SDS_UPDATE_SUCCESS},
    [SUBSCRIPTION_REJECTED] = {STAT_CLUSTER_UPDATE_REJECTED, STAT_RDS_UPDATE_REJECTED,
                               STAT_SDS_UPDATE_REJECTED},
    [SUBSCRIPTION_FAILURE] = {STAT_CLUSTER_DNS_FAILURE, STAT_RDS_UPDATE_FAILURE,
                              STAT_SDS_UPDATE_FAILURE},
    [SUBSCRIPTION_TIMEOUT] = {STAT_CLUSTER_INIT_FETCH_TIMEOUT, STAT_RDS_INIT_FETCH_TIMEOUT,
                              STAT_SDS_INIT_FETCH_TIMEOUT},
};

/* Two versions of a cluster share its statistics: one of them counts. */
static bool counts(const struct resource_version *v)
{
    return v == v->resource->active || !v->resource->active;
}

void builder_subscription_count(struct resource *r, enum subscription_event e)
{
    if (r->stats)
        stat_inc(r->stats, STAT_SLOT_CONFIG,
                 r->type == RESOURCE_SECRET ? names[e].secret : names[e].route);
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        if (r->type == RESOURCE_ENDPOINT && counts(v))
            stat_inc(v->state->stats, STAT_SLOT_CONFIG, names[e].endpoint);
    }
}

static void set_version(struct resource *r, const struct incoming *in)
{
    int64_t time = (int64_t)(in->wall_ns / NS_PER_MS);
    int64_t version = (int64_t)xxhash64(in->version);
    bool secret = r->type == RESOURCE_SECRET;
    if (r->stats) {
        stat_set(r->stats, STAT_SLOT_CONFIG, secret ? STAT_SDS_UPDATE_TIME : STAT_RDS_UPDATE_TIME,
                 time);
        stat_set(r->stats, STAT_SLOT_CONFIG, secret ? STAT_SDS_VERSION : STAT_RDS_VERSION, version);
        stat_set_text(r->stats, secret ? STAT_SDS_VERSION_TEXT : STAT_RDS_VERSION_TEXT,
                      in->version);
    }
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        if (r->type != RESOURCE_ENDPOINT)
            continue;
        stat_set(v->state->stats, STAT_SLOT_CONFIG, STAT_CLUSTER_UPDATE_TIME, time);
        stat_set(v->state->stats, STAT_SLOT_CONFIG, STAT_CLUSTER_VERSION, version);
        stat_set_text(v->state->stats, STAT_CLUSTER_VERSION_TEXT, in->version);
    }
}

void builder_subscription_answer(struct resource *r, const struct incoming *in, bool ok,
                                 bool unchanged)
{
    builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    builder_subscription_count(r, ok ? SUBSCRIPTION_SUCCESS : SUBSCRIPTION_REJECTED);
    if (ok)
        set_version(r, in);
    if (!ok || unchanged || !r->stats || r->type != RESOURCE_ROUTE)
        return;
    stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_RDS_CONFIG_RELOAD);
    stat_set(r->stats, STAT_SLOT_CONFIG, STAT_RDS_CONFIG_RELOAD_TIME_MS,
             (int64_t)(in->wall_ns / NS_PER_MS));
}

void builder_route_scope(struct builder *b, struct resource *r, const struct http_manager *m)
{
    if (r->stats)
        return;
    struct arena *a = arena_new(0);
    struct bytes name = stat_name_of(a, r->name);
    const char *prefix =
        arena_printf(a, "http.%.*s.rds.%.*s", BYTES_ARG(m->stat_prefix), BYTES_ARG(name));
    r->stats = stat_scope_get(b->options.stats, bytes_of(prefix), &rds_stat_schema);
    arena_free(&a);
}

void config_source_failed(struct builder *b, const struct config_source *source)
{
    static const enum resource_type types[] = {RESOURCE_ENDPOINT, RESOURCE_ROUTE, RESOURCE_SECRET};
    for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
        LIST_EACH(it, &b->store.lists[types[t]])
        {
            struct resource *r = LIST_ENTRY(it, struct resource, link);
            if (r->told && r->source && bytes_eq(r->source->source.key, source->key))
                builder_subscription_count(r, SUBSCRIPTION_FAILURE);
        }
    }
}
