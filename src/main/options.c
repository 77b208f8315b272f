#include "main/options.h"

#include <ctype.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/stats.h"
#include "config/suggest.h"
#include "main/cpus.h"

#ifndef XYLEM_REVISION
#define XYLEM_REVISION "0000000000000000000000000000000000000000"
#endif
#ifndef XYLEM_TREE
#define XYLEM_TREE "Clean"
#endif
#ifndef XYLEM_BUILD
#define XYLEM_BUILD "DEBUG"
#endif

const char *version_text(void)
{
    return XYLEM_REVISION "/1.40.0/" XYLEM_TREE "/" XYLEM_BUILD "/BoringSSL";
}

enum { CONCURRENCY_MAX = STAT_THREADS_MAX - STAT_SLOT_WORKER0 };

enum flag_kind {
    FLAG_BOOL,
    FLAG_U32,
    FLAG_STRING,
    FLAG_MODE,
    FLAG_STATS_TAG,
    FLAG_PATH,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_HOT_RESTART_VERSION
};

struct flag {
    const char *name, *short_name; /* without dashes */
    enum flag_kind kind;
    size_t offset;
    bool no_effect;
    const char *help;
};

#define AT(field) offsetof(struct options, field)

static const struct flag flags[] = {
    {"config-path", "c", FLAG_STRING, AT(config_path), false, "Path to the configuration file"},
    {"config-yaml", NULL, FLAG_STRING, AT(config_yaml), false,
     "Inline YAML configuration, merged over the contents of --config-path"},
    {"mode", NULL, FLAG_MODE, AT(mode), false,
     "serve (default); validate: check the configuration and exit; init_only: bind the addresses, "
     "too"},
    {"concurrency", NULL, FLAG_U32, AT(concurrency), false,
     "Number of worker threads, at most 128; default: the CPUs that this process may use"},
    {"service-node", NULL, FLAG_STRING, AT(service_node), false, "Node id"},
    {"service-cluster", NULL, FLAG_STRING, AT(service_cluster), false, "Node cluster"},
    {"service-zone", NULL, FLAG_STRING, AT(service_zone), false, "Node zone"},
    {"log-level", "l", FLAG_STRING, AT(log_level), false,
     "trace, debug, info (default), warning, error, critical, off"},
    {"component-log-level", NULL, FLAG_STRING, AT(component_log_level), false,
     "Levels of components: upstream:debug,config:trace"},
    {"log-format", NULL, FLAG_STRING, AT(log_format), false, "Format of log lines"},
    {"log-format-escaped", NULL, FLAG_BOOL, AT(log_format_escaped), true,
     "Escape C-style escape sequences in the log"},
    {"log-path", NULL, FLAG_STRING, AT(log_path), false, "Path of the log file"},
    {"admin-address-path", NULL, FLAG_STRING, AT(admin_address_path), false,
     "File that receives the admin address"},
    {"drain-time-s", NULL, FLAG_U32, AT(drain_time_s), false,
     "Seconds that removed listeners drain; default 600"},
    {"drain-strategy", NULL, FLAG_STRING, AT(drain_strategy), false,
     "gradual (default) or "
     "immediate"},
    {"parent-shutdown-time-s", NULL, FLAG_U32, AT(parent_shutdown_time_s), true,
     "Hot restart: when the parent ends"},
    {"base-id", NULL, FLAG_U32, AT(base_id), true, "Hot restart: id of this instance"},
    {"base-id-path", NULL, FLAG_STRING, AT(base_id_path), true, "Hot restart: file of the base id"},
    {"use-dynamic-base-id", NULL, FLAG_BOOL, AT(use_dynamic_base_id), true,
     "Hot restart: choose a base id"},
    {"restart-epoch", NULL, FLAG_U32, AT(restart_epoch), true, "Hot restart: epoch"},
    {"hot-restart-version", NULL, FLAG_HOT_RESTART_VERSION, 0, false,
     "Print the hot restart version and exit"},
    {"disable-hot-restart", NULL, FLAG_BOOL, AT(disable_hot_restart), false,
     "There is no hot restart to disable yet: silently accepted"},
    {"socket-path", NULL, FLAG_STRING, AT(socket_path), true, "Hot restart: socket"},
    {"socket-mode", NULL, FLAG_STRING, AT(socket_mode), true, "Hot restart: socket permissions"},
    {"skip-hot-restart-on-no-parent", NULL, FLAG_BOOL, AT(skip_hot_restart_on_no_parent), true,
     "Hot restart: start without a parent"},
    {"skip-hot-restart-parent-stats", NULL, FLAG_BOOL, AT(skip_hot_restart_parent_stats), true,
     "Hot restart: take no statistics over"},
    {"local-address-ip-version", NULL, FLAG_STRING, AT(local_address_ip_version), true, "v4 or v6"},
    {"file-flush-interval-msec", NULL, FLAG_U32, AT(file_flush_interval_ms), false,
     "Milliseconds after which access logs are written; default 1000"},
    {"file-flush-min-size-kb", NULL, FLAG_U32, AT(file_flush_min_size_kb), false,
     "KiB after which access logs are written; default 64"},
    {"allow-unknown-static-fields", NULL, FLAG_BOOL, AT(allow_unknown_static), false,
     "Accept unknown fields in the bootstrap"},
    {"allow-unknown-fields", NULL, FLAG_BOOL, AT(allow_unknown_static), false,
     "The same (deprecated)"},
    {"reject-unknown-dynamic-fields", NULL, FLAG_BOOL, AT(reject_unknown_dynamic), false,
     "Refuse unknown fields in dynamic resources"},
    {"ignore-unknown-dynamic-fields", NULL, FLAG_BOOL, AT(ignore_unknown_dynamic), false,
     "Do not warn of unknown fields in dynamic resources"},
    {"skip-deprecated-logs", NULL, FLAG_BOOL, AT(skip_deprecated_logs), false,
     "Do not warn of deprecated fields"},
    {"cpuset-threads", NULL, FLAG_BOOL, AT(cpuset_threads), false,
     "Default concurrency from the CPU set (always so)"},
    {"enable-mutex-tracing", NULL, FLAG_BOOL, AT(mutex_tracing), true, "Mutex tracing"},
    {"enable-core-dump", NULL, FLAG_BOOL, AT(core_dump), false,
     "Let the process dump core, whatever ulimit -Sc says"},
    {"enable-fine-grain-logging", NULL, FLAG_BOOL, AT(fine_grain_logging), true,
     "Log levels by file"},
    {"log-stacktrace-single-entry", NULL, FLAG_BOOL, AT(log_stacktrace_single_entry), true,
     "Stack traces as one entry"},
    {"disable-extensions", NULL, FLAG_STRING, AT(disable_extensions), true,
     "Comma-separated list of extensions to disable"},
    {"stats-tag", NULL, FLAG_STATS_TAG, 0, false, "A tag on all statistics: tag:value; repeatable"},
    {"no-sandbox", NULL, FLAG_BOOL, AT(sandbox.off), false,
     "Not Envoy's: keep all system calls and privileges"},
    {"sandbox-read", NULL, FLAG_PATH, AT(sandbox.read), false,
     "Not Envoy's: a file or folder that may be read, and no other; repeatable"},
    {"sandbox-write", NULL, FLAG_PATH, AT(sandbox.write), false,
     "Not Envoy's: a file or folder that may be written, and no other; repeatable"},
    {"route-hold-ms", NULL, FLAG_U32, AT(route_hold_ms), false,
     "Not Envoy's: milliseconds that a changed virtual host waits for its clusters, and a removed "
     "cluster for its last route; default 5000, 0 is Envoy's way"},
    {"state-dir", NULL, FLAG_STRING, AT(state_dir), false,
     "Not Envoy's: folder that keeps the last accepted configuration, for a start while the "
     "control "
     "plane does not answer"},
    {"state-max-age-s", NULL, FLAG_U32, AT(state_max_age_s), false,
     "Not Envoy's: seconds after which a kept configuration is not served; default 0, any age"},
    {"min-world-share", NULL, FLAG_U32, AT(min_world_share), false,
     "Not Envoy's: percent of the clusters, and of the listeners, that the first response of a new "
     "stream must leave; less is held back. Default 0: whatever comes is believed"},
    {"world-hold-s", NULL, FLAG_U32, AT(world_hold_s), false,
     "Not Envoy's: seconds for which a smaller world is held back; default 300, 0: for ever"},
    {"strict", NULL, FLAG_BOOL, AT(strict), false,
     "Not Envoy's: refuse fields that are known and not implemented, wherever they come from"},
    {"version", NULL, FLAG_VERSION, 0, false, "Print the version and exit"},
    {"help", "h", FLAG_HELP, 0, false, "Print this text and exit"},
};

_Static_assert(ARRAY_SIZE(flags) <= 64, "struct options counts them in 64 bits");

static void print_help(const char *argv0)
{
    printf(
        "usage: %s -c FILE [flags]\n\nThe flags are Envoy 1.40's. A flag marked * is accepted and "
        "has no effect.\n\n",
        argv0);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        const struct flag *f = &flags[i];
        bool value = f->kind == FLAG_U32 || f->kind == FLAG_STRING || f->kind == FLAG_MODE ||
                     f->kind == FLAG_STATS_TAG || f->kind == FLAG_PATH;
        char name[64];
        snprintf(name, sizeof(name), "%s%s%s--%s%s", f->short_name ? "-" : "",
                 f->short_name ? f->short_name : "", f->short_name ? ", " : "", f->name,
                 value ? " VALUE" : "");
        printf("  %-38s %s%s\n", name, f->no_effect ? "* " : "", f->help);
    }
}

static const struct flag *find_flag(struct bytes name, bool is_long)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        const char *n = is_long ? flags[i].name : flags[i].short_name;
        if (n && bytes_eq_str(name, n))
            return &flags[i];
    }
    return NULL;
}

static bool unknown_flag(const char *arg, struct bytes name, struct error *err)
{
    struct suggest s = {.wanted = name};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        suggest_offer(&s, bytes_of(flags[i].name));
    if (s.best.data)
        return error_set(err, "unknown flag '%s', did you mean '--%.*s'?", arg, BYTES_ARG(s.best));
    return error_set(err, "unknown flag '%s'; --help lists all flags", arg);
}

static bool set_mode(struct options *o, const char *value, struct error *err)
{
    if (strcmp(value, "serve") == 0)
        o->mode = MODE_SERVE;
    else if (strcmp(value, "validate") == 0)
        o->mode = MODE_VALIDATE;
    else if (strcmp(value, "init_only") == 0)
        o->mode = MODE_INIT_ONLY;
    else
        return error_set(err, "--mode: expected serve, validate or init_only, got '%s'", value);
    return true;
}

/* As in Envoy: the name is of letters and digits, the value has no dot. */
static bool add_stats_tag(struct options *o, const char *tag, struct error *err)
{
    struct bytes value = bytes_of(tag), name = bytes_split(&value, ':');
    if (!value.data)
        return error_set(err, "--stats-tag: expected tag:value, got '%s'", tag);
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum((unsigned char)name.data[i]))
            return error_set(err, "--stats-tag: expected letters and digits before ':', got '%s'",
                             tag);
    }
    if (value.len == 0 || bytes_find_char(value, '.') >= 0)
        return error_set(err, "--stats-tag: expected a value without '.' after ':', got '%s'", tag);
    GROW(o->stats_tags, o->cap_stats_tags, o->n_stats_tags + 1);
    o->stats_tags[o->n_stats_tags++] = tag;
    return true;
}

static void add_path(struct sandbox_paths *list, const char *path)
{
    GROW(list->paths, list->cap, list->n + 1);
    list->paths[list->n++] = path;
}

static bool set_value(struct options *o, const struct flag *f, const char *value, struct error *err)
{
    void *at = (char *)o + f->offset;
    uint64_t number;
    switch (f->kind) {
    case FLAG_U32:
        if (!bytes_to_u64(bytes_of(value), &number) || number > UINT32_MAX)
            return error_set(err, "--%s: expected a number, got '%s'", f->name, value);
        *(uint32_t *)at = (uint32_t)number;
        return true;
    case FLAG_STRING:
        *(const char **)at = value;
        return true;
    case FLAG_MODE:
        return set_mode(o, value, err);
    case FLAG_STATS_TAG:
        return add_stats_tag(o, value, err);
    case FLAG_PATH:
        add_path(at, value);
        return true;
    default:
        return true;
    }
}

/* The flags that print and end. */
static bool flag_prints(const struct options *o, const struct flag *f)
{
    if (f->kind == FLAG_HELP)
        print_help(o->argv0);
    else if (f->kind == FLAG_VERSION)
        printf("\n%s  version: %s\n\n", o->argv0, version_text());
    else if (f->kind == FLAG_HOT_RESTART_VERSION)
        printf("disabled\n");
    else
        return false;
    return true;
}

/* The last one would count, and whoever reads the first is led astray. */
static bool first_time(struct options *o, const struct flag *f, struct error *err)
{
    uint64_t bit = 1ULL << (f - flags);
    bool again = o->given & bit && f->kind != FLAG_STATS_TAG && f->kind != FLAG_PATH;
    o->given |= bit;
    return !again || error_set(err, "--%s: given twice", f->name);
}

static enum options_result parse_one(struct options *o, int argc, char **argv, int *i,
                                     struct error *err)
{
    const char *arg = argv[*i];
    bool is_long = arg[0] == '-' && arg[1] == '-';
    struct bytes value = bytes_of(arg + (is_long ? 2 : 1));
    if (arg[0] != '-' || value.len == 0) {
        error_set(err, "unexpected argument '%s': flags only; --help lists them", arg);
        return OPTIONS_ERROR;
    }
    struct bytes name = bytes_split(&value, '=');
    const struct flag *f = find_flag(name, is_long);
    if (!f) {
        unknown_flag(arg, name, err);
        return OPTIONS_ERROR;
    }
    if (flag_prints(o, f))
        return OPTIONS_DONE;
    if (!first_time(o, f, err))
        return OPTIONS_ERROR;
    if (f->no_effect)
        strbuf_printf(&o->notices, "flag --%s is accepted and has no effect\n", f->name);
    if (f->kind == FLAG_BOOL) {
        *(bool *)((char *)o + f->offset) = true;
        return OPTIONS_RUN;
    }
    if (!value.data && *i + 1 >= argc) {
        error_set(err, "--%s: expected a value, got nothing", f->name);
        return OPTIONS_ERROR;
    }
    return set_value(o, f, value.data ? value.data : argv[++*i], err) ? OPTIONS_RUN : OPTIONS_ERROR;
}

static uint32_t default_concurrency(struct strbuf *notices)
{
    unsigned n = cpus_available();
    if (n <= CONCURRENCY_MAX)
        return n;
    strbuf_printf(notices, "%u CPUs may be used, for at most %u workers\n", n, CONCURRENCY_MAX);
    return CONCURRENCY_MAX;
}

/* A variable of a start script may be empty: then nothing is given. */
static void drop_empty(struct options *o)
{
    const char **paths[] = {&o->config_path,        &o->config_yaml,  &o->log_path,
                            &o->admin_address_path, &o->base_id_path, &o->state_dir};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (*paths[i] && !**paths[i])
            *paths[i] = NULL;
    }
}

static bool is_given(const struct options *o, const char *name)
{
    return o->given & 1ULL << (find_flag(bytes_of(name), true) - flags);
}

static bool set_concurrency(struct options *o, struct error *err)
{
    if (!is_given(o, "concurrency"))
        o->concurrency = default_concurrency(&o->notices);
    if (o->concurrency == 0)
        o->concurrency = 1;
    return o->concurrency <= CONCURRENCY_MAX ||
           error_set(err, "--concurrency: expected at most %u, got %u", CONCURRENCY_MAX,
                     o->concurrency);
}

/* What no flag says alone. */
static bool check_all(struct options *o, struct error *err)
{
    const char *version = o->local_address_ip_version;
    if (strcmp(o->drain_strategy, "gradual") != 0 && strcmp(o->drain_strategy, "immediate") != 0)
        return error_set(err, "--drain-strategy: expected gradual or immediate, got '%s'",
                         o->drain_strategy);
    if (version && strcmp(version, "v4") != 0 && strcmp(version, "v6") != 0)
        return error_set(err, "error: unknown IP address version '%s'", version);
    if (o->use_dynamic_base_id && o->restart_epoch > 0)
        return error_set(err, "error: cannot use --restart-epoch=%u with --use-dynamic-base-id",
                         o->restart_epoch);
    if (o->sandbox.off && o->sandbox.read.n + o->sandbox.write.n > 0)
        return error_set(err,
                         "--no-sandbox turns off what --sandbox-read and --sandbox-write ask for");
    if (o->min_world_share > 100)
        return error_set(err, "--min-world-share: expected a percentage up to 100, got %u",
                         o->min_world_share);
    if (!o->config_path && !o->config_yaml)
        return error_set(err, "At least one of --config-path or --config-yaml or "
                              "Options::configProto() should be non-empty");
    return true;
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct error *err)
{
    *o = (struct options){.argv0 = argv[0],
                          .log_level = "info",
                          .drain_strategy = "gradual",
                          .drain_time_s = 600,
                          .route_hold_ms = 5000,
                          .world_hold_s = 300,
                          .parent_shutdown_time_s = 900,
                          .file_flush_interval_ms = 1000,
                          .file_flush_min_size_kb = 64};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 || strcmp(argv[i], "--ignore_rest") == 0)
            break;
        enum options_result r = parse_one(o, argc, argv, &i, err);
        if (r != OPTIONS_RUN)
            return r;
    }
    drop_empty(o);
    if (!check_all(o, err) || !set_concurrency(o, err))
        return OPTIONS_ERROR;
    if (o->state_dir && o->sandbox.read.n + o->sandbox.write.n > 0) {
        add_path(&o->sandbox.read, o->state_dir);
        add_path(&o->sandbox.write, o->state_dir);
    }
    return OPTIONS_RUN;
}

void options_fini(struct options *o)
{
    mem_free((void *)o->stats_tags);
    mem_free((void *)o->sandbox.read.paths);
    mem_free((void *)o->sandbox.write.paths);
    strbuf_fini(&o->notices);
}
