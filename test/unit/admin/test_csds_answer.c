#include <stdio.h>

#include "admin/csds_answer.h"

#include "admin/pages.h"
#include "config/wire.h"
#include "suite.h"
#include "world.h"

static struct world w;
static struct csds_answer c;

#define KEY                                                                                        \
    "{name: mine, tls_certificate: {certificate_chain: {inline_string: SHOWN}, private_key: "      \
    "{inline_string: HIDDEN}}}"

static void setup(bool json)
{
    world_init(&w);
    fixture_start(&w.f);
    fixture_update(&w.f, RESOURCE_CLUSTER, "one", "{name: one, connect_timeout: 2s}");
    fixture_update(&w.f, RESOURCE_CLUSTER, "two", "{name: two}");
    csds_answer_init(&c, w.admin, json);
}

static void teardown(void)
{
    csds_answer_fini(&c);
    world_fini(&w);
}

/* Steps until the end; none is much longer than a slice. */
static unsigned run(void)
{
    unsigned n = 0;
    size_t before = 0;
    while (!c.finished) {
        csds_answer_step(w.f.builder, &c);
        ck_assert_uint_le(c.out.len - before, ADMIN_SLICE + 4096);
        before = c.out.len;
        ck_assert_uint_lt(++n, 10000);
    }
    return n;
}

static bool has(const char *text)
{
    return bytes_find(strbuf_bytes(&c.out), bytes_of(text)) >= 0;
}

/* The i-th GenericXdsConfig. */
static struct bytes generic(unsigned i)
{
    struct bytes config = wire_find_bytes(strbuf_bytes(&c.out), 1);
    struct wire_field f;
    while (wire_next(&config, &f)) {
        if (f.number == 3 && i-- == 0)
            return f.bytes;
    }
    return BYTES_NONE;
}

START_TEST(what_is_held)
{
    setup(false);
    run();
    struct bytes one = generic(0), two = generic(1);
    ck_assert(bytes_eq_str(wire_find_bytes(one, 1),
                           "type.googleapis.com/envoy.config.cluster.v3.Cluster"));
    ck_assert(bytes_eq_str(wire_find_bytes(one, 2), "one"));
    ck_assert_uint_eq(wire_find_varint(one, 7, 0), CLIENT_ACKED);
    ck_assert(wire_has(one, 4) && wire_has(one, 5) && !wire_has(one, 8));
    ck_assert(bytes_eq_str(wire_find_bytes(two, 2), "two"));
    teardown();
}
END_TEST

START_TEST(what_was_refused)
{
    setup(false);
    fixture_update(
        &w.f, RESOURCE_CLUSTER, "one",
        "{name: one, lb_subset_config: {fallback_policy: ANY_ENDPOINT, subset_selectors: "
        "[{keys: [a]}]}}");
    run();
    struct bytes one = generic(0), error = wire_find_bytes(one, 8);
    ck_assert_uint_eq(wire_find_varint(one, 7, 0), CLIENT_NACKED);
    ck_assert(wire_has(one, 4));
    ck_assert(wire_has(error, 1) && wire_has(error, 2));
    ck_assert(bytes_find(wire_find_bytes(error, 3), BYTES("lb_subset_config")) >= 0);
    teardown();
}
END_TEST

START_TEST(without_contents)
{
    setup(false);
    strbuf_add_bytes(&c.request, BYTES("\x18\1"));
    run();
    ck_assert(!wire_has(generic(0), 4));
    ck_assert(wire_has(generic(0), 5));
    teardown();
}
END_TEST

/* What is private is hidden, on the wire as in text. */
START_TEST(keys_are_hidden)
{
    for (unsigned json = 0; json < 2; json++) {
        setup(json);
        world_static(&w, RESOURCE_SECRET, "mine", KEY);
        run();
        ck_assert(has("SHOWN"));
        ck_assert(!has("HIDDEN"));
        ck_assert(has("[redacted]"));
        teardown();
    }
}
END_TEST

START_TEST(many_take_many_steps)
{
    for (unsigned json = 0; json < 2; json++) {
        setup(json);
        for (unsigned i = 0; i < 2000; i++) {
            char name[16], yaml[64];
            snprintf(name, sizeof(name), "c%05u", i);
            snprintf(yaml, sizeof(yaml), "{name: %s}", name);
            fixture_update(&w.f, RESOURCE_CLUSTER, name, yaml);
        }
        ck_assert_uint_ge(run(), 4);
        ck_assert(has("c00000") && has("c01999") && has("two"));
        teardown();
    }
}
END_TEST

static const struct {
    const char *request, *error;
} refused[] = {
    {"{node_matchers: [{node_metadatas: [{path: [{key: a}]}]}]}",
     "node_matchers[0].node_metadatas[0].value: is required"},
    {"{node_matchers: [{node_metadatas: [{value: {}}]}]}",
     "node_matchers[0].node_metadatas[0].path: is required"},
    {"{node_matchers: [{node_metadatas: [{path: [{key: a}], value: {}}]}]}",
     "node_matchers[0].node_metadatas[0].match_pattern: is required"},
    {"{node_matchers: [{node_id: {safe_regex: {regex: '('}}}]}", "node_matchers[0].node_id."},
    {"{nonsense: 1}", "nonsense"},
    {"{", "request:"},
};

START_TEST(refused_questions)
{
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        setup(true);
        strbuf_add_str(&c.request, refused[i].request);
        run();
        ck_assert_msg(bytes_find(bytes_of(error_text(&c.err)), bytes_of(refused[i].error)) >= 0,
                      "%s: %s", refused[i].request, error_text(&c.err));
        teardown();
    }
    setup(false);
    strbuf_add_bytes(&c.request, BYTES("\xff"));
    run();
    ck_assert(error_is_set(&c.err));
    teardown();
}
END_TEST

/* Any of the matchers, but all of one. */
static const struct {
    const char *matchers;
    bool matches;
} matchers[] = {
    {"", true},
    {"{node_id: {exact: me}}", true},
    {"{node_id: {exact: after}}", false},
    {"{node_id: {exact: after}}, {node_id: {suffix: e}}", true},
    {"{node_id: {exact: me}, node_metadatas: [{path: [{key: a}], value: {present_match: "
     "true}}]}",
     false},
    {"{node_id: {exact: me}, node_metadatas: [{path: [{key: a}], value: {present_match: "
     "false}}]}",
     true},
};

START_TEST(who_is_meant)
{
    for (unsigned i = 0; i < ARRAY_SIZE(matchers); i++) {
        setup(true);
        strbuf_printf(&c.request, "{node_matchers: [%s]}", matchers[i].matchers);
        run();
        ck_assert_msg(has("\"one\"") == matchers[i].matches, "%s", matchers[i].matchers);
        ck_assert(matchers[i].matches || strcmp(strbuf_str(&c.out), "{}\n") == 0);
        teardown();
    }
}
END_TEST

/* Who leaves while the config thread works takes nothing from under it. */
START_TEST(a_page_that_nobody_waits_for)
{
    setup(true);
    struct admin_page *p =
        admin_open(w.admin, BYTES("POST"), BYTES("/v3/discovery:client_status"), BYTES("{}"));
    ck_assert(p->waiting);
    p->free(p);
    w.fn(w.f.builder, w.arg);
    w.done(w.arg);
    struct answer a = world_ask(&w, "GET", "/v3/discovery:client_status");
    ck_assert_uint_eq(a.status, 405);
    teardown();
}
END_TEST

SUITE("csds_answer", what_is_held, what_was_refused, without_contents, keys_are_hidden,
      many_take_many_steps, refused_questions, who_is_meant, a_page_that_nobody_waits_for)
