#include "main/cpus.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* A folder in the place of "/". */
static char top[64];

static void set_up(void)
{
    strcpy(top, "/tmp/xylem-cpus-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
}

static void write_text(const char *name, const char *text)
{
    char path[256], part[256];
    snprintf(path, sizeof(path), "%s%s", top, name);
    for (char *slash = path + strlen(top) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        (void)mkdir(part, 0755);
    }
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static unsigned quota(const char *mounts, const char *groups)
{
    write_text("/proc/self/mountinfo", mounts);
    write_text("/proc/self/cgroup", groups);
    return cpus_quota(top);
}

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1(root)                                                                                   \
    "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"                                                        \
    "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                            \
    "32 30 0:28 " root " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

/* A unit of systemd has its quota in a group of its own. */
START_TEST(version_2)
{
    ck_assert_uint_eq(quota(V2, "0::/\n"), 0);
    write_text("/sys/fs/cgroup/system.slice/x.service/cpu.max", "150000 100000\n");
    ck_assert_uint_eq(quota(V2, "0::/\n"), 0);
    ck_assert_uint_eq(quota(V2, "0::/system.slice/x.service\n"), 2);
    write_text("/sys/fs/cgroup/system.slice/cpu.max", "100000 100000\n");
    ck_assert_uint_eq(quota(V2, "0::/system.slice/x.service\n"), 1); /* of all its neighbours */
    write_text("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
    ck_assert_uint_eq(quota(V2, "0::/system.slice/x.service\n"), 2);
    ck_assert_uint_eq(quota(V2, "0::/system.slice/y.service\n"), 0);
    write_text("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    ck_assert_uint_eq(quota(V2, "0::/../../other\n"), 3); /* a container's own */
    write_text("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    ck_assert_uint_eq(quota(V2, "0::/system.slice/x.service\n"), 1);
}
END_TEST

START_TEST(version_1)
{
    const char *groups = "3:memory:/m\n4:cpu,cpuacct:/docker/1/sub\n0::/\n";
    write_text("/sys/fs/cgroup/memory/m/cpu.cfs_quota_us", "100000\n");
    write_text("/sys/fs/cgroup/memory/m/cpu.cfs_period_us", "100000\n");
    write_text("/sys/fs/cgroup/cpu,cpuacct/docker/1/sub/cpu.cfs_quota_us", "400000\n");
    write_text("/sys/fs/cgroup/cpu,cpuacct/docker/1/sub/cpu.cfs_period_us", "100000\n");
    write_text("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    write_text("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(quota(V1("/"), groups), 4);
    ck_assert_uint_eq(quota(V1("/"), "4:cpuacct:/docker/1/sub\n"), 0);
    /* A container that sees the groups of the machine by name, and its own alone mounted. */
    write_text("/sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_quota_us", "200000\n");
    write_text("/sys/fs/cgroup/cpu,cpuacct/sub/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(quota(V1("/docker/1"), groups), 2);
    write_text("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n");
    ck_assert_uint_eq(quota(V1("/docker/1"), groups), 1);
    ck_assert_uint_eq(quota(V1("/docker/2"), groups), 1);
}
END_TEST

START_TEST(what_makes_no_sense)
{
    static const char *const quotas[] = {"",
                                         "max",
                                         "x y\n",
                                         "0 100000\n",
                                         "-5 100000\n",
                                         "100000 0\n",
                                         "9223372036854775807 1\n",
                                         "100000\n"};
    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
        write_text("/sys/fs/cgroup/cpu.max", quotas[i]);
        ck_assert_uint_eq(quota(V2, "0::/\n"), 0);
    }
    write_text("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    ck_assert_uint_eq(quota("", ""), 0);
    ck_assert_uint_eq(quota("30\n\n- - -\n", "0\n:\n0::/"), 0);
    ck_assert_uint_eq(quota(V2, ""), 1);
    ck_assert_uint_eq(cpus_quota("/no/such/place"), 0);
}
END_TEST

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static void tear_down(void)
{
    ck_assert_int_eq(nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void)
{
    Suite *suite = suite_create("cpus");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, version_2);
    tcase_add_test(t, version_1);
    tcase_add_test(t, what_makes_no_sense);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
