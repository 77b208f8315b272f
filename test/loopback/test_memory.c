/* Every allocation of our own code that a scenario makes fails in turn (the heap calls of this
 * program are wrapped at link time; those inside of shared libraries are not ours).
 *
 * A child shows what comes of it: the process ends with its message and its exit code, or goes on.
 * What goes on is soft, made by mem_try() for what a peer can size; it is played again in here: the
 * client sees an answer, an error or a close, the next one is served, nothing leaks.
 * MEMORY_STRIDE=n takes each n-th only (11 under a sanitizer, where forks are dear);
 * MEMORY_SCENARIO=text the scenarios with that in their name; MEMORY_COUNT=1 prints how many there
 * are. Peers that speak HTTP/2 always find memory: the proxy's is what counts. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim_h2.h"
#include "sim_scenarios.h"
#include "suite.h"

/* The scenario with large heads has them so long: no buffer of ours or of the test's has that size,
 * so an allocation that has is one that the peer sized, and soft. */
enum { HEAD = 20000 };

static bool playing;
static enum sim_pair pair;
static unsigned long calls, fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static bool fails(void)
{
    if (!playing || sim_h2_inside)
        return false;
    return ++calls == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

static void on_play(bool begins)
{
    playing = begins;
    if (begins)
        calls = 0;
}

static bool play(const struct sim_scenario *sc, struct route_config *routes, unsigned long at,
                 struct sim *s)
{
    fail_at = at;
    return sim_run(sc, pair, routes, routes, at ? SIM_MEMORY : SIM_NONE, 0, s);
}

/* True: it goes on without that allocation. */
static bool goes_on(const struct sim_scenario *sc, struct route_config *routes, unsigned long at)
{
    static struct sim s;
    char text[256];
    int fds[2], status;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        play(sc, routes, at, &s);
        _exit(0);
    }
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    text[n > 0 ? n : 0] = '\0';
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    size_t size = 0;
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OUT_OF_MEMORY &&
                 sscanf(text, "xylem: out of memory (%zu bytes", &size) == 1;
    ck_assert_msg(ended || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
                  "%s: allocation %lu: status %d, \"%s\"", sc->name, at, status, text);
    ck_assert_msg(!ended || size < HEAD || size >= HEAD + 1000,
                  "%s: allocation %lu: of %zu bytes, as a peer wanted it, ended the process",
                  sc->name, at, size);
    return !ended;
}

static void check_goes_on(const struct sim_scenario *sc, struct route_config *routes,
                          unsigned long at)
{
    static struct sim s;
    bool good = play(sc, routes, at, &s);
    ck_assert_msg(good, "%s: allocation %lu: %s", sc->name, at, strbuf_str(&s.wrong));
    ck_assert_uint_ge(calls, at);
    sim_fini(&s);
}

START_TEST(test_every_allocation_fails)
{
    static struct sim s;
    const struct sim_scenario *sc = &sim_scenarios[_i % (int)sim_n_scenarios];
    const char *text = getenv("MEMORY_STRIDE");
    unsigned long step = text ? strtoul(text, NULL, 10) : HEAP_IS_WATCHED ? 11 : 1, n_soft = 0;
    const char *only = getenv("MEMORY_SCENARIO");
    pair = (enum sim_pair)(_i / (int)sim_n_scenarios);
    if ((only && !strstr(sc->name, only)) || !sim_has(sc, pair))
        return;
    sim_start();
    struct route_config *routes = sim_routes(sc);
    sim_on_play = on_play;
    for (int i = 0; i < 2; i++) { /* the second finds the log's file known, as all that follow */
        ck_assert_msg(play(sc, routes, 0, &s), "%s: %s", sc->name, strbuf_str(&s.wrong));
        sim_fini(&s);
    }
    unsigned long n = calls;
    for (unsigned long at = 1; at <= n; at += step ? step : 1) {
        if (!goes_on(sc, routes, at))
            continue;
        check_goes_on(sc, routes, at);
        n_soft++;
    }
    sim_on_play = NULL;
    ck_assert_msg(n_soft > 0 || step > 1, "%s: none of %lu allocations is soft", sc->name, n);
    if (getenv("MEMORY_COUNT"))
        fprintf(stderr, "%-32s %4lu allocations, %lu soft\n", sc->name, n, n_soft);
    NODE_UNREF(&routes);
    node_reap();
    sim_stop();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("memory");
    tcase_set_timeout(t, 0);
    tcase_add_loop_test(t, test_every_allocation_fails, 0, SIM_PAIRS * (int)sim_n_scenarios);
    return run_suite(t);
}
