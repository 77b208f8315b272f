/* Folders that are watched, with real files and a real loop. */
#include "main/file_watch.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/net/loop.h"

static struct loop *loop;
static struct file_watch_set *set;
static char folder[64], path[128], other[128];
static unsigned told, told_any;

static void setup(void)
{
    struct error err = ERROR_INIT;
    loop = loop_new(&clock_real, &err);
    ck_assert_ptr_nonnull(loop);
    set = file_watch_set_new(loop);
    snprintf(folder, sizeof(folder), "%s/xylem-watch-XXXXXX", getenv("TMPDIR") ?: "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/it", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    told = told_any = 0;
}

static void teardown(void)
{
    file_watch_set_free(&set);
    loop_free(&loop);
    unlink(path);
    unlink(other);
    rmdir(folder);
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void write_file(const char *name)
{
    FILE *f = fopen(name, "w");
    ck_assert_ptr_nonnull(f);
    fputs("x", f);
    loop_turn(loop, false);
    ck_assert_int_eq(fclose(f), 0);
}

START_TEST(test_moved_or_written_and_closed)
{
    struct error err = ERROR_INIT;
    struct file_watch *w = file_watch_new(set, bytes_of(folder), BYTES("it"), count, &told, &err);
    struct file_watch *any =
        file_watch_new(set, bytes_of(folder), BYTES(""), count, &told_any, &err);
    ck_assert(w && any);
    write_file(other);
    ck_assert_uint_eq(told_any, 0); /* written, and not closed yet */
    loop_turn(loop, true);
    ck_assert_uint_eq(told, 0);
    ck_assert_uint_eq(told_any, 1);
    ck_assert_int_eq(rename(other, path), 0);
    loop_turn(loop, true);
    ck_assert_uint_eq(told, 1);
    ck_assert_uint_eq(told_any, 2);
    write_file(path);
    loop_turn(loop, true);
    ck_assert_uint_eq(told, 2);
    file_watch_free(set, &w); /* the other one watches on */
    write_file(path);
    loop_turn(loop, true);
    ck_assert_uint_eq(told, 2);
    ck_assert_uint_eq(told_any, 4);
}
END_TEST

START_TEST(test_what_cannot_be_watched)
{
    struct error err = ERROR_INIT;
    ck_assert_ptr_null(file_watch_new(set, BYTES("/no/such"), BYTES("it"), count, &told, &err));
    ck_assert_ptr_nonnull(strstr(error_text(&err), "'/no/such': No such file"));
    error_fini(&err);
    write_file(path); /* a file is no folder */
    ck_assert_ptr_null(file_watch_new(set, bytes_of(path), BYTES(""), count, &told, &err));
    error_fini(&err);
}
END_TEST

START_TEST(test_a_folder_that_goes)
{
    struct error err = ERROR_INIT;
    struct file_watch *w = file_watch_new(set, bytes_of(folder), BYTES("it"), count, &told, &err);
    ck_assert_int_eq(rmdir(folder), 0);
    loop_turn(loop, true);
    ck_assert_uint_eq(told, 0);
    file_watch_free(set, &w);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("file_watch");
    TCase *t = tcase_create("file_watch");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_moved_or_written_and_closed);
    tcase_add_test(t, test_what_cannot_be_watched);
    tcase_add_test(t, test_a_folder_that_goes);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
