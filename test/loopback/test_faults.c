/* Security catalogue 3.4: whatever a peer or a new configuration does to a stream, and when, the
 * proxy survives it, leaks nothing, and the client sees a whole answer, an error, or a close.
 *
 * Every fault strikes at every point at which a scenario may yield (sim.h). FAULTS_STRIDE=n takes
 * each n-th point only; FAULTS_SCENARIO=text the scenarios with that in their name. */
#include <malloc.h>
#include <stdio.h>

#include "base/check.h"
#include "sim_scenarios.h"
#include "suite.h"

static unsigned long runs;

static unsigned long stride(void)
{
    const char *text = getenv("FAULTS_STRIDE");
    unsigned long n = text ? strtoul(text, NULL, 10) : 0;
    return n ? n : HEAP_IS_WATCHED ? 7 : 1;
}

static void run(const struct sim_scenario *sc, enum sim_pair pair, struct route_config *routes,
                struct route_config *other, enum sim_fault fault, unsigned long at, struct sim *s)
{
    bool good = sim_run(sc, pair, routes, other, fault, at, s);
    runs++;
    ck_assert_msg(good, "%s, %s: %s at point %lu: %s", sc->name, sim_pair_names[pair],
                  sim_fault_names[fault], at, strbuf_str(&s->wrong));
    if (at)
        ck_assert_msg(s->struck, "%s, %s: %s at point %lu did not happen", sc->name,
                      sim_pair_names[pair], sim_fault_names[fault], at);
    sim_fini(s);
}

START_TEST(test_fault_at_every_point)
{
    static struct sim first, s;
    const struct sim_scenario *sc = &sim_scenarios[_i % (int)sim_n_scenarios];
    enum sim_pair pair = (enum sim_pair)(_i / (int)sim_n_scenarios);
    const char *only = getenv("FAULTS_SCENARIO");
    if ((only && !strstr(sc->name, only)) || !sim_has(sc, pair))
        return;
    sim_start();
    struct route_config *routes = sim_routes(sc), *other = sim_other_routes();
    run(sc, pair, routes, other, SIM_NONE, 0, &first);
    ck_assert_uint_lt(first.points, SIM_POINTS);
    unsigned long step = stride();
    for (enum sim_fault fault = SIM_NONE + 1; fault < SIM_MEMORY; fault++) {
        if (!sim_strikes(fault, pair))
            continue;
        for (unsigned long at = 1 + (unsigned long)fault % step; at <= first.points; at += step) {
            if (sim_fault_kinds[fault] != SIM_KIND_CONFIG || first.is_turn[at])
                run(sc, pair, routes, other, fault, at, &s);
        }
    }
    if (getenv("FAULTS_COUNT"))
        fprintf(stderr, "%s, %-32s %4lu points, %lu runs so far\n", sim_pair_names[pair], sc->name,
                first.points, runs);
    NODE_UNREF(&routes);
    NODE_UNREF(&other);
    node_reap();
    sim_stop();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("faults");
    tcase_set_timeout(t, 0);
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* worlds come and go: do not ask the kernel each time */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    tcase_add_loop_test(t, test_fault_at_every_point, 0, SIM_PAIRS * (int)sim_n_scenarios);
    return run_suite(t);
}
