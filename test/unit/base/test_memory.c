#include "base/memory.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

START_TEST(zero_bytes_are_something)
{
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_try(0);
    ck_assert(a && b && c);
    mem_free(a);
    mem_free(b);
    c = mem_realloc(c, 0);
    ck_assert_ptr_nonnull(c);
    mem_free(c);
    mem_free(NULL);
    char *s = mem_strdup("");
    ck_assert_str_eq(s, "");
    mem_free(s);
}
END_TEST

START_TEST(zeroed)
{
    struct thing {
        int a;
        void *p;
        char text[40];
    } *t = NEW(struct thing);
    ck_assert(t->a == 0 && t->p == NULL && t->text[39] == 0);
    mem_free(t);
}
END_TEST

START_TEST(arrays_grow)
{
    int *list = NULL;
    size_t cap = 0, grown = 0;
    for (size_t i = 0; i < 10000; i++) {
        size_t before = cap;
        GROW(list, cap, i + 1);
        ck_assert_uint_gt(cap, i);
        grown += cap != before;
        list[i] = (int)i;
    }
    ck_assert_uint_lt(grown, 15); /* doubling, not one at a time */
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(list[i], i);
    GROW(list, cap, 100000); /* more than double at once */
    ck_assert_uint_ge(cap, 100000);
    mem_free(list);
}
END_TEST

/* What the process says as it ends, and that it ended so: by SIGABRT, or with an exit code. */
static void dies_saying(void (*fn)(void), const char *want, int exit_code)
{
    char text[512] = "";
    int fds[2], status;
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(text) - 1 && (got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (exit_code)
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == exit_code);
    else
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_msg(strstr(text, want) != NULL, "%s", text);
}

static void broken_promise(void)
{
    CHECK(1 + 1 == 3);
}

static void stale_object(void)
{
    struct {
        uint32_t magic;
    } object = {7};
    CHECK_MAGIC(&object, 8);
}

START_TEST(checks_end_the_process)
{
    dies_saying(broken_promise, "1 + 1 == 3", 0);
    dies_saying(broken_promise, "test_memory.c:", 0);
    dies_saying(stale_object, "magic", 0);
}
END_TEST

static void too_much(void)
{
    mem_free(mem_alloc(PTRDIFF_MAX));
}

static void nothing_left(void)
{
    mem_exhausted(17);
}

START_TEST(no_memory_ends_the_process)
{
    if (!HEAP_IS_WATCHED) /* a sanitizer says it in its own way */
        dies_saying(too_much, "xylem: out of memory (9223372036854775807 bytes)", 71);
    dies_saying(nothing_left, "xylem: out of memory (17 bytes)", 71);
}
END_TEST

START_TEST(arrays_that_cannot_grow_say_so)
{
    int *list = NULL;
    size_t cap = 0;
    ck_assert(mem_try_grow(&list, &cap, 3, sizeof(*list)));
    ck_assert_uint_eq(cap, 8);
    list[2] = 7;
    if (!HEAP_IS_WATCHED)
        ck_assert(!mem_try_grow(&list, &cap, PTRDIFF_MAX / sizeof(*list), sizeof(*list)));
    ck_assert_uint_eq(cap, 8);
    ck_assert_int_eq(list[2], 7);
    ck_assert(mem_try_grow(&list, &cap, 9, sizeof(*list)));
    ck_assert_uint_eq(cap, 16);
    ck_assert_int_eq(list[2], 7);
    mem_free(list);
}
END_TEST

START_TEST(a_reserve_is_given_up_once)
{
    ck_assert(!mem_reserve_spend());
    ck_assert(mem_reserve(1));
    ck_assert(mem_reserve(100000)); /* is there already */
    ck_assert(mem_reserve_spend());
    ck_assert(!mem_reserve_spend());
    ck_assert(mem_reserve(10000000));
    mem_reserve_end();
    ck_assert(!mem_reserve_spend());
    ck_assert(!mem_reserve(PTRDIFF_MAX));
    ck_assert(mem_reserve_spend()); /* some was kept */
}
END_TEST

/* The address space is full but for the reserve: as much is allocated, once. */
static void full_but_for_the_reserve(void)
{
    enum { SIZE = 64 * 1024 * 1024 };
    unsigned long pages = 0;
    if (!mem_reserve(SIZE))
        return;
    FILE *f = fopen("/proc/self/statm", "r");
    bool known = f && fscanf(f, "%lu", &pages) == 1;
    rlim_t now = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
    if (!known || setrlimit(RLIMIT_AS, &(struct rlimit){now, now}) != 0)
        return;
    mem_free(mem_try(100));
    void *first = mem_try(SIZE / 2);
    if (first)
        return; /* there was room */
    first = mem_alloc(SIZE / 2);
    dprintf(STDERR_FILENO, "one ");
    memset(first, 1, SIZE / 2);
    mem_free(mem_alloc(SIZE));
}

START_TEST(a_reserve_saves_an_allocation)
{
    if (!HEAP_IS_WATCHED)
        dies_saying(full_but_for_the_reserve, "one xylem: out of memory (67108864 bytes)", 71);
}
END_TEST

SUITE("memory", zero_bytes_are_something, zeroed, arrays_grow, checks_end_the_process,
      no_memory_ends_the_process, arrays_that_cannot_grow_say_so, a_reserve_is_given_up_once,
      a_reserve_saves_an_allocation)
