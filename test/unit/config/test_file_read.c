#include "config/file_read.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[32];
static struct arena *arena;
static struct bytes got;

static void setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/xylem-read-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    arena = arena_new(0);
}

static void teardown(void)
{
    ck_assert_int_eq(rmdir(folder), 0);
    arena_free(&arena);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* The error, or "" */
static const char *read_path(const char *path, size_t max)
{
    struct error err = ERROR_INIT;
    bool ok = file_read(bytes_of(path), max, arena, &got, &err);
    const char *text = arena_str(arena, bytes_of(error_text(&err)));
    ck_assert(ok == !error_is_set(&err));
    error_fini(&err);
    return text;
}

START_TEST(a_file_within_its_bound)
{
    const char *path = in_folder("file");
    FILE *f = fopen(path, "w");
    ck_assert(f && fputs("hello", f) >= 0 && fclose(f) == 0);
    ck_assert_str_eq(read_path(path, 5), "");
    ck_assert(bytes_eq(got, BYTES("hello")));
    ck_assert_str_eq(read_path(path, SIZE_MAX), ""); /* takes what the file has, not the bound */
    const char *said = read_path(path, 4);
    ck_assert_ptr_nonnull(strstr(said, "size is 5 bytes; maximum is 4"));
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_str_eq(read_path(path, 4), "");
    ck_assert_uint_eq(got.len, 0);
    unlink(path);
}
END_TEST

START_TEST(what_is_no_file)
{
    const char *path = in_folder("pipe");
    ck_assert_str_eq(read_path("/no/such", 9), "cannot read '/no/such': No such file or directory");
    ck_assert_ptr_nonnull(strstr(read_path(folder, 9), "it is a folder"));
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_ptr_nonnull(strstr(read_path(path, 9), "Invalid path: ")); /* and does not wait */
    unlink(path);
    ck_assert_str_eq(read_path("/dev/zero", 9), "Invalid path: /dev/zero");
}
END_TEST

START_TEST(what_the_kernel_makes_up)
{
    const char *path = in_folder("link");
    ck_assert_str_eq(read_path("/proc/self/environ", 9999), "Invalid path: /proc/self/environ");
    ck_assert_str_eq(read_path("/sys/kernel/mm/transparent_hugepage/enabled", 9999)[0] ? "refused"
                                                                                       : "read",
                     "refused");
    ck_assert_int_eq(symlink("/proc/self/status", path), 0);
    ck_assert_ptr_nonnull(strstr(read_path(path, 9999), "Invalid path: "));
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("file_read");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_file_within_its_bound);
    tcase_add_test(t, what_is_no_file);
    tcase_add_test(t, what_the_kernel_makes_up);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
