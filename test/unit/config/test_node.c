#include "config/node.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

enum { SLOTS = 4 };

struct thing {
    struct node node;
    unsigned number;
    struct thing *child;
};

static unsigned ended[16], n_ended;

static void thing_fini(struct node *n)
{
    struct thing *t = (struct thing *)n;
    ended[n_ended++ % 16] = t->number;
    NODE_UNREF(&t->child);
}

static struct thing *thing_new(unsigned number, bool pinnable)
{
    struct thing *t = node_new(NODE_CLUSTER, sizeof(*t), 0, thing_fini);
    t->number = number;
    if (pinnable)
        node_make_pinnable(&t->node);
    return t;
}

static void begin(void)
{
    node_set_pin_slots(SLOTS);
    n_ended = 0;
    ck_assert_uint_eq(node_count_live(), 0);
}

START_TEST(plain_nodes_end_with_their_last_reference)
{
    begin();
    struct thing *a = thing_new(1, false);
    a->child = thing_new(2, false);
    struct thing *also = NODE_REF(a);
    struct thing *child = NODE_REF(a->child);
    ck_assert_uint_eq(node_count_live(), 2);
    NODE_UNREF(&a);
    ck_assert_ptr_null(a);
    ck_assert_uint_eq(n_ended, 0);
    node_release(also);
    ck_assert_uint_eq(n_ended, 1);
    ck_assert_uint_eq(ended[0], 1);
    NODE_UNREF(&child);
    NODE_UNREF(&child); /* nothing is there any more */
    ck_assert_uint_eq(n_ended, 2);
    ck_assert_uint_eq(node_count_live(), 0);
}
END_TEST

START_TEST(pins_of_any_slot_hold)
{
    begin();
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct thing *t = thing_new(slot, true);
        node_pin(&t->node, slot);
        node_pin(&t->node, slot);
        struct node *n = &t->node;
        NODE_UNREF(&t);
        ck_assert_uint_eq(node_reap(), 1);
        node_unpin(n, slot);
        ck_assert_uint_eq(node_reap(), 1);
        ck_assert_uint_eq(n_ended, slot);
        node_unpin(n, slot);
        ck_assert_uint_eq(node_reap(), 0);
        ck_assert_uint_eq(n_ended, slot + 1);
    }
    ck_assert_uint_eq(node_count_live(), 0);
}
END_TEST

/* Only a reap frees what can be pinned: a worker may still be on its way to pin it. */
START_TEST(a_pinnable_node_waits_for_the_reap)
{
    begin();
    struct thing *t = thing_new(7, true);
    NODE_UNREF(&t);
    ck_assert_uint_eq(n_ended, 0);
    ck_assert_uint_eq(node_count_live(), 1);
    ck_assert_uint_eq(node_reap(), 0);
    ck_assert_uint_eq(n_ended, 1);
    ck_assert_uint_eq(node_reap(), 0);
}
END_TEST

START_TEST(the_retired_go_in_any_order)
{
    begin();
    struct thing *t[3];
    struct node *n[3];
    for (unsigned i = 0; i < 3; i++) {
        t[i] = thing_new(i, true);
        n[i] = &t[i]->node;
        node_pin(n[i], 2);
    }
    for (unsigned i = 0; i < 3; i++)
        NODE_UNREF(&t[i]);
    node_unpin(n[1], 2); /* the one in the middle first */
    ck_assert_uint_eq(node_reap(), 2);
    ck_assert_uint_eq(n_ended, 1);
    ck_assert_uint_eq(ended[0], 1);
    node_unpin(n[0], 2);
    ck_assert_uint_eq(node_reap(), 1);
    ck_assert_uint_eq(ended[1], 0);
    node_unpin(n[2], 2);
    ck_assert_uint_eq(node_reap(), 0);
    ck_assert_uint_eq(ended[2], 2);
}
END_TEST

/* A stream pins the route configuration, whose virtual hosts go with it and not before. */
START_TEST(a_pinned_parent_keeps_its_children)
{
    begin();
    struct thing *parent = thing_new(1, true), *child = thing_new(2, true);
    struct node *n = &parent->node;
    parent->child = child;
    node_pin(n, 3);
    NODE_UNREF(&parent);
    ck_assert_uint_eq(node_reap(), 1);
    ck_assert_uint_eq(node_count_live(), 2);
    ck_assert_uint_eq(child->number, 2);
    node_unpin(n, 3);
    while (node_count_live())
        node_reap(); /* the child was retired by its parent's end */
    ck_assert_uint_eq(n_ended, 2);
}
END_TEST

static void *use_and_unpin(void *arg)
{
    struct thing *t = arg;
    unsigned sum = 0;
    for (unsigned i = 0; i < 1000; i++)
        sum += t->number;
    node_unpin(&t->node, 2);
    return (void *)(uintptr_t)sum;
}

START_TEST(a_worker_reads_until_it_unpins)
{
    begin();
    for (unsigned round = 0; round < 50; round++) {
        struct thing *t = thing_new(3, true);
        pthread_t worker;
        node_pin(&t->node, 2);
        ck_assert_int_eq(pthread_create(&worker, NULL, use_and_unpin, t), 0);
        NODE_UNREF(&t);
        while (node_reap())
            ;
        void *sum;
        pthread_join(worker, &sum);
        ck_assert_uint_eq((uintptr_t)sum, 3000);
    }
    ck_assert_uint_eq(node_count_live(), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node");
    TCase *t = tcase_create("all");
    tcase_add_test(t, plain_nodes_end_with_their_last_reference);
    tcase_add_test(t, pins_of_any_slot_hold);
    tcase_add_test(t, a_pinnable_node_waits_for_the_reap);
    tcase_add_test(t, the_retired_go_in_any_order);
    tcase_add_test(t, a_pinned_parent_keeps_its_children);
    tcase_add_test(t, a_worker_reads_until_it_unpins);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
