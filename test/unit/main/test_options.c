#include "main/options.h"

#include <check.h>
#include <sched.h>
#include <stdlib.h>

#include "main/cpus.h"

/* In place of libc's: a machine of any size. */
static int n_cpus;

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    CPU_ZERO_S(size, set);
    for (int i = 0; i < n_cpus; i++)
        CPU_SET_S(i, size, set);
    return 0;
}

static struct options o;
static struct error err;

static enum options_result parse(const char *flag, const char *value)
{
    char *argv[] = {"xylem", "-c", "file", (char *)flag, (char *)value, NULL};
    error_fini(&err);
    options_fini(&o);
    return options_parse(&o, value ? 5 : flag ? 4 : 3, argv, &err);
}

START_TEST(more_cpus_than_workers_may_be)
{
    n_cpus = 192;
    ck_assert_int_eq(parse(NULL, NULL), OPTIONS_RUN);
    if (cpus_quota("") == 0) {
        ck_assert_uint_eq(o.concurrency, 128);
        ck_assert_str_eq(strbuf_str(&o.notices), "192 CPUs may be used, for at most 128 workers\n");
    }
    n_cpus = 2;
    ck_assert_int_eq(parse(NULL, NULL), OPTIONS_RUN);
    ck_assert_uint_le(o.concurrency, 2);
    ck_assert_str_eq(strbuf_str(&o.notices), "");
}
END_TEST

START_TEST(workers_that_are_asked_for)
{
    n_cpus = 192;
    ck_assert_int_eq(parse("--concurrency", "128"), OPTIONS_RUN);
    ck_assert_uint_eq(o.concurrency, 128);
    ck_assert_int_eq(parse("--concurrency", "0"), OPTIONS_RUN);
    ck_assert_uint_eq(o.concurrency, 1);
    ck_assert_int_eq(parse("--concurrency", "129"), OPTIONS_ERROR);
    ck_assert_str_eq(error_text(&err), "--concurrency: expected at most 128, got 129");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *t = tcase_create("all");
    tcase_add_test(t, more_cpus_than_workers_may_be);
    tcase_add_test(t, workers_that_are_asked_for);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
