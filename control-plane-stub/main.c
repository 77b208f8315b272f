/* xylem-stub: serves a folder of xDS resources. This file is the process: options, the main loop
 * (signals, folder, control port, timers), the order of start and stop. */
#include "control.h"
#include "front.h"
#include "options.h"
#include "publisher.h"
#include "server.h"
#include "watch.h"

#include "api_descriptors.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CONTROL_POLLS 128
#define FRONT_POLLS 256
#define MISSING_US 200000

struct stub {
    struct options options;
    struct desc_pool pool;
    struct hub hub;
    struct publisher publisher;
    struct server *server;
    struct control *control;
    struct front *front; /* TLS before the two; NULL: none */
    struct watch watch;
    struct transcript transcript; /* that is replayed */
    int signals;
    uint64_t reload_at;  /* a change was seen: read the folder then ... */
    uint64_t changed_at; /* ... the first one since the last reading, then */
};

/* SIGTERM and SIGINT arrive as a file descriptor; blocked before any thread starts. */
static bool init_signals(struct stub *s, struct error *err)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 ? true : error_set(err, "signalfd: %s", strerror(errno));
}

static void move_vars(struct stub *s)
{
    s->publisher.folder.vars = s->options.vars;
    s->options.vars = (struct strmap){0};
}

static bool open_transcript(struct stub *s, struct error *err)
{
    s->hub.record = fopen(s->options.transcript, "we");
    return s->hub.record || error_set(err, "%s: %s", s->options.transcript, strerror(errno));
}

static bool init(struct stub *s, struct error *err)
{
    if (!init_signals(s, err))
        return false;
    if (!desc_pool_add_zlib(&s->pool, api_descriptors_z, api_descriptors_z_size, err) ||
        !desc_pool_link(&s->pool, err))
        return false;
    hub_init(&s->hub, &s->pool);
    s->hub.verbose = s->options.verbose;
    s->hub.heartbeats = s->options.heartbeats;
    s->hub.identifier = *s->options.identifier ? s->options.identifier : NULL;
    publisher_init(&s->publisher, &s->hub, s->options.folder);
    s->publisher.strict = s->options.strict;
    s->publisher.known_clusters = &s->options.known_clusters;
    move_vars(s);
    if (s->options.watch && !watch_init(&s->watch, err))
        return false;
    return !s->options.transcript || open_transcript(s, err);
}

/* The resources of the folder, or a world of nothing and what was recorded. */
static bool load(struct stub *s, struct error *err)
{
    struct world *nothing;

    if (!s->options.replay)
        return publisher_reload(&s->publisher) ||
               error_set(err, "%s cannot be served", s->options.folder);
    if (!transcript_read(&s->transcript, s->options.folder, err))
        return false;
    s->hub.replay = &s->transcript;
    nothing = mem_zero(sizeof(*nothing));
    hub_lock(&s->hub);
    hub_publish(&s->hub, &nothing);
    hub_unlock(&s->hub);
    return true;
}

static int xds_port(const struct stub *s)
{
    return s->front ? front_port(s->front) : server_port(s->server);
}

/* A connection whose TLS ends here. */
static bool take_connection(void *user, int fd, bool http2)
{
    struct stub *s = user;

    if (!http2)
        return control_adopt(s->control, fd);
    server_adopt(s->server, fd);
    return true;
}

/* gRPC, the control port, and where asked for TLS in front of them. */
static bool start_servers(struct stub *s, struct error *err)
{
    const struct options *o = &s->options;
    bool tls = o->tls.certificate != NULL;

    if (!server_start(&s->server, &s->hub, o->listen, tls ? 0 : o->listen_count, o->goaway_ms,
                      err) ||
        !control_start(&s->control, &s->publisher, o->control, err))
        return false;
    if (!tls)
        return true;
    if (!front_start(&s->front, &o->tls, o->listen, o->listen_count, &s->hub, err))
        return false;
    front_give(s->front, take_connection, s);
    return true;
}

static bool write_ready_file(const struct stub *s, struct error *err)
{
    struct text temporary = {0};
    FILE *out;
    bool ok;

    if (!s->options.ready_file)
        return true;
    text_printf(&temporary, "%s.%ld", s->options.ready_file, (long)getpid());
    out = fopen(text_str(&temporary), "we");
    ok = out && fprintf(out, "{\"xds_port\":%d,\"control_port\":%d,\"pid\":%ld}\n", xds_port(s),
                        control_port(s->control), (long)getpid()) > 0;
    ok = out && !fclose(out) && ok;
    ok = ok && !rename(text_str(&temporary), s->options.ready_file);
    if (!ok)
        error_set(err, "%s: %s", s->options.ready_file, strerror(errno));
    text_fini(&temporary);
    return ok;
}

static bool start(struct stub *s, struct error *err)
{
    watch_folders(&s->watch, &s->publisher.folder.directories);
    if (s->options.watch)
        s->reload_at = now_us(); /* what changed between reading and watching */
    if (!start_servers(s, err) || !write_ready_file(s, err))
        return false;
    printf("xylem-stub: xDS port %d, control port %d\n", xds_port(s), control_port(s->control));
    fflush(stdout);
    return true;
}

static int wait_ms(const struct stub *s, uint64_t now, uint64_t hub_wake)
{
    uint64_t at = s->reload_at < hub_wake ? s->reload_at : hub_wake;
    uint64_t control = control_deadline(s->control);

    at = control < at ? control : at;
    if (at == UINT64_MAX)
        return -1;
    if (at <= now)
        return 0;
    return at - now > 3600000000ull ? 3600000 : (int)((at - now + 999) / 1000);
}

static void drain_wakes(struct stub *s)
{
    uint64_t ignored;

    if (read(s->hub.wake_fd, &ignored, sizeof(ignored)) < 0)
        return; /* nobody wrote since */
}

static void reload(struct stub *s)
{
    s->reload_at = s->changed_at = UINT64_MAX;
    publisher_reload(&s->publisher);
    if (watch_folders(&s->watch, &s->publisher.folder.directories))
        s->reload_at = now_us(); /* files that came into a new folder before we watched it */
    else if (s->publisher.folder.missing)
        s->reload_at = now_us() + MISSING_US; /* nobody tells when it is there again */
}

/* Wait for quiet, but not for ever when changes never end. */
static void note_change(struct stub *s)
{
    uint64_t now = now_us(), quiet = s->options.debounce_ms * 1000ull;

    if (s->changed_at == UINT64_MAX)
        s->changed_at = now;
    s->reload_at =
        now + quiet < s->changed_at + 10 * quiet ? now + quiet : s->changed_at + 10 * quiet;
}

/* Everything whose time has come. */
static void run_timers(struct stub *s)
{
    uint64_t now = now_us();

    if (s->reload_at <= now)
        reload(s);
    hub_lock(&s->hub);
    if (s->hub.wake_at <= now)
        hub_kick_all(&s->hub);
    hub_unlock(&s->hub);
}

static void loop(struct stub *s)
{
    struct pollfd fds[3 + FRONT_POLLS + CONTROL_POLLS] = {
        {.fd = s->signals, .events = POLLIN},
        {.fd = s->hub.wake_fd, .events = POLLIN},
        {.fd = s->watch.fd, .events = POLLIN},
    };

    for (;;) {
        size_t count = control_poll_fds(s->control, fds + 3, CONTROL_POLLS);
        size_t fronts = front_poll_fds(s->front, fds + 3 + count, FRONT_POLLS);
        uint64_t wake;

        hub_lock(&s->hub);
        wake = s->hub.wake_at;
        hub_unlock(&s->hub);
        if (poll(fds, 3 + count + fronts, wait_ms(s, now_us(), wake)) < 0 && errno != EINTR)
            break;
        if (fds[0].revents)
            break;
        drain_wakes(s);
        if (watch_drain(&s->watch))
            note_change(s);
        run_timers(s);
        front_run(s->front, fds + 3 + count, fronts);
        control_run(s->control, fds + 3, count);
    }
}

static void fini(struct stub *s)
{
    front_stop(&s->front);
    control_stop(&s->control);
    server_stop(&s->server);
    if (s->publisher.hub) {
        publisher_fini(&s->publisher);
        hub_fini(&s->hub);
    }
    transcript_fini(&s->transcript);
    desc_pool_fini(&s->pool);
    watch_fini(&s->watch);
    if (s->signals >= 0)
        close(s->signals);
    options_fini(&s->options);
}

int main(int argc, char **argv)
{
    struct stub s = {
        .signals = -1, .watch = {.fd = -1}, .reload_at = UINT64_MAX, .changed_at = UINT64_MAX};
    struct error err = {0};
    int status = 1;

    if (!options_read(&s.options, argc, argv, &err)) {
        fprintf(stderr, "xylem-stub: %s\n", err.text);
        status = 2;
    } else if (s.options.help) {
        fputs(options_help, stdout);
        status = 0;
    } else if (!init(&s, &err)) {
        fprintf(stderr, "xylem-stub: %s\n", err.text);
    } else if (!load(&s, &err)) {
        fprintf(stderr, "xylem-stub: %s\n", err.text);
    } else if (s.options.check_only) {
        status = 0;
    } else if (!start(&s, &err)) {
        fprintf(stderr, "xylem-stub: %s\n", err.text);
    } else {
        loop(&s);
        status = 0;
    }
    error_fini(&err);
    fini(&s);
    return status;
}
