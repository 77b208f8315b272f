/* Statistics of named subscriptions, where Envoy keeps them: those of endpoints with their cluster
 * (cluster.NAME.update_success), those of routes, secrets and filters by themselves
 * (http.PREFIX.rds.NAME.*, sds.NAME.*, extension_config_discovery.http_filter.NAME.*). */
#include "base/xxhash64.h"
#include "config/builder_private.h"

/* What counts the events of a subscription, by its kind. */
#define EVENTS(kind, of, event)                                                                    \
    [kind] = {                                                                                     \
        [SUBSCRIPTION_ATTEMPT] = STAT_##event##_ATTEMPT,                                           \
        [SUBSCRIPTION_SUCCESS] = STAT_##event##_SUCCESS,                                           \
        [SUBSCRIPTION_REJECTED] = STAT_##of##_UPDATE_REJECTED,                                     \
        [SUBSCRIPTION_FAILURE] = STAT_##event##_FAILURE,                                           \
        [SUBSCRIPTION_TIMEOUT] = STAT_##of##_INIT_FETCH_TIMEOUT,                                   \
    }
static const unsigned events[RESOURCE_TYPE_COUNT][SUBSCRIPTION_TIMEOUT + 1] = {
    EVENTS(RESOURCE_ENDPOINT, CLUSTER, CLUSTER_DNS),
    EVENTS(RESOURCE_ROUTE, RDS, RDS_UPDATE),
    EVENTS(RESOURCE_SECRET, SDS, SDS_UPDATE),
    EVENTS(RESOURCE_EXTENSION, ECDS, ECDS_UPDATE),
    EVENTS(RESOURCE_VIRTUAL_HOST, VHDS, VHDS_UPDATE),
    EVENTS(RESOURCE_SCOPED_ROUTE, SRDS, SRDS_UPDATE),
};

/* What the newest version is called, of those with a scope of their own. */
#define WORDS(of)                                                                                  \
    {                                                                                              \
        STAT_##of##_UPDATE_TIME, STAT_##of##_UPDATE_DURATION, STAT_##of##_VERSION,                 \
            STAT_##of##_VERSION_TEXT                                                               \
    }
static const struct {
    unsigned time, duration, version, text;
} words[RESOURCE_TYPE_COUNT] = {
    [RESOURCE_ROUTE] = WORDS(RDS),         [RESOURCE_SECRET] = WORDS(SDS),
    [RESOURCE_EXTENSION] = WORDS(ECDS),    [RESOURCE_VIRTUAL_HOST] = WORDS(VHDS),
    [RESOURCE_SCOPED_ROUTE] = WORDS(SRDS),
};

/* Two versions of a cluster share its statistics: one of those that ask for r counts. */
static bool counts(const struct resource_version *v, const struct resource *r)
{
    const struct resource_version *active = v->resource->active;
    for (unsigned i = 0; v != active && active && i < active->n_deps; i++) {
        if (active->deps[i].on == r)
            return false;
    }
    return true;
}

void builder_subscription_count(struct resource *r, enum subscription_event e)
{
    if (r->stats)
        stat_inc(r->stats, STAT_SLOT_CONFIG, events[r->type][e]);
    if (r->stats && r->type == RESOURCE_EXTENSION &&
        (e == SUBSCRIPTION_REJECTED || e == SUBSCRIPTION_TIMEOUT))
        stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_ECDS_CONFIG_FAIL);
    LIST_EACH(it, &r->dependants)
    {
        struct resource_version *v = LIST_ENTRY(it, struct dependency, link)->from;
        if (r->type == RESOURCE_ENDPOINT && counts(v, r))
            stat_inc(v->state->stats, STAT_SLOT_CONFIG, events[RESOURCE_ENDPOINT][e]);
    }
}

static void set_version(struct resource *r, const struct incoming *in)
{
    int64_t time = (int64_t)(in->wall_ns / NS_PER_MS);
    int64_t version = (int64_t)xxhash64(in->version);
    if (r->stats) {
        stat_set(r->stats, STAT_SLOT_CONFIG, words[r->type].time, time);
        stat_set(r->stats, STAT_SLOT_CONFIG, words[r->type].version, version);
        stat_set_text(r->stats, words[r->type].text, in->version);
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

bool builder_times_updates(enum resource_type type)
{
    return words[type].duration != 0;
}

/* Of a cluster's endpoints it is not kept: it would be memory of each cluster. */
static void record_duration(const struct builder *b, const struct resource *r,
                            const struct incoming *in)
{
    if (r->stats)
        stat_record(r->stats, STAT_SLOT_CONFIG, words[r->type].duration,
                    (builder_monotonic_ns(b) - in->begun_ns) / NS_PER_MS);
}

void builder_subscription_answer(const struct builder *b, struct resource *r,
                                 const struct incoming *in, bool ok, bool unchanged)
{
    builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
    builder_subscription_count(r, ok ? SUBSCRIPTION_SUCCESS : SUBSCRIPTION_REJECTED);
    if (ok) {
        record_duration(b, r, in);
        set_version(r, in);
    }
    if (ok && !unchanged && r->type == RESOURCE_EXTENSION)
        stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_ECDS_CONFIG_RELOAD);
    if (ok && !unchanged && r->stats && r->type == RESOURCE_VIRTUAL_HOST)
        stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_VHDS_CONFIG_RELOAD);
    bool scopes = r->type == RESOURCE_SCOPED_ROUTE;
    if (!ok || unchanged || !r->stats || (r->type != RESOURCE_ROUTE && !scopes))
        return;
    stat_inc(r->stats, STAT_SLOT_CONFIG,
             scopes ? (unsigned)STAT_SRDS_CONFIG_RELOAD : STAT_RDS_CONFIG_RELOAD);
    stat_set(r->stats, STAT_SLOT_CONFIG,
             scopes ? (unsigned)STAT_SRDS_CONFIG_RELOAD_TIME_MS : STAT_RDS_CONFIG_RELOAD_TIME_MS,
             (int64_t)(in->wall_ns / NS_PER_MS));
}

void builder_route_scope(struct builder *b, struct resource *r, struct bytes stat_prefix)
{
    if (r->stats)
        return;
    struct arena *a = arena_new(0);
    struct bytes name = stat_name_of(a, r->name);
    const char *prefix =
        arena_printf(a, "http.%.*s.rds.%.*s", BYTES_ARG(stat_prefix), BYTES_ARG(name));
    r->stats = stat_scope_get(b->options.stats, bytes_of(prefix), &rds_stat_schema);
    arena_free(&a);
}

void config_source_failed(struct builder *b, const struct config_source *source)
{
    static const enum resource_type types[] = {RESOURCE_ENDPOINT,     RESOURCE_ROUTE,
                                               RESOURCE_SECRET,       RESOURCE_EXTENSION,
                                               RESOURCE_VIRTUAL_HOST, RESOURCE_SCOPED_ROUTE};
    for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
        LIST_EACH(it, &b->store.lists[types[t]])
        {
            struct resource *r = LIST_ENTRY(it, struct resource, link);
            if (r->told && r->source && bytes_eq(r->source->source.key, source->key)) {
                builder_subscription_count(r, SUBSCRIPTION_ATTEMPT);
                builder_subscription_count(r, SUBSCRIPTION_FAILURE);
            }
        }
    }
    if (b->table.source_failed)
        b->table.source_failed(b->table.ctx, source);
}
