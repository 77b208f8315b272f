#include "config_world.h"

#include <stdlib.h>

#include "base/memory.h"
#include "config/json_read.h"
#include "config/json_write.h"
#include "config/listener.h"
#include "config/tls.h"
#include "config/validate.h"
#include "config/yaml.h"
#include "dataplane/http/route_match.h"
#include "filters/registry.h"
#include "proto.h"

struct descriptors *world_descriptors;
struct validator *world_validator;
static struct arena *kept;
static struct bytes wires[64];

static void world_free(void)
{
    validator_free(&world_validator);
    descriptors_free(&world_descriptors);
    arena_free(&kept);
}

void config_world_setup(void)
{
    atexit(world_free);
    kept = arena_new(0);
    world_descriptors = descriptors_new();
    world_validator = validator_new(world_descriptors);
    CHECK(n_templates <= ARRAY_SIZE(wires));
    for (unsigned i = 0; i < n_templates; i++) {
        struct error err = ERROR_INIT;
        struct yaml_node *n = yaml_parse(kept, "template", bytes_of(templates[i].yaml), &err);
        bool ok = n && json_read(world_descriptors, n, bytes_of(templates[i].message), NULL, kept,
                                 &wires[i], &err);
        FUZZ_CHECK(ok, "%s", error_text(&err));
        error_fini(&err);
    }
}

struct bytes template_wire(unsigned i)
{
    return wires[i];
}

enum { OTHER_MESSAGE = 40, FROM_TEMPLATE = 45 }; /* one in so many */

void template_mutate(struct random_source *random, const char *const *messages, unsigned n,
                     struct bytes input, struct strbuf *out)
{
    struct fuzz_in in = {input};
    unsigned which = input.len ? fuzz_below(&in, n) : (unsigned)random_below(random, n);
    if (random_below(random, OTHER_MESSAGE) == 0)
        which = (unsigned)random_below(random, n);
    struct bytes message = bytes_of(messages[which]), wire = in.rest;
    bool anew = !wire.len || random_below(random, FROM_TEMPLATE) == 0;
    for (unsigned i = 0; anew && i < n_templates; i++) {
        bool fits = strcmp(templates[i].message, messages[which]) == 0;
        wire = fits ? template_wire(i) : wire;
        anew = !fits || random_below(random, 2); /* perhaps one behind it */
    }
    strbuf_add_char(out, (char)which);
    proto_mutate(world_descriptors, random, message, wire, out);
}

static void publish(void *ctx, struct snapshot *s)
{
    struct config_world *w = ctx;
    s->holders = 1;
    FUZZ_CHECK(w->n_published < WORLD_SNAPSHOTS_MAX, "too many snapshots");
    w->published[w->n_published++] = s;
}

static bool bind_addresses(void *ctx, const struct listener *l UNUSED, struct error *err)
{
    struct config_world *w = ctx;
    if (w->refuse_bind)
        return error_set(err, "cannot bind '127.0.0.1:1': Address already in use");
    w->bound++;
    return true;
}

static void release_addresses(void *ctx, const struct listener *l UNUSED)
{
    struct config_world *w = ctx;
    FUZZ_CHECK(w->bound > 0, "released what was not bound");
    w->bound--;
}

static void want(void *ctx, const struct config_source *source UNUSED,
                 enum resource_type type UNUSED, struct bytes name UNUSED)
{
    ((struct config_world *)ctx)->wanted++;
}

static void unwant(void *ctx, const struct config_source *source UNUSED,
                   enum resource_type type UNUSED, struct bytes name UNUSED)
{
    struct config_world *w = ctx;
    FUZZ_CHECK(w->wanted > 0, "unwanted what was not wanted");
    w->wanted--;
}

static void wants_done(void *ctx UNUSED)
{
}

static void *start_timer(void *ctx, uint64_t ms UNUSED, builder_timer_fn *fn, void *arg)
{
    struct config_world *w = ctx;
    for (unsigned i = 0; i < WORLD_TIMERS_MAX; i++) {
        if (w->timers[i].used)
            continue;
        w->timers[i] = (struct world_timer){fn, arg, true};
        return &w->timers[i];
    }
    return NEW(struct world_timer); /* one that never runs out */
}

static void cancel_timer(void *ctx, void *timer)
{
    struct config_world *w = ctx;
    struct world_timer *t = timer;
    if (t < w->timers || t >= w->timers + WORLD_TIMERS_MAX) {
        mem_free(t);
        return;
    }
    FUZZ_CHECK(t->used, "cancelled a timer that does not run");
    t->used = false;
}

static void dns_change(void *ctx UNUSED, const struct cluster *c UNUSED, uint64_t generation UNUSED)
{
}

static void on_stage(void *ctx UNUSED, enum init_stage stage UNUSED)
{
}

/* A context is whether its first certificate begins with a letter. */
struct tls_context {
    unsigned live;
};

static struct tls_context *tls_make(void *ctx UNUSED, const struct tls_settings *s,
                                    struct error *err)
{
    struct tls_context *c = mem_alloc(sizeof(*c));
    c->live = 1;
    if (s->n_certificates == 0 || s->certificates[0].pkcs12.len ||
        s->certificates[0].chain.data[0] >= 'A')
        return c;
    mem_free(c);
    error_set(err, "Failed to load certificate chain");
    return NULL;
}

static void tls_unref(void *ctx UNUSED, struct tls_context *c)
{
    FUZZ_CHECK(c->live == 1, "a context goes twice");
    mem_free(c);
}

/* Every context has one certificate and one authority. */
static void tls_infos(void *ctx UNUSED, const struct tls_context *c, struct tls_cert_infos *out)
{
    static const struct tls_cert_info one = {.path = "one", .serial = "1f", .not_after = 1};
    FUZZ_CHECK(c->live == 1, "a context is asked that went");
    *out = (struct tls_cert_infos){&one, &one, 1, 1};
}

static const struct tls_factory tls_factory = {
    .make = tls_make, .unref = tls_unref, .cert_infos = tls_infos};

void config_world_init(struct config_world *w, bool strict)
{
    memset(w, 0, sizeof(*w));
    w->stats = stat_store_new(3);
    clock_fake_init(&w->clock);
    w->ads = (struct config_source){
        .kind = SOURCE_ADS, .key = BYTES("ads"), .initial_fetch_timeout_ms = 15000};
    w->other = (struct config_source){
        .kind = SOURCE_GRPC, .key = BYTES("other"), .initial_fetch_timeout_ms = 15000};
    struct builder_table table = {
        .ctx = w,
        .clock = &w->clock.clock,
        .publish = publish,
        .bind = bind_addresses,
        .release = release_addresses,
        .want = want,
        .unwant = unwant,
        .wants_done = wants_done,
        .timer_start = start_timer,
        .timer_cancel = cancel_timer,
        .dns_start = dns_change,
        .dns_stop = dns_change,
        .stage = on_stage,
    };
    struct builder_options o = {
        .descriptors = world_descriptors,
        .validator = world_validator,
        .filters = &filter_registry,
        .stats = w->stats,
        .tls = &tls_factory,
        .report = &w->report,
        .strict = strict,
        .reject_unknown_dynamic = strict,
    };
    w->builder = builder_new(&table, &o);
    builder_decode_context(w->builder)->ads_configured = true;
    builder_decode_context(w->builder)->ads_delta = true;
}

void config_world_fini(struct config_world *w)
{
    builder_free(&w->builder);
    for (unsigned before = 0; before != node_count_live(); builder_reap(NULL))
        before = node_count_live();
    FUZZ_CHECK(node_count_live() == 0, "%u nodes leaked", node_count_live());
    FUZZ_CHECK(w->bound == 0, "%u listeners are still bound", w->bound);
    for (unsigned i = 0; i < WORLD_TIMERS_MAX; i++)
        FUZZ_CHECK(!w->timers[i].used, "a timer still runs");
    stat_store_free(&w->stats);
    field_report_fini(&w->report);
}

bool config_world_expire(struct config_world *w)
{
    for (unsigned i = 0; i < WORLD_TIMERS_MAX; i++) {
        struct world_timer *t = &w->timers[(w->next_timer + i) % WORLD_TIMERS_MAX];
        if (!t->used)
            continue;
        w->next_timer = (unsigned)(t - w->timers) + 1;
        t->used = false;
        t->fn(t->arg);
        return true;
    }
    return false;
}

void config_world_adopt(struct config_world *w)
{
    while (w->n_published > 1) {
        builder_snapshot_returned(w->builder, w->published[0]);
        memmove(w->published, w->published + 1, --w->n_published * sizeof(w->published[0]));
    }
}

/* ---- reading ---- */

static void look_at_routes(const struct route_config *rc)
{
    static const char *const paths[] = {"/", "/a", "/a/x?q=p1", "/b", "/s/1", "/rx", "*", ""};
    static const char *const hosts[] = {"a.test", "b", "x.a.test:80", "", "[::1]:80"};
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    headers_add(&h, BYTES("x"), BYTES("abc"));
    headers_add(&h, BYTES("z"), BYTES("3"));
    headers_add(&h, BYTES("x-cluster"), BYTES("c"));
    for (unsigned i = 0; i < ARRAY_SIZE(paths) * ARRAY_SIZE(hosts); i++) {
        struct route_query q = {.headers = &h,
                                .host = bytes_of(hosts[i % ARRAY_SIZE(hosts)]),
                                .path = bytes_of(paths[i / ARRAY_SIZE(hosts)]),
                                .random = i};
        struct route_match_result m = route_match(rc, &q), linear = route_match_linear(rc, &q);
        FUZZ_CHECK(m.route == linear.route && m.vhost == linear.vhost && m.weight == linear.weight,
                   "%s%s: the index finds another route", hosts[i % ARRAY_SIZE(hosts)],
                   paths[i / ARRAY_SIZE(hosts)]);
        if (m.route && m.route->action == ROUTE_CLUSTER)
            (void)route_cluster_name(&m, &h);
    }
    arena_free(&a);
}

static void look_at_listener(const struct listener_entry *l)
{
    static const char *const names[] = {"", "a.test", "x.a.test", "b"};
    static const char *const addresses[] = {"127.0.0.1", "1.1.1.5", "::1", "10.0.0.1"};
    for (unsigned i = 0; i < 64; i++) {
        struct chain_query q = {.server_name = bytes_of(names[i & 3])};
        struct address local, remote;
        bool ok = address_parse_ip(bytes_of(addresses[i >> 2 & 3]), (uint16_t)(i & 1), &local) &&
                  address_parse_ip(bytes_of(addresses[i >> 4 & 3]), 5, &remote);
        FUZZ_CHECK(ok, "addresses of our own");
        q.local = local;
        q.remote = q.direct_remote = remote;
        struct chain_binding *b = listener_find_chain(l, &q);
        if (!b)
            continue;
        struct chain_binding *same = listener_find_chain_key(l, b->chain->key);
        FUZZ_CHECK(same && bytes_eq(same->chain->key, b->chain->key), "not found by its key");
        if (b->routes)
            look_at_routes(b->routes);
    }
}

static bool look_at_view(void *ctx UNUSED, const struct resource_view *v)
{
    struct strbuf out = STRBUF_INIT;
    struct json_write_options o = {.redact = true};
    if (v->active)
        json_write_any(world_descriptors, bytes_of(v->active->type_url), v->active->wire, &o, &out);
    if (v->warming)
        FUZZ_CHECK(v->waiting_for[0], "%.*s waits for nothing", BYTES_ARG(v->name));
    if (v->rejected)
        FUZZ_CHECK(*v->rejected->details, "refused without a word");
    strbuf_fini(&out);
    return true;
}

void config_world_look(struct config_world *w)
{
    struct snapshot *s = builder_snapshot(w->builder);
    for (int t = 0; t < RESOURCE_TYPE_COUNT; t++)
        builder_each(w->builder, (enum resource_type)t, 0, look_at_view, NULL);
    if (!s)
        return;
    static const char *const names[] = {"l", "m", "r", "a", "c"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct listener_entry *l = snapshot_listener(s, bytes_of(names[i]));
        struct route_config *rc = pmap_get(&s->routes, bytes_of(names[i]));
        if (l)
            look_at_listener(l);
        if (rc)
            look_at_routes(rc);
    }
}
