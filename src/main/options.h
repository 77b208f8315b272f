/* The command line: every flag of Envoy 1.40, and those of the sandbox, which are ours. Those
 * without effect here are accepted with one notice; an unknown one is an error that suggests the
 * nearest. Main thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "main/sandbox.h"

/* MODE_INIT_ONLY: all that comes before serving, and no more. */
enum run_mode { MODE_SERVE, MODE_VALIDATE, MODE_INIT_ONLY };

/* Strings point into argv. */
struct options {
    const char *argv0, *config_path, *config_yaml;
    enum run_mode mode;
    uint32_t concurrency;                                      /* 1 to 128 */
    const char *service_node, *service_cluster, *service_zone; /* NULL: not given */
    const char *log_level, *component_log_level, *log_format, *log_path;
    const char *admin_address_path, *drain_strategy, *local_address_ip_version;
    const char *base_id_path, *socket_path, *socket_mode, *disable_extensions;
    uint32_t base_id, restart_epoch, drain_time_s, parent_shutdown_time_s;
    uint32_t route_hold_ms;
    const char *state_dir; /* NULL: none */
    uint32_t state_max_age_s;
    uint32_t min_world_share, world_hold_s;
    uint32_t file_flush_interval_ms, file_flush_min_size_kb;
    bool log_format_escaped, allow_unknown_static, reject_unknown_dynamic, ignore_unknown_dynamic;
    bool strict;
    bool skip_deprecated_logs, disable_hot_restart, use_dynamic_base_id, cpuset_threads;
    bool mutex_tracing, core_dump, fine_grain_logging, log_stacktrace_single_entry;
    bool skip_hot_restart_on_no_parent, skip_hot_restart_parent_stats;
    const char **stats_tags; /* heap array of "tag:value" */
    unsigned n_stats_tags, cap_stats_tags;
    struct sandbox_options sandbox;
    uint64_t given;        /* which flags, by their place in the table */
    struct strbuf notices; /* lines: a flag that has no effect, a default that is not as usual */
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* --help, --version: printed; exit 0 */
    OPTIONS_ERROR, /* *err; exit 1 */
};

enum options_result options_parse(struct options *o, int argc, char **argv, struct error *err);
void options_fini(struct options *o);
/* "<sha>/1.40.0/Clean/RELEASE/BoringSSL" (trap T8): five parts, of which the second is the Envoy
 * version whose behaviour we claim. */
const char *version_text(void);
