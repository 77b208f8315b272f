#include "admin/stat_list.h"

#include <stdio.h>

#include "base/memory.h"
#include "suite.h"

enum { TOTAL, ACTIVE, TIME, TEXT, CODES, NEVER };
static const struct stat_desc stats[] = {{"total", STAT_COUNTER},  {"active", STAT_GAUGE},
                                         {"time", STAT_HISTOGRAM}, {"text", STAT_TEXT},
                                         {"rq_", STAT_CODES},      {"b.never", STAT_COUNTER}};
static const struct stat_schema schema = {stats, ARRAY_SIZE(stats)};

static struct stat_store *store;
static struct stat_scope *scopes[4];

static void setup(void)
{
    static const char *const prefixes[] = {"c.b", "c", "c-b", "a.b"};
    store = stat_store_new(3);
    for (unsigned i = 0; i < 4; i++) {
        scopes[i] = stat_scope_get(store, bytes_of(prefixes[i]), &schema);
        stat_inc(scopes[i], 0, TOTAL);
        stat_set(scopes[i], 1, ACTIVE, 0);
    }
}

static void teardown(void)
{
    for (unsigned i = 0; i < 4; i++)
        stat_scope_unref(&scopes[i]);
    stat_store_free(&store);
}

/* The names of a pass, joined by spaces. */
static char *names(const char *target, unsigned kinds)
{
    struct arena *a = arena_new(0);
    struct strbuf out = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct stat_list l;
    struct query q;
    unsigned looked_at = 0;
    query_parse(a, bytes_of(target), BYTES_NONE, &q);
    ck_assert_msg(stat_list_init(&l, &q, true, store, NULL, &err), "%s", error_text(&err));
    stat_list_start(&l, kinds);
    while (!stat_list_over(&l)) {
        const struct stat_entry *e = stat_list_next(&l, &looked_at);
        if (e)
            strbuf_printf(&out, "%s%.*s", out.len ? " " : "", BYTES_ARG(e->name));
    }
    stat_list_fini(&l);
    arena_free(&a);
    return strbuf_detach(&out);
}

static void expect(const char *target, unsigned kinds, const char *expected)
{
    char *got = names(target, kinds);
    ck_assert_str_eq(got ? got : "", expected);
    mem_free(got);
}

/* '-' sorts before '.', and a scope's names stand among those of the scopes below it. */
START_TEST(names_are_in_order_over_scopes)
{
    setup();
    expect("/stats", 1u << STAT_COUNTER | 1u << STAT_GAUGE,
           "a.b.active a.b.b.never a.b.total c-b.active c-b.b.never c-b.total "
           "c.active c.b.active c.b.b.never c.b.never c.b.total c.total");
    expect("/stats", 1u << STAT_HISTOGRAM, "a.b.time c-b.time c.b.time c.time");
    teardown();
}
END_TEST

START_TEST(the_query_chooses)
{
    setup();
    expect("/stats?usedonly&filter=^c[.]b", STAT_KINDS_ALL, "c.b.active c.b.total");
    expect("/stats?type=Gauges", STAT_KINDS_ALL, "a.b.active c-b.active c.active c.b.active");
    expect("/stats?type=Gauges", 1u << STAT_COUNTER, "");
    expect("/stats?type=All&filter=^a.*total$", STAT_KINDS_ALL, "a.b.total");
    expect("/stats?usedonly&filter=^c&invert_filter", STAT_KINDS_ALL, "a.b.active a.b.total");
    expect("/stats?hidden=only", STAT_KINDS_ALL, "");
    expect("/stats?hidden=include&filter=^a.b.total", STAT_KINDS_ALL, "a.b.total");
    teardown();
}
END_TEST

START_TEST(codes_are_counters)
{
    setup();
    stat_code(scopes[3], 0, CODES, 200);
    stat_code(scopes[3], 2, CODES, 204);
    expect("/stats?usedonly&filter=^a", 1u << STAT_COUNTER,
           "a.b.rq_200 a.b.rq_204 a.b.rq_2xx a.b.total");
    teardown();
}
END_TEST

static void refuse(const char *target, const char *expected)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct stat_list l;
    struct query q;
    query_parse(a, bytes_of(target), BYTES_NONE, &q);
    ck_assert(!stat_list_init(&l, &q, true, store, NULL, &err));
    ck_assert_str_eq(error_text(&err), expected);
    stat_list_fini(&l);
    error_fini(&err);
    arena_free(&a);
}

START_TEST(refusals_are_envoys)
{
    setup();
    refuse("/stats?type=foo", "invalid &type= param");
    refuse("/stats?type=counters", "invalid &type= param");
    refuse("/stats?hidden=foo", "usage: /stats?hidden=(include|only|exclude)\n\n");
    refuse("/stats?hidden=showonly", "usage: /stats?hidden=(include|only|exclude)\n\n");
    refuse("/stats?filter=(", "Invalid re2 regex: missing ): (");
    refuse("/stats?invert_filter&filter=",
           "invert_filter can only be used if filter is also provided");
    teardown();
}
END_TEST

/* Each fault is told before those that stand behind it here, wherever they stand in the query. */
START_TEST(the_first_fault_is_told)
{
    static const struct {
        const char *query, *told;
    } faults[] = {
        {"filter=(&invert_filter", "Invalid re2 regex: missing ): ("},
        {"invert_filter", "invert_filter can only be used if filter is also provided"},
        {"histogram_buckets=x", "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|"
                                "summary|prometheusnative)\n"},
        {"type=x", "invalid &type= param"},
        {"hidden=x", "usage: /stats?hidden=(include|only|exclude)\n\n"},
        {"format=x", "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"},
    };
    char target[200];
    setup();
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        for (size_t j = i; j < ARRAY_SIZE(faults); j++) {
            snprintf(target, sizeof(target), "/stats?%s&%s", faults[j].query, faults[i].query);
            refuse(target, faults[i].told);
        }
    }
    teardown();
}
END_TEST

/* Scopes that go away while a page is made are kept by it. */
START_TEST(scopes_may_go)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct stat_list l;
    struct query q;
    unsigned looked_at = 0, n = 0;
    setup();
    query_parse(a, BYTES("/stats"), BYTES_NONE, &q);
    ck_assert(stat_list_init(&l, &q, true, store, NULL, &err));
    stat_list_start(&l, 1u << STAT_COUNTER);
    ck_assert(stat_list_next(&l, &looked_at) != NULL);
    for (unsigned i = 0; i < 4; i++)
        stat_scope_unref(&scopes[i]);
    for (n = 1; !stat_list_over(&l);)
        n += stat_list_next(&l, &looked_at) != NULL;
    ck_assert_uint_eq(n, 8);
    stat_list_fini(&l);
    arena_free(&a);
    stat_store_free(&store);
}
END_TEST

SUITE("stat_list", names_are_in_order_over_scopes, the_query_chooses, codes_are_counters,
      refusals_are_envoys, the_first_fault_is_told, scopes_may_go)
