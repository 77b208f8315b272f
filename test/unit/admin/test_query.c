#include "admin/query.h"

#include "suite.h"

static struct query parse(struct arena *a, const char *target, const char *form)
{
    struct query q;
    query_parse(a, bytes_of(target), form ? bytes_of(form) : BYTES_NONE, &q);
    return q;
}

static void expect(const struct query *q, const char *name, const char *value)
{
    struct bytes got = query_get(q, name);
    if (!value)
        ck_assert(!got.data);
    else
        ck_assert_msg(bytes_eq_str(got, value), "%s: %.*s", name, BYTES_ARG(got));
}

START_TEST(targets)
{
    struct arena *a = arena_new(0);
    struct query q = parse(a, "/stats?usedonly&filter=%5Ea%2fb&type=&x=1=2&&=no", NULL);
    ck_assert(bytes_eq_str(q.path, "/stats"));
    expect(&q, "usedonly", "");
    expect(&q, "filter", "^a/b");
    expect(&q, "type", "");
    expect(&q, "x", "1=2");
    expect(&q, "", "no");
    expect(&q, "nosuch", NULL);
    ck_assert_uint_eq(q.n_params, 5);
    q = parse(a, "/ready", NULL);
    ck_assert(bytes_eq_str(q.path, "/ready") && q.n_params == 0);
    q = parse(a, "/ready?", NULL);
    ck_assert_uint_eq(q.n_params, 0);
    arena_free(&a);
}
END_TEST

START_TEST(slashes_are_merged_in_the_path_only)
{
    struct arena *a = arena_new(0);
    struct query q = parse(a, "//stats///prometheus?filter=a//b", NULL);
    ck_assert(bytes_eq_str(q.path, "/stats/prometheus"));
    expect(&q, "filter", "a//b");
    arena_free(&a);
}
END_TEST

/* What pilot-agent and Contour send: nothing is escaped. */
START_TEST(raw_regular_expressions)
{
    struct arena *a = arena_new(0);
    struct query q = parse(
        a, "/stats?usedonly&filter=^(server\\.state|listener_manager\\.workers_started)$", NULL);
    expect(&q, "filter", "^(server\\.state|listener_manager\\.workers_started)$");
    q = parse(a, "/stats?filter=a+b*%zz%4", NULL);
    expect(&q, "filter", "a+b*%zz%4");
    arena_free(&a);
}
END_TEST

START_TEST(forms_count_without_a_query)
{
    struct arena *a = arena_new(0);
    struct query q = parse(a, "/logging", "paths=a%3Ainfo&x=1+2");
    expect(&q, "paths", "a:info");
    expect(&q, "x", "1 2");
    q = parse(a, "/logging?level=info", "paths=a:info");
    expect(&q, "level", "info");
    expect(&q, "paths", NULL);
    arena_free(&a);
}
END_TEST

SUITE("query", targets, slashes_are_merged_in_the_path_only, raw_regular_expressions,
      forms_count_without_a_query)
