/* Resources from a file, through a real builder; the watch is the test's. */
#include "xds/file_source.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../config/config_fixture.h"

static struct fixture f;
static struct xds_table table;
static struct config_source source;
static struct file_source *file;
static char path[64];
static struct strbuf watched;
static xds_timer_fn *timer_fn;
static xds_watch_fn *watch_fn;
static void *timer_arg, *watch_arg;
static unsigned n_timers;

static void *timer_start(void *ctx, uint64_t ms, xds_timer_fn *fn, void *arg)
{
    timer_fn = fn;
    timer_arg = arg;
    n_timers++;
    return &timer_fn;
}

static void timer_cancel(void *ctx, void *timer)
{
    timer_fn = NULL;
}

static void *watch(void *ctx, struct bytes folder, struct bytes name, xds_watch_fn *fn, void *arg,
                   struct error *err)
{
    strbuf_printf(&watched, "%.*s|%.*s", BYTES_ARG(folder), BYTES_ARG(name));
    watch_fn = fn;
    watch_arg = arg;
    return &watch_fn;
}

static void unwatch(void *ctx, void *w)
{
    watch_fn = NULL;
}

static void write_file(const char *text)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

/* What was asked for and what has changed is read. */
static void turn(void)
{
    xds_timer_fn *fn = timer_fn;
    timer_fn = NULL;
    if (fn)
        fn(timer_arg);
}

static void change(const char *text)
{
    write_file(text);
    watch_fn(watch_arg);
    turn();
}

static void setup(void)
{
    fixture_init(&f);
    fixture_start(&f);
    table = (struct xds_table){.clock = &f.clock.clock,
                               .stats = f.stats,
                               .timer_start = timer_start,
                               .timer_cancel = timer_cancel,
                               .watch = watch,
                               .unwatch = unwatch};
    snprintf(path, sizeof(path), "/tmp/xylem-source-%d.yaml", (int)getpid());
    write_file("{}");
    source =
        (struct config_source){.kind = SOURCE_PATH, .key = BYTES("file"), .path = bytes_of(path)};
    timer_fn = NULL;
    n_timers = 0;
    strbuf_fini(&watched);
}

static void teardown(void)
{
    file_source_free(&file);
    ck_assert(!watch_fn && !timer_fn);
    unlink(path);
    strbuf_fini(&watched);
    fixture_fini(&f);
}

static void start(enum resource_type type, const char *name)
{
    file = file_source_new(&table, f.builder, &source, type);
    file_source_want(file, bytes_of(name));
    file_source_flush(file);
}

#define CLUSTER "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster"

START_TEST(o01_a_file_is_a_response)
{
    char expected[80];
    write_file("version_info: one\nresources:\n- {" CLUSTER ", name: a}\n- {" CLUSTER
               ", name: b}\n");
    start(RESOURCE_CLUSTER, "*");
    ck_assert_ptr_null(fixture_cluster(&f, "a")); /* not inside the call */
    turn();
    ck_assert(fixture_cluster(&f, "a") && fixture_cluster(&f, "b"));
    ck_assert_str_eq(builder_type_version(f.builder, RESOURCE_CLUSTER), "one");
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cds.update_success"), 1);
    snprintf(expected, sizeof(expected), "/tmp|%s", path + 5);
    ck_assert_str_eq(strbuf_str(&watched), expected);
    file_source_flush(file); /* nothing new is wanted */
    ck_assert_uint_eq(n_timers, 1);
    change("{version_info: two, resources: [{" CLUSTER ", name: b}]}");
    ck_assert(!fixture_cluster(&f, "a") && fixture_cluster(&f, "b"));
    watch_fn(watch_arg);
    watch_fn(watch_arg);
    ck_assert_uint_eq(n_timers, 3); /* two changes at once are read once */
}
END_TEST

START_TEST(o02_a_folder_is_watched_in_its_place)
{
    source.watched_directory = BYTES("/etc");
    start(RESOURCE_CLUSTER, "*");
    ck_assert_str_eq(strbuf_str(&watched), "/etc|");
}
END_TEST

START_TEST(o03_a_bad_file_changes_nothing)
{
    write_file("{resources: [{" CLUSTER ", name: a}]}");
    start(RESOURCE_CLUSTER, "*");
    turn();
    change("{resources: [{" CLUSTER ", name: b, lb_policy: RING_HASH}]}");
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cds.update_rejected"), 1);
    change("{resources: [");
    change("");
    change("{resources: [{" CLUSTER ", name: a}, {" CLUSTER ", no_such: 1}]}");
    unlink(path);
    watch_fn(watch_arg);
    turn();
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cds.update_failure"), 3);
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cds.update_attempt"), 6);
    change("{resources: [{" CLUSTER ", name: a}]}");
    ck_assert_ptr_nonnull(fixture_cluster(&f, "a"));
}
END_TEST

START_TEST(what_a_file_does_not_have_is_not_waited_for)
{
    char yaml[300];
    snprintf(yaml, sizeof(yaml),
             "{name: web, type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: "
             "%s}}}}",
             path);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "web", yaml), "");
    ck_assert_ptr_null(fixture_cluster(&f, "web"));
    const struct store *store = builder_store(f.builder);
    struct resource *cla = LIST_ENTRY(
        list_first(&((struct store *)store)->lists[RESOURCE_ENDPOINT]), struct resource, link);
    source = cla->source->source;
    start(RESOURCE_ENDPOINT, "web");
    turn();
    ck_assert_uint_eq(fixture_cluster(&f, "web")->hosts->n_hosts, 0);
    change("{resources: [{'@type': type.googleapis.com/envoy.config.endpoint.v3."
           "ClusterLoadAssignment, cluster_name: web, endpoints: [{lb_endpoints: [{endpoint: "
           "{address: {socket_address: {address: 127.0.0.1, port_value: 80}}}}]}]}]}");
    ck_assert_uint_eq(fixture_cluster(&f, "web")->hosts->n_hosts, 1);
    ck_assert(!file_source_idle(file));
    file_source_unwant(file, BYTES("web"));
    ck_assert(file_source_idle(file));
}
END_TEST

/* A file with other secrets is no good news of this one. */
START_TEST(a_secret_that_a_file_does_not_have_is_counted)
{
    char yaml[400];
    static const char *const without[] = {
        "{}", "{resources: []}",
        ("{resources: [{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
         "Secret, name: other, generic_secret: {secret: {inline_string: x}}}]}")};
    snprintf(yaml, sizeof(yaml),
             "{name: web, transport_socket: {name: tls, typed_config: {'@type': "
             "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
             "common_tls_context: {validation_context_sds_secret_config: {name: root, sds_config: "
             "{path_config_source: {path: %s}}}}}}}",
             path);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "web", yaml), "");
    const struct store *store = builder_store(f.builder);
    struct resource *secret = LIST_ENTRY(
        list_first(&((struct store *)store)->lists[RESOURCE_SECRET]), struct resource, link);
    source = secret->source->source;
    start(RESOURCE_SECRET, "root");
    for (unsigned i = 0; i < ARRAY_SIZE(without); i++) {
        change(without[i]);
        ck_assert_int_eq(fixture_stat(&f, "sds.root.update_rejected"), i + 1);
        ck_assert_int_eq(fixture_stat(&f, "sds.root.update_attempt"), i + 1);
    }
}
END_TEST

static const char *eds(const char *service)
{
    return arena_printf(f.arena,
                        "{name: web, type: EDS, eds_cluster_config: {service_name: %s, "
                        "eds_config: {path_config_source: {path: %s}}}}",
                        service, path);
}

static void on_unwant(enum resource_type type, struct bytes name)
{
    file_source_unwant(file, name);
}

/* An update that ends the waiting for a name, which is then forgotten. */
START_TEST(a_refusal_outlives_the_names_that_it_ends)
{
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "web", eds("old")), "");
    const struct store *store = builder_store(f.builder);
    struct resource *cla = LIST_ENTRY(
        list_first(&((struct store *)store)->lists[RESOURCE_ENDPOINT]), struct resource, link);
    source = cla->source->source;
    start(RESOURCE_ENDPOINT, "old");
    change("{resources: [{'@type': type.googleapis.com/envoy.config.endpoint.v3."
           "ClusterLoadAssignment, cluster_name: old}]}");
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "web", eds("new")), "");
    file_source_want(file, BYTES("new"));
    f.on_unwant = on_unwant;
    fixture_log(&f);
    change("{resources: [{'@type': type.googleapis.com/envoy.config.endpoint.v3."
           "ClusterLoadAssignment, cluster_name: new, endpoints: [{priority: 200}]}]}");
    ck_assert_ptr_nonnull(strstr(fixture_log(&f), "unwant eds old;"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("file_source");
    TCase *t = tcase_create("file_source");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, o01_a_file_is_a_response);
    tcase_add_test(t, o02_a_folder_is_watched_in_its_place);
    tcase_add_test(t, o03_a_bad_file_changes_nothing);
    tcase_add_test(t, what_a_file_does_not_have_is_not_waited_for);
    tcase_add_test(t, a_secret_that_a_file_does_not_have_is_counted);
    tcase_add_test(t, a_refusal_outlives_the_names_that_it_ends);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
