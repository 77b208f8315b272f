#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "main/options.h"
#include "main/server.h"

static bool set_component_levels(const char *list, struct error *err)
{
    struct bytes rest = bytes_of(list);
    for (bool more = rest.len > 0; more; more = rest.data != NULL) {
        struct bytes level_name = bytes_split(&rest, ','), name = bytes_split(&level_name, ':');
        enum log_component component;
        enum log_level level;
        if (!level_name.data)
            return error_set(err, "error: component log level not correctly specified '%.*s'",
                             BYTES_ARG(name));
        if (!log_level_parse(level_name, &level))
            return error_set(err, "error: invalid log level specified '%.*s'",
                             BYTES_ARG(level_name));
        if (log_component_parse(name, &component))
            log_set_component_level(component, level);
        else
            LOG(LOG_MAIN, LOG_WARNING, "--component-log-level: unknown component '%.*s'",
                BYTES_ARG(name));
    }
    return true;
}

static bool set_up_log(const struct options *o, struct error *err)
{
    enum log_level level;
    if (!log_level_parse(bytes_of(o->log_level), &level))
        return error_set(err, "error: invalid log level specified '%s'", o->log_level);
    log_set_level(level);
    if (o->log_format)
        log_set_format(o->log_format);
    return (!o->log_path || log_set_path(o->log_path, err)) &&
           (!o->component_log_level || set_component_levels(o->component_log_level, err));
}

static void tell_notices(const struct options *o)
{
    struct bytes rest = strbuf_bytes(&o->notices);
    while (rest.len) {
        struct bytes line = bytes_split(&rest, '\n');
        LOG(LOG_MAIN, LOG_INFO, "%.*s", BYTES_ARG(line));
    }
}

/* The soft limit as high as the hard one, which is returned. */
static rlim_t raise_limit(int what)
{
    struct rlimit l;
    if (getrlimit(what, &l) < 0)
        return RLIM_INFINITY;
    if (l.rlim_cur != l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(what, &l);
    }
    return l.rlim_max;
}

/* What a start takes: two for each loop, and some. Libraries abort where there are none. */
static bool enough_to_start(rlim_t files, const struct options *o)
{
    enum { SOME = 8, A_LOOP = 2, OTHER_LOOPS = 2 };
    unsigned needed = SOME + A_LOOP * (o->concurrency + OTHER_LOOPS);
    if (files >= needed)
        return true;
    LOG(LOG_MAIN, LOG_CRITICAL,
        "at most %llu files may be open at a time, and a start with %u workers takes %u: raise the "
        "hard limit (ulimit -Hn)",
        (unsigned long long)files, o->concurrency, needed);
    return false;
}

/* As many descriptors as may be had: the soft limit of most systems is 1,024. */
static bool raise_limits(const struct options *o)
{
    enum { FEW_FILES = 4096 };
    rlim_t files = raise_limit(RLIMIT_NOFILE);
    if (!enough_to_start(files, o))
        return false;
    if (files < FEW_FILES)
        LOG(LOG_MAIN, LOG_WARNING,
            "at most %llu files and connections may be open at a time: raise the hard limit "
            "(ulimit -Hn) for more",
            (unsigned long long)files);
    if (!o->core_dump)
        return true;
    raise_limit(RLIMIT_CORE);
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        LOG(LOG_MAIN, LOG_WARNING, "--enable-core-dump: %s", strerror(errno));
    return true;
}

/* What begins with a flag is no part of the configuration. */
static void tell_failure(const char *path, const char *why)
{
    if (bytes_starts_with(bytes_of(why), BYTES("--")))
        LOG(LOG_MAIN, LOG_CRITICAL, "%s", why);
    else
        LOG(LOG_MAIN, LOG_CRITICAL, "error initializing configuration '%s': %s", path, why);
}

static int run(const struct options *o)
{
    struct error err = ERROR_INIT;
    const char *path = o->config_path ? o->config_path : "--config-yaml";
    tell_notices(o);
    if (!raise_limits(o))
        return EXIT_FAILURE;
    struct server *s = server_new(o, &err);
    if (!s) {
        tell_failure(path, error_text(&err));
        error_fini(&err);
        return EXIT_FAILURE;
    }
    bool ok = true;
    if (o->mode == MODE_VALIDATE)
        printf("configuration '%s' OK\n", path);
    else if (o->mode == MODE_INIT_ONLY)
        LOG(LOG_MAIN, LOG_INFO, "exiting");
    else if (!(ok = server_run(s, &err)))
        LOG(LOG_MAIN, LOG_CRITICAL, "%s", error_text(&err));
    server_free(&s);
    error_fini(&err);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* By the signal, as whoever waits for it expects. The first process of a container cannot die so:
 * there the kernel drops what has no handler. */
static void end_at_once(int signo)
{
    enum { BY_SIGNAL = 128 }; /* the shells' way to say it */
    raise(signo);
    _exit(BY_SIGNAL + signo);
}

/* Until server_run() watches them: an end is at once, since nothing serves yet; what asks for more
 * than that waits, and would end the process. */
static void hold_signals(void)
{
    struct sigaction end = {.sa_handler = end_at_once, .sa_flags = SA_RESETHAND | SA_NODEFER};
    sigset_t later;
    signal(SIGPIPE, SIG_IGN); /* for ever: nobody who reads a log ends us by going away */
    sigemptyset(&end.sa_mask);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigemptyset(&later);
    sigaddset(&later, SIGHUP);
    sigaddset(&later, SIGUSR1);
    sigprocmask(SIG_BLOCK, &later, NULL);
}

/* Whoever starts us may have closed 0, 1 or 2. What is opened next would take the number, and get
 * the lines of the log: a socket, or a file of somebody's. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0 && open("/", O_PATH) < 0)
            _exit(EXIT_FAILURE);
    }
}

/* Before the constructors of libraries, some of which open things (gRPC an eventfd). */
static void (*const first_of_all)(void)
    __attribute__((section(".preinit_array"), used)) = hold_standard_descriptors;

int main(int argc, char **argv)
{
    hold_signals();
    struct options o;
    struct error err = ERROR_INIT;
    struct random_source seed;
    int status = EXIT_FAILURE;
    random_seed_os(&seed);
    bytes_hash_set_seed(random_u64(&seed));
    enum options_result r = options_parse(&o, argc, argv, &err);
    if (r == OPTIONS_DONE)
        status = EXIT_SUCCESS;
    else if (r == OPTIONS_ERROR || !set_up_log(&o, &err))
        fprintf(stderr, "%s: %s\n", argv[0], error_text(&err));
    else
        status = run(&o);
    error_fini(&err);
    options_fini(&o);
    return status;
}
