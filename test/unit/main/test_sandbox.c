/* Each test acts in a child that has entered the sandbox: it tries the call and reports the errno
 * that it got as its exit status. */
#include "main/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include "base/log.h"
#include "base/memory.h"
#include "sandbox_calls.h"

static const struct sandbox_options plain;

static void enter(const struct sandbox_options *o)
{
    struct sandbox_status status;
    struct error err = ERROR_INIT;
    log_set_level(LOG_OFF);
    if (!sandbox_enter(o, &status, &err) || !status.seccomp || !status.no_new_privs) {
        fprintf(stderr, "# no sandbox: %s\n", error_text(&err));
        _exit(255);
    }
    error_fini(&err);
}

/* Runs fn in a child, inside the sandbox unless o is NULL: its status as waitpid() tells it. */
static int in_child(const struct sandbox_options *o, int (*fn)(const void *arg), const void *arg)
{
    int status;
    pid_t pid = fork();
    ck_assert(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setsid(); /* no terminal that a call could hang up */
        setrlimit(RLIMIT_CORE, &none);
        if (o)
            enter(o);
        _exit(fn(arg));
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static int errno_in_child(const struct sandbox_options *o, int (*fn)(const void *arg),
                          const void *arg)
{
    int status = in_child(o, fn, arg);
    ck_assert_msg(WIFEXITED(status), "signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

#define NEED(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# %s: %s\n", #cond, strerror(errno));                                 \
            return errno ? errno : 253;                                                            \
        }                                                                                          \
    } while (0)

/* ---- what is refused ---- */

static int try_call(const void *arg)
{
    const struct call *c = arg;
    pid_t self = getpid();
    errno = 0;
    long rc = syscall(c->number, -1L, -1L, -1L, -1L, -1L, -1L);
    if (getpid() != self)
        _exit(0); /* the child of a fork that was not refused */
    return rc == -1 ? errno : 0;
}

START_TEST(refused_calls)
{
    const struct call *c = &refused[_i];
    if (c->program && HEAP_IS_WATCHED)
        return;
    ck_assert_msg(errno_in_child(&plain, try_call, c) == EPERM, "%s: not refused", c->name);
}
END_TEST

/* The rows above prove something only where the kernel alone answers otherwise: it does for all but
 * those that want a privilege of whoever runs the test. */
START_TEST(refused_calls_are_let_through_outside)
{
    unsigned told = 0, rows = 0;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (refused[i].only)
            continue;
        rows++;
        told += errno_in_child(NULL, try_call, &refused[i]) != EPERM;
    }
    ck_assert_msg(told >= (geteuid() == 0 ? rows * 3 / 4 : rows / 4), "%u of %u", told, rows);
}
END_TEST

static int try_given(const void *arg)
{
    const struct given *g = arg;
    errno = 0;
    return syscall(g->number, g->args[0], g->args[1], g->args[2], 0, 0, 0) == -1 ? errno : 0;
}

START_TEST(refused_with_what_is_given)
{
    const struct given *g = &given[_i];
    if (g->program && HEAP_IS_WATCHED)
        return;
    int seen = errno_in_child(&plain, try_given, g);
    ck_assert_msg(seen == g->refused, "%s: %s", g->name, strerror(seen));
}
END_TEST

START_TEST(let_through_outside)
{
    unsigned told = 0;
    for (size_t i = 0; i < ARRAY_SIZE(given); i++)
        told += errno_in_child(NULL, try_given, &given[i]) != given[i].refused;
    ck_assert_msg(told >= ARRAY_SIZE(given) / 2, "%u", told);
}
END_TEST

static int try_clone(const void *flags)
{
    /* A thread without shared signal handlers: EINVAL, if anybody looks. */
    return syscall(SYS_clone, *(const unsigned long *)flags | CLONE_THREAD, 0, 0, 0, 0) == -1
               ? errno
               : 0;
}

static const unsigned long namespaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                           CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                           CLONE_NEWNET};

START_TEST(new_namespaces_are_refused)
{
    ck_assert_int_eq(errno_in_child(NULL, try_clone, &namespaces[_i]), EINVAL);
    ck_assert_int_eq(errno_in_child(&plain, try_clone, &namespaces[_i]), EPERM);
}
END_TEST

static int clone_process(const void *unused)
{
    long rc = syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
    if (rc == 0)
        _exit(0);
    return rc == -1 ? errno : 0;
}

static int clone3_call(const void *unused)
{
    return syscall(SYS_clone3, NULL, 0) == -1 ? errno : 0;
}

START_TEST(new_processes_are_refused)
{
    ck_assert_int_eq(errno_in_child(NULL, clone_process, NULL), 0);
    if (!HEAP_IS_WATCHED)
        ck_assert_int_eq(errno_in_child(&plain, clone_process, NULL), EPERM);
    ck_assert_int_eq(errno_in_child(&plain, clone3_call, NULL), ENOSYS);
}
END_TEST

#ifdef __x86_64__
static int x32_call(const void *unused)
{
    return syscall(0x40000000L | SYS_getpid) == -1 ? errno : 0;
}

START_TEST(foreign_calls_end_the_process)
{
    int status = in_child(&plain, x32_call, NULL);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}
END_TEST
#endif

static pthread_barrier_t entered;

static void *older_thread(void *arg)
{
    pthread_barrier_wait(&entered);
    static const struct call reboot_call = {"reboot", SYS_reboot};
    *(int *)arg = try_call(&reboot_call);
    return NULL;
}

static int enter_beside_a_thread(const void *unused)
{
    pthread_t thread;
    int seen = 0;
    pthread_barrier_init(&entered, NULL, 2);
    if (pthread_create(&thread, NULL, older_thread, &seen) != 0)
        return 254;
    enter(&plain);
    pthread_barrier_wait(&entered);
    pthread_join(thread, NULL);
    return seen;
}

START_TEST(threads_that_run_already_are_held)
{
    ck_assert_int_eq(errno_in_child(NULL, enter_beside_a_thread, NULL), EPERM);
}
END_TEST

static int no_new_privs(const void *unused)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

START_TEST(privileges_cannot_be_gained)
{
    ck_assert_int_eq(errno_in_child(NULL, no_new_privs, NULL), 0);
    ck_assert_int_eq(errno_in_child(&plain, no_new_privs, NULL), 1);
}
END_TEST

static int with_options_off(const void *unused)
{
    const struct sandbox_options off = {.off = true};
    struct sandbox_status status = {true, true, 1, true, 1};
    struct error err = ERROR_INIT;
    log_set_level(LOG_OFF);
    bool ok = sandbox_enter(&off, &status, &err);
    return !ok || status.seccomp || status.no_new_privs || status.domain || status.landlock_abi ||
           no_new_privs(NULL);
}

START_TEST(off_changes_nothing)
{
    ck_assert_int_eq(errno_in_child(NULL, with_options_off, NULL), 0);
}
END_TEST

/* ---- other processes ---- */

static long landlock_abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static bool has_landlock(void)
{
    return landlock_abi() > 0;
}

static int open_memory(const void *pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", *(const int *)pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? errno : 0;
}

/* A neighbour of the same user, who would let himself be traced. */
static pid_t start_neighbour(void)
{
    pid_t pid = fork();
    ck_assert(pid >= 0);
    if (pid == 0) {
        for (;;)
            pause();
    }
    return pid;
}

START_TEST(memory_of_others_is_out_of_reach)
{
    const char *all[] = {"/"};
    const struct sandbox_options o = {.read = {all, 1, 1}, .write = {all, 1, 1}};
    pid_t neighbour = start_neighbour();
    int outside = errno_in_child(NULL, open_memory, &neighbour);
    int inside = errno_in_child(&plain, open_memory, &neighbour);
    int with_folders = has_landlock() ? errno_in_child(&o, open_memory, &neighbour) : EACCES;
    kill(neighbour, SIGKILL);
    waitpid(neighbour, NULL, 0);
    if (outside != 0 || !has_landlock()) /* the machine forbids it to all: nothing to be shown */
        return;
    ck_assert_int_eq(inside, EACCES);
    ck_assert_int_eq(with_folders, EACCES);
}
END_TEST

/* By a way round the calls that send signals: whoever owns a descriptor hears of what comes in. */
static int signal_by_descriptor(const void *pid)
{
    int pair[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    NEED(fcntl(pair[0], F_SETOWN, *(const int *)pid) == 0);
    NEED(fcntl(pair[0], F_SETSIG, SIGKILL) == 0);
    NEED(fcntl(pair[0], F_SETFL, O_ASYNC) == 0);
    NEED(write(pair[1], "x", 1) == 1);
    return 0;
}

START_TEST(no_descriptor_signals_others)
{
    pid_t neighbour = start_neighbour();
    int inside = errno_in_child(&plain, signal_by_descriptor, &neighbour);
    kill(neighbour, SIGUSR1); /* what was sent first ends it */
    int status;
    waitpid(neighbour, &status, 0);
    ck_assert_int_eq(inside, EPERM);
    ck_assert_int_eq(WTERMSIG(status), SIGUSR1);
}
END_TEST

static int own_memory(const void *unused)
{
    int self = getpid();
    NEED(open_memory(&self) == 0);
    return 0;
}

static int signals_to_itself(const void *unused)
{
    NEED(kill(getpid(), 0) == 0 && pthread_kill(pthread_self(), 0) == 0);
    NEED(getrlimit(RLIMIT_NOFILE, &(struct rlimit){0}) == 0);
    return 0;
}

static int aborts(const void *unused)
{
    abort();
}

START_TEST(what_is_its_own_stays)
{
    ck_assert_int_eq(errno_in_child(&plain, own_memory, NULL), 0);
    ck_assert_int_eq(errno_in_child(&plain, signals_to_itself, NULL), 0);
    int status = in_child(&plain, aborts, NULL);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

/* ---- what a proxy needs ---- */

static void *new_thread(void *arg)
{
    prctl(PR_SET_NAME, "thread", 0, 0, 0);
    return arg;
}

static int sockets(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2];
    NEED(listening >= 0);
    NEED(setsockopt(listening, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
    NEED(bind(listening, (struct sockaddr *)&a, len) == 0 && listen(listening, 5) == 0);
    NEED(getsockname(listening, (struct sockaddr *)&a, &len) == 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    NEED(connect(client, (struct sockaddr *)&a, len) == 0);
    int server = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    NEED(server >= 0 && write(client, "x", 1) == 1);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    NEED(epoll_create1(0) >= 0 && eventfd(0, 0) >= 0);
    NEED(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0); /* libc lists addresses */
    NEED(socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
    return 0;
}

static int files(const char *folder)
{
    char path[256], other[300];
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(other, sizeof(other), "%s.1", path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    NEED(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    NEED(rename(path, other) == 0 && open(path, O_WRONLY | O_CREAT, 0644) >= 0);
    NEED(unlink(path) == 0 && unlink(other) == 0);
    snprintf(u.sun_path, sizeof(u.sun_path), "%s/socket", folder);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(bind(s, (struct sockaddr *)&u, sizeof(u)) == 0 && chmod(u.sun_path, 0600) == 0);
    NEED(unlink(u.sun_path) == 0);
    return 0;
}

/* Without named folders files are as free as ever; but the first version of Landlock lets nobody
 * move one to another folder. */
static int any_files(const char *folder)
{
    char sub[256], there[300], here[300];
    snprintf(sub, sizeof(sub), "%s/sub", folder);
    snprintf(there, sizeof(there), "%s/file", sub);
    snprintf(here, sizeof(here), "%s/file", folder);
    NEED(mkdir(sub, 0755) == 0);
    NEED(open("/etc/passwd", O_RDONLY) >= 0 && open("/proc/self/environ", O_RDONLY) >= 0);
    NEED(open(there, O_RDWR | O_CREAT, 0644) >= 0 && truncate(there, 5) == 0);
    NEED(rename(there, here) == 0 || landlock_abi() == 1);
    NEED(unlink(here) == 0 || unlink(there) == 0);
    NEED(rmdir(sub) == 0);
    return files(folder);
}

static int serve(const void *folder)
{
    pthread_t thread;
    int done = 0;
    void *result = NULL;
    NEED(pthread_create(&thread, NULL, new_thread, &done) == 0);
    NEED(pthread_join(thread, &result) == 0 && result == &done);
    NEED(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED);
    NEED(sockets() == 0);
    return any_files(folder);
}

static char *temporary_folder(void)
{
    static char path[] = "/tmp/xylem-sandbox-XXXXXX", made[sizeof(path)];
    memcpy(made, path, sizeof(path));
    ck_assert_ptr_nonnull(mkdtemp(made));
    return made;
}

START_TEST(serving_works)
{
    char *folder = temporary_folder();
    int seen = errno_in_child(&plain, serve, folder);
    rmdir(folder);
    ck_assert_int_eq(seen, 0);
}
END_TEST

/* ---- files ---- */

static int open_error(const char *folder, const char *name, int flags)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    errno = 0;
    int fd = open(path, flags | O_CLOEXEC, 0644);
    int e = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return e;
}

struct folders {
    char top[64], in[80], out[80];
};

static void make_folders(struct folders *f)
{
    const char *top = temporary_folder();
    snprintf(f->top, sizeof(f->top), "%s", top);
    snprintf(f->in, sizeof(f->in), "%s/in", top);
    snprintf(f->out, sizeof(f->out), "%s/out", top);
    ck_assert(mkdir(f->in, 0755) == 0 && mkdir(f->out, 0755) == 0);
    ck_assert(open_error(f->in, "config", O_WRONLY | O_CREAT) == 0);
    ck_assert(open_error(f->out, "old", O_WRONLY | O_CREAT) == 0);
    ck_assert(open_error(f->top, "secret", O_WRONLY | O_CREAT) == 0);
}

static void remove_folders(const struct folders *f)
{
    static const char *const names[] = {"in/config", "in", "out/old", "out", "secret"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", f->top, names[i]);
        ck_assert_msg(remove(path) == 0, "%s: %s", path, strerror(errno));
    }
    ck_assert_int_eq(rmdir(f->top), 0);
}

#define WANT(expr, expected)                                                                       \
    do {                                                                                           \
        int got_ = (expr);                                                                         \
        if (got_ != (expected)) {                                                                  \
            fprintf(stderr, "# %s: %s\n", #expr, strerror(got_));                                  \
            return 253;                                                                            \
        }                                                                                          \
    } while (0)

static int named_folders(const void *arg)
{
    const struct folders *f = arg;
    WANT(open_error(f->in, "config", O_RDONLY), 0);
    WANT(open_error(f->in, "config", O_WRONLY), EACCES);
    WANT(open_error(f->in, "new", O_WRONLY | O_CREAT), EACCES);
    WANT(open_error(f->out, "old", O_WRONLY | O_APPEND), 0);
    WANT(open_error(f->out, "old", O_WRONLY | O_TRUNC), 0);
    WANT(open_error(f->out, "old", O_RDONLY), EACCES);
    WANT(open_error(f->top, "secret", O_RDONLY), EACCES);
    WANT(open_error(f->top, "in/../secret", O_RDONLY), EACCES);
    WANT(open_error("/etc", "passwd", O_RDONLY), EACCES);
    WANT(open_error("/proc", "self/environ", O_RDONLY), EACCES);
    WANT(open_error("/dev", "null", O_RDWR), 0);
    if (mem_resident(false) == 0)
        return 252;
    return sockets() ? sockets() : files(f->out);
}

START_TEST(only_named_folders)
{
    struct folders f;
    make_folders(&f);
    const char *in[] = {f.in}, *out[] = {f.out};
    const struct sandbox_options o = {.read = {in, 1, 1}, .write = {out, 1, 1}};
    ck_assert_uint_gt(mem_resident(false), 0); /* opens what it keeps */
    int seen = has_landlock() ? errno_in_child(&o, named_folders, &f) : 0;
    remove_folders(&f);
    ck_assert_int_eq(seen, 0);
}
END_TEST

static int one_file(const void *arg)
{
    const struct folders *f = arg;
    WANT(open_error(f->in, "config", O_RDONLY), 0);
    WANT(open_error(f->out, "old", O_RDONLY), EACCES);
    return 0;
}

START_TEST(a_file_may_be_named)
{
    struct folders f;
    char path[128];
    make_folders(&f);
    snprintf(path, sizeof(path), "%s/config", f.in);
    const char *in[] = {path};
    const struct sandbox_options o = {.read = {in, 1, 1}};
    int seen = has_landlock() ? errno_in_child(&o, one_file, &f) : 0;
    remove_folders(&f);
    ck_assert_int_eq(seen, 0);
}
END_TEST

static int enter_with_error(const void *options)
{
    struct sandbox_status status;
    struct error err = ERROR_INIT;
    log_set_level(LOG_OFF);
    if (sandbox_enter(options, &status, &err))
        return 1;
    const char *expected = !has_landlock() ? "no Landlock" : "'/no/such/folder': No such file";
    bool good = strstr(error_text(&err), "--sandbox-read and --sandbox-write: ") &&
                strstr(error_text(&err), expected);
    error_fini(&err);
    return good ? 0 : 2;
}

START_TEST(what_cannot_be_had_is_an_error)
{
    const char *none[] = {"/no/such/folder"};
    const struct sandbox_options o = {.read = {none, 1, 1}};
    ck_assert_int_eq(errno_in_child(NULL, enter_with_error, &o), 0);
}
END_TEST

static void *waits(void *arg)
{
    pthread_barrier_wait(&entered);
    return arg;
}

static int folders_beside_a_thread(const void *options)
{
    pthread_t thread;
    struct sandbox_status status;
    struct error err = ERROR_INIT;
    log_set_level(LOG_OFF);
    pthread_barrier_init(&entered, NULL, 2);
    if (pthread_create(&thread, NULL, waits, NULL) != 0)
        return 254;
    bool ok = sandbox_enter(options, &status, &err);
    bool good = !ok && (!has_landlock() || strstr(error_text(&err), "threads run already"));
    error_fini(&err);
    pthread_barrier_wait(&entered);
    pthread_join(thread, NULL);
    return good ? 0 : 1;
}

START_TEST(folders_come_before_threads)
{
    const char *tmp[] = {"/tmp"};
    const struct sandbox_options o = {.read = {tmp, 1, 1}};
    ck_assert_int_eq(errno_in_child(NULL, folders_beside_a_thread, &o), 0);
}
END_TEST

START_TEST(gauges)
{
    struct stat_store *store = stat_store_new(2);
    const struct sandbox_status s = {true, true, 60, true, 7};
    struct stat_scope *scope = sandbox_stats_new(store, &s);
    for (unsigned i = 0; i < scope->schema->count; i++)
        ck_assert_int_eq(stat_read(scope, i, &(bool){false}), i == 3 ? 7 : 1);
    ck_assert_str_eq(scope->schema->stats[3].name, "landlock_abi");
    ck_assert_str_eq(scope->prefix, "xylem.sandbox");
    stat_scope_unref(&scope);
    stat_store_free(&store);
}
END_TEST

static void add_loops(TCase *t)
{
    tcase_add_loop_test(t, refused_calls, 0, ARRAY_SIZE(refused));
    tcase_add_loop_test(t, refused_with_what_is_given, 0, ARRAY_SIZE(given));
    tcase_add_loop_test(t, new_namespaces_are_refused, 0, ARRAY_SIZE(namespaces));
}

int main(void)
{
    const TTest *const tests[] = {
        refused_calls_are_let_through_outside,
        let_through_outside,
        memory_of_others_is_out_of_reach,
        no_descriptor_signals_others,
        what_is_its_own_stays,
        new_processes_are_refused,
#ifdef __x86_64__
        foreign_calls_end_the_process,
#endif
        threads_that_run_already_are_held,
        privileges_cannot_be_gained,
        off_changes_nothing,
        serving_works,
        only_named_folders,
        a_file_may_be_named,
        what_cannot_be_had_is_an_error,
        folders_come_before_threads,
        gauges,
    };
    Suite *suite = suite_create("sandbox");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    add_loops(all);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
