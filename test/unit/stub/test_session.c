/* The protocol's rules on the server's side, without gRPC: who is answered, with what, and how a
 * request is read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define CDS "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define EDS "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
#define LDS "type.googleapis.com/envoy.config.listener.v3.Listener"
#define RDS "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

static struct world *world;
static struct session *session;
static enum meaning meaning;
static uint64_t now, wake;
static struct xds_response response;
static char *last_nonce, *last_version;

/* --- a small language for the tests --- */

static struct resource *resource(const char *type_url, const char *name, const char *value)
{
    struct resource *r = mem_zero(sizeof(*r));

    r->refs = 1;
    r->type_url = mem_string(type_url);
    r->name = mem_string(name);
    r->value = mem_string(value);
    r->len = strlen(value);
    r->origin = mem_string("test");
    r->hash = hash_bytes(HASH_START, name, strlen(name));
    r->hash = hash_bytes(r->hash, value, r->len);
    r->ttl_us = *name == 't' ? 10000 : 0;
    return r;
}

/* Publish: triples of type, name, value up to NULL. */
static void publish(const char *type_url, ...)
{
    struct resource_array all = {0};
    const struct resource_array *arrays[] = {&all};
    va_list args;

    va_start(args, type_url);
    for (const char *t = type_url; t; t = va_arg(args, const char *)) {
        const char *name = va_arg(args, const char *), *value = va_arg(args, const char *);

        resource_array_add(&all, resource(t, name, value));
    }
    va_end(args);
    world_free(&world);
    world = mem_zero(sizeof(*world));
    snapshot_build(&world->shared, arrays, 1, NULL);
    resource_array_fini(&all);
    if (session)
        session_publish(session, world, 0);
}

static char **split(const char *names, size_t *count)
{
    char **out = mem_zero(16 * sizeof(*out)), *copy = mem_string(names), *save = NULL;

    *count = 0;
    for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
        out[(*count)++] = mem_string(p);
    free(copy);
    return out;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void send(const char *type_url, const char *version, const char *nonce, const char *names,
                 const char *unsubscribe, const char *error)
{
    struct xds_request req = {.has_node = session->requests == 0,
                              .node_id = "n1",
                              .node_cluster = "",
                              .type_url = type_url,
                              .version_info = version,
                              .nonce = nonce,
                              .has_error = error != NULL,
                              .error_message = error ? error : ""};
    struct subscription *sub;
    struct error err = {0};

    req.names = split(names, &req.name_count);
    req.unsubscribe = split(unsubscribe, &req.unsubscribe_count);
    ck_assert(session_request(session, &req, world, 0, &meaning, &sub, &err));
    free_names(req.names, req.name_count);
    free_names(req.unsubscribe, req.unsubscribe_count);
}

static void subscribe(const char *type_url, const char *names)
{
    send(type_url, "", "", names, "", NULL);
}

static void ack(const char *type_url, const char *names)
{
    send(type_url, last_version, last_nonce, names, "", NULL);
}

/* The next response as "type: names -removed", or "nothing". */
static const char *next(void)
{
    static char line[256];

    wake = UINT64_MAX;
    response_fini(&response);
    if (!session_next(session, world, NULL, NULL, now, &response, &wake))
        return "nothing";
    session_commit(session, &response, world);
    free(last_nonce);
    free(last_version);
    last_nonce = mem_string(response.nonce);
    last_version = mem_string(response.version);
    snprintf(line, sizeof(line), "%s%s:", response.heartbeat ? "beat " : "",
             strrchr(response.type_url, '.') + 1);
    for (size_t i = 0; i < response.count; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s", response.items[i]->name);
    for (size_t i = 0; i < response.removed_count; i++)
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " -%s", response.removed[i]);
    return line;
}

static void open_stream(enum dialect dialect)
{
    session_free(&session);
    session = session_new(dialect, 7, NULL);
    now = 0;
}

static void tidy(void)
{
    response_fini(&response);
    session_free(&session);
    world_free(&world);
    free(last_nonce);
    free(last_version);
    last_nonce = last_version = NULL;
}

static void start_sotw(void)
{
    publish(CDS, "a", "1", CDS, "b", "1", EDS, "a", "1", EDS, "b", "1", LDS, "l", "1", RDS, "r",
            "1", NULL);
    open_stream(DIALECT_SOTW);
}

static void start_delta(void)
{
    start_sotw();
    open_stream(DIALECT_DELTA);
}

/* --- state of the world --- */

START_TEST(clusters_and_listeners_are_sent_whole)
{
    subscribe(CDS, "");
    ck_assert_str_eq(next(), "Cluster: a b");
    ck_assert_int_eq(meaning, MEANING_FIRST);
    ck_assert_str_eq(next(), "nothing");
    ack(CDS, "");
    ck_assert_int_eq(meaning, MEANING_ACK);
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(endpoints_are_sent_as_asked)
{
    subscribe(EDS, "b missing");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: b");
    subscribe(RDS, "missing");
    ck_assert_str_eq(next(), "nothing");
    publish(EDS, "b", "1", RDS, "missing", "1", NULL);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: b");
    ck_assert_str_eq(next(), "RouteConfiguration: missing");
}
END_TEST

START_TEST(an_empty_list_is_no_interest)
{
    subscribe(EDS, "");
    ck_assert_str_eq(next(), "nothing");
    publish(EDS, "b", "2", NULL);
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(an_empty_world_is_told)
{
    publish(NULL, NULL);
    subscribe(LDS, "");
    ck_assert_str_eq(next(), "Listener:");
}
END_TEST

START_TEST(types_go_in_order)
{
    subscribe(RDS, "r");
    subscribe(LDS, "");
    subscribe(EDS, "a");
    subscribe(CDS, "");
    ck_assert_str_eq(next(), "Cluster: a b");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a");
    ck_assert_str_eq(next(), "Listener: l");
    ck_assert_str_eq(next(), "RouteConfiguration: r");
}
END_TEST

START_TEST(unchanged_types_are_not_pushed)
{
    subscribe(CDS, "");
    subscribe(LDS, "");
    next();
    next();
    publish(CDS, "a", "2", LDS, "l", "1", NULL);
    ck_assert_str_eq(next(), "Cluster: a");
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(changes_in_between_are_one_response)
{
    subscribe(CDS, "");
    next();
    publish(CDS, "a", "2", NULL);
    publish(CDS, "a", "3", NULL);
    ck_assert_str_eq(next(), "Cluster: a");
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(a_new_name_is_answered)
{
    subscribe(EDS, "a");
    next();
    ack(EDS, "a");
    ack(EDS, "a b");
    ck_assert_int_eq(meaning, MEANING_CHANGE);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a b");
    ack(EDS, "b");
    ck_assert_int_eq(meaning, MEANING_ACK);
    ck_assert_str_eq(next(), "nothing");
    publish(EDS, "a", "2", EDS, "b", "1", NULL);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: b");
}
END_TEST

START_TEST(a_nack_is_told_from_an_ack)
{
    subscribe(CDS, "");
    next();
    send(CDS, "", last_nonce, "", "", "bad");
    ck_assert_int_eq(meaning, MEANING_NACK);
    send(CDS, "", last_nonce, "", "", NULL);
    ck_assert_int_eq(meaning, MEANING_CHANGE);
    ck_assert_str_eq(next(), "nothing");
    publish(CDS, "a", "3", NULL);
    ck_assert_str_eq(next(), "Cluster: a");
    ack(CDS, "");
    ck_assert_int_eq(meaning, MEANING_ACK);
}
END_TEST

START_TEST(a_nack_may_carry_the_version_sent)
{
    subscribe(CDS, "");
    next();
    send(CDS, last_version, last_nonce, "", "", "bad");
    ck_assert_int_eq(meaning, MEANING_NACK);
    ack(CDS, "");
    ck_assert_int_eq(meaning, MEANING_CHANGE);
}
END_TEST

START_TEST(a_stale_nonce_still_subscribes)
{
    char *old;

    subscribe(EDS, "a");
    next();
    old = mem_string(last_nonce);
    publish(EDS, "a", "2", EDS, "b", "2", NULL);
    next();
    send(EDS, "x", old, "a b", "", NULL);
    ck_assert_int_eq(meaning, MEANING_STALE);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a b");
    free(old);
}
END_TEST

START_TEST(the_wildcard_is_given_up_by_naming)
{
    subscribe(CDS, "");
    next();
    ack(CDS, "* a");
    ck_assert_str_eq(next(), "nothing");
    ack(CDS, "a");
    publish(CDS, "a", "2", CDS, "b", "2", NULL);
    ck_assert_str_eq(next(), "Cluster: a");
    ack(CDS, "");
    publish(CDS, "a", "3", CDS, "b", "3", NULL);
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(a_star_is_the_wildcard_of_any_type)
{
    subscribe(EDS, "*");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a b");
}
END_TEST

START_TEST(a_new_stream_is_answered_whatever_its_version)
{
    subscribe(CDS, "");
    next();
    open_stream(DIALECT_SOTW);
    send(CDS, last_version, "", "", "", NULL);
    ck_assert_int_eq(meaning, MEANING_FIRST);
    ck_assert_str_eq(next(), "Cluster: a b");
}
END_TEST

START_TEST(a_stream_needs_a_type)
{
    struct xds_request req = {.node_id = "", .type_url = "", .version_info = "", .nonce = ""};
    struct subscription *sub;
    struct error err = {0};

    ck_assert(!session_request(session, &req, world, 0, &meaning, &sub, &err));
    error_fini(&err);
}
END_TEST

/* --- incremental --- */

START_TEST(delta_sends_what_differs)
{
    subscribe(CDS, "");
    ck_assert_str_eq(next(), "Cluster: a b");
    send(CDS, "", last_nonce, "", "", NULL);
    ck_assert_int_eq(meaning, MEANING_ACK);
    publish(CDS, "a", "2", CDS, "b", "1", CDS, "c", "1", NULL);
    ck_assert_str_eq(next(), "Cluster: a c");
    publish(CDS, "a", "2", CDS, "c", "1", NULL);
    ck_assert_str_eq(next(), "Cluster: -b");
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(delta_says_what_does_not_exist)
{
    subscribe(EDS, "a missing");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a -missing");
    publish(EDS, "a", "1", EDS, "missing", "1", NULL);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: missing");
}
END_TEST

START_TEST(delta_resends_on_a_new_subscription)
{
    subscribe(EDS, "a");
    next();
    send(EDS, "", "", "", "a", NULL);
    ck_assert_int_eq(meaning, MEANING_CHANGE);
    ck_assert_str_eq(next(), "nothing");
    send(EDS, "", "", "a", "", NULL);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a");
    send(EDS, "", "", "a", "", NULL);
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a");
}
END_TEST

START_TEST(delta_answers_when_the_wildcard_still_covers)
{
    subscribe(CDS, "* a missing");
    ck_assert_str_eq(next(), "Cluster: a b -missing");
    send(CDS, "", "", "", "a missing", NULL);
    ck_assert_str_eq(next(), "Cluster: a -missing");
    send(CDS, "", "", "", "never", NULL);
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

START_TEST(delta_trusts_initial_versions)
{
    const char *names[] = {"a", "b", "gone"}, *versions[3] = {NULL, "old", "old"};
    struct xds_request req = {.node_id = "n",
                              .node_cluster = "",
                              .type_url = CDS,
                              .nonce = "",
                              .version_info = "",
                              .initial_names = names,
                              .initial_versions = versions,
                              .initial_count = 3};
    struct subscription *sub;
    struct error err = {0};
    char version[17];

    snprintf(version, sizeof(version), "%016llx",
             (unsigned long long)snapshot_type(&world->shared, CDS)->items[0]->hash);
    versions[0] = version;
    ck_assert(session_request(session, &req, world, 0, &meaning, &sub, &err));
    ck_assert_str_eq(next(), "Cluster: b -gone");
    ck_assert_str_eq(next(), "nothing");
}
END_TEST

/* --- heartbeats: names that begin with t have a time to live of 10 ms --- */

START_TEST(what_lives_shortly_is_told_of_at_half_time)
{
    publish(EDS, "a", "1", EDS, "t", "1", NULL);
    session->heartbeats = true;
    subscribe(EDS, "a t");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: a t");
    ck_assert_str_eq(next(), "nothing");
    ck_assert_uint_eq(wake, 5000);
    now = 5000;
    ck_assert_str_eq(next(), "beat ClusterLoadAssignment: t");
    ck_assert_str_eq(next(), "nothing");
    ck_assert_uint_eq(wake, 10000);
}
END_TEST

START_TEST(nobody_is_told_without_being_asked_to)
{
    publish(EDS, "t", "1", NULL);
    subscribe(EDS, "t");
    ck_assert_str_eq(next(), "ClusterLoadAssignment: t");
    now = 1000000;
    ck_assert_str_eq(next(), "nothing");
    ck_assert_uint_eq(wake, UINT64_MAX);
}
END_TEST

START_TEST(where_all_is_told_it_is_told_in_full)
{
    publish(CDS, "a", "1", CDS, "t", "1", NULL);
    session->heartbeats = true;
    subscribe(CDS, "");
    ck_assert_str_eq(next(), "Cluster: a t");
    now = 5000;
    ck_assert_str_eq(next(), "Cluster: a t");
}
END_TEST

START_TEST(delta_a_change_puts_no_heartbeat_off)
{
    publish(CDS, "a", "1", CDS, "t", "1", NULL);
    session->heartbeats = true;
    subscribe(CDS, "");
    ck_assert_str_eq(next(), "Cluster: a t");
    now = 4000;
    publish(CDS, "a", "2", CDS, "t", "1", CDS, "t2", "1", NULL);
    ck_assert_str_eq(next(), "Cluster: a t2");
    now = 5000;
    ck_assert_str_eq(next(), "beat Cluster: t t2");
    publish(CDS, "a", "2", NULL);
    ck_assert_str_eq(next(), "Cluster: -t -t2");
    now = 50000;
    ck_assert_str_eq(next(), "nothing");
    ck_assert_uint_eq(wake, UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stub/session");
    TCase *sotw = tcase_create("state of the world"), *delta = tcase_create("incremental");

    tcase_add_checked_fixture(sotw, start_sotw, tidy);
    tcase_add_test(sotw, clusters_and_listeners_are_sent_whole);
    tcase_add_test(sotw, endpoints_are_sent_as_asked);
    tcase_add_test(sotw, an_empty_list_is_no_interest);
    tcase_add_test(sotw, an_empty_world_is_told);
    tcase_add_test(sotw, types_go_in_order);
    tcase_add_test(sotw, unchanged_types_are_not_pushed);
    tcase_add_test(sotw, changes_in_between_are_one_response);
    tcase_add_test(sotw, a_new_name_is_answered);
    tcase_add_test(sotw, a_nack_is_told_from_an_ack);
    tcase_add_test(sotw, a_nack_may_carry_the_version_sent);
    tcase_add_test(sotw, a_stale_nonce_still_subscribes);
    tcase_add_test(sotw, the_wildcard_is_given_up_by_naming);
    tcase_add_test(sotw, a_star_is_the_wildcard_of_any_type);
    tcase_add_test(sotw, a_new_stream_is_answered_whatever_its_version);
    tcase_add_test(sotw, a_stream_needs_a_type);
    tcase_add_checked_fixture(delta, start_delta, tidy);
    tcase_add_test(delta, delta_sends_what_differs);
    tcase_add_test(delta, delta_says_what_does_not_exist);
    tcase_add_test(delta, delta_resends_on_a_new_subscription);
    tcase_add_test(delta, delta_answers_when_the_wildcard_still_covers);
    tcase_add_test(delta, delta_trusts_initial_versions);
    tcase_add_test(sotw, what_lives_shortly_is_told_of_at_half_time);
    tcase_add_test(sotw, nobody_is_told_without_being_asked_to);
    tcase_add_test(sotw, where_all_is_told_it_is_told_in_full);
    tcase_add_test(delta, delta_a_change_puts_no_heartbeat_off);
    suite_add_tcase(suite, sotw);
    suite_add_tcase(suite, delta);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
