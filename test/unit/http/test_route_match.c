/* Route matching: the compiled index against the plain reading, over random tables; and what an
 * update keeps. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "config/filter_factory.h"
#include "config/wire.h"
#include "dataplane/http/route_match.h"

/* ---- making RouteConfiguration bytes ---- */

static void put_u64(struct strbuf *out, uint32_t number, uint64_t value)
{
    wire_put_varint(out, number << 3 | WIRE_VARINT);
    wire_put_varint(out, value);
}

static void put_sub(struct strbuf *out, uint32_t number, struct strbuf *sub)
{
    wire_put_bytes(out, number, strbuf_bytes(sub));
    if (!sub->len)
        strbuf_reserve(out, 0);
    strbuf_fini(sub);
}

enum path_kind { PREFIX = 1, PATH = 2, REGEX = 10, CONNECT = 12, SEPARATED = 14 };

struct route_spec {
    enum path_kind kind;
    char path[64];
    const char *long_path; /* instead */
    bool ignore_case;
    char header[16], query[16]; /* exact value of x / q; empty: none */
    char cluster[16];
};

static void put_string_match(struct strbuf *out, uint32_t number, const char *exact)
{
    struct strbuf m = STRBUF_INIT;
    wire_put_bytes(&m, 1, bytes_of(exact));
    put_sub(out, number, &m);
}

static void put_matchers(struct strbuf *match, const struct route_spec *r)
{
    struct strbuf m = STRBUF_INIT;
    if (r->ignore_case) {
        struct strbuf no = STRBUF_INIT;
        put_u64(&no, 1, 0);
        put_sub(match, 4, &no);
    }
    if (r->header[0]) {
        wire_put_bytes(&m, 1, BYTES("x"));
        put_string_match(&m, 13, r->header);
        put_sub(match, 6, &m);
    }
    if (r->query[0]) {
        wire_put_bytes(&m, 1, BYTES("q"));
        put_string_match(&m, 5, r->query);
        put_sub(match, 7, &m);
    }
}

static void put_route(struct strbuf *vhost, const struct route_spec *r)
{
    struct strbuf route = STRBUF_INIT, match = STRBUF_INIT, action = STRBUF_INIT;
    if (r->kind == REGEX) {
        struct strbuf re = STRBUF_INIT;
        wire_put_bytes(&re, 2, bytes_of(r->path));
        put_sub(&match, REGEX, &re);
    } else if (r->kind == CONNECT) {
        struct strbuf any = STRBUF_INIT;
        put_sub(&match, CONNECT, &any);
    } else {
        wire_put_bytes(&match, r->kind, bytes_of(r->long_path ? r->long_path : r->path));
    }
    put_matchers(&match, r);
    put_sub(&route, 1, &match);
    wire_put_bytes(&action, 1, bytes_of(r->cluster));
    put_sub(&route, 2, &action);
    put_sub(vhost, 3, &route);
}

static struct strbuf config_of(const char *name, const char *domain,
                               const struct route_spec *routes, unsigned n)
{
    struct strbuf config = STRBUF_INIT, vhost = STRBUF_INIT;
    wire_put_bytes(&config, 1, bytes_of(name));
    wire_put_bytes(&vhost, 1, BYTES("v"));
    wire_put_bytes(&vhost, 2, bytes_of(domain));
    for (unsigned i = 0; i < n; i++)
        put_route(&vhost, &routes[i]);
    put_sub(&config, 2, &vhost);
    return config;
}

static struct route_decode_context decode_context(struct filter_context *f)
{
    return (struct route_decode_context){.filters = f};
}

static struct route_config *decode(struct bytes wire, const struct route_config *previous,
                                   struct route_decode_context *ctx)
{
    struct error err = ERROR_INIT;
    struct route_config *rc = route_config_decode(ctx, wire, previous, &err);
    ck_assert_msg(rc != NULL, "%s", error_text(&err));
    error_fini(&err);
    return rc;
}

static void drop(struct route_config **rc)
{
    NODE_UNREF(rc);
    node_reap();
}

/* ---- random tables ---- */

static const char *const segments[] = {"/a", "/b", "/ab", "/A", "/aB", "/", "/x.y", "/%2f", "a"};

static void random_path(struct random_source *r, char out[64])
{
    unsigned n = (unsigned)random_below(r, 4) + 1;
    out[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        strcat(out, segments[random_below(r, ARRAY_SIZE(segments))]);
    if (out[0] != '/') {
        memmove(out + 1, out, strlen(out) + 1);
        out[0] = '/';
    }
}

static void random_route(struct random_source *r, struct route_spec *s, unsigned i)
{
    static const enum path_kind kinds[] = {PREFIX, PREFIX, PREFIX, PATH, PATH, SEPARATED, REGEX};
    *s = (struct route_spec){.kind = kinds[random_below(r, ARRAY_SIZE(kinds))]};
    random_path(r, s->path);
    if (s->kind == SEPARATED) {
        while (strlen(s->path) > 1 && s->path[strlen(s->path) - 1] == '/')
            s->path[strlen(s->path) - 1] = '\0';
        if (strlen(s->path) < 2)
            strcpy(s->path, "/a");
    }
    if (s->kind == REGEX)
        strcat(s->path, ".*");
    s->ignore_case = s->kind != REGEX && random_below(r, 4) == 0;
    if (random_below(r, 5) == 0)
        snprintf(s->header, sizeof(s->header), "%u", (unsigned)random_below(r, 2));
    if (random_below(r, 5) == 0)
        snprintf(s->query, sizeof(s->query), "%u", (unsigned)random_below(r, 2));
    snprintf(s->cluster, sizeof(s->cluster), "c%u", i);
}

static void compare_request(const struct route_config *rc, struct random_source *r)
{
    struct arena *a = arena_new(1024);
    struct headers h;
    char path[80], value[2] = {(char)('0' + random_below(r, 2)), '\0'};
    headers_init(&h, a);
    random_path(r, path);
    if (random_below(r, 2))
        snprintf(path + strlen(path), 8, "?q=%u", (unsigned)random_below(r, 2));
    headers_add(&h, BYTES(":path"), bytes_of(path));
    if (random_below(r, 2))
        headers_add(&h, BYTES("x"), bytes_of(value));
    struct route_query q = {.headers = &h, .host = BYTES("h"), .path = bytes_of(path)};
    struct route_match_result fast = route_match(rc, &q), plain = route_match_linear(rc, &q);
    ck_assert_msg(fast.route == plain.route && fast.vhost == plain.vhost, "%s: %.*s, not %.*s",
                  path, BYTES_ARG(fast.route ? fast.route->cluster->cluster : BYTES("none")),
                  BYTES_ARG(plain.route ? plain.route->cluster->cluster : BYTES("none")));
    arena_free(&a);
}

/* 10,000 tables, ten requests each. */
START_TEST(test_index_equals_linear_reading)
{
    struct random_source r;
    random_seed(&r, 7);
    for (unsigned t = 0; t < 10000; t++) {
        struct route_spec routes[24];
        struct filter_context f = {0};
        struct route_decode_context ctx = decode_context(&f);
        unsigned n = (unsigned)random_below(&r, ARRAY_SIZE(routes)) + 1;
        for (unsigned i = 0; i < n; i++)
            random_route(&r, &routes[i], i);
        struct strbuf wire = config_of("r", "*", routes, n);
        struct route_config *rc = decode(strbuf_bytes(&wire), NULL, &ctx);
        for (unsigned i = 0; i < 10; i++)
            compare_request(rc, &r);
        drop(&rc);
        strbuf_fini(&wire);
    }
}
END_TEST

/* An edge of the index holds 64 KiB; paths that share more go on in another. */
START_TEST(test_long_common_prefixes)
{
    enum { LONG = 200000 };
    char *text[3];
    struct route_spec routes[4] = {{.kind = PREFIX, .path = "/", .cluster = "root"}};
    for (unsigned i = 0; i < 3; i++) {
        text[i] = mem_zalloc(LONG + 2);
        memset(text[i], '/', LONG - (i == 2));
        text[i][i == 2 ? LONG - 1 : LONG] = (char)('a' + i);
        routes[i + 1] = (struct route_spec){.kind = PREFIX, .long_path = text[i], .cluster = "c"};
    }
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    struct strbuf wire = config_of("r", "*", routes, 4);
    struct route_config *rc = decode(strbuf_bytes(&wire), NULL, &ctx);
    const struct virtual_host *v = rc->vhosts[0].vhost;
    struct arena *a = arena_new(1024);
    struct headers h;
    headers_init(&h, a);
    struct route_query q = {.headers = &h, .host = BYTES("h"), .path = BYTES("//")};
    ck_assert_ptr_eq(route_match_linear(rc, &q).route, v->routes[0].route);
    for (unsigned i = 0; i < 3; i++) { /* the short one is first in the list and wins */
        q.path = bytes_of(text[i]);
        ck_assert_ptr_eq(route_match(rc, &q).route, v->routes[0].route);
    }
    drop(&rc);
    strbuf_fini(&wire);
    wire = config_of("r", "*", routes + 1, 3);
    rc = decode(strbuf_bytes(&wire), NULL, &ctx);
    for (unsigned i = 0; i < 3; i++) {
        q.path = bytes_of(text[i]);
        ck_assert_ptr_eq(route_match(rc, &q).route, rc->vhosts[0].vhost->routes[i].route);
    }
    q.path = bytes_first(q.path, LONG / 2);
    ck_assert_ptr_null(route_match(rc, &q).route);
    drop(&rc);
    strbuf_fini(&wire);
    for (unsigned i = 0; i < 3; i++)
        mem_free(text[i]);
    arena_free(&a);
}
END_TEST

/* What is made for CONNECT matches nothing else, and CONNECT nothing else; the first one wins. */
START_TEST(test_connect)
{
    const struct route_spec routes[] = {{.kind = PREFIX, .path = "/", .cluster = "p"},
                                        {.kind = CONNECT, .header = "1", .cluster = "a"},
                                        {.kind = CONNECT, .cluster = "b"},
                                        {.kind = REGEX, .path = ".*", .cluster = "r"},
                                        {.kind = CONNECT, .cluster = "never"}};
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    struct strbuf wire = config_of("r", "*", routes, ARRAY_SIZE(routes));
    struct route_config *rc = decode(strbuf_bytes(&wire), NULL, &ctx);
    struct headers h;
    struct arena *a = arena_new(0);
    headers_init(&h, a);
    struct route_query q = {.headers = &h, .host = BYTES("a.test:443"), .path = BYTES("")};
    static const char *const rows[][3] = {/* method, x, cluster */
                                          {"CONNECT", "1", "a"},
                                          {"CONNECT", "2", "b"},
                                          {"GET", "1", "p"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        headers_set_id(&h, HEADER_METHOD, bytes_of(rows[i][0]));
        headers_set(&h, BYTES("x"), bytes_of(rows[i][1]));
        q.path = rows[i][0][0] == 'G' ? BYTES("/x") : BYTES("");
        const struct route *r = route_match(rc, &q).route;
        ck_assert(r && bytes_eq_str(r->cluster->cluster, rows[i][2]));
        ck_assert_ptr_eq(route_match_linear(rc, &q).route, r);
    }
    drop(&rc);
    arena_free(&a);
    strbuf_fini(&wire);
}
END_TEST

/* What matches every path does not match none. */
START_TEST(test_a_request_without_a_path)
{
    const struct route_spec routes[] = {{.kind = REGEX, .path = ".*", .cluster = "c"},
                                        {.kind = PREFIX, .path = "", .cluster = "c"}};
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    struct strbuf wire = config_of("r", "*", routes, 2);
    struct route_config *rc = decode(strbuf_bytes(&wire), NULL, &ctx);
    struct headers h;
    struct arena *a = arena_new(0);
    headers_init(&h, a);
    struct route_query q = {.headers = &h, .host = BYTES("a.test:443"), .path = BYTES("")};
    ck_assert(route_match(rc, &q).vhost && !route_match(rc, &q).route);
    ck_assert_ptr_null(route_match_linear(rc, &q).route);
    headers_add_id(&h, HEADER_METHOD, BYTES("CONNECT"));
    ck_assert(route_match(rc, &q).vhost && !route_match(rc, &q).route);
    ck_assert_ptr_null(route_match_linear(rc, &q).route);
    headers_set_id(&h, HEADER_METHOD, BYTES("GET"));
    q.path = BYTES("/");
    ck_assert_ptr_nonnull(route_match(rc, &q).route);
    drop(&rc);
    arena_free(&a);
    strbuf_fini(&wire);
}
END_TEST

static const char *const domains[] = {"a.test",   "*.test", "*.a.test",  "*-x.test", "a.*",
                                      "a.test.*", "*",      "b.test:80", "*.b.test", "A.B.test"};
static const char *const hosts[] = {"a.test",     "b.a.test", "c.b.a.test", "y-x.test", "a.org",
                                    "a.test.org", "test",     "b.test:80",  "b.test",   "A.TEST",
                                    "a.b.TEST",   ".test",    "a.",         "",         "*.test"};

static struct route_config *domains_config(struct random_source *r, struct strbuf *wire)
{
    unsigned used = 0, n = 0;
    wire_put_bytes(wire, 1, BYTES("r"));
    while (n < 4) {
        struct strbuf vhost = STRBUF_INIT;
        char name[8];
        snprintf(name, sizeof(name), "v%u", n++);
        wire_put_bytes(&vhost, 1, bytes_of(name));
        unsigned first = (unsigned)random_below(r, ARRAY_SIZE(domains)), put = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(domains) && put < 2; i++) {
            unsigned d = (first + i) % ARRAY_SIZE(domains);
            if (used & 1u << d)
                continue;
            used |= 1u << d;
            wire_put_bytes(&vhost, 2, bytes_of(domains[d]));
            put++;
        }
        put_sub(wire, 2, &vhost);
    }
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    return decode(strbuf_bytes(wire), NULL, &ctx);
}

START_TEST(test_domains_equal_linear_reading)
{
    struct random_source r;
    random_seed(&r, 11);
    for (unsigned t = 0; t < 2000; t++) {
        struct strbuf wire = STRBUF_INIT;
        struct route_config *rc = domains_config(&r, &wire);
        struct arena *a = arena_new(1024);
        struct headers h;
        headers_init(&h, a);
        for (unsigned i = 0; i < ARRAY_SIZE(hosts); i++) {
            struct route_query q = {.headers = &h, .host = bytes_of(hosts[i]), .path = BYTES("/")};
            ck_assert_msg(route_match(rc, &q).vhost == route_match_linear(rc, &q).vhost, "%s",
                          hosts[i]);
        }
        arena_free(&a);
        drop(&rc);
        strbuf_fini(&wire);
    }
}
END_TEST

/* One of 1,000 routes changes: one is decoded, the others keep their node. */
START_TEST(test_an_update_keeps_equal_routes)
{
    enum { N = 1000 };
    struct route_spec *routes = mem_zalloc(N * sizeof(*routes));
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    for (unsigned i = 0; i < N; i++) {
        routes[i].kind = PREFIX;
        snprintf(routes[i].path, sizeof(routes[i].path), "/%u", i);
        snprintf(routes[i].cluster, sizeof(routes[i].cluster), "c%u", i);
    }
    struct strbuf first = config_of("r", "*", routes, N);
    struct route_config *old = decode(strbuf_bytes(&first), NULL, &ctx);
    ck_assert_uint_eq(ctx.routes_decoded, N);
    strcpy(routes[500].cluster, "other");
    struct strbuf second = config_of("r", "*", routes, N);
    struct route_config *now = decode(strbuf_bytes(&second), old, &ctx);
    ck_assert_uint_eq(ctx.routes_decoded, N + 1);
    ck_assert_uint_eq(ctx.vhosts_decoded, 2);
    for (unsigned i = 0; i < N; i++) {
        bool same = old->vhosts[0].vhost->routes[i].route == now->vhosts[0].vhost->routes[i].route;
        ck_assert(same == (i != 500));
    }
    drop(&old);
    /* the routes live on in the newer version; a third one that is equal decodes nothing */
    struct strbuf third = config_of("r", "*", routes, N);
    struct route_config *again = decode(strbuf_bytes(&third), now, &ctx);
    ck_assert_uint_eq(ctx.routes_decoded, N + 1);
    ck_assert_ptr_eq(again->vhosts[0].vhost, now->vhosts[0].vhost);
    drop(&now);
    drop(&again);
    ck_assert_uint_eq(node_count_live(), 0);
    strbuf_fini(&first);
    strbuf_fini(&second);
    strbuf_fini(&third);
    mem_free(routes);
}
END_TEST

/* Inserting at the front moves every position: nodes are found by their bytes all the same. */
START_TEST(test_an_insert_keeps_equal_routes)
{
    struct route_spec routes[3] = {{.kind = PREFIX, .path = "/new", .cluster = "n"},
                                   {.kind = PREFIX, .path = "/a", .cluster = "a"},
                                   {.kind = PREFIX, .path = "/b", .cluster = "b"}};
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    struct strbuf first = config_of("r", "*", routes + 1, 2),
                  second = config_of("r", "*", routes, 3);
    struct route_config *old = decode(strbuf_bytes(&first), NULL, &ctx);
    struct route_config *now = decode(strbuf_bytes(&second), old, &ctx);
    ck_assert_uint_eq(ctx.routes_decoded, 3);
    ck_assert_ptr_eq(old->vhosts[0].vhost->routes[0].route, now->vhosts[0].vhost->routes[1].route);
    drop(&old);
    drop(&now);
    strbuf_fini(&first);
    strbuf_fini(&second);
}
END_TEST

/* One edit of a table: another action, another match, a route more, a route less, two that change
 * places. Returns how many routes are new by it; *same_paths: no match moved. */
static unsigned edit(struct random_source *r, struct route_spec *routes, unsigned *n, unsigned max,
                     unsigned serial, bool *same_paths)
{
    unsigned at = (unsigned)random_below(r, *n), to = (unsigned)random_below(r, *n);
    unsigned what = (unsigned)random_below(r, 6);
    struct route_spec moved = routes[at];
    *same_paths = what < 2;
    if (what < 2) {
        snprintf(routes[at].cluster, sizeof(routes[at].cluster), "d%u", serial);
    } else if (what == 2) {
        random_route(r, &routes[at], serial);
    } else if (what == 3 && *n < max) {
        memmove(&routes[at + 1], &routes[at], (*n - at) * sizeof(routes[0]));
        random_route(r, &routes[at], serial);
        ++*n;
    } else if (what == 4 && *n > 1) {
        memmove(&routes[at], &routes[at + 1], (*n - at - 1) * sizeof(routes[0]));
        --*n;
        return 0;
    } else {
        routes[at] = routes[to];
        routes[to] = moved;
        return 0;
    }
    return 1;
}

/* Tables that are edited again and again: each version matches as the plain reading does, decodes
 * no route that it had, and keeps its index while no path changes. */
START_TEST(test_random_edits)
{
    enum { MAX = 40 };
    struct random_source r;
    random_seed(&r, 13);
    for (unsigned t = 0; t < 200; t++) {
        struct route_spec routes[MAX];
        struct filter_context f = {0};
        struct route_decode_context ctx = decode_context(&f);
        unsigned n = (unsigned)random_below(&r, MAX) + 1;
        for (unsigned i = 0; i < n; i++)
            random_route(&r, &routes[i], i);
        struct strbuf wire = config_of("r", "*", routes, n);
        struct route_config *rc = decode(strbuf_bytes(&wire), NULL, &ctx);
        for (unsigned e = 0; e < 50; e++) {
            bool same_paths = true, same;
            unsigned fresh = 0;
            for (uint64_t k = random_below(&r, 3) + 1; k > 0; k--, same_paths &= same)
                fresh += edit(&r, routes, &n, MAX, e * 10 + (unsigned)k, &same);
            struct strbuf next = config_of("r", "*", routes, n);
            uint64_t decoded = ctx.routes_decoded;
            struct route_config *now = decode(strbuf_bytes(&next), rc, &ctx);
            ck_assert_uint_le(ctx.routes_decoded - decoded, fresh);
            if (same_paths)
                ck_assert_ptr_eq(now->vhosts[0].vhost->index, rc->vhosts[0].vhost->index);
            drop(&rc);
            strbuf_fini(&wire);
            rc = now;
            wire = next;
            for (unsigned i = 0; i < 10; i++)
                compare_request(rc, &r);
        }
        drop(&rc);
        strbuf_fini(&wire);
    }
    ck_assert_uint_eq(node_count_live(), 0);
}
END_TEST

static void refused(struct bytes wire, const char *expected)
{
    struct error err = ERROR_INIT;
    struct filter_context f = {0};
    struct route_decode_context ctx = decode_context(&f);
    struct route_config *rc = route_config_decode(&ctx, wire, NULL, &err);
    ck_assert_ptr_null(rc);
    ck_assert_msg(strstr(error_text(&err), expected) != NULL, "'%s' has no '%s'", error_text(&err),
                  expected);
    error_fini(&err);
}

START_TEST(test_refusals_name_the_field)
{
    struct route_spec bad = {.kind = REGEX, .path = "/a(", .cluster = "a"};
    struct strbuf wire = config_of("r", "*", &bad, 1);
    refused(strbuf_bytes(&wire), "virtual_hosts[0].routes[0].match.safe_regex.regex: ");
    strbuf_fini(&wire);
    struct strbuf twice = STRBUF_INIT;
    for (int i = 0; i < 2; i++) {
        struct strbuf vhost = STRBUF_INIT;
        wire_put_bytes(&vhost, 1, i ? BYTES("w") : BYTES("v"));
        wire_put_bytes(&vhost, 2, BYTES("a.test"));
        put_sub(&twice, 2, &vhost);
    }
    refused(strbuf_bytes(&twice), "virtual_hosts[1].domains: Only unique values for domains are "
                                  "permitted. Duplicate entry of "
                                  "domain a.test");
    strbuf_fini(&twice);
    refused(BYTES("\x12\xff"), "no envoy.config.route.v3.RouteConfiguration");
    struct strbuf none = STRBUF_INIT, vhost = STRBUF_INIT;
    wire_put_bytes(&vhost, 1, BYTES("v"));
    put_sub(&none, 2, &vhost);
    refused(strbuf_bytes(&none), "virtual_hosts[0].domains: value must contain at least 1 item(s)");
    strbuf_fini(&none);
}
END_TEST

/* Any bytes are refused or accepted, never followed outside. */
START_TEST(test_random_bytes_do_no_harm)
{
    struct random_source r;
    random_seed(&r, 3);
    struct route_spec routes[8];
    for (unsigned i = 0; i < ARRAY_SIZE(routes); i++)
        random_route(&r, &routes[i], i);
    struct strbuf good = config_of("r", "*", routes, ARRAY_SIZE(routes));
    for (unsigned i = 0; i < 20000; i++) {
        struct strbuf bad = STRBUF_INIT;
        struct error err = ERROR_INIT;
        struct filter_context f = {0};
        struct route_decode_context ctx = decode_context(&f);
        strbuf_add_bytes(&bad, strbuf_bytes(&good));
        for (unsigned k = 0; k < 1 + random_below(&r, 4); k++)
            bad.data[random_below(&r, bad.len)] = (char)random_u64(&r);
        strbuf_cut(&bad, (size_t)random_below(&r, bad.len + 1));
        struct route_config *rc = route_config_decode(&ctx, strbuf_bytes(&bad), NULL, &err);
        ck_assert((rc == NULL) == error_is_set(&err));
        if (rc)
            drop(&rc);
        error_fini(&err);
        strbuf_fini(&bad);
    }
    strbuf_fini(&good);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("route_match");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_index_equals_linear_reading);
    tcase_add_test(t, test_long_common_prefixes);
    tcase_add_test(t, test_a_request_without_a_path);
    tcase_add_test(t, test_connect);
    tcase_add_test(t, test_domains_equal_linear_reading);
    tcase_add_test(t, test_an_update_keeps_equal_routes);
    tcase_add_test(t, test_an_insert_keeps_equal_routes);
    tcase_add_test(t, test_random_edits);
    tcase_add_test(t, test_refusals_name_the_field);
    tcase_add_test(t, test_random_bytes_do_no_harm);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
