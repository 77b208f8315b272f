#include "sim.h"

#include <check.h>
#include <stdio.h>

#include "base/memory.h"
#include "config/access_log.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/http_conn_list.h"

enum { STEPS_MAX = 100000, PATIENCE_S = 4000 };

const char *const sim_fault_names[SIM_FAULTS] = {
#define X(id, name, kind) name,
    SIM_FAULT_LIST(X)
#undef X
};
const enum sim_fault_kind sim_fault_kinds[SIM_FAULTS] = {
#define X(id, name, kind) SIM_KIND_##kind,
    SIM_FAULT_LIST(X)
#undef X
};

const char *const sim_pair_names[SIM_PAIRS] = {"HTTP/1 to HTTP/1", "HTTP/1 to HTTP/2",
                                               "HTTP/2 to HTTP/1", "HTTP/2 to HTTP/2"};

void (*sim_on_play)(bool begins);

bool sim_has(const struct sim_scenario *sc, enum sim_pair pair)
{
    return !(sc->h1_client && sim_client_h2(pair)) && !(sc->h1_origin && sim_origin_h2(pair));
}

bool sim_strikes(enum sim_fault fault, enum sim_pair pair)
{
    if (fault == SIM_CLIENT_CANCEL || fault == SIM_CLIENT_GOAWAY)
        return sim_client_h2(pair);
    if (fault == SIM_ORIGIN_CANCEL || fault == SIM_ORIGIN_REFUSE || fault == SIM_ORIGIN_GOAWAY ||
        fault == SIM_ORIGIN_DRAIN)
        return sim_origin_h2(pair);
    return true;
}

static struct access_log_writer *writer;
static struct arena *log_arena;
static struct access_log access_log, *access_logs[1] = {&access_log};

void sim_start(void)
{
    struct error err = ERROR_INIT;
    node_set_pin_slots(3);
    writer = access_log_writer_new(1000, SIZE_MAX);
    log_arena = arena_new(0);
    access_log = (struct access_log){.sink = ACCESS_LOG_FILE, .path = BYTES("/dev/null")};
    ck_assert(
        format_compile(log_arena, bytes_of(access_log_default_format), &access_log.format, &err));
}

void sim_stop(void)
{
    access_log_writer_free(&writer);
    arena_free(&log_arena);
}

struct route_config *sim_routes(const struct sim_scenario *sc)
{
    struct strbuf yaml = STRBUF_INIT;
    strbuf_printf(&yaml,
                  "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
                  "/after}, route: {cluster: c1}}, {match: %s, %s}]}]}",
                  sc->match ? sc->match : "{prefix: /}",
                  sc->action ? sc->action : "route: {cluster: c0}");
    struct route_config *rc = proxy_routes(strbuf_str(&yaml));
    strbuf_fini(&yaml);
    return rc;
}

struct route_config *sim_other_routes(void)
{
    static const struct sim_scenario other = {
        .action = "direct_response: {status: 200, body: {inline_string: new}}"};
    return sim_routes(&other);
}

void sim_wrong(struct sim *s, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    strbuf_printf(&s->wrong, "%s%s", s->wrong.len ? "; " : "", text);
}

/* --- changes of configuration --- */

static void adopt(struct sim *s, bool has_listener, struct listener_entry *entry)
{
    struct snapshot *now = &s->world->snapshots[s->world->n_snapshots - 1];
    now->listeners = (struct pmap)PMAP_INIT(NULL);
    if (has_listener)
        pmap_set(&now->listeners, BYTES("l"), entry);
    world_adopt(s->world);
    http_conn_list_drain_gone(&s->world->worker);
}

static struct listener_entry *other_entry(struct sim *s, struct filter_chain *chain,
                                          struct route_config *routes)
{
    struct chain_binding *b = node_new(NODE_BINDING, sizeof(*b), 0, NULL);
    node_make_pinnable(&b->node);
    b->chain = chain;
    b->listener_name = BYTES("l");
    b->manager = s->proxy->manager;
    b->routes = routes;
    b->listener_http_stats = s->proxy->binding->listener_http_stats;
    s->binding2 = s->chains2[0] = b;
    s->entry2 = s->proxy->entry;
    s->entry2.chains = s->chains2;
    return &s->entry2;
}

static void change_configuration(struct sim *s)
{
    static struct filter_chain other_chain = {.is_http = true};
    struct world *w = s->world;
    other_chain.key = BYTES("other");
    if (s->fault == SIM_DRAIN) {
        w->worker.drain.begun = true;
        return;
    }
    world_snapshot(w);
    world_keep_cluster(w, 1);
    if (s->fault == SIM_HOST_GONE)
        *world_cluster(w, 0, 1u << 2) = w->clusters[0][0];
    else if (s->fault != SIM_CLUSTER_GONE)
        world_keep_cluster(w, 0);
    if (s->fault == SIM_ROUTES_GONE)
        adopt(s, true, other_entry(s, &s->proxy->chain, s->other_routes));
    else if (s->fault == SIM_CHAIN_GONE)
        adopt(s, true, other_entry(s, &other_chain, s->proxy->routes));
    else
        adopt(s, s->fault != SIM_LISTENER_GONE, &s->proxy->entry);
}

/* --- points --- */

static void strike(struct sim *s, bool turn)
{
    s->struck = true;
    if (sim_fault_kinds[s->fault] == SIM_KIND_CONFIG) {
        CHECK(turn); /* posts are served between events only */
        change_configuration(s);
    } else if (s->fault == SIM_TIME) {
        clock_fake_advance(&s->world->clock, 20 * NS_PER_S);
    } else {
        sim_peers_strike(s);
        sim_taps_strike(s);
    }
}

void sim_point(struct sim *s, bool turn)
{
    if (s->over)
        return;
    s->points++;
    if (s->points < SIM_POINTS)
        s->is_turn[s->points] = turn;
    if (s->points == s->strike_at)
        strike(s, turn);
}

/* --- a run --- */

/* A line that found no memory is dropped, and counted as such. */
static uint64_t log_lines(void)
{
    struct access_log_counts c = access_log_writer_counts(writer);
    return c.lines + c.dropped_lines;
}

static void set_up(struct sim *s, struct route_config *routes)
{
    s->proxy = proxy_new_with(routes);
    s->world = s->proxy->w;
    s->world->tag = s;
    s->world->connector.connect = sim_connect;
    s->world->worker.http_conns->log = access_log_buffer_new(writer, s->world->loop);
    s->proxy->manager->access_logs = access_logs;
    s->proxy->manager->n_access_logs = 1;
    s->proxy->manager->enable_trailers = true;
    s->proxy->listener.buffer_limit = 32 * 1024;
    s->world->clusters[0][0].buffer_limit = 32 * 1024;
    s->world->clusters[0][0].enable_trailers = true;
    http2_options_init(&s->proxy->manager->http2);
    s->proxy->manager->http2.allow_connect = 1;
    http2_options_init(&s->http2);
    for (unsigned i = 0; i < 2 && sim_origin_h2(s->pair); i++) {
        s->world->clusters[0][i].protocol = UPSTREAM_HTTP2;
        s->world->clusters[0][i].http2 = &s->http2;
    }
    proxy_add_filter(s->proxy, &sim_gate_filter.factory);
    sim_gate_set(s->scenario);
    if (s->scenario->setup)
        s->scenario->setup(s);
    loop_fake_passes(s->world->loop, 1);
    s->n_clients = s->scenario->clients ? s->scenario->clients : 1;
    s->log_lines = log_lines();
}

static bool settle(struct sim *s)
{
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        sim_point(s, true);
        if (!loop_fake_step(s->world->loop))
            return true;
    }
    sim_wrong(s, "the loop spins");
    return false;
}

/* The drain time of a listener ends when nothing else happens. */
static bool wait_for_timer(struct sim *s, uint64_t limit_ns)
{
    if (s->struck && (s->fault == SIM_LISTENER_GONE || s->fault == SIM_CHAIN_GONE))
        http_conn_list_close_gone(&s->world->worker);
    struct clock_fake *clock = &s->world->clock;
    uint64_t ms = loop_fake_next(s->world->loop);
    if (ms == UINT64_MAX || clock->monotonic + ms * NS_PER_MS > limit_ns)
        return false;
    clock_fake_advance(clock, (ms + 1) * NS_PER_MS);
    return true;
}

static void play(struct sim *s)
{
    uint64_t limit = s->world->clock.monotonic + (uint64_t)PATIENCE_S * NS_PER_S;
    while (settle(s)) {
        if (sim_peers_step(s))
            continue;
        if (sim_clients_done(s) || !wait_for_timer(s, limit))
            return;
    }
}

/* What happens to one client must not spoil the proxy for the next. */
static void serve_another(struct sim *s)
{
    s->over = true;
    if (s->fault == SIM_LISTENER_GONE || s->fault == SIM_CHAIN_GONE || s->fault == SIM_DRAIN)
        return;
    sim_client_connect(s, s->n_clients);
    play(s);
}

static void expect_zero(struct sim *s, const struct stat_scope *scope, unsigned id,
                        const char *name)
{
    int64_t n = stat_read(scope, id, &(bool){false});
    if (n != 0)
        sim_wrong(s, "%s is %lld", name, (long long)n);
}

static void expect_idle_codecs(struct sim *s, const char *prefix)
{
    struct strbuf name = STRBUF_INIT;
    strbuf_printf(&name, "%s%shttp2", prefix, *prefix ? "." : "");
    struct stat_scope *scope =
        stat_scope_get(s->world->stats, strbuf_bytes(&name), &http2_stat_schema);
    for (unsigned id = STAT_HTTP2_DEFERRED_STREAM_CLOSE; id < HTTP2_STAT_COUNT; id++)
        expect_zero(s, scope, id, http2_stat_schema.stats[id].name);
    stat_scope_unref(&scope);
    strbuf_fini(&name);
}

static void judge_counts(struct sim *s)
{
    expect_idle_codecs(s, "");
    struct http_manager *m = s->proxy->manager;
    expect_zero(s, m->stats, STAT_HTTP_DOWNSTREAM_CX_ACTIVE, "downstream_cx_active");
    expect_zero(s, m->stats, STAT_HTTP_DOWNSTREAM_CX_HTTP1_ACTIVE, "downstream_cx_http1_active");
    expect_zero(s, m->stats, STAT_HTTP_DOWNSTREAM_CX_HTTP2_ACTIVE, "downstream_cx_http2_active");
    expect_zero(s, m->stats, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE, "downstream_rq_active");
    expect_zero(s, s->proxy->entry.stats, STAT_LISTENER_CX_ACTIVE, "listener downstream_cx_active");
    for (unsigned i = 0; i < 2; i++) {
        const struct stat_scope *c = s->world->cluster_states[i]->stats;
        expect_zero(s, c, STAT_UPSTREAM_CX_ACTIVE, "upstream_cx_active");
        expect_zero(s, c, STAT_UPSTREAM_RQ_ACTIVE, "upstream_rq_active");
        expect_zero(s, c, STAT_UPSTREAM_RQ_PENDING_ACTIVE, "upstream_rq_pending_active");
        expect_idle_codecs(s, c->prefix);
    }
    if (http_conn_list_count(&s->world->worker))
        sim_wrong(s, "%u connections are left", http_conn_list_count(&s->world->worker));
    access_log_buffer_flush(s->world->worker.http_conns->log);
    uint64_t lines = log_lines() - s->log_lines;
    int64_t requests = proxy_http_stat(s->proxy, STAT_HTTP_DOWNSTREAM_RQ_TOTAL);
    if (lines != (uint64_t)requests)
        sim_wrong(s, "%llu log lines for %lld requests", (unsigned long long)lines,
                  (long long)requests);
}

static void tear_down(struct sim *s)
{
    sim_peers_close(s);
    settle(s);
    /* Both sides have forgotten their idle connections after an hour. */
    loop_fake_passes(s->world->loop, 64);
    loop_fake_advance(s->world->loop, 3700 * 1000);
    settle(s);
    judge_counts(s);
    NODE_UNREF(&s->binding2);
    struct proxy *p = s->proxy;
    s->proxy = NULL;
    sim_peers_fini(s);
    proxy_free(p);
}

bool sim_run(const struct sim_scenario *sc, enum sim_pair pair, struct route_config *routes,
             struct route_config *other, enum sim_fault fault, unsigned long at, struct sim *s)
{
    memset(s, 0, sizeof(*s));
    s->scenario = sc;
    s->pair = pair;
    s->fault = fault;
    s->strike_at = at;
    s->other_routes = other;
    list_init(&s->origins);
    list_init(&s->taps);
    set_up(s, routes);
    s->struck = fault == SIM_MEMORY;
    if (sim_on_play)
        sim_on_play(true);
    for (unsigned i = 0; i < s->n_clients; i++)
        sim_client_connect(s, i);
    play(s);
    if (sim_on_play)
        sim_on_play(false);
    serve_another(s);
    sim_judge_clients(s);
    sim_judge_origins(s);
    tear_down(s);
    return s->wrong.len == 0;
}

void sim_fini(struct sim *s)
{
    strbuf_fini(&s->wrong);
}
