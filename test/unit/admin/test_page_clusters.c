#include <stdio.h>

#include "admin/pages.h"
#include "base/memory.h"
#include "suite.h"
#include "world.h"

static struct world w;

#define ENDPOINT(address, more) "{endpoint: {address: " address "}" more "}"
#define SOCKET(ip, port) "{socket_address: {address: '" ip "', port_value: " port "}}"

static void setup(void)
{
    world_init(&w);
    world_static(
        &w, RESOURCE_CLUSTER, "one",
        "{name: one, load_assignment: {cluster_name: one, endpoints: [{locality: {region: "
        "r, zone: z, sub_zone: s}, lb_endpoints: [" ENDPOINT(
            SOCKET("127.0.0.1", "80"),
            "") ", " ENDPOINT(SOCKET("::1", "81"),
                              ", health_status: UNHEALTHY") ", " ENDPOINT("{pipe: {path: /p}}",
                                                                          ", health_status: "
                                                                          "DEGRADED, "
                                                                          "load_balancing_weight: "
                                                                          "3") "]}]}}");
    fixture_start(&w.f);
    fixture_update(&w.f, RESOURCE_CLUSTER, "zero", "{name: zero, alt_stat_name: a:b}");
}

#define HEAD(name, stat)                                                                           \
    name "::observability_name::" stat "\n" name                                                   \
         "::default_priority::max_connections::1024\n" name                                        \
         "::default_priority::max_pending_requests::1024\n" name                                   \
         "::default_priority::max_requests::1024\n" name                                           \
         "::default_priority::max_retries::3\n" name                                               \
         "::high_priority::max_connections::1024\n" name                                           \
         "::high_priority::max_pending_requests::1024\n" name                                      \
         "::high_priority::max_requests::1024\n" name "::high_priority::max_retries::3\n"
#define HOST(p, cx, health, weight)                                                                \
    p "cx_active::0\n" p "cx_connect_fail::0\n" p "cx_total::" cx "\n" p "rq_active::0\n" p        \
      "rq_error::0\n" p "rq_pending_active::0\n" p "rq_success::0\n" p "rq_timeout::0\n" p         \
      "rq_total::0\n" p "hostname::\n" p "health_flags::" health "\n" p "weight::" weight "\n" p   \
      "region::r\n" p "zone::z\n" p "sub_zone::s\n" p "canary::false\n" p "priority::0\n" p        \
      "success_rate::-1\n" p "local_origin_success_rate::-1\n"

START_TEST(text_lines)
{
    setup();
    struct host_state *used = fixture_cluster(&w.f, "one")->hosts->hosts[0].state;
    host_state_hold(used);
    host_state_use(used)->cx_total = 7;
    host_state_release(used);
    ck_assert_str_eq(world_get(&w, "/clusters"),
                     HEAD("one", "one") "one::added_via_api::false\n" HOST(
                         "one::127.0.0.1:80::", "7", "healthy", "1")
                         HOST("one::[::1]:81::", "0", "/failed_eds_health", "1")
                             HOST("one::/p::", "0", "/degraded_eds_health", "3")
                                 HEAD("zero", "a:b") "zero::added_via_api::true\n");
    world_fini(&w);
}
END_TEST

START_TEST(json)
{
    setup();
    struct answer a = world_ask(&w, "GET", "/clusters?format=json&filter=zer");
    ck_assert_str_eq(a.content_type, TEXT_JSON);
    ck_assert_str_eq(a.text, "{\n \"cluster_statuses\": [\n  {\n   \"name\": \"zero\",\n"
                             "   \"added_via_api\": true,\n   \"circuit_breakers\": {\n"
                             "    \"thresholds\": [\n     {\n      \"max_connections\": 1024,\n"
                             "      \"max_pending_requests\": 1024,\n"
                             "      \"max_requests\": 1024,\n      \"max_retries\": 3\n     },\n"
                             "     {\n      \"priority\": \"HIGH\",\n"
                             "      \"max_connections\": 1024,\n"
                             "      \"max_pending_requests\": 1024,\n"
                             "      \"max_requests\": 1024,\n      \"max_retries\": 3\n     }\n"
                             "    ]\n   },\n   \"observability_name\": \"a:b\"\n  }\n ]\n}\n");
    struct bytes one = bytes_of(world_get(&w, "/clusters?format=json&filter=one"));
    ck_assert(bytes_find(one, BYTES("   \"host_statuses\": [\n    {\n     \"address\": {\n"
                                    "      \"socket_address\": {\n"
                                    "       \"address\": \"127.0.0.1\",\n"
                                    "       \"port_value\": 80\n      }\n     },\n"
                                    "     \"stats\": [\n      {\n"
                                    "       \"name\": \"cx_connect_fail\"\n      },\n")) > 0);
    ck_assert(bytes_find(one, BYTES("      {\n       \"type\": \"GAUGE\",\n"
                                    "       \"name\": \"rq_pending_active\"\n      }\n     ],\n"
                                    "     \"health_status\": {\n"
                                    "      \"eds_health_status\": \"HEALTHY\"\n     },\n"
                                    "     \"weight\": 1,\n     \"locality\": {\n"
                                    "      \"region\": \"r\",\n")) > 0);
    ck_assert_str_eq(world_get(&w, "/clusters?format=json&filter=nosuch"), "{}\n");
    world_fini(&w);
}
END_TEST

START_TEST(filter)
{
    setup();
    ck_assert_str_eq(world_get(&w, "/clusters?filter=^ze"),
                     HEAD("zero", "a:b") "zero::added_via_api::true\n");
    ck_assert_str_eq(world_refused(&w, 400, "/clusters?filter=("), "Invalid re2 regex");
    world_fini(&w);
}
END_TEST

#define EDS(name, service)                                                                         \
    "{name: " name ", type: EDS, eds_cluster_config: {service_name: " service                      \
    ", eds_config: {ads: {}}}}"

START_TEST(a_service_name_of_its_own)
{
    setup();
    fixture_update(&w.f, RESOURCE_CLUSTER, "e", EDS("e", "svc"));
    fixture_update(&w.f, RESOURCE_CLUSTER, "f", EDS("f", "f"));
    fixture_update(&w.f, RESOURCE_ENDPOINT, "svc", "{cluster_name: svc}");
    fixture_update(&w.f, RESOURCE_ENDPOINT, "f", "{cluster_name: f}");
    ck_assert_str_eq(world_get(&w, "/clusters?filter=^e"),
                     HEAD("e", "e") "e::added_via_api::true\ne::eds_service_name::svc\n");
    ck_assert_str_eq(world_get(&w, "/clusters?filter=^f"),
                     HEAD("f", "f") "f::added_via_api::true\n");
    world_fini(&w);
}
END_TEST

enum { MANY = 600 };

/* 600 clusters, and one of 600 hosts, take several turns; clusters may go between two of them. */
START_TEST(many_clusters_take_many_turns)
{
    struct strbuf yaml = STRBUF_INIT;
    char name[16], line[128];
    setup();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "c%04u", i);
        snprintf(line, sizeof(line), "{name: %s}", name);
        fixture_update(&w.f, RESOURCE_CLUSTER, name, line);
    }
    strbuf_add_str(&yaml, "{name: d, load_assignment: {cluster_name: d, endpoints: "
                          "[{lb_endpoints: [");
    for (unsigned i = 0; i < MANY; i++)
        strbuf_printf(&yaml, "%s" ENDPOINT("{pipe: {path: /s%u}}", ""), i ? "," : "", i);
    strbuf_add_str(&yaml, "]}]}}");
    fixture_update(&w.f, RESOURCE_CLUSTER, "d", strbuf_str(&yaml));
    strbuf_fini(&yaml);
    world_get(&w, "/clusters");
    ck_assert_uint_ge(w.n_slices, 8);
    ck_assert_uint_lt(w.largest, ADMIN_SLICE + 64 * 1024);
    static const char *const targets[] = {"/clusters", "/clusters?format=json"};
    for (unsigned t = 0; t < ARRAY_SIZE(targets); t++) {
        struct snapshot *s = builder_snapshot(w.f.builder), empty = *s;
        struct strbuf text = STRBUF_INIT;
        struct admin_page *p = world_open(&w, targets[t]);
        ck_assert(world_turn(&w, p, &text));
        empty.clusters = (struct pmap)PMAP_INIT(NULL);
        w.snapshot = &empty; /* all of them are gone */
        while (world_turn(&w, p, &text))
            ck_assert_uint_lt(w.n_slices, 1000);
        if (t == 1)
            ck_assert(bytes_ends_with(strbuf_bytes(&text), BYTES("\n ]\n}\n")));
        w.snapshot = NULL;
        p->free(p);
        strbuf_fini(&text);
    }
    world_fini(&w);
}
END_TEST

SUITE("page_clusters", text_lines, json, filter, a_service_name_of_its_own,
      many_clusters_take_many_turns)
