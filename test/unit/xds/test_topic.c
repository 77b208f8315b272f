/* What a response does: times to live and heartbeats, through a real builder. */
#include "xds/topic.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../config/config_fixture.h"
#include "config/wire.h"

static struct fixture f;
static struct topic topic;
static struct xds_table table;
static struct topic_home home;
static xds_timer_fn *timer_fn;
static void *timer_arg;

static void *timer_start(void *ctx, uint64_t ms, xds_timer_fn *fn, void *arg)
{
    timer_fn = fn;
    timer_arg = arg;
    return &timer_fn;
}

static void timer_cancel(void *ctx, void *timer)
{
    timer_fn = NULL;
}

static void start(enum resource_type type, bool delta)
{
    fixture_init(&f);
    fixture_start(&f);
    f.ads.api.delta = delta;
    table = (struct xds_table){.clock = &f.clock.clock,
                               .stats = f.stats,
                               .timer_start = timer_start,
                               .timer_cancel = timer_cancel};
    home = (struct topic_home){&table, f.builder, &f.ads};
    timer_fn = NULL;
    topic_init(&topic, &home, type);
    topic_want(&topic, BYTES("*"));
}

static void stop(void)
{
    topic_fini(&topic);
    fixture_fini(&f);
}

static void pass(uint64_t ms)
{
    clock_fake_advance(&f.clock, ms * NS_PER_MS);
    xds_timer_fn *fn = timer_fn;
    timer_fn = NULL;
    if (fn)
        fn(timer_arg);
}

struct sent {
    const char *name, *version, *yaml; /* yaml NULL: a heartbeat */
    uint64_t ttl_ms;                   /* 0: none */
};

/* envoy.service.discovery.v3.Resource */
static struct strbuf wrapped(const struct sent *s)
{
    static const char url[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    struct strbuf out = STRBUF_INIT, any = STRBUF_INIT, ttl = STRBUF_INIT;
    wire_put_bytes(&out, 1, bytes_of(s->version));
    wire_put_bytes(&out, 3, bytes_of(s->name));
    wire_put_bytes(&any, 1, bytes_of(url));
    if (s->yaml) {
        wire_put_bytes(&any, 2, fixture_wire(&f, "envoy.config.cluster.v3.Cluster", s->yaml));
        wire_put_bytes(&out, 2, strbuf_bytes(&any));
    }
    if (s->ttl_ms) {
        wire_put_varint(&ttl, 1 << 3 | WIRE_VARINT);
        wire_put_varint(&ttl, s->ttl_ms / 1000);
        wire_put_varint(&ttl, 2 << 3 | WIRE_VARINT);
        wire_put_varint(&ttl, s->ttl_ms % 1000 * NS_PER_MS);
        wire_put_bytes(&out, 6, strbuf_bytes(&ttl));
    }
    strbuf_fini(&any);
    strbuf_fini(&ttl);
    return out;
}

struct failed {
    const char *name;
    unsigned code;
};

/* envoy.service.discovery.v3.ResourceError */
static struct strbuf failure(const struct failed *e)
{
    struct strbuf out = STRBUF_INIT, name = STRBUF_INIT, detail = STRBUF_INIT;
    wire_put_bytes(&name, 1, bytes_of(e->name));
    wire_put_varint(&detail, 1 << 3 | WIRE_VARINT);
    wire_put_varint(&detail, e->code);
    wire_put_bytes(&out, 1, strbuf_bytes(&name));
    wire_put_bytes(&out, 2, strbuf_bytes(&detail));
    strbuf_fini(&name);
    strbuf_fini(&detail);
    return out;
}

/* A response in the dialect of the topic, with errors up to one without a name, and what is
 * removed (NULL: nothing); the text of the NACK, "" for none. */
static const char *respond_with(const struct sent *list, size_t n, const struct failed *failed,
                                const char *removed)
{
    struct strbuf r = STRBUF_INIT;
    struct discovery_response d;
    struct error err = ERROR_INIT;
    wire_put_bytes(&r, 1, BYTES("v1"));
    for (size_t i = 0; i < n; i++) {
        struct strbuf one = wrapped(&list[i]), any = STRBUF_INIT;
        wire_put_bytes(&any, 1, BYTES("type.googleapis.com/envoy.service.discovery.v3.Resource"));
        wire_put_bytes(&any, 2, strbuf_bytes(&one));
        wire_put_bytes(&r, 2, strbuf_bytes(topic.sub.delta ? &one : &any));
        strbuf_fini(&one);
        strbuf_fini(&any);
    }
    for (; failed && failed->name; failed++) {
        struct strbuf one = failure(failed);
        wire_put_bytes(&r, topic.sub.delta ? 9 : 7, strbuf_bytes(&one));
        strbuf_fini(&one);
    }
    if (removed)
        wire_put_bytes(&r, 6, bytes_of(removed));
    wire_put_bytes(&r, 4, bytes_of(topic.sub.type_url));
    ck_assert(topic.sub.delta ? delta_response_read(strbuf_bytes(&r), &d)
                              : discovery_response_read(strbuf_bytes(&r), &d));
    topic_apply(&topic, &d, &err);
    subscription_answer(&topic.sub, d.version, BYTES("n"),
                        error_is_set(&err) ? error_text(&err) : NULL);
    const char *text = arena_str(f.arena, bytes_of(error_is_set(&err) ? error_text(&err) : ""));
    builder_commit(f.builder);
    discovery_response_fini(&d);
    strbuf_fini(&r);
    error_fini(&err);
    return text;
}

static const char *respond(const struct sent *list, size_t n)
{
    return respond_with(list, n, NULL, NULL);
}

static bool there(const char *name)
{
    return fixture_cluster(&f, name) != NULL;
}

START_TEST(t07_a_resource_lives_as_long_as_its_server_says)
{
    start(RESOURCE_CLUSTER, _i);
    struct sent both[] = {{"a", "v1", "{name: a}", 1500}, {"b", "v1", "{name: b}", 0}};
    ck_assert_str_eq(respond(both, 2), "");
    pass(1499);
    ck_assert(there("a") && there("b"));
    pass(1);
    ck_assert(!there("a") && there("b"));
    ck_assert_str_eq(respond(both, 2), ""); /* it may come back */
    ck_assert(there("a"));
    both[0].ttl_ms = 0; /* and stay */
    ck_assert_str_eq(respond(both, 2), "");
    pass(100000);
    ck_assert(there("a"));
    stop();
}
END_TEST

START_TEST(t08_a_heartbeat_lets_it_live_on)
{
    start(RESOURCE_CLUSTER, _i);
    struct sent first = {"a", "v1", "{name: a}", 1000}, beat = {"a", "v1", NULL, 1000};
    struct sent stale = {"a", "v0", NULL, 1000};
    ck_assert_str_eq(respond(&first, 1), "");
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_CLUSTER);
    for (unsigned i = 0; i < 5; i++) {
        pass(900);
        ck_assert_str_eq(respond(&beat, 1), "");
        ck_assert(there("a"));
    }
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_CLUSTER), decoded);
    pass(900);
    ck_assert_str_eq(respond(&stale, 1),
                     "resource 'a' has no body, and no version 'v0' of it is held");
    ck_assert(there("a"));
    pass(100);
    ck_assert(!there("a"));
    ck_assert_str_ne(respond(&beat, 1), ""); /* of what is gone */
    ck_assert(!there("a"));
    stop();
}
END_TEST

START_TEST(t08_a_heartbeat_names_what_it_keeps)
{
    start(RESOURCE_CLUSTER, false);
    struct sent first[] = {{"a", "v1", "{name: a}", 0}, {"b", "v1", "{name: b}", 0}};
    struct sent beat[] = {{"a", "v1", NULL, 1000}, {"c", "v1", "{name: c}", 0}};
    ck_assert_str_eq(respond(first, 2), "");
    ck_assert_str_eq(respond(beat, 1), ""); /* heartbeats alone take nothing away */
    ck_assert(there("a") && there("b"));
    ck_assert_str_eq(respond(beat, 2), ""); /* what is left out of others is gone (R01) */
    ck_assert(there("a") && !there("b") && there("c"));
    stop();
}
END_TEST

/* What a cluster is called in statistics: the versions of these tests differ in it. */
static const char *alias_of(const char *name)
{
    struct resource *r =
        store_find(builder_store(f.builder), &f.ads, RESOURCE_CLUSTER, bytes_of(name));
    struct bytes alias = wire_find_bytes(r->active->wire, 28);
    return arena_str(f.arena, alias);
}

START_TEST(a11_an_error_beside_the_resource_changes_nothing)
{
    struct sent first[] = {{"a", "v1", "{name: a, alt_stat_name: old}", 0},
                           {"b", "v1", "{name: b}", 0}};
    struct sent second = {"a", "v1", "{name: a, alt_stat_name: new}", 1000};
    const struct failed internal[] = {{"a", 13}, {"b", 13}, {NULL, 0}};
    const struct failed not_found[] = {{"a", 5}, {"a", 13}, {NULL, 0}};
    start(RESOURCE_CLUSTER, _i);
    ck_assert_str_eq(respond(first, 2), "");
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_CLUSTER);
    ck_assert_str_eq(respond_with(&second, 1, internal, NULL), "");
    ck_assert_str_eq(alias_of("a"), "new");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_CLUSTER), decoded + 1);
    ck_assert(there("b")); /* it has an error, and is not gone */
    ck_assert_str_eq(respond_with(&second, 1, not_found, NULL), "");
    ck_assert(there("a"));
    ck_assert_int_eq(fixture_stat(&f, "cluster_manager.cluster_removed"), !_i);
    pass(1000); /* nor is its time forgotten */
    ck_assert(!there("a"));
    stop();
}
END_TEST

START_TEST(a11_not_found_takes_away_what_else_the_response_keeps)
{
    struct sent first[] = {{"a", "v1", "{name: a}", 0}, {"b", "v1", "{name: b}", 0}};
    struct sent beat = {"a", "v1", NULL, 1000}, later = {"b", "v1", "{name: b}", 0};
    const struct failed both[] = {{"a", 5}, {"a", 13}, {NULL, 0}};
    const struct failed not_found[] = {{"a", 5}, {NULL, 0}};
    start(RESOURCE_CLUSTER, _i);
    ck_assert_str_eq(respond(first, 2), "");
    ck_assert_str_eq(respond_with(&later, 1, both, NULL), "");
    ck_assert(!there("a") && there("b"));
    ck_assert_str_eq(respond(first, 2), "");
    ck_assert(there("a"));
    ck_assert_str_eq(respond_with(&beat, 1, not_found, NULL), "");
    ck_assert(!there("a") && there("b"));
    ck_assert_uint_eq(topic.ttl.n, 0);
    stop();
}
END_TEST

/* What waits is kept as what serves is. */
START_TEST(a11_an_error_keeps_what_warms)
{
    static const char eds[] = "{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}";
    struct sent warms = {"a", "v1", eds, 0}, both[] = {warms, {"b", "v1", "{name: b}", 0}};
    const struct failed internal[] = {{"a", 13}, {NULL, 0}};
    start(RESOURCE_CLUSTER, _i);
    ck_assert_str_eq(respond(&warms, 1), "");
    ck_assert_str_eq(respond_with(&both[1], 1, internal, NULL), "");
    struct resource *r = store_find(builder_store(f.builder), &f.ads, RESOURCE_CLUSTER, BYTES("a"));
    ck_assert(r && r->pending && there("b"));
    stop();
}
END_TEST

START_TEST(a_name_is_text)
{
    struct sent bad[] = {{"a", "v1", "{name: a}", 0}, {"\xff\xfe", "v1", NULL, 0}};
    start(RESOURCE_CLUSTER, _i);
    ck_assert_str_eq(respond(bad, 2), "the name of a resource is not valid UTF-8: '\xff\xfe'");
    ck_assert(!there("a"));
    stop();
}
END_TEST

/* A response in the state of the world, of resources as they are; then as respond_with(). */
static const char *respond_bare(const struct bytes *resources, size_t n)
{
    struct strbuf r = STRBUF_INIT;
    struct discovery_response d;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < n; i++) {
        struct strbuf any = STRBUF_INIT;
        wire_put_bytes(&any, 1, bytes_of(topic.sub.type_url));
        wire_put_bytes(&any, 2, resources[i]);
        wire_put_bytes(&r, 2, strbuf_bytes(&any));
        strbuf_fini(&any);
    }
    ck_assert(discovery_response_read(strbuf_bytes(&r), &d));
    topic_apply(&topic, &d, &err);
    const char *text = arena_str(f.arena, bytes_of(error_text(&err)));
    builder_commit(f.builder);
    discovery_response_fini(&d);
    strbuf_fini(&r);
    error_fini(&err);
    return text;
}

START_TEST(a07_what_cannot_be_read_is_told)
{
    static const char eds[] = "{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}";
    start(RESOURCE_ENDPOINT, false);
    ck_assert_str_eq(fixture_update(&f, RESOURCE_CLUSTER, "a", eds), "");
    topic_unwant(&topic, BYTES("*"));
    topic_want(&topic, BYTES("a"));
    struct bytes good =
        fixture_wire(&f, "envoy.config.endpoint.v3.ClusterLoadAssignment", "{cluster_name: a}");
    struct bytes broken[] = {BYTES("\xff\xff\xff"), good}, unnamed = BYTES("");
    ck_assert_str_eq(respond_bare(broken, 2),
                     "a resource without a name: "
                     "envoy.config.endpoint.v3.ClusterLoadAssignment: bytes are corrupt");
    ck_assert(there("a")); /* what is good beside it is used */
    ck_assert_str_eq(respond_bare(&unnamed, 1),
                     "a resource without a name: cluster_name: value length must be at least 1 "
                     "characters");
    ck_assert_str_eq(respond_bare(&good, 1), "");
    struct bytes twice[] = {good, unnamed, unnamed, BYTES("")};
    twice[3] = fixture_wire(&f, "envoy.config.endpoint.v3.ClusterLoadAssignment",
                            "{cluster_name: a, endpoints: [{priority: 200}]}");
    ck_assert_str_ne(respond_bare(twice, 4), "");
    twice[1] = twice[2] = good;
    ck_assert_str_eq(respond_bare(twice, 4), ""); /* S12: of one name the first counts */
    stop();
}
END_TEST

START_TEST(a_listener_needs_no_name)
{
    static struct random_source dice;
    start(RESOURCE_LISTENER, false);
    random_seed(&dice, 1);
    table.random = &dice;
    struct bytes wire = fixture_wire(&f, "envoy.config.listener.v3.Listener",
                                     "{address: {socket_address: {address: 127.0.0.1, port_value: "
                                     "1}}, filter_chains: [{}]}");
    struct bytes twice[] = {wire, wire};
    const char *text = respond_bare(&wire, 1);
    ck_assert_str_eq(text, "");
    char name[40];
    snprintf(name, sizeof(name), "%s", topic.unnamed);
    ck_assert_uint_eq(strlen(name), 36);
    struct listener_entry *first = fixture_listener(&f, name);
    ck_assert_ptr_nonnull(first);
    ck_assert_str_eq(respond_bare(&wire, 1), "");
    ck_assert_ptr_eq(fixture_listener(&f, name), first);
    ck_assert_str_ne(respond_bare(twice, 2), "");
    ck_assert_str_eq(respond_bare(NULL, 0), "");
    ck_assert_ptr_null(fixture_listener(&f, name));
    stop();
}
END_TEST

START_TEST(a_ttl_that_is_none_spoils_the_response)
{
    start(RESOURCE_CLUSTER, _i);
    struct sent bad = {"a", "v1", "{name: a}", UINT64_C(315576000001000)};
    ck_assert_str_eq(respond(&bad, 1), "resource 'a': its ttl is no valid duration");
    ck_assert(!there("a"));
    stop();
}
END_TEST

START_TEST(a14_the_same_refusal_is_known_again)
{
    start(RESOURCE_CLUSTER, _i);
    struct sent bad = {"a", "v1", "{name: a, connect_timeout: 0s}", 0},
                more[] = {bad, {"b", "v1", "{name: b}", 0}}, turned[] = {more[1], bad},
                other = {"a", "v1", "{name: a, connect_timeout: -1s}", 0},
                good = {"a", "v1", "{name: a}", 0};
    topic_stream_opened(&topic, false);
    ck_assert_str_ne(respond(&bad, 1), "");
    ck_assert(!topic.repeated);
    ck_assert_str_ne(respond(&bad, 1), "");
    ck_assert(topic.repeated);
    ck_assert_str_ne(respond(more, 2), "");
    ck_assert(!topic.repeated);
    ck_assert_str_ne(respond(turned, 2), "");
    ck_assert(topic.repeated);
    ck_assert_str_ne(respond(&other, 1), "");
    ck_assert(!topic.repeated);
    ck_assert_str_eq(respond(&good, 1), "");
    ck_assert_str_ne(respond(&other, 1), ""); /* since it was accepted otherwise meanwhile */
    ck_assert(!topic.repeated);
    ck_assert_str_ne(respond(&other, 1), "");
    ck_assert(topic.repeated);
    topic_stream_opened(&topic, false);
    ck_assert_str_ne(respond(&other, 1), "");
    ck_assert(!topic.repeated);
    stop();
}
END_TEST

/* However a name is written; what the hash is of may be gone by the time that it is refused. */
START_TEST(a14_a_refusal_that_removes_is_known_again)
{
    static const char name[] = "xdstp://authority/envoy.config.cluster.v3.Cluster/x?b=1&a=2";
    struct sent bad = {"a", "v1", "{name: a, connect_timeout: 0s}", 0};
    start(RESOURCE_CLUSTER, true);
    topic_stream_opened(&topic, false);
    ck_assert_str_ne(respond_with(&bad, 1, NULL, name), "");
    ck_assert(!topic.repeated);
    ck_assert_str_ne(respond_with(&bad, 1, NULL, name), "");
    ck_assert(topic.repeated);
    stop();
}
END_TEST

/* A new stream whose server knows one of four clusters. */
START_TEST(a_world_that_shrinks_is_held_back)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct sent all[] = {{"a", "v1", "{name: a}", 0},
                         {"b", "v1", "{name: b}", 0},
                         {"c", "v1", "{name: c}", 0},
                         {"d", "v1", "{name: d}", 0}};
    start(RESOURCE_CLUSTER, false);
    table.min_world_share = 50;
    topic_stream_opened(&topic, true);
    ck_assert_str_eq(respond(all, 4), ""); /* nothing was held */
    topic_stream_opened(&topic, true);
    ck_assert_str_eq(respond(all, 1), "held back by --min-world-share 50: 1 of 4 clusters would be "
                                      "left of what is served");
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        ck_assert(there(names[i]));
    ck_assert(topic.held_back);
    ck_assert_str_eq(respond(all, 2), "");
    ck_assert(!topic.held_back && there("b") && !there("c"));
    ck_assert_str_eq(respond(all, 0), ""); /* the stream has shown that it knows */
    ck_assert(!there("a"));
    respond(all, 4);
    topic_stream_opened(&topic, false); /* believed */
    ck_assert_str_eq(respond(all, 1), "");
    ck_assert(!there("b"));
    stop();
}
END_TEST

/* A name that "all" covers too stays until the server says otherwise. */
START_TEST(d08_unsubscribed_is_not_gone)
{
    struct sent a = {"a", "v1", "{name: a}", 0},
                later = {"a", "v2", "{name: a, alt_stat_name: b}", 0};
    start(RESOURCE_CLUSTER, true);
    topic_want(&topic, BYTES("a"));
    ck_assert_str_eq(respond(&a, 1), "");
    topic_unwant(&topic, BYTES("a"));
    builder_commit(f.builder);
    ck_assert(there("a"));
    ck_assert_str_eq(respond(&later, 1), ""); /* it is still one of all */
    struct resource *r = store_find(builder_store(f.builder), &f.ads, RESOURCE_CLUSTER, BYTES("a"));
    ck_assert_str_eq(r->active->version->text, "v2");
    stop();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("topic");
    TCase *t = tcase_create("topic");
    tcase_add_loop_test(t, t07_a_resource_lives_as_long_as_its_server_says, 0, 2);
    tcase_add_loop_test(t, t08_a_heartbeat_lets_it_live_on, 0, 2);
    tcase_add_test(t, d08_unsubscribed_is_not_gone);
    tcase_add_test(t, a_world_that_shrinks_is_held_back);
    tcase_add_test(t, t08_a_heartbeat_names_what_it_keeps);
    tcase_add_loop_test(t, a14_the_same_refusal_is_known_again, 0, 2);
    tcase_add_test(t, a14_a_refusal_that_removes_is_known_again);
    tcase_add_loop_test(t, a11_an_error_beside_the_resource_changes_nothing, 0, 2);
    tcase_add_loop_test(t, a11_not_found_takes_away_what_else_the_response_keeps, 0, 2);
    tcase_add_loop_test(t, a11_an_error_keeps_what_warms, 0, 2);
    tcase_add_loop_test(t, a_name_is_text, 0, 2);
    tcase_add_test(t, a07_what_cannot_be_read_is_told);
    tcase_add_test(t, a_listener_needs_no_name);
    tcase_add_loop_test(t, a_ttl_that_is_none_spoils_the_response, 0, 2);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
