/* The load of each priority, against the tables of Envoy's documentation. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/upstream/lb.h"

struct row {
    uint32_t healthy[3], degraded[3]; /* hosts out of 100 */
    unsigned n;
    uint32_t panic_threshold;
    uint32_t load[3], degraded_load[3];
    bool panic[3];
};

/* "Priority levels", "Degraded endpoints" and "Panic threshold" of the architecture overview. */
static const struct row rows[] = {
    /* two priorities: P0 spills over below 72% */
    {{100, 100}, {0}, 2, 50, {100, 0}, {0}, {0}},
    {{72, 100}, {0}, 2, 50, {100, 0}, {0}, {0}},
    {{71, 100}, {0}, 2, 50, {99, 1}, {0}, {0}},
    {{50, 100}, {0}, 2, 50, {70, 30}, {0}, {0}},
    {{25, 100}, {0}, 2, 50, {35, 65}, {0}, {0}},
    {{0, 100}, {0}, 2, 50, {0, 100}, {0}, {0}},
    {{25, 25}, {0}, 2, 0, {50, 50}, {0}, {0}},
    /* three priorities */
    {{100, 100, 100}, {0}, 3, 50, {100, 0, 0}, {0}, {0}},
    {{72, 72, 100}, {0}, 3, 50, {100, 0, 0}, {0}, {0}},
    {{71, 71, 100}, {0}, 3, 50, {99, 1, 0}, {0}, {0}},
    {{50, 50, 100}, {0}, 3, 50, {70, 30, 0}, {0}, {0}},
    {{25, 100, 100}, {0}, 3, 50, {35, 65, 0}, {0}, {0}},
    {{25, 25, 100}, {0}, 3, 50, {35, 35, 30}, {0}, {0}},
    /* panic only when the sum of the priorities is below 100 */
    {{72, 72}, {0}, 2, 50, {100, 0}, {0}, {0}},
    {{71, 71}, {0}, 2, 50, {99, 1}, {0}, {0}},
    {{50, 60}, {0}, 2, 50, {70, 30}, {0}, {0}},
    {{25, 100}, {0}, 2, 50, {35, 65}, {0}, {0}},
    {{25, 25}, {0}, 2, 50, {50, 50}, {0}, {1, 1}},
    {{5, 65}, {0}, 2, 50, {8, 92}, {0}, {1, 0}}, /* the rest of rounding goes to P0 */
    /* all in panic: by number of hosts */
    {{0, 0, 0}, {0}, 3, 50, {34, 33, 33}, {0}, {1, 1, 1}},
    /* panic off and nobody healthy: the load must go somewhere, nobody is found there */
    {{0, 0}, {0}, 2, 0, {100, 0}, {0}, {0}},
    /* degraded hosts take what the healthy ones of all priorities leave */
    {{0}, {100}, 1, 50, {0}, {100}, {0}},
    {{50}, {50}, 1, 50, {70}, {30}, {0}},
    {{50, 0}, {0, 100}, 2, 50, {70, 0}, {0, 30}, {0}},
    {{5, 0, 0}, {0, 65, 0}, 3, 50, {8, 0, 0}, {0, 92, 0}, {1, 0, 1}},
};

START_TEST(test_tables)
{
    const struct row *row = &rows[_i];
    struct lb_priority_count counts[3] = {0};
    struct lb_priority_load loads[3];
    uint32_t sum = 0;
    for (unsigned p = 0; p < row->n; p++)
        counts[p] = (struct lb_priority_count){100, row->healthy[p], row->degraded[p]};
    lb_priority_loads(counts, row->n, 140, row->panic_threshold, loads);
    for (unsigned p = 0; p < row->n; p++) {
        ck_assert_msg(loads[p].healthy == row->load[p], "row %d P%u: load %u, expected %u", _i, p,
                      loads[p].healthy, row->load[p]);
        ck_assert_msg(loads[p].degraded == row->degraded_load[p],
                      "row %d P%u: degraded %u, expected %u", _i, p, loads[p].degraded,
                      row->degraded_load[p]);
        ck_assert_msg(loads[p].panic == row->panic[p], "row %d P%u: panic %d", _i, p,
                      loads[p].panic);
        sum += loads[p].healthy + loads[p].degraded;
    }
    ck_assert_uint_eq(sum, 100);
}
END_TEST

/* Rounding leaves something over: the first available priority gets it. */
START_TEST(test_rounding)
{
    struct lb_priority_count counts[3] = {{100, 10, 0}, {100, 10, 0}, {100, 10, 0}};
    struct lb_priority_load loads[3];
    lb_priority_loads(counts, 3, 140, 0, loads);
    ck_assert_uint_eq(loads[0].healthy, 34);
    ck_assert_uint_eq(loads[1].healthy, 33);
    ck_assert_uint_eq(loads[2].healthy, 33);
}
END_TEST

START_TEST(test_untried)
{
    struct lb_priority_count counts[3] = {{100, 50, 0}, {100, 30, 0}, {100, 10, 20}};
    struct lb_priority_load loads[3] = {{0}};
    struct lb_tried tried = {{0}};
    lb_tried_add(&tried, 0);
    ck_assert(lb_priority_loads_untried(counts, 3, 100, &tried, loads)); /* 30, 10 and 20 of 60 */
    ck_assert_uint_eq(loads[0].healthy, 0);
    ck_assert_uint_eq(loads[1].healthy, 51); /* with what rounding leaves */
    ck_assert_uint_eq(loads[2].healthy, 16);
    ck_assert_uint_eq(loads[2].degraded, 33);
    lb_tried_add(&tried, 1);
    lb_tried_add(&tried, 2);
    ck_assert(!lb_priority_loads_untried(counts, 3, 100, &tried, loads));
}
END_TEST

START_TEST(test_empty)
{
    struct lb_priority_count counts[2] = {{0, 0, 0}, {0, 0, 0}};
    struct lb_priority_load loads[2];
    lb_priority_loads(counts, 2, 140, 50, loads);
    ck_assert_uint_eq(loads[0].healthy, 100);
    ck_assert_uint_eq(loads[1].healthy, 0);
    lb_priority_loads(counts, 0, 140, 50, loads);
}
END_TEST

START_TEST(test_overprovisioning)
{
    struct lb_priority_count counts[2] = {{100, 60, 0}, {100, 100, 0}};
    struct lb_priority_load loads[2];
    lb_priority_loads(counts, 2, 100, 50, loads);
    ck_assert_uint_eq(loads[0].healthy, 60);
    ck_assert_uint_eq(loads[1].healthy, 40);
    counts[0] = counts[1] = (struct lb_priority_count){100, 90, 0};
    lb_priority_loads(counts, 2, 1, 50, loads); /* 1 percent of 90 percent is nothing */
    ck_assert(!loads[0].panic && !loads[1].panic);
    ck_assert_uint_eq(loads[0].healthy, 100);
    ck_assert_uint_eq(loads[1].healthy, 0);
}
END_TEST

/* Hosts that drain are no part of what could be healthy. */
START_TEST(test_excluded)
{
    struct lb_priority_count counts[2] = {{.total = 4, .healthy = 1, .excluded = 2},
                                          {.total = 1, .healthy = 1}};
    struct lb_priority_load loads[2];
    lb_priority_loads(counts, 2, 140, 50, loads);
    ck_assert_uint_eq(loads[0].healthy, 70);
    ck_assert_uint_eq(loads[1].healthy, 30);
    counts[0].healthy = 2;
    lb_priority_loads(counts, 1, 140, 100, loads);
    ck_assert(!loads[0].panic);
    counts[0] = (struct lb_priority_count){.total = 2, .excluded = 2};
    counts[1] = (struct lb_priority_count){.total = 1};
    lb_priority_loads(counts, 2, 140, 50, loads);
    ck_assert(loads[0].panic && loads[1].panic);
    ck_assert_uint_eq(loads[0].healthy, 67); /* then they count again */
}
END_TEST

START_TEST(test_weighted_health)
{
    struct lb_priority_count counts[2] = {
        {2, 1, 0, .weighted = true, .total_weight = 4, .healthy_weight = 1}, {100, 100, 0}};
    struct lb_priority_load loads[2];
    lb_priority_loads(counts, 2, 100, 50, loads);
    ck_assert_uint_eq(loads[0].healthy, 25);
    ck_assert(!loads[0].panic);
    counts[0].degraded_weight = UINT64_C(1) << 62; /* times the factor is more than 64 bits */
    counts[0].total_weight = UINT64_C(1) << 62;
    lb_priority_loads(counts, 1, UINT32_MAX, 50, loads);
    ck_assert_uint_eq(loads[0].degraded, 100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lb_priority");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, test_tables, 0, ARRAY_SIZE(rows));
    tcase_add_test(t, test_rounding);
    tcase_add_test(t, test_untried);
    tcase_add_test(t, test_empty);
    tcase_add_test(t, test_overprovisioning);
    tcase_add_test(t, test_excluded);
    tcase_add_test(t, test_weighted_health);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
