/* What configuration costs behind the wire, counted: a builder and one worker's cluster manager,
 * without network, without threads.
 *
 *     config_cost SIZE [ENDPOINTS ROUTES LISTENERS]
 *
 * builds SIZE EDS clusters of ENDPOINTS (2) endpoints, one table of ROUTES (SIZE) routes to them
 * and LISTENERS (1) listeners, prints the heap bytes that this world holds, then changes one
 * resource at a time, TIMES of each kind, and prints heap bytes and calls of each phase; then the
 * same as a DeltaDiscoveryResponse brings it: read, applied, acknowledged. Run under
 * callgrind with --instr-atstart=no it also writes a dump for each phase of each change, "KIND
 * PHASE". The output is one line of JSON. Allocations are counted because the counting allocator is
 * linked in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_CALLGRIND
#include <valgrind/callgrind.h>
#else /* heap bytes and calls are counted all the same */
#define CALLGRIND_DUMP_STATS_AT(what)
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#endif

#include "base/memory.h"
#include "base/strbuf.h"
#include "config/builder.h"
#include "config/json_read.h"
#include "config/validate.h"
#include "config/wire.h"
#include "config/yaml.h"
#include "dataplane/upstream/cluster_manager.h"
#include "filters/registry.h"
#include "heap/count_heap.h"
#include "xds/topic.h"

enum { TIMES = 8, PHASES = 4 };

struct world {
    unsigned clusters, endpoints, routes, listeners;
    struct descriptors *descriptors;
    struct validator *validator;
    struct stat_store *stats;
    struct builder *builder;
    struct config_source ads;
    struct worker worker;
    struct snapshot *published;
    struct heap_counts spent[PHASES];
    uint64_t decoded; /* resources, in the changes of a kind */
    const char *kind; /* that is measured; NULL: none */
    char label[48];   /* of the phase */
    /* What comes by delta. */
    struct xds_table xds;
    struct topic_home home;
    struct config_source delta;
    struct topic topics[RESOURCE_TYPE_COUNT];
};

/* ---- the builder's world ---- */

static void publish(void *ctx, struct snapshot *s)
{
    s->holders = 1;
    ((struct world *)ctx)->published = s;
}

static bool bind_nothing(void *ctx, const struct listener *l, struct error *err)
{
    return true;
}

static void release_nothing(void *ctx, const struct listener *l)
{
}

static void want_nothing(void *ctx, const struct config_source *source, enum resource_type type,
                         struct bytes name)
{
}

static void nothing(void *ctx)
{
}

static void *timer_nothing(void *ctx, uint64_t ms, builder_timer_fn *fn, void *arg)
{
    return ctx;
}

static void cancel_nothing(void *ctx, void *timer)
{
}

static void dns_nothing(void *ctx, const struct cluster *c, uint64_t generation)
{
}

static void on_stage(void *ctx, enum init_stage stage)
{
}

static void world_init(struct world *w)
{
    static const struct builder_table calls = {.clock = &clock_real,
                                               .publish = publish,
                                               .bind = bind_nothing,
                                               .release = release_nothing,
                                               .want = want_nothing,
                                               .unwant = want_nothing,
                                               .wants_done = nothing,
                                               .timer_start = timer_nothing,
                                               .timer_cancel = cancel_nothing,
                                               .dns_start = dns_nothing,
                                               .dns_stop = dns_nothing,
                                               .stage = on_stage};
    struct builder_table table = calls;
    table.ctx = w;
    w->descriptors = descriptors_new();
    w->validator = validator_new(w->descriptors);
    w->stats = stat_store_new(3);
    node_set_pin_slots(3);
    w->ads = (struct config_source){
        .kind = SOURCE_ADS, .key = BYTES("ads"), .initial_fetch_timeout_ms = 15000};
    struct builder_options o = {.route_hold_ms = 5000, /* the default */
                                .descriptors = w->descriptors,
                                .validator = w->validator,
                                .filters = &filter_registry,
                                .stats = w->stats};
    w->builder = builder_new(&table, &o);
    builder_decode_context(w->builder)->ads_configured = true;
    w->worker =
        (struct worker){.magic = WORKER_MAGIC, .slot = STAT_SLOT_WORKER0, .stats = w->stats};
    cluster_manager_new(&w->worker, &connector_socket);
}

/* ---- resources ---- */

static void cluster_yaml(struct strbuf *out, unsigned n, unsigned version)
{
    strbuf_printf(out,
                  "{name: c%05u, type: EDS, connect_timeout: %us, eds_cluster_config: {eds_config: "
                  "{ads: {}, resource_api_version: V3}}}",
                  n, version + 1);
}

static void endpoint_yaml(const struct world *w, struct strbuf *out, unsigned n, unsigned version)
{
    strbuf_printf(out, "{cluster_name: c%05u, endpoints: [{lb_endpoints: [", n);
    for (unsigned i = 0; i < w->endpoints; i++)
        strbuf_printf(out,
                      "%s{endpoint: {address: {socket_address: {address: 10.%u.%u.1, port_value: "
                      "%u}}}}",
                      i ? ", " : "", i / 250, i % 250, 8000 + (i ? 0 : version));
    strbuf_add_str(out, "]}]}");
}

/* version 0: nothing changed; else one route in the middle asks for another time-out. */
static void routes_yaml(const struct world *w, struct strbuf *out, unsigned n, unsigned version)
{
    strbuf_add_str(out, "{name: routes, virtual_hosts: [{name: all, domains: ['*'], routes: [");
    for (unsigned i = 0; i < w->routes; i++) {
        strbuf_printf(out, "%s{match: {prefix: /c%05u/}, route: {cluster: c%05u", i ? ", " : "", i,
                      i % (w->clusters ? w->clusters : 1));
        if (i == n && version)
            strbuf_printf(out, ", timeout: %us", version);
        strbuf_add_str(out, "}}");
    }
    strbuf_add_str(out, "]}]}");
}

#define HCM                                                                                        \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager"
#define ROUTER "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"

static void listener_yaml(struct strbuf *out, unsigned n, unsigned version)
{
    strbuf_printf(
        out,
        "{name: l%05u, address: {socket_address: {address: 127.0.%u.%u, port_value: 80}}, "
        "filter_chains: [{filters: [{name: hcm, typed_config: {'@type': " HCM
        ", stat_prefix: p%05u, server_name: s%u, http_filters: [{name: r, typed_config: "
        "{'@type': " ROUTER "}}], rds: {route_config_name: routes, config_source: "
        "{ads: {}, resource_api_version: V3}}}}]}]}",
        n, n / 250, n % 250, n, version);
}

static void yaml_of(const struct world *w, enum resource_type type, unsigned n, unsigned version,
                    struct strbuf *out)
{
    if (type == RESOURCE_CLUSTER)
        cluster_yaml(out, n, version);
    else if (type == RESOURCE_ENDPOINT)
        endpoint_yaml(w, out, n, version);
    else if (type == RESOURCE_ROUTE)
        routes_yaml(w, out, n, version);
    else
        listener_yaml(out, n, version);
}

static struct resource_update resource(const struct world *w, struct arena *arena,
                                       enum resource_type type, unsigned n, unsigned version)
{
    struct error err = ERROR_INIT;
    struct bytes wire = BYTES_NONE;
    struct strbuf yaml = STRBUF_INIT;
    char name[16];
    yaml_of(w, type, n, version, &yaml);
    struct yaml_node *tree = yaml_parse(arena, "bench", strbuf_bytes(&yaml), &err);
    if (!tree || !json_read(w->descriptors, tree, bytes_of(resource_type_name(type)), NULL, arena,
                            &wire, &err)) {
        fprintf(stderr, "config_cost: %s: %s\n", strbuf_str(&yaml), error_text(&err));
        exit(1);
    }
    strbuf_fini(&yaml);
    snprintf(name, sizeof(name), type == RESOURCE_ROUTE ? "routes" : "%c%05u",
             type == RESOURCE_LISTENER ? 'l' : 'c', n);
    return (struct resource_update){bytes_of(arena_str(arena, bytes_of(name))), BYTES("1"),
                                    BYTES_NONE, wire};
}

/* ---- the phases of a change ---- */

static __attribute__((noinline)) void phase_update(struct world *w, enum resource_type type,
                                                   const struct resource_update *u, size_t n,
                                                   bool full)
{
    struct update_result r;
    struct strbuf text = STRBUF_INIT;
    config_update(w->builder, &w->ads, type, u, n, NULL, 0, full, BYTES("1"), &r);
    if (update_result_text(&r, type, &text)) {
        fprintf(stderr, "config_cost: %s\n", strbuf_str(&text));
        exit(1);
    }
    strbuf_fini(&text);
    update_result_fini(&r);
}

/* ---- the incremental dialect ---- */

static void holds_nothing(void *ctx, subscription_held_fn *fn, void *arg)
{
}

/* What is due goes out, into nothing. */
static void say(struct topic *t)
{
    static const struct subscription_held held = {holds_nothing, NULL};
    struct strbuf request = STRBUF_INIT;
    while (subscription_due(&t->sub))
        subscription_take(&t->sub, BYTES_NONE, &held, &request);
    strbuf_fini(&request);
}

/* The same resources go on, by topics that have asked for them. */
static void delta_begin(struct world *w)
{
    char name[16];
    w->xds = (struct xds_table){.clock = &clock_real, .stats = w->stats};
    w->delta = w->ads;
    w->delta.api.delta = true;
    w->home = (struct topic_home){&w->xds, w->builder, &w->delta};
    for (unsigned type = 0; type < RESOURCE_TYPE_COUNT; type++)
        topic_init(&w->topics[type], &w->home, (enum resource_type)type);
    topic_want(&w->topics[RESOURCE_CLUSTER], BYTES("*"));
    topic_want(&w->topics[RESOURCE_LISTENER], BYTES("*"));
    topic_want(&w->topics[RESOURCE_ROUTE], BYTES("routes"));
    for (unsigned i = 0; i < w->clusters; i++) {
        snprintf(name, sizeof(name), "c%05u", i);
        topic_want(&w->topics[RESOURCE_ENDPOINT], bytes_of(name));
    }
    for (unsigned type = 0; type < RESOURCE_TYPE_COUNT; type++) {
        subscription_stream_opened(&w->topics[type].sub);
        say(&w->topics[type]);
    }
}

/* DeltaDiscoveryResponse with one resource. */
static void delta_response(enum resource_type type, const struct resource_update *u,
                           struct strbuf *out)
{
    struct strbuf any = STRBUF_INIT, resource = STRBUF_INIT;
    struct bytes url = bytes_of(resource_type_url(type));
    wire_put_bytes(&any, 1, url);
    wire_put_bytes(&any, 2, u->wire);
    wire_put_bytes(&resource, 1, u->version);
    wire_put_bytes(&resource, 2, strbuf_bytes(&any));
    wire_put_bytes(&resource, 3, u->name);
    wire_put_bytes(out, 1, BYTES("system"));
    wire_put_bytes(out, 2, strbuf_bytes(&resource));
    wire_put_bytes(out, 4, url);
    wire_put_bytes(out, 5, BYTES("nonce"));
    strbuf_fini(&any);
    strbuf_fini(&resource);
}

/* As a stream does with what it receives. */
static __attribute__((noinline)) void phase_receive(struct world *w, enum resource_type type,
                                                    struct bytes message)
{
    struct topic *t = &w->topics[type];
    struct discovery_response r;
    struct error err = ERROR_INIT;
    if (!delta_response_read(message, &r)) {
        fprintf(stderr, "config_cost: a response that cannot be read\n");
        exit(1);
    }
    topic_apply(t, &r, &err);
    if (error_is_set(&err)) {
        fprintf(stderr, "config_cost: %s\n", error_text(&err));
        exit(1);
    }
    subscription_answer(&t->sub, r.version, r.nonce, NULL);
    say(t);
    discovery_response_fini(&r);
    mem_reserve_end();
}

static __attribute__((noinline)) void phase_commit(struct world *w)
{
    builder_commit(w->builder);
}

static void listener_changed(void *ctx, struct bytes name, void *old_value, void *new_value)
{
    ++*(unsigned *)ctx;
}

/* As the worker does; the snapshot that it had is to be given back. */
static __attribute__((noinline)) struct snapshot *phase_adopt(struct world *w)
{
    const struct snapshot *old = w->worker.snapshot;
    struct pmap none = PMAP_INIT(NULL);
    unsigned changed = 0;
    if (!w->published)
        return NULL;
    cluster_manager_adopt(&w->worker, old, w->published);
    pmap_diff(old ? &old->listeners : &none, &w->published->listeners, listener_changed, &changed);
    w->published = NULL;
    return (struct snapshot *)old;
}

static __attribute__((noinline)) void phase_free(struct world *w, struct snapshot *old)
{
    if (old)
        builder_snapshot_returned(w->builder, old);
    builder_reap(w->builder);
}

static const char *const phase_names[PHASES] = {"update", "commit", "adopt", "free"};

static struct heap_counts begin(struct world *w, unsigned phase)
{
    if (w->kind) {
        snprintf(w->label, sizeof(w->label), "%s %s", w->kind, phase_names[phase]);
        CALLGRIND_ZERO_STATS;
    }
    return heap_counts();
}

static void spend(struct world *w, unsigned phase, struct heap_counts since)
{
    if (w->kind)
        CALLGRIND_DUMP_STATS_AT(w->label);
    struct heap_counts now = heap_counts();
    w->spent[phase].calls += now.calls - since.calls;
    w->spent[phase].allocated += now.allocated - since.allocated;
    w->spent[phase].freed += now.freed - since.freed;
}

/* What follows an update. */
static void take_over(struct world *w)
{
    struct heap_counts since = begin(w, 1);
    phase_commit(w);
    spend(w, 1, since);
    since = begin(w, 2);
    struct snapshot *old = phase_adopt(w);
    spend(w, 2, since);
    since = begin(w, 3);
    phase_free(w, old);
    spend(w, 3, since);
}

static void apply(struct world *w, enum resource_type type, const struct resource_update *u,
                  size_t n, bool full)
{
    uint64_t decoded = builder_decoded(w->builder, type);
    struct heap_counts since = begin(w, 0);
    phase_update(w, type, u, n, full);
    spend(w, 0, since);
    take_over(w);
    w->decoded += builder_decoded(w->builder, type) - decoded;
}

static void receive(struct world *w, enum resource_type type, struct bytes message)
{
    uint64_t decoded = builder_decoded(w->builder, type);
    struct heap_counts since = begin(w, 0);
    phase_receive(w, type, message);
    spend(w, 0, since);
    take_over(w);
    w->decoded += builder_decoded(w->builder, type) - decoded;
}

/* ---- what is measured ---- */

static void load_all(struct world *w, enum resource_type type, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct arena *arena = arena_new(0);
        struct resource_update u = resource(w, arena, type, i, 0);
        phase_update(w, type, &u, 1, false);
        arena_free(&arena);
    }
}

static void build_world(struct world *w)
{
    struct update_result r;
    builder_start(w->builder, &w->ads, &w->ads);
    config_update(w->builder, &w->ads, RESOURCE_CLUSTER, NULL, 0, NULL, 0, true, BYTES("0"), &r);
    config_update(w->builder, &w->ads, RESOURCE_LISTENER, NULL, 0, NULL, 0, true, BYTES("0"), &r);
    load_all(w, RESOURCE_CLUSTER, w->clusters);
    load_all(w, RESOURCE_ENDPOINT, w->clusters);
    load_all(w, RESOURCE_LISTENER, w->listeners);
    load_all(w, RESOURCE_ROUTE, 1);
    phase_commit(w);
    phase_free(w, phase_adopt(w));
}

static void start(struct world *w, const char *kind)
{
    memset(w->spent, 0, sizeof(w->spent));
    w->decoded = 0;
    w->kind = kind;
    CALLGRIND_START_INSTRUMENTATION;
}

static void report(struct world *w)
{
    CALLGRIND_STOP_INSTRUMENTATION;
    printf(", \"%s\": {\"decoded\": %.3f", w->kind, (double)w->decoded / TIMES);
    for (unsigned i = 0; i < PHASES; i++)
        printf(", \"%s_bytes\": %.1f, \"%s_calls\": %.3f", phase_names[i],
               (double)w->spent[i].allocated / TIMES, phase_names[i],
               (double)w->spent[i].calls / TIMES);
    printf("}");
    w->kind = NULL;
}

/* One resource changes, TIMES over, spread over the world; the first time is not counted. */
static void change_one(struct world *w, const char *kind, enum resource_type type, unsigned n)
{
    for (unsigned i = 0; i <= TIMES; i++) {
        struct arena *arena = arena_new(0);
        struct resource_update u = resource(w, arena, type, n * (i % TIMES) / TIMES, i + 1);
        if (i == 1)
            start(w, kind);
        apply(w, type, &u, 1, false);
        arena_free(&arena);
    }
    report(w);
}

/* The same by delta, with other values. */
static void change_by_delta(struct world *w, const char *kind, enum resource_type type, unsigned n)
{
    for (unsigned i = 0; i <= TIMES; i++) {
        struct arena *arena = arena_new(0);
        struct strbuf message = STRBUF_INIT;
        struct resource_update u = resource(w, arena, type, n * (i % TIMES) / TIMES, 21 + i);
        delta_response(type, &u, &message);
        if (i == 1)
            start(w, kind);
        receive(w, type, strbuf_bytes(&message));
        strbuf_fini(&message);
        arena_free(&arena);
    }
    report(w);
}

/* All clusters come again, as state of the world sends them; one of them has changed. */
static void resend(struct world *w)
{
    struct arena *arena = arena_new(0);
    struct resource_update *u = mem_alloc(w->clusters * sizeof(*u));
    for (unsigned i = 0; i < w->clusters; i++)
        u[i] = resource(w, arena, RESOURCE_CLUSTER, i, 100);
    apply(w, RESOURCE_CLUSTER, u, w->clusters, true);
    start(w, "resend");
    for (unsigned i = 0; i < TIMES; i++) {
        unsigned n = w->clusters * i / TIMES;
        u[n] = resource(w, arena, RESOURCE_CLUSTER, n, 101 + i);
        apply(w, RESOURCE_CLUSTER, u, w->clusters, true);
    }
    report(w);
    mem_free(u);
    arena_free(&arena);
}

static unsigned argument(int argc, char **argv, int i, unsigned otherwise)
{
    return argc > i ? (unsigned)atoi(argv[i]) : otherwise;
}

int main(int argc, char **argv)
{
    static struct world w;
    if (argc < 2) {
        fprintf(stderr, "usage: config_cost SIZE [ENDPOINTS ROUTES LISTENERS]\n");
        return 2;
    }
    w.clusters = argument(argc, argv, 1, 0);
    w.endpoints = argument(argc, argv, 2, 2);
    w.routes = argument(argc, argv, 3, w.clusters);
    w.listeners = argument(argc, argv, 4, 1);
    world_init(&w);
    build_world(&w);
    struct heap_counts now = heap_counts();
    printf("{\"live\": %llu", (unsigned long long)(now.allocated - now.freed));
    if (argc == 2) {
        change_one(&w, "endpoint", RESOURCE_ENDPOINT, w.clusters);
        change_one(&w, "cluster", RESOURCE_CLUSTER, w.clusters);
        change_one(&w, "route", RESOURCE_ROUTE, w.routes);
        change_one(&w, "listener", RESOURCE_LISTENER, w.listeners);
        resend(&w);
        delta_begin(&w);
        change_by_delta(&w, "endpoint_by_delta", RESOURCE_ENDPOINT, w.clusters);
        change_by_delta(&w, "cluster_by_delta", RESOURCE_CLUSTER, w.clusters);
        change_by_delta(&w, "route_by_delta", RESOURCE_ROUTE, w.routes);
        change_by_delta(&w, "listener_by_delta", RESOURCE_LISTENER, w.listeners);
    }
    printf("}\n");
    return 0;
}
