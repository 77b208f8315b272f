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
    ck_assert_int_eq(parse("--concurrency", "4294967295"), OPTIONS_ERROR);
    ck_assert_str_eq(error_text(&err), "--concurrency: expected at most 128, got 4294967295");
}
END_TEST

START_TEST(empty_paths_are_not_given)
{
    ck_assert_int_eq(parse("--log-path", ""), OPTIONS_RUN);
    ck_assert_ptr_null(o.log_path);
    ck_assert_int_eq(parse("--admin-address-path", ""), OPTIONS_RUN);
    ck_assert_ptr_null(o.admin_address_path);
    ck_assert_int_eq(parse("--base-id-path", ""), OPTIONS_RUN);
    ck_assert_ptr_null(o.base_id_path);
    ck_assert_int_eq(parse("--state-dir", ""), OPTIONS_RUN);
    ck_assert_ptr_null(o.state_dir);
    ck_assert_int_eq(parse("--log-path", "x"), OPTIONS_RUN);
    ck_assert_str_eq(o.log_path, "x");
    /* It would allow what was to be locked. */
    ck_assert_int_eq(parse("--sandbox-read", ""), OPTIONS_RUN);
    ck_assert_uint_eq(o.sandbox.read.n, 1);
}
END_TEST

static const struct {
    const char *flag, *value, *words; /* NULL: taken */
} rows[] = {
    {"--stats-tag", "a:b", NULL},
    {"--stats-tag", ":b", NULL},
    {"--stats-tag", "A9:b:c d/\xc3\xa9", NULL},
    {"--stats-tag", "", "--stats-tag: expected tag:value, got ''"},
    {"--stats-tag", "a:", "--stats-tag: expected a value without '.' after ':', got 'a:'"},
    {"--stats-tag", "a:.", "--stats-tag: expected a value without '.' after ':', got 'a:.'"},
    {"--stats-tag", "\xc3\xa9:b",
     "--stats-tag: expected letters and digits before ':', got '\xc3\xa9:b'"},
    {"--stats-tag", "a-b:c", "--stats-tag: expected letters and digits before ':', got 'a-b:c'"},
    {"--mode", "init_only", NULL},
    {"--mode", "init-only", "--mode: expected serve, validate or init_only, got 'init-only'"},
    {"--use-dynamic-base-id", "--restart-epoch=0", NULL},
    {"--use-dynamic-base-id", "--restart-epoch=1",
     "error: cannot use --restart-epoch=1 with --use-dynamic-base-id"},
};

START_TEST(what_a_flag_may_say)
{
    ck_assert_int_eq(parse(rows[_i].flag, rows[_i].value),
                     rows[_i].words ? OPTIONS_ERROR : OPTIONS_RUN);
    ck_assert_str_eq(error_text(&err), rows[_i].words ? rows[_i].words : "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *t = tcase_create("all");
    tcase_add_test(t, more_cpus_than_workers_may_be);
    tcase_add_test(t, workers_that_are_asked_for);
    tcase_add_test(t, empty_paths_are_not_given);
    tcase_add_loop_test(t, what_a_flag_may_say, 0, sizeof(rows) / sizeof(rows[0]));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
