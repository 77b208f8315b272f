/* The walk that is sure and the readings that know why: what the walk calls valid and implemented,
 * validation and scan find nothing in.
 *
 *     which message, bytes of it */

#include "../config_world.h"
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

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct bytes message = bytes_of(messages[fuzz_below(&in, ARRAY_SIZE(messages))]);
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
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    template_mutate(random, messages, ARRAY_SIZE(messages), input, out);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
