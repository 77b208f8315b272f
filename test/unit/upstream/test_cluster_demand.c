/* Who waits for a cluster: asked once, woken by a snapshot or by word that there is none. */
#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/builder.h"
#include "config/config_source.h"
#include "config/snapshot.h"
#include "dataplane/net/worker.h"
#include "dataplane/upstream/cluster_demand.h"

static const struct config_source ads = {.kind = SOURCE_ADS, .key = {"ads", 3}};
static const struct config_source other = {.kind = SOURCE_GRPC, .key = {"other", 5}};
static struct worker worker;
static struct snapshot snapshot;
static struct strbuf log_text;

struct waiter {
    struct cluster_wait wait;
    const char *name;
    struct waiter *ends;  /* whose wait ends when this one is woken */
    const char *asks_for; /* and what it waits for then */
};

static void ask(void *ctx, enum resource_type type, const struct config_source *source,
                struct bytes name)
{
    strbuf_printf(&log_text, "ask %.*s %.*s;", BYTES_ARG(source->key), BYTES_ARG(name));
}

static void woken(struct cluster_wait *w)
{
    struct waiter *x = w->owner;
    strbuf_printf(&log_text, "%s;", x->name);
    ck_assert_ptr_null(w->on);
    if (x->ends)
        cluster_demand_cancel(&x->ends->wait);
    if (x->asks_for)
        cluster_demand_wait(&worker, RESOURCE_CLUSTER, &ads, bytes_of(x->asks_for), w);
    x->asks_for = NULL;
}

static void wait_on(struct waiter *x, const struct config_source *source, const char *name,
                    const char *self)
{
    x->name = self;
    x->wait.fn = woken;
    x->wait.owner = x;
    cluster_demand_wait(&worker, RESOURCE_CLUSTER, source, bytes_of(name), &x->wait);
}

static void expect(const char *text)
{
    ck_assert_str_eq(strbuf_str(&log_text), text);
    strbuf_reset(&log_text);
}

static void absent(const struct config_source *source, const char *name)
{
    struct strbuf key = STRBUF_INIT;
    builder_demand_key(&key, RESOURCE_CLUSTER, source, bytes_of(name));
    cluster_demand_settled(&worker, strbuf_bytes(&key));
    strbuf_fini(&key);
}

static void comes(const char *name)
{
    pmap_set(&snapshot.clusters, bytes_of(name), &snapshot);
    cluster_demand_review(&worker);
}

static void setup(void)
{
    snapshot.clusters = (struct pmap)PMAP_INIT(NULL);
    worker = (struct worker){.snapshot = &snapshot};
    cluster_demand_new(&worker, ask, NULL);
}

static void teardown(void)
{
    cluster_demand_free(&worker.demand);
    ck_assert_ptr_null(worker.demand);
    pmap_fini(&snapshot.clusters);
    strbuf_fini(&log_text);
}

START_TEST(many_wait_and_one_asks)
{
    struct waiter a = {0}, b = {0}, c = {0};
    wait_on(&a, &ads, "x", "a");
    wait_on(&b, &ads, "x", "b");
    wait_on(&c, &ads, "y", "c");
    expect("ask ads x;ask ads y;");
    absent(&ads, "x");
    expect("a;b;");
    absent(&ads, "x");
    expect("");
    wait_on(&a, &ads, "x", "a");
    expect("ask ads x;");
    comes("x");
    expect("a;");
    comes("y");
    expect("c;");
}
END_TEST

START_TEST(sources_are_apart)
{
    struct waiter a = {0}, b = {0};
    wait_on(&a, &ads, "x", "a");
    wait_on(&b, &other, "x", "b");
    expect("ask ads x;ask other x;");
    absent(&other, "x");
    expect("b;");
    comes("x");
    expect("a;");
}
END_TEST

START_TEST(who_leaves_is_not_woken)
{
    struct waiter a = {0}, b = {0};
    wait_on(&a, &ads, "x", "a");
    wait_on(&b, &ads, "x", "b");
    cluster_demand_cancel(&a.wait);
    cluster_demand_cancel(&a.wait);
    absent(&ads, "x");
    expect("ask ads x;b;");
    wait_on(&a, &ads, "x", "a");
    cluster_demand_cancel(&a.wait);
    comes("x");
    expect("ask ads x;");
}
END_TEST

START_TEST(who_is_woken_may_end_the_wait_of_others)
{
    struct waiter a = {0}, b = {0}, c = {0};
    a.ends = &c;
    b.ends = &a;
    wait_on(&a, &ads, "x", "a");
    wait_on(&b, &ads, "x", "b");
    wait_on(&c, &ads, "x", "c");
    absent(&ads, "x");
    expect("ask ads x;a;b;");
}
END_TEST

START_TEST(who_is_woken_may_wait_again)
{
    struct waiter a = {0}, b = {0}, c = {0};
    a.asks_for = "x";
    a.ends = &b; /* the last of those that are being woken */
    b.asks_for = NULL;
    wait_on(&a, &ads, "x", "a");
    wait_on(&b, &ads, "x", "b");
    absent(&ads, "x");
    expect("ask ads x;a;ask ads x;");
    wait_on(&c, &ads, "x", "c");
    expect("");
    a.ends = NULL;
    a.asks_for = "z";
    comes("x");
    expect("a;ask ads z;c;");
    comes("z");
    expect("a;");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cluster_demand");
    TCase *t = tcase_create("cluster_demand");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, many_wait_and_one_asks);
    tcase_add_test(t, sources_are_apart);
    tcase_add_test(t, who_leaves_is_not_woken);
    tcase_add_test(t, who_is_woken_may_end_the_wait_of_others);
    tcase_add_test(t, who_is_woken_may_wait_again);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
