/* A loop that does not come back from a turn is seen, counted once, shown with its stack, and
 * ends the process where that was asked for. Nothing here depends on how fast the machine is: the
 * loop stays stuck until the test has seen what it waits for. */
#include "main/watchdog.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "dataplane/net/loop_guard.h"
#include "main/post_call.h"

enum { BOUND_S = 30 };

struct world {
    struct stat_store *stats;
    struct stat_scope *scope, *group; /* of worker_0 and of its group */
    struct loop *loop;
    struct watchdog *dog;
    pthread_t thread;
    atomic_bool stuck, release;
};

static void *run(void *arg)
{
    loop_run(((struct world *)arg)->loop);
    return NULL;
}

static void begin(struct world *w, const struct watchdog_config *c, bool kill_never)
{
    struct error err = ERROR_INIT;
    *w = (struct world){.stats = stat_store_new(3)};
    w->loop = loop_new(&clock_real, &err);
    w->dog = watchdog_new(w->stats);
    watchdog_add_group(w->dog, "workers", c);
    watchdog_watch(w->dog, "worker_0", w->loop, kill_never);
    w->scope = stat_scope_get(w->stats, bytes_of(kill_never ? "xylem.worker_0" : "server.worker_0"),
                              &watchdog_stat_schema);
    w->group = stat_scope_get(w->stats, BYTES("workers"), &watchdog_stat_schema);
    CHECK(pthread_create(&w->thread, NULL, run, w) == 0);
    watchdog_start(w->dog);
}

static void stop(void *a, void *b)
{
    loop_stop(a);
}

static void end(struct world *w)
{
    watchdog_stop(w->dog);
    post_call(w->loop, stop, w->loop, NULL);
    pthread_join(w->thread, NULL);
    stat_scope_unref(&w->scope);
    stat_scope_unref(&w->group);
    watchdog_free(&w->dog);
    loop_free(&w->loop);
    stat_store_free(&w->stats);
}

static void hang(void *a, void *b)
{
    struct world *w = a;
    atomic_store(&w->stuck, true);
    while (!atomic_load(&w->release))
        sched_yield();
    atomic_store(&w->release, false);
    atomic_store(&w->stuck, false);
}

static int64_t count(const struct stat_scope *s, unsigned id)
{
    return stat_read(s, id, &(bool){false});
}

#define WAIT(condition)                                                                            \
    do {                                                                                           \
        uint64_t until = clock_real.monotonic_ns(&clock_real) + BOUND_S * NS_PER_S;                \
        while (!(condition)) {                                                                     \
            sched_yield();                                                                         \
            ck_assert_msg(clock_real.monotonic_ns(&clock_real) < until, "%s", #condition);         \
        }                                                                                          \
    } while (0)

static bool asleep(const struct world *w)
{
    return atomic_load(&((struct loop_guard *)(void *)w->dog)->asleep);
}

START_TEST(test_a_stuck_loop_is_counted_once)
{
    struct world w;
    begin(&w, &(struct watchdog_config){.miss_ms = 20, .mega_miss_ms = 40}, false);
    for (int turn = 1; turn <= 2; turn++) {
        post_call(w.loop, hang, &w, NULL);
        WAIT(count(w.scope, 0) == turn && count(w.scope, 1) == turn);
        ck_assert_int_eq(count(w.group, 0), turn);
        ck_assert_int_eq(count(w.group, 1), turn);
        atomic_store(&w.release, true);
        WAIT(!atomic_load(&w.stuck));
        WAIT(loop_beat(w.loop) % 2 == 0);
    }
    end(&w);
}
END_TEST

START_TEST(test_no_loop_works_nobody_watches)
{
    struct world w;
    begin(&w, &(struct watchdog_config){.miss_ms = 20}, false);
    WAIT(asleep(&w));
    post_call(w.loop, hang, &w, NULL);
    WAIT(!asleep(&w)); /* the loop has woken it */
    WAIT(count(w.scope, 0) == 1);
    atomic_store(&w.release, true);
    WAIT(asleep(&w));
    ck_assert_int_eq(count(w.scope, 1), 0); /* off */
    end(&w);
}
END_TEST

START_TEST(test_all_off_is_no_thread)
{
    struct world w;
    begin(&w, &(struct watchdog_config){0}, false);
    ck_assert(!asleep(&w));
    end(&w);
}
END_TEST

/* How a process ends whose loop hangs for good, and what it said. */
static int fate(const struct watchdog_config *c, char *text, size_t size)
{
    int fds[2], status;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        static struct world w;
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        begin(&w, c, false);
        post_call(w.loop, hang, &w, NULL);
        alarm(BOUND_S);
        pthread_join(w.thread, NULL);
        _exit(0);
    }
    close(fds[1]);
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(fds[0], text + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = '\0';
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void check_fate(const struct watchdog_config *c, const char *words)
{
    static char text[65536];
    ck_assert_int_eq(fate(c, text, sizeof(text)), SIGABRT);
    ck_assert_msg(strstr(text, words) != NULL, "%s", text);
    ck_assert_msg(strstr(text, "watchdog: worker_0 #1 ") != NULL, "no stack: %s", text);
}

START_TEST(test_kill)
{
    check_fate(&(struct watchdog_config){.miss_ms = 10, .kill_ms = 20, .kill_jitter_ms = 5},
               "stuck for more than watchdog_kill_timeout");
    check_fate(&(struct watchdog_config){.miss_ms = 10, .abort_at_miss = true},
               "watchdog: worker_0 (thread ");
    check_fate(&(struct watchdog_config){.mega_miss_ms = 10, .abort_at_mega_miss = true},
               "(mega miss)");
}
END_TEST

START_TEST(test_one_thread_is_no_multi_kill)
{
    struct world w;
    begin(&w, &(struct watchdog_config){.mega_miss_ms = 60, .multi_kill_ms = 20}, false);
    post_call(w.loop, hang, &w, NULL);
    WAIT(count(w.scope, 1) == 1); /* well beyond: it takes two */
    atomic_store(&w.release, true);
    end(&w);
    begin(&w, &(struct watchdog_config){.mega_miss_ms = 60, .kill_ms = 20}, true);
    post_call(w.loop, hang, &w, NULL);
    WAIT(count(w.scope, 1) == 1); /* never killed */
    atomic_store(&w.release, true);
    end(&w);
    begin(&w, &(struct watchdog_config){.miss_ms = 20, .abort_at_miss = true}, true);
    post_call(w.loop, hang, &w, NULL);
    WAIT(count(w.scope, 0) == 1); /* nor by an action */
    atomic_store(&w.release, true);
    end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("watchdog");
    TCase *t = tcase_create("watchdog");
    tcase_set_timeout(t, 4 * BOUND_S);
    tcase_add_test(t, test_a_stuck_loop_is_counted_once);
    tcase_add_test(t, test_no_loop_works_nobody_watches);
    tcase_add_test(t, test_all_off_is_no_thread);
    tcase_add_test(t, test_kill);
    tcase_add_test(t, test_one_thread_is_no_multi_kill);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
