/* Sequences and distributions of the policies, with fixed seeds. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "dataplane/upstream/lb.h"

enum { MAX_HOSTS = 32 };

/* One host set, built by hand. */
struct world {
    struct host hosts[MAX_HOSTS];
    struct host_state states[MAX_HOSTS];
    struct host_use uses[MAX_HOSTS];
    struct priority_set priorities[4];
    struct host_set set;
    struct cluster cluster;
    struct random_source random;
    struct lb *lb;
};

static struct world *world_new(enum lb_policy policy, unsigned n, const uint32_t *weights)
{
    struct world *w = NEW(struct world);
    for (unsigned i = 0; i < n; i++) {
        w->hosts[i].state = &w->states[i];
        w->hosts[i].weight = weights ? weights[i] : 1;
        w->states[i].used = &w->uses[i];
    }
    w->priorities[0].hosts = w->hosts;
    w->priorities[0].n_hosts = n;
    w->set.hosts = w->hosts;
    w->set.n_hosts = n;
    w->set.priorities = w->priorities;
    w->set.n_priorities = 1;
    w->set.overprovisioning_factor = 140;
    w->cluster.lb_policy = policy;
    w->cluster.least_request_choices = 2;
    w->cluster.active_request_bias = 1.0;
    w->cluster.healthy_panic_threshold = 50;
    random_seed(&w->random, 1);
    return w;
}

static void build(struct world *w)
{
    w->lb = lb_new(&w->cluster, &w->set, &w->random);
}

static void world_free(struct world *w)
{
    lb_free(&w->lb);
    mem_free(w);
}

static unsigned pick(struct world *w)
{
    bool panic;
    const struct host *h = lb_pick(w->lb, NULL, &panic);
    ck_assert_ptr_nonnull(h);
    return (unsigned)(h - w->hosts);
}

START_TEST(test_round_robin_equal)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 3, NULL);
    build(w);
    unsigned first = pick(w);
    for (unsigned i = 1; i < 10; i++)
        ck_assert_uint_eq(pick(w), (first + i) % 3);
    world_free(w);
}
END_TEST

/* Over a period of the sum of the weights each host comes exactly as often as it weighs, wherever
 * the period begins. */
START_TEST(test_round_robin_weighted_counts)
{
    static const uint32_t weights[] = {1, 2, 5, 10, 3};
    struct world *w = world_new(LB_ROUND_ROBIN, 5, weights);
    build(w);
    for (unsigned round = 0; round < 50; round++) {
        unsigned count[5] = {0};
        for (unsigned i = 0; i < 21; i++)
            count[pick(w)]++;
        for (unsigned i = 0; i < 5; i++)
            ck_assert_msg(abs((int)count[i] - (int)weights[i]) <= 1, "host %u: %u", i, count[i]);
    }
    world_free(w);
}
END_TEST

/* Smooth: a host with weight w of W never waits longer than W / w picks, rounded up, plus one. */
START_TEST(test_round_robin_weighted_smooth)
{
    static const uint32_t weights[] = {1, 3, 8};
    struct world *w = world_new(LB_ROUND_ROBIN, 3, weights);
    unsigned last[3] = {0};
    build(w);
    for (unsigned i = 1; i < 600; i++) {
        unsigned h = pick(w);
        for (unsigned k = 0; k < 3 && i > 24; k++)
            ck_assert_uint_le(i - last[k], (12 + weights[k] - 1) / weights[k] + 1);
        last[h] = i;
    }
    world_free(w);
}
END_TEST

START_TEST(test_edf_order)
{
    static const uint32_t weights[] = {1, 2, 4};
    /* deadlines: c 1/4 2/4 3/4 1, b 1/2 1, a 1: equal deadlines in the order they were queued */
    static const unsigned expected[] = {2, 1, 2, 2, 0, 1, 2};
    struct world *w = world_new(LB_ROUND_ROBIN, 3, weights);
    build(w);
    w->lb->seed = 0; /* from the start */
    for (unsigned i = 0; i < 7; i++)
        ck_assert_uint_eq(pick(w), expected[i]);
    world_free(w);
}
END_TEST

/* Each of n hosts comes as often. */
static void check_even(struct world *w, unsigned n)
{
    unsigned count[8] = {0};
    ck_assert_uint_le(n, 8);
    for (unsigned i = 0; i < n * 10000; i++)
        count[pick(w)]++;
    for (unsigned i = 0; i < n; i++)
        ck_assert_msg(abs((int)count[i] - 10000) < 500, "host %u: %u", i, count[i]);
}

START_TEST(test_random_uniform)
{
    struct world *w = world_new(LB_RANDOM, 4, NULL);
    build(w);
    check_even(w, 4);
    world_free(w);
}
END_TEST

/* Two choices out of two hosts: the busy one is taken only when it is drawn twice. */
START_TEST(test_least_request_two_choices)
{
    struct world *w = world_new(LB_LEAST_REQUEST, 2, NULL);
    unsigned count[2] = {0};
    build(w);
    atomic_store(&w->uses[0].rq_active, 5);
    for (unsigned i = 0; i < 40000; i++)
        count[pick(w)]++;
    ck_assert_msg(abs((int)count[0] - 10000) < 500, "busy host: %u", count[0]);
    world_free(w);
}
END_TEST

START_TEST(test_least_request_many_choices)
{
    struct world *w = world_new(LB_LEAST_REQUEST, 3, NULL);
    w->cluster.least_request_choices = 64;
    build(w);
    atomic_store(&w->uses[0].rq_active, 2);
    atomic_store(&w->uses[2].rq_active, 1);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(pick(w), 1);
    world_free(w);
}
END_TEST

/* A choice of each pick that is not bounded by the hosts would hold the worker up. */
START_TEST(test_least_request_of_more_choices_than_hosts)
{
    struct world *w = world_new(LB_LEAST_REQUEST, 4, NULL);
    unsigned count[4] = {0};
    w->cluster.least_request_choices = UINT32_MAX;
    build(w);
    atomic_store(&w->uses[1].rq_active, 1);
    atomic_store(&w->uses[2].rq_active, 7);
    for (unsigned i = 0; i < 10000; i++)
        count[pick(w)]++;
    ck_assert_uint_eq(count[0] + count[3], 10000);
    ck_assert_msg(abs((int)count[0] - 5000) < 400, "of two: %u", count[0]);
    world_free(w);
}
END_TEST

/* All hosts are compared; of those that are equally busy each comes as often. */
START_TEST(test_least_request_full_scan)
{
    struct world *w = world_new(LB_LEAST_REQUEST, 32, NULL);
    unsigned count[32] = {0};
    w->cluster.least_request_scan = true;
    build(w);
    for (unsigned i = 0; i < 32; i++)
        atomic_store(&w->uses[i].rq_active, i == 0 || i == 3 ? 2 : i == 9 || i == 31 ? 1 : 3);
    for (unsigned i = 0; i < 20000; i++)
        count[pick(w)]++;
    ck_assert_uint_eq(count[9] + count[31], 20000);
    ck_assert_msg(abs((int)count[9] - 10000) < 500, "of two: %u", count[9]);
    atomic_store(&w->uses[20].rq_active, 0);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(pick(w), 20);
    world_free(w);
}
END_TEST

START_TEST(test_least_request_full_scan_ties)
{
    struct world *w = world_new(LB_LEAST_REQUEST, 5, NULL);
    w->cluster.least_request_scan = true;
    build(w);
    check_even(w, 5);
    world_free(w);
}
END_TEST

/* Weights differ: a host of weight 4 with three active requests counts as one of weight 1. */
START_TEST(test_least_request_weighted)
{
    static const uint32_t weights[] = {1, 4};
    struct world *w = world_new(LB_LEAST_REQUEST, 2, weights);
    w->cluster.least_request_scan = _i; /* of equal weights alone */
    unsigned count[2] = {0};
    build(w);
    for (unsigned i = 0; i < 500; i++)
        count[pick(w)]++;
    ck_assert_uint_ge(count[1], 399);
    ck_assert_uint_le(count[1], 401);
    atomic_store(&w->uses[1].rq_active, 3);
    for (unsigned i = 0; i < 10; i++)
        pick(w);
    count[0] = count[1] = 0;
    for (unsigned i = 0; i < 500; i++)
        count[pick(w)]++;
    ck_assert_uint_ge(count[1], 249);
    ck_assert_uint_le(count[1], 251);
    world_free(w);
}
END_TEST

START_TEST(test_unhealthy_not_picked)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 4, NULL);
    w->hosts[1].health = HEALTH_FAILED_EDS;
    w->hosts[2].health = HEALTH_DRAINING;
    w->cluster.healthy_panic_threshold = 0;
    build(w);
    for (unsigned i = 0; i < 20; i++) {
        unsigned h = pick(w);
        ck_assert(h == 0 || h == 3);
    }
    world_free(w);
}
END_TEST

START_TEST(test_panic)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 4, NULL);
    bool panic;
    unsigned count[4] = {0};
    for (unsigned i = 0; i < 3; i++)
        w->hosts[i].health = HEALTH_FAILED_EDS;
    build(w);
    for (unsigned i = 0; i < 20; i++) {
        const struct host *h = lb_pick(w->lb, NULL, &panic);
        ck_assert(panic);
        count[h - w->hosts]++;
    }
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(count[i], 5);
    lb_free(&w->lb);
    w->cluster.fail_traffic_on_panic = true;
    build(w);
    ck_assert_ptr_null(lb_pick(w->lb, NULL, &panic));
    world_free(w);
}
END_TEST

/* What drains is gone as far as panic goes: the others take it all. */
START_TEST(test_draining_is_no_panic)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 4, NULL);
    bool panic;
    for (unsigned i = 0; i < 3; i++)
        w->hosts[i].health = HEALTH_DRAINING;
    build(w);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_ptr_eq(lb_pick(w->lb, NULL, &panic), &w->hosts[3]);
        ck_assert(!panic);
    }
    world_free(w);
}
END_TEST

START_TEST(test_no_hosts)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 0, NULL);
    bool panic;
    build(w);
    ck_assert_ptr_null(lb_pick(w->lb, NULL, &panic));
    lb_free(&w->lb);
    w->set.n_priorities = 0;
    build(w);
    ck_assert_ptr_null(lb_pick(w->lb, NULL, &panic));
    world_free(w);
}
END_TEST

/* Panic off, nobody healthy: 503 UH, not a sick host. */
START_TEST(test_all_unhealthy_no_panic)
{
    struct world *w = world_new(LB_RANDOM, 2, NULL);
    bool panic;
    w->hosts[0].health = w->hosts[1].health = HEALTH_FAILED_EDS;
    w->cluster.healthy_panic_threshold = 0;
    build(w);
    ck_assert_ptr_null(lb_pick(w->lb, NULL, &panic));
    world_free(w);
}
END_TEST

START_TEST(test_tried_host_avoided)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 2, NULL);
    const struct host_state *tried[2] = {&w->states[0], &w->states[1]};
    struct lb_query q = {tried, 1};
    bool panic;
    build(w);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_ptr_eq(lb_pick(w->lb, &q, &panic), &w->hosts[1]);
    q.n_avoid = 2; /* nothing else is left: any host is better than none */
    ck_assert_ptr_nonnull(lb_pick(w->lb, &q, &panic));
    world_free(w);
}
END_TEST

/* Tries are counted: the last one counts whatever it is. */
START_TEST(test_picks_are_counted)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 4, NULL);
    const struct host_state *tried[3] = {&w->states[0], &w->states[1], &w->states[2]};
    struct lb_query q = {.avoid = tried, .n_avoid = 3, .picks = 2};
    unsigned avoided = 0;
    bool panic;
    build(w);
    for (unsigned i = 0; i < 40; i++)
        avoided += lb_pick(w->lb, &q, &panic) == &w->hosts[3];
    ck_assert(avoided > 0 && avoided < 40);
    q.picks = 4;
    for (unsigned i = 0; i < 40; i++)
        ck_assert_ptr_eq(lb_pick(w->lb, &q, &panic), &w->hosts[3]);
    world_free(w);
}
END_TEST

START_TEST(test_tried_priorities)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 3, NULL);
    struct lb_tried tried = {{0}};
    struct lb_query q = {.picks = 1, .tried = &tried};
    bool panic;
    for (unsigned p = 0; p < 3; p++) {
        w->priorities[p].hosts = w->hosts + p;
        w->priorities[p].n_hosts = 1;
    }
    w->set.n_priorities = 3;
    w->hosts[1].health = HEALTH_FAILED_EDS;
    build(w);
    ck_assert_ptr_eq(lb_pick(w->lb, &q, &panic), &w->hosts[0]);
    lb_tried_add(&tried, 0);
    ck_assert_ptr_eq(lb_pick(w->lb, &q, &panic), &w->hosts[2]);
    ck_assert(lb_tried_has(&tried, 0));
    lb_tried_add(&tried, 2); /* nothing is left: it begins anew */
    ck_assert_ptr_eq(lb_pick(w->lb, &q, &panic), &w->hosts[0]);
    ck_assert(!lb_tried_has(&tried, 0) && !lb_tried_has(&tried, 2));
    lb_tried_add(&tried, 1000);
    ck_assert(!lb_tried_has(&tried, 1000));
    world_free(w);
}
END_TEST

START_TEST(test_runtime_health_avoided)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 3, NULL);
    build(w);
    atomic_store(&w->states[1].health, HEALTH_FAILED_OUTLIER);
    for (unsigned i = 0; i < 12; i++)
        ck_assert_uint_ne(pick(w), 1);
    world_free(w);
}
END_TEST

/* P0 at half health takes 70 of 100. */
START_TEST(test_priorities)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 4, NULL);
    unsigned p0 = 0;
    w->priorities[0].n_hosts = 2;
    w->priorities[1].hosts = w->hosts + 2;
    w->priorities[1].n_hosts = 2;
    w->set.n_priorities = 2;
    w->hosts[1].health = HEALTH_FAILED_EDS;
    build(w);
    for (unsigned i = 0; i < 10000; i++) {
        unsigned h = pick(w);
        ck_assert_uint_ne(h, 1);
        p0 += h == 0;
    }
    ck_assert_msg(p0 > 6800 && p0 < 7200, "P0 took %u", p0);
    world_free(w);
}
END_TEST

START_TEST(test_degraded_last)
{
    struct world *w = world_new(LB_ROUND_ROBIN, 2, NULL);
    unsigned healthy = 0;
    w->hosts[1].health = HEALTH_DEGRADED_EDS;
    build(w);
    for (unsigned i = 0; i < 100; i++)
        healthy += pick(w) == 0; /* 70 percent by over-provisioning */
    ck_assert_uint_gt(healthy, 55);
    ck_assert_uint_lt(healthy, 85);
    world_free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lb");
    TCase *t = tcase_create("all");
    tcase_add_test(t, test_round_robin_equal);
    tcase_add_test(t, test_round_robin_weighted_counts);
    tcase_add_test(t, test_round_robin_weighted_smooth);
    tcase_add_test(t, test_edf_order);
    tcase_add_test(t, test_random_uniform);
    tcase_add_test(t, test_least_request_two_choices);
    tcase_add_test(t, test_least_request_many_choices);
    tcase_add_test(t, test_least_request_of_more_choices_than_hosts);
    tcase_add_test(t, test_least_request_full_scan);
    tcase_add_test(t, test_least_request_full_scan_ties);
    tcase_add_loop_test(t, test_least_request_weighted, 0, 2);
    tcase_add_test(t, test_unhealthy_not_picked);
    tcase_add_test(t, test_panic);
    tcase_add_test(t, test_draining_is_no_panic);
    tcase_add_test(t, test_no_hosts);
    tcase_add_test(t, test_all_unhealthy_no_panic);
    tcase_add_test(t, test_tried_host_avoided);
    tcase_add_test(t, test_picks_are_counted);
    tcase_add_test(t, test_tried_priorities);
    tcase_add_test(t, test_runtime_health_avoided);
    tcase_add_test(t, test_priorities);
    tcase_add_test(t, test_degraded_last);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
