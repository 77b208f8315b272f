#include "config_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_stats.h"
#include "config/json_read.h"
#include "tls_fixture.h"

static void *router_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    if (value.len > 1000)
        return error_set(err, "too long") ? ctx : NULL;
    return arena_zalloc(ctx->arena, 1);
}

static const struct filter_factory router = {
    .name = "envoy.filters.http.router",
    .type_url = "envoy.extensions.filters.http.router.v3.Router",
    .terminal = true,
    .no_config_ok = true,
    .config_new = router_new,
};
static const struct filter_factory cors = {
    .name = "envoy.filters.http.cors",
    .type_url = "envoy.extensions.filters.http.cors.v3.Cors",
};
static const struct filter_factory missing = {.name = "missing", .type_url = ""};
static const struct filter_factory *const http_filters[] = {&router, &cors};
static const char *const skippable[] = {"envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"};

const struct filter_registry fixture_registry = {
    .http = http_filters,
    .n_http = 2,
    .missing = &missing,
    .skippable = skippable,
    .n_skippable = 1,
};

static void publish(void *ctx, struct snapshot *s)
{
    struct fixture *f = ctx;
    s->holders = f->holders;
    strbuf_printf(&f->log, "publish %llu;", (unsigned long long)s->version);
}

static bool bind_addresses(void *ctx, const struct listener *l, struct error *err)
{
    struct fixture *f = ctx;
    strbuf_printf(&f->log, "bind %.*s;", BYTES_ARG(l->name));
    return !f->refuse_bind || error_set(err, "cannot bind '127.0.0.1:1': Address already in use");
}

static void release_addresses(void *ctx, const struct listener *l)
{
    strbuf_printf(&((struct fixture *)ctx)->log, "release %.*s;", BYTES_ARG(l->name));
}

static void want(void *ctx, const struct config_source *source, enum resource_type type,
                 struct bytes name)
{
    strbuf_printf(&((struct fixture *)ctx)->log, "want %s %.*s;", resource_type_short(type),
                  BYTES_ARG(name));
}

static void unwant(void *ctx, const struct config_source *source, enum resource_type type,
                   struct bytes name)
{
    strbuf_printf(&((struct fixture *)ctx)->log, "unwant %s %.*s;", resource_type_short(type),
                  BYTES_ARG(name));
    if (((struct fixture *)ctx)->on_unwant)
        ((struct fixture *)ctx)->on_unwant(type, name);
}

static void wants_done(void *ctx)
{
    strbuf_add_str(&((struct fixture *)ctx)->log, "done;");
}

static void *timer_start(void *ctx, uint64_t ms, builder_timer_fn *fn, void *arg)
{
    struct fixture *f = ctx;
    for (unsigned i = 0; i < ARRAY_SIZE(f->timers); i++) {
        if (!f->timers[i].used) {
            f->timers[i] = (struct fixture_timer){ms, fn, arg, true};
            return &f->timers[i];
        }
    }
    static struct fixture_timer spare;
    return &spare;
}

static void timer_cancel(void *ctx, void *timer)
{
    ((struct fixture_timer *)timer)->used = false;
}

static void dns_start(void *ctx, const struct cluster *c, uint64_t generation)
{
    struct fixture *f = ctx;
    f->dns_generation = generation;
    strbuf_printf(&f->log, "dns %.*s;", BYTES_ARG(c->name));
}

static void dns_stop(void *ctx, const struct cluster *c, uint64_t generation)
{
    strbuf_printf(&((struct fixture *)ctx)->log, "dns-stop %.*s;", BYTES_ARG(c->name));
}

static void *watch(void *ctx, struct bytes folder, builder_timer_fn *fn, void *arg,
                   struct error *err)
{
    struct fixture *f = ctx;
    if (f->no_folder && bytes_ends_with(folder, bytes_of(f->no_folder))) {
        error_set(err, "no folder");
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(f->watches); i++) {
        if (f->watches[i].used)
            continue;
        f->watches[i] = (struct fixture_watch){arena_dup(f->arena, folder), fn, arg, true};
        return &f->watches[i];
    }
    error_set(err, "too many watches");
    return NULL;
}

static void unwatch(void *ctx, void *w)
{
    ((struct fixture_watch *)w)->used = false;
}

static void reload_failed(void *ctx, struct bytes secret, const char *why)
{
    strbuf_printf(&((struct fixture *)ctx)->log, "not reloaded %.*s: %s;", BYTES_ARG(secret), why);
}

/* A key ends in the name. */
static void demand_settled(void *ctx, struct bytes key)
{
    struct bytes name = bytes_skip(key, strlen(" 3:ads") + (size_t)bytes_find_char(key, ' '));
    strbuf_printf(&((struct fixture *)ctx)->log, "settled %.*s;", BYTES_ARG(name));
}

static void on_stage(void *ctx, enum init_stage stage)
{
    ((struct fixture *)ctx)->initialised |= stage == INIT_DONE;
}

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.arena = arena_new(0)};
    f->descriptors = descriptors_new();
    f->validator = validator_new(f->descriptors);
    f->stats = stat_store_new(3);
    clock_fake_init(&f->clock);
    f->ads = (struct config_source){
        .kind = SOURCE_ADS, .key = BYTES("ads"), .initial_fetch_timeout_ms = 15000};
    struct builder_table table = {.ctx = f,
                                  .clock = &f->clock.clock,
                                  .publish = publish,
                                  .bind = bind_addresses,
                                  .release = release_addresses,
                                  .want = want,
                                  .unwant = unwant,
                                  .wants_done = wants_done,
                                  .timer_start = timer_start,
                                  .timer_cancel = timer_cancel,
                                  .dns_start = dns_start,
                                  .dns_stop = dns_stop,
                                  .watch = watch,
                                  .unwatch = unwatch,
                                  .reload_failed = reload_failed,
                                  .demand_settled = demand_settled,
                                  .stage = on_stage};
    struct builder_options o = {.descriptors = f->descriptors,
                                .validator = f->validator,
                                .filters = &fixture_registry,
                                .stats = f->stats,
                                .tls = &fake_tls};
    f->builder = builder_new(&table, &o);
    builder_decode_context(f->builder)->ads_configured = true;
}

void fixture_fini(struct fixture *f)
{
    builder_free(&f->builder);
    for (unsigned before = 0; before != node_count_live(); builder_reap(NULL))
        before = node_count_live();
    ck_assert_uint_eq(node_count_live(), 0);
    stat_store_free(&f->stats);
    validator_free(&f->validator);
    descriptors_free(&f->descriptors);
    strbuf_fini(&f->log);
    arena_free(&f->arena);
}

struct bytes fixture_wire(struct fixture *f, const char *message, const char *yaml)
{
    struct error err = ERROR_INIT;
    struct bytes body = BYTES_NONE;
    struct yaml_node *n = yaml_parse(f->arena, "test", bytes_of(yaml), &err);
    ck_assert_msg(n && json_read(f->descriptors, n, bytes_of(message), NULL, f->arena, &body, &err),
                  "%s: %s", yaml, error_text(&err));
    return body;
}

void fixture_start(struct fixture *f)
{
    struct update_result r;
    builder_start(f->builder, &f->ads, &f->ads);
    config_update(f->builder, &f->ads, RESOURCE_CLUSTER, NULL, 0, NULL, 0, true, BYTES("0"), &r);
    config_update(f->builder, &f->ads, RESOURCE_LISTENER, NULL, 0, NULL, 0, true, BYTES("0"), &r);
    ck_assert(f->initialised);
    fixture_log(f);
}

static const char *nack(struct fixture *f, enum resource_type type, struct update_result *r)
{
    struct strbuf s = STRBUF_INIT;
    update_result_text(r, type, &s);
    char *text = arena_str(f->arena, strbuf_bytes(&s));
    strbuf_fini(&s);
    update_result_fini(r);
    return text;
}

const char *fixture_update(struct fixture *f, enum resource_type type, const char *name,
                           const char *yaml)
{
    struct update_result r;
    struct resource_update u = {bytes_of(name), BYTES("v"), BYTES_NONE,
                                fixture_wire(f, resource_type_name(type), yaml)};
    config_update(f->builder, &f->ads, type, &u, 1, NULL, 0, false, BYTES("v"), &r);
    builder_commit(f->builder);
    return nack(f, type, &r);
}

const char *fixture_full(struct fixture *f, enum resource_type type, const char *const *pairs)
{
    struct resource_update u[16];
    struct update_result r;
    size_t n = 0;
    for (; pairs[n * 2]; n++)
        u[n] =
            (struct resource_update){bytes_of(pairs[n * 2]), BYTES("v"), BYTES_NONE,
                                     fixture_wire(f, resource_type_name(type), pairs[n * 2 + 1])};
    config_update(f->builder, &f->ads, type, u, n, NULL, 0, true, BYTES("v"), &r);
    return nack(f, type, &r);
}

const char *fixture_log(struct fixture *f)
{
    char *text = arena_str(f->arena, strbuf_bytes(&f->log));
    strbuf_reset(&f->log);
    return text;
}

void fixture_put_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

bool fixture_touch(struct fixture *f, const char *folder)
{
    bool any = false;
    for (unsigned i = 0; i < ARRAY_SIZE(f->watches); i++) {
        struct fixture_watch *w = &f->watches[i];
        if (w->used && bytes_eq_str(w->folder, folder)) {
            w->fn(w->arg);
            any = true;
        }
    }
    return any;
}

bool fixture_expire(struct fixture *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(f->timers); i++) {
        if (f->timers[i].used) {
            f->timers[i].used = false;
            f->timers[i].fn(f->timers[i].arg);
            return true;
        }
    }
    return false;
}

struct cluster_entry *fixture_cluster(struct fixture *f, const char *name)
{
    struct snapshot *s = builder_snapshot(f->builder);
    return s ? snapshot_cluster(s, bytes_of(name)) : NULL;
}

struct listener_entry *fixture_listener(struct fixture *f, const char *name)
{
    struct snapshot *s = builder_snapshot(f->builder);
    return s ? snapshot_listener(s, bytes_of(name)) : NULL;
}

struct find {
    const char *name;
    int64_t value;
};

static void find_stat(void *ctx, const struct stat_view *v)
{
    struct find *x = ctx;
    if (bytes_eq_str(v->name, x->name))
        x->value = v->value;
}

int64_t fixture_stat(struct fixture *f, const char *name)
{
    struct find x = {name, -1};
    stat_visit(f->stats, find_stat, &x);
    return x.value;
}
