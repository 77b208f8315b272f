/* The walk that is sure and the readings that know why: what the walk calls valid and implemented,
 * validation and scan find nothing in. The decoders behind them take any bytes that can be read,
 * good or not: they make nodes of them, or a sentence.
 *
 *     which message, bytes of it */

#include "../config_world.h"
#include "config/access_log.h"
#include "config/decode.h"
#include "config/route.h"
#include "config/static_load.h"
#include "config/unsupported.h"
#include "config/validate.h"

static const char *const messages[] = {
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.bootstrap.v3.Bootstrap",
    "envoy.config.route.v3.VirtualHost",
    "envoy.config.route.v3.Route",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.config.accesslog.v3.AccessLog",
};

/* Each makes what it is asked for, and lets it go again; false: *err says why not. */
typedef bool decode_fn(struct decode_context *ctx, struct bytes wire, struct error *err);

static bool let_go(struct node *made)
{
    bool ok = made != NULL;
    node_unref(&made);
    node_reap();
    return ok;
}

static bool decode_routes(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct filter_context filters = {.stats = ctx->stats, .owner = ctx->owner, .decode = ctx};
    struct route_decode_context rctx = {.filters = &filters, .registry = ctx->filters};
    struct route_config *rc = route_config_decode(&rctx, wire, NULL, err);
    return let_go(rc ? &rc->node : NULL);
}

static bool decode_listener(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct listener_parts *l = listener_decode(ctx, wire, NULL, err);
    return let_go(l ? &l->node : NULL);
}

static bool decode_cluster(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct cluster *c = cluster_decode(ctx, wire, err);
    return let_go(c ? &c->node : NULL);
}

static bool decode_manager(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct http_manager *m = http_manager_decode(ctx, wire, NULL, err);
    return let_go(m ? &m->node : NULL);
}

/* All but its static resources. */
static bool decode_bootstrap(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct bootstrap_config *c = bootstrap_config_decode(ctx, wire, err);
    bool ok = c != NULL;
    bootstrap_config_free(&c);
    return ok;
}

static bool decode_log(struct decode_context *ctx, struct bytes wire, struct error *err)
{
    struct arena *a = arena_new(0);
    struct access_log *log;
    bool ok = access_log_decode(ctx, a, wire, &log, err);
    if (ok)
        access_log_fini(log);
    arena_free(&a);
    return ok;
}

/* By the position in `messages`. */
static decode_fn *const decoders[ARRAY_SIZE(messages)] = {
    [0] = decode_cluster,   [2] = decode_listener, [3] = decode_routes,
    [4] = decode_bootstrap, [7] = decode_manager,  [8] = decode_log};

/* Without rules and without the list of what is not implemented. */
static void decode_unchecked(unsigned which, struct bytes wire)
{
    static struct config_world w;
    struct error err = ERROR_INIT;
    if (!decoders[which])
        return;
    config_world_init(&w, false);
    struct decode_context ctx = *builder_decode_context(w.builder);
    ctx.validator = NULL;
    ctx.descriptors = NULL;
    bool made = decoders[which](&ctx, wire, &err);
    FUZZ_CHECK(made != error_is_set(&err), "an error or none: %s", error_text(&err));
    error_fini(&err);
    config_world_fini(&w);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    unsigned which = fuzz_below(&in, ARRAY_SIZE(messages));
    struct bytes message = bytes_of(messages[which]);
    struct field_report report = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    unsigned sure = validate_quick(world_validator, message, in.rest);
    bool valid = validate_message(world_validator, message, in.rest, &err);
    FUZZ_CHECK(valid || !(sure & SURELY_VALID), "%s", error_text(&err));
    FUZZ_CHECK(valid == !error_is_set(&err), "refused without a word");
    error_fini(&err);
    bool scanned = unsupported_scan(world_descriptors, message, in.rest, &report, &err);
    FUZZ_CHECK(scanned || !(sure & SURELY_SUPPORTED), "%s", error_text(&err));
    for (unsigned i = 0; i < FIELD_CLASS_COUNT; i++)
        FUZZ_CHECK(report.counts[i] == 0 || !(sure & SURELY_SUPPORTED), "%s",
                   report.entries[0].path);
    error_fini(&err);
    field_report_fini(&report);
    if (scanned) /* the library writes to nowhere for a map entry with an unknown field */
        decode_unchecked(which, in.rest);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    template_mutate(random, messages, ARRAY_SIZE(messages), input, out);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
