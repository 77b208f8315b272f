/* Whatever happens on the way, the end is that of a fresh start: random histories of publishing,
 * removing, demands of requests, cut streams, restarts, late, duplicate and crossing messages, in
 * both dialects, from nothing or from a world that serves, through the real mux, subscriptions and
 * builder; only gRPC and the server are models.
 *
 *     XYLEM_HISTORIES=N   how many (10,000)
 *     XYLEM_HISTORY=SEED  one alone, with its steps
 *
 * One that fails is shrunk to the steps that it takes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../config/config_fixture.h"
#include "../config/tls_fixture.h"
#include "base/log.h"
#include "base/memory.h"
#include "config/route.h"
#include "config/scoped_routes.h"
#include "model_server.h"
#include "xds/grpc_stream.h"
#include "xds/mux.h"

enum { STEPS_MAX = 60, TIMERS = 4096, ROUNDS_MAX = 10000 };

/* ---- the model of gRPC: a stream is a pair of queues ---- */

struct grpc_runtime {
    char nothing;
};

struct grpc_stream {
    const struct grpc_stream_ops *ops;
    void *owner;
};

static struct model_server server;
static struct grpc_stream *stream; /* of the client that is under test */

struct grpc_stream *grpc_stream_new(struct grpc_runtime *rt, const struct grpc_stream_options *o,
                                    const struct grpc_stream_ops *ops, void *owner)
{
    ck_assert_ptr_null(stream);
    stream = NEW(struct grpc_stream);
    *stream = (struct grpc_stream){ops, owner};
    model_cut(&server);
    return stream;
}

void grpc_stream_send(struct grpc_stream *s, struct bytes message)
{
    ck_assert_ptr_eq(s, stream);
    ck_assert(model_push(&server.to_server, message));
}

void grpc_stream_free(struct grpc_stream **s)
{
    if (*s)
        stream = NULL;
    mem_free(*s);
    *s = NULL;
}

struct grpc_runtime *grpc_runtime_new(grpc_post_fn *post, void (*run_posted)(void *ctx), void *ctx)
{
    return NULL;
}

void grpc_runtime_free(struct grpc_runtime **rt)
{
}

/* ---- the client ---- */

struct timer_entry {
    void (*fn)(void *arg);
    void *arg;
};

struct client {
    struct fixture f; /* its builder is replaced by one that has a mux */
    struct builder *builder;
    struct mux *mux;
    struct random_source random;
    struct xds_table table;
    struct timer_entry timers[TIMERS];
    dial_fn *dialled;
    void *dial_arg;
    bool asked[MODEL_TYPES][MODEL_NAMES]; /* on demand, and not answered yet */
};

static struct client client;

static void *timer_start(void *ctx, uint64_t ms, void (*fn)(void *arg), void *arg)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (!client.timers[i].fn) {
            client.timers[i] = (struct timer_entry){fn, arg};
            return &client.timers[i];
        }
    }
    ck_abort_msg("too many timers");
    return NULL;
}

static void timer_cancel(void *ctx, void *timer)
{
    ((struct timer_entry *)timer)->fn = NULL;
}

/* The timer after so many others. */
static bool timer_fire(unsigned skip)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        struct timer_entry t = client.timers[i];
        if (!t.fn || skip-- > 0)
            continue;
        client.timers[i].fn = NULL;
        t.fn(t.arg);
        return true;
    }
    return false;
}

static void *dial(void *ctx, const struct grpc_service *service, dial_fn *fn, void *arg)
{
    client.dialled = fn;
    client.dial_arg = arg;
    return &client;
}

static void dial_cancel(void *ctx, void *d)
{
    client.dialled = NULL;
}

static bool connect_client(void)
{
    static const struct dial_result connected = {.fd = 0};
    dial_fn *fn = client.dialled;
    client.dialled = NULL;
    if (fn)
        fn(client.dial_arg, &connected);
    return fn != NULL;
}

static void publish(void *ctx, struct snapshot *s)
{
    s->holders = 0;
}

static bool bind_addresses(void *ctx, const struct listener *l, struct error *err)
{
    return true;
}

static void release_addresses(void *ctx, const struct listener *l)
{
}

static void want(void *ctx, const struct config_source *source, enum resource_type type,
                 struct bytes name)
{
    mux_want(client.mux, type, name);
}

static void unwant(void *ctx, const struct config_source *source, enum resource_type type,
                   struct bytes name)
{
    mux_unwant(client.mux, type, name);
}

static void wants_done(void *ctx)
{
    mux_flush(client.mux);
}

static void on_stage(void *ctx, enum init_stage stage)
{
}

static const enum resource_type on_demand[] = {RESOURCE_CLUSTER, RESOURCE_VIRTUAL_HOST};
static struct config_source ads;

static void demand_settled(void *ctx, struct bytes key)
{
    struct strbuf own = STRBUF_INIT;
    for (unsigned i = 0; i < ARRAY_SIZE(on_demand) * MODEL_NAMES; i++) {
        enum resource_type type = on_demand[i / MODEL_NAMES];
        strbuf_reset(&own);
        builder_demand_key(&own, type, &ads, bytes_of(model_name(type, i % MODEL_NAMES)));
        if (bytes_eq(strbuf_bytes(&own), key))
            client.asked[type][i % MODEL_NAMES] = false;
    }
    strbuf_fini(&own);
}

static struct grpc_service service = {.cluster_name = {"xds", 3}};
static struct config_source ads = {.kind = SOURCE_ADS,
                                   .key = {"ads", 3},
                                   .initial_fetch_timeout_ms = 15000,
                                   .api = {.services = &service, .n_services = 1}};

static void client_start(bool delta, bool hold, bool all_clusters)
{
    struct builder_table table = {.clock = &client.f.clock.clock,
                                  .publish = publish,
                                  .bind = bind_addresses,
                                  .release = release_addresses,
                                  .want = want,
                                  .unwant = unwant,
                                  .wants_done = wants_done,
                                  .timer_start = timer_start,
                                  .timer_cancel = timer_cancel,
                                  .demand_settled = demand_settled,
                                  .stage = on_stage};
    struct builder_options o = {.descriptors = client.f.descriptors,
                                .validator = client.f.validator,
                                .filters = &fixture_registry,
                                .stats = client.f.stats,
                                .tls = &fake_tls,
                                .route_hold_ms = hold ? 5000 : 0};
    client.builder = builder_new(&table, &o);
    builder_decode_context(client.builder)->ads_configured = true;
    builder_decode_context(client.builder)->ads_delta = delta;
    memset(client.asked, 0, sizeof(client.asked));
    client.table = (struct xds_table){.clock = &client.f.clock.clock,
                                      .random = &client.random,
                                      .stats = client.f.stats,
                                      .timer_start = timer_start,
                                      .timer_cancel = timer_cancel,
                                      .dial = dial,
                                      .dial_cancel = dial_cancel};
    ads.api.delta = delta;
    struct mux_options m = {.table = &client.table,
                            .builder = client.builder,
                            .source = &ads,
                            .method = "/model/Aggregated",
                            .node = BYTES("")};
    client.mux = mux_new(&m);
    builder_start(client.builder, all_clusters ? &ads : NULL, &ads);
}

static void client_stop(void)
{
    mux_free(&client.mux);
    builder_free(&client.builder);
    memset(client.timers, 0, sizeof(client.timers));
    client.dialled = NULL;
    while (builder_reap(NULL) > 0)
        ;
}

/* ---- a history ---- */

#define STEP_LIST(X)                                                                               \
    X(SET) X(READ) X(ANSWER) X(AGAIN) X(DELIVER) X(CUT) X(RESTART) X(CONNECT) X(TIMER) X(DEMAND)
enum step_kind {
#define X(id) STEP_##id,
    STEP_LIST(X)
#undef X
        STEP_KINDS
};
static const char *const step_names[] = {
#define X(id) #id,
    STEP_LIST(X)
#undef X
};

struct step {
    enum step_kind kind;
    enum resource_type type; /* SET, ANSWER, AGAIN; DEMAND: an odd one is a virtual host */
    uint8_t name, variant;   /* SET; DEMAND; TIMER: which */
};

struct history {
    bool delta, lenient;
    bool hold;         /* routes and clusters wait for each other */
    bool all_clusters; /* else they come on demand alone */
    bool warm;         /* it begins with a whole world that serves */
    struct step steps[STEPS_MAX];
    unsigned n;
};

static bool deliver(void)
{
    struct strbuf *message = stream ? model_pop(&server.to_client) : NULL;
    if (message)
        stream->ops->on_message(stream->owner, strbuf_bytes(message));
    return message != NULL;
}

static void cut(void)
{
    model_cut(&server);
    if (stream)
        stream->ops->on_closed(stream->owner, 14, "cut");
}

/* A request finds no cluster, or no virtual host in routes that serve. */
static void demand(enum resource_type type, unsigned name)
{
    const struct snapshot *s = builder_snapshot(client.builder);
    char text_of[8];
    struct bytes text = bytes_of(strcpy(text_of, model_name(type, name)));
    bool is_cluster = type == RESOURCE_CLUSTER;
    if (is_cluster && s && snapshot_cluster(s, text))
        return;
    const struct resource *routes =
        store_find(builder_store(client.builder), &ads, RESOURCE_ROUTE, bytes_first(text, 2));
    if (!is_cluster && (!routes || !routes->active || !routes->active->route->vhds))
        return;
    client.asked[type][name % MODEL_NAMES] = true;
    builder_demand(client.builder, type, &ads, text);
}

static void demand_all(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(on_demand) * MODEL_NAMES; i++)
        demand(on_demand[i / MODEL_NAMES], i % MODEL_NAMES);
}

static void take_step(const struct step *s)
{
    switch (s->kind) {
    case STEP_SET:
        model_set(&server, s->type, s->name, s->variant);
        break;
    case STEP_READ:
        model_read(&server);
        break;
    case STEP_ANSWER:
    case STEP_AGAIN:
        if (stream)
            model_answer(&server, s->type, s->kind == STEP_AGAIN);
        break;
    case STEP_DELIVER:
        deliver();
        break;
    case STEP_CUT:
        cut();
        break;
    case STEP_RESTART:
        cut();
        model_restart(&server, s->variant + 1u);
        break;
    case STEP_CONNECT:
        connect_client();
        break;
    case STEP_TIMER:
        timer_fire(s->name);
        break;
    case STEP_DEMAND:
        demand(on_demand[s->type % 2], s->name);
        break;
    case STEP_KINDS:
        break;
    }
}

/* Until nobody has anything to say. */
static bool settle(void)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        bool any = connect_client();
        while (model_read(&server))
            any = true;
        for (unsigned t = 0; stream && t < MODEL_TYPES; t++)
            any |= model_answer(&server, (enum resource_type)t, false);
        while (deliver())
            any = true;
        if (!any) /* a retry, what was waited for, what was held */
            any = timer_fire(0);
        if (!any)
            return true;
    }
    return false;
}

/* The final world is whole: what is named is there, and nothing is bad. */
static void make_whole(void)
{
    static const enum resource_type last_first[] = {
        RESOURCE_LISTENER,     RESOURCE_SCOPED_ROUTE, RESOURCE_EXTENSION, RESOURCE_ROUTE,
        RESOURCE_VIRTUAL_HOST, RESOURCE_CLUSTER,      RESOURCE_ENDPOINT,  RESOURCE_SECRET};
    for (unsigned t = 0; t < ARRAY_SIZE(last_first); t++) {
        for (unsigned i = 0; i < MODEL_NAMES; i++) {
            enum resource_type type = last_first[t];
            uint8_t now = server.world.variant[type][i];
            if (now == MODEL_BAD || (now == 0 && !resource_type_is_wildcard(type)))
                model_set(&server, type, i, 1);
        }
    }
}

struct picture {
    struct strbuf text;
    enum resource_type type;
};

static bool draw(void *ctx, const struct resource_view *v)
{
    struct picture *p = ctx;
    const struct resource_version *a = v->active;
    strbuf_printf(&p->text, "%s %.*s %016llx%s %s%s\n", resource_type_short(v->type),
                  BYTES_ARG(v->name), a ? (unsigned long long)bytes_hash_seeded(a->wire, 1) : 0ull,
                  v->warming ? " warming" : "", v->rejected ? "rejected: " : "",
                  v->rejected ? v->rejected->details : "");
    return true;
}

/* In no order: by the key. */
static void draw_scopes(struct strbuf *out, const char *listener, const struct scope_table *t)
{
    for (unsigned i = 0; i < MODEL_NAMES * (MODEL_VARIANTS + 1); i++) {
        char key[3] = {(char)('0' + i / 4), (char)('0' + i % 4), '\0'};
        struct bytes fragment = bytes_of(key);
        const struct scope_entry *e = scope_table_find(t, &fragment, 1);
        if (e)
            strbuf_printf(out, "%s %s is %.*s: %s\n", listener, key, BYTES_ARG(e->name),
                          e->routes ? "" : "missing");
        if (e && e->routes)
            strbuf_printf(out, "%016llx\n",
                          (unsigned long long)bytes_hash_seeded(e->routes->wire, 1));
    }
}

static void draw_filters(struct strbuf *out, struct snapshot *s)
{
    for (unsigned i = 0; s && i < MODEL_NAMES; i++) {
        char name[3] = {'l', (char)('0' + i), '\0'};
        struct listener_entry *e = snapshot_listener(s, bytes_of(name));
        if (e)
            strbuf_printf(out, "%s runs %s\n", name,
                          e->chains[0]->manager->filters[0].factory->name);
        if (e)
            draw_scopes(out, name, e->default_chain->scopes);
    }
}

/* Every resource with its bytes, where each cluster sends, and what each listener runs. */
static void picture(struct strbuf *out)
{
    struct picture p = {STRBUF_INIT, RESOURCE_CLUSTER};
    for (unsigned t = 0; t < MODEL_TYPES; t++)
        builder_each(client.builder, (enum resource_type)t, 0, draw, &p);
    struct snapshot *s = builder_snapshot(client.builder);
    for (unsigned i = 0; s && i < MODEL_NAMES; i++) {
        char name[3] = {'c', (char)('0' + i), '\0'};
        struct cluster_entry *e = snapshot_cluster(s, bytes_of(name));
        if (e)
            strbuf_printf(&p.text, "%s -> %u, %s\n", name,
                          e->hosts->n_hosts ? e->hosts->hosts[0].address.port : 0u,
                          fake_tls_text(e->tls));
    }
    draw_filters(&p.text, s);
    *out = p.text;
}

static struct model_bytes model_bytes[2]; /* [true]: of delta */

/* Each demand ends: with what was wanted, or with word that there is none. A server of the state of
 * the world does not say so. */
static void draw_waiting(struct strbuf *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(on_demand) * MODEL_NAMES; i++) {
        enum resource_type type = on_demand[i / MODEL_NAMES];
        const char *name = model_name(type, i % MODEL_NAMES);
        if (client.asked[type][i % MODEL_NAMES] &&
            !snapshot_cluster(builder_snapshot(client.builder), bytes_of(name)))
            strbuf_printf(out, "%s is waited for, and missing\n", name);
    }
}

/* Comes to rest with all that requests can want. */
static bool settle_on_demand(const struct history *h, struct strbuf *out)
{
    bool ok = settle();
    demand_all();
    ok &= settle();
    picture(out);
    if (h->delta)
        draw_waiting(out);
    return ok;
}

/* All there is, each listener, cluster and scope too. */
static void begin_whole(void)
{
    for (unsigned t = 0; t < MODEL_TYPES; t++) {
        for (unsigned i = 0; i < MODEL_NAMES; i++)
            model_set(&server, (enum resource_type)t, i, 1);
    }
    settle();
    demand_all();
    settle();
}

/* False: *text tells how the end differs. */
static bool run(const struct history *h, struct strbuf *text)
{
    struct strbuf lived = STRBUF_INIT, fresh = STRBUF_INIT;
    model_init(&server, &model_bytes[h->delta], h->delta);
    server.forgets_nothing = h->lenient;
    client_start(h->delta, h->hold, h->all_clusters);
    if (h->warm)
        begin_whole();
    for (unsigned i = 0; i < h->n; i++)
        take_step(&h->steps[i]);
    make_whole();
    bool ok = settle_on_demand(h, &lived);
    client_stop();
    model_restart(&server, 1000);
    client_start(h->delta, h->hold, h->all_clusters);
    ok &= settle_on_demand(h, &fresh);
    client_stop();
    model_fini(&server);
    if (!ok)
        strbuf_add_str(text, "it does not come to rest\n");
    ok &= bytes_eq(strbuf_bytes(&lived), strbuf_bytes(&fresh));
    ok &= !strstr(strbuf_str(&fresh), "warming") && !strstr(strbuf_str(&fresh), "rejected") &&
          !strstr(strbuf_str(&fresh), "missing");
    if (!ok)
        strbuf_printf(text, "lived:\n%sfresh:\n%s", strbuf_str(&lived), strbuf_str(&fresh));
    strbuf_fini(&lived);
    strbuf_fini(&fresh);
    return ok;
}

static void generate(struct history *h, uint64_t seed)
{
    /* How often each kind comes. */
    static const unsigned weights[STEP_KINDS] = {
        [STEP_SET] = 10,    [STEP_READ] = 8,   [STEP_ANSWER] = 8,  [STEP_AGAIN] = 1,
        [STEP_DELIVER] = 8, [STEP_CUT] = 1,    [STEP_RESTART] = 1, [STEP_CONNECT] = 3,
        [STEP_TIMER] = 1,   [STEP_DEMAND] = 3,
    };
    struct random_source r;
    random_seed(&r, seed);
    *h = (struct history){.delta = random_below(&r, 2), .lenient = random_below(&r, 2)};
    h->hold = random_below(&r, 4) > 0;
    /* In the state of the world what was named alone and is left out stays, as in Envoy. */
    h->all_clusters = random_below(&r, 3) > 0 || !h->delta;
    h->warm = random_below(&r, 2);
    h->n = 1 + (unsigned)random_below(&r, STEPS_MAX);
    for (unsigned i = 0; i < h->n; i++) {
        unsigned at = (unsigned)random_below(&r, 44), kind = 0;
        while (at >= weights[kind])
            at -= weights[kind++];
        h->steps[i] = (struct step){.kind = (enum step_kind)kind,
                                    .type = (enum resource_type)random_below(&r, MODEL_TYPES),
                                    .name = (uint8_t)random_below(&r, MODEL_NAMES),
                                    .variant = (uint8_t)random_below(&r, MODEL_BAD + 1)};
    }
}

/* Takes out whatever it fails without. */
static void shrink(struct history *h, struct strbuf *text)
{
    for (unsigned size = h->n / 2 ? h->n / 2 : 1; size > 0; size /= 2) {
        for (unsigned at = 0; at + size <= h->n;) {
            struct history less = *h;
            memmove(&less.steps[at], &less.steps[at + size],
                    (h->n - at - size) * sizeof(less.steps[0]));
            less.n -= size;
            strbuf_reset(text);
            if (run(&less, text))
                at += size;
            else
                *h = less;
        }
    }
    strbuf_reset(text);
    ck_assert(!run(h, text));
}

static void print(const struct history *h, uint64_t seed)
{
    fprintf(stderr, "history %llu, %s, %s, %s clusters, %s, %u steps:\n", (unsigned long long)seed,
            h->delta ? "delta" : "state of the world", h->hold ? "holding" : "not holding",
            h->all_clusters ? "all" : "demanded", h->warm ? "whole" : "empty", h->n);
    for (unsigned i = 0; i < h->n; i++) {
        const struct step *s = &h->steps[i];
        fprintf(stderr, "  %s %s %u variant %u\n", step_names[s->kind],
                resource_type_short(s->type), s->name, s->variant);
    }
}

/* Of a name, a variant, a word and another name; what the dialect adds to routes. */
static const char *const forms[MODEL_TYPES] = {
    [RESOURCE_CLUSTER] = "{name: c%1$u, type: EDS, connect_timeout: %2$us, lb_policy: %3$s, "
                         "eds_cluster_config: {eds_config: {ads: {}}, service_name: c%4$u}, "
                         "transport_socket: {name: tls, typed_config: {'@type': "
                         "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
                         "UpstreamTlsContext, common_tls_context: "
                         "{validation_context_sds_secret_config: {name: s%4$u, sds_config: "
                         "{ads: {}}}}}}}",
    [RESOURCE_ENDPOINT] = "{cluster_name: c%1$u, endpoints: [{lb_endpoints: [{endpoint: "
                          "{address: {socket_address: {port_value: %2$u, address: %3$s}}}}]}]}",
    [RESOURCE_LISTENER] =
        "{name: l%1$u, address: {socket_address: {address: 127.0.0.1, port_value: 80%1$u}}, "
        "filter_chains: [{filters: [{name: hcm, typed_config: {'@type': "
        "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager, stat_prefix: p%2$u, http_filters: [{name: f%4$u, "
        "config_discovery: {config_source: {ads: {}}, type_urls: [%3$s]}}], rds: "
        "{route_config_name: r%4$u, config_source: {ads: {}}}}}]}], default_filter_chain: "
        "{filters: [{name: hcm, typed_config: {'@type': type.googleapis.com/envoy.extensions."
        "filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: q, "
        "http_filters: [{name: envoy.filters.http.router}], scoped_routes: {name: s, "
        "scope_key_builder: {fragments: [{header_value_extractor: {name: x, index: 0}}]}, "
        "rds_config_source: {ads: {}}, scoped_rds: {scoped_rds_config_source: {ads: {}}}}}}]}}",
    [RESOURCE_ROUTE] =
        "{name: r%1$u, virtual_hosts: [{name: v%2$u, domains: ['*'], routes: [{match: "
        "{safe_regex: {regex: '%3$s'}}, route: {cluster: c%4$u}}]}]%5$s}",
    [RESOURCE_VIRTUAL_HOST] =
        "{name: r%1$u/h%1$u, domains: [h%1$u], routes: [{match: {safe_regex: {regex: '%3$s'}}, "
        "route: {cluster: c%4$u}}, {match: {prefix: /%2$u}, route: {cluster: c%1$u}}]}",
    [RESOURCE_SECRET] = "{name: s%1$u, validation_context: {trusted_ca: {inline_string: "
                        "%3$s%2$u%4$u}}}",
    [RESOURCE_EXTENSION] = "{name: f%1$u, typed_config: {'@type': type.googleapis.com/%3$s, "
                           "upstream_log_options: {upstream_log_flush_interval: %2$us}}}",
    /* No two have one key: what is refused for another's sake comes again with a new stream. */
    [RESOURCE_SCOPED_ROUTE] = "{name: o%1$u, key: {fragments: [{string_key: '%2$u%4$u'}]}, "
                              "%3$s: r%4$u}",
};

static void make_bytes(struct fixture *f, bool delta)
{
    static const char *const good[] = {
        "ROUND_ROBIN",
        "127.0.0.1",
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        "/a",
        "good",
        "envoy.extensions.filters.http.router.v3.Router",
        "route_configuration_name",
        "/a"};
    static const char *const bad[] = {"RING_HASH", "no.address", "no.such.filter", "/(", "bad", "",
                                      "",          "/("};
    for (unsigned t = 0; t < MODEL_TYPES; t++) {
        for (unsigned i = 0; i < MODEL_NAMES; i++) {
            for (unsigned v = 1; v <= MODEL_BAD; v++) {
                const char *word = v == MODEL_BAD ? bad[t] : good[t];
                const char *form = *word                     ? forms[t]
                                   : t == RESOURCE_EXTENSION ? "{name: f%1$u}"
                                                             : "{name: o%1$u}";
                char *yaml = arena_printf(f->arena, form, i, v, word, (i + v - 1) % MODEL_NAMES,
                                          delta ? ", vhds: {config_source: {ads: {}}}" : "");
                model_bytes[delta].wire[t][i][v] =
                    fixture_wire(f, resource_type_name((enum resource_type)t), yaml);
            }
        }
    }
}

START_TEST(test_the_end_is_that_of_a_fresh_start)
{
    const char *one = getenv("XYLEM_HISTORY"), *many = getenv("XYLEM_HISTORIES");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1;
    uint64_t to = one ? from + 1 : from + (many ? strtoull(many, NULL, 10) : 10000);
    struct strbuf text = STRBUF_INIT;
    struct history h;
    log_set_level(LOG_OFF);
    fixture_init(&client.f);
    make_bytes(&client.f, false);
    make_bytes(&client.f, true);
    for (uint64_t seed = from; seed < to; seed++) {
        generate(&h, seed);
        if (one)
            print(&h, seed);
        if (run(&h, &text))
            continue;
        shrink(&h, &text);
        print(&h, seed);
        ck_abort_msg("history %llu: %s", (unsigned long long)seed, strbuf_str(&text));
    }
    strbuf_fini(&text);
    fixture_fini(&client.f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("histories");
    TCase *t = tcase_create("histories");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, test_the_end_is_that_of_a_fresh_start);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
