/* Inside the admin room: the table of pages and what they share. */
#pragma once

#include "admin/admin.h"
#include "admin/json_out.h"
#include "admin/query.h"
#include "base/arena.h"

struct admin {
    struct admin_table table;
    struct stat_memory *memory; /* stats: histograms of the last flush */
    struct stat_tag_rules *tag_rules;
};

/* A page whose text was made at once. */
struct text_page {
    struct admin_page page;
    struct strbuf text;
    size_t at;
};
struct text_page *text_page_new(unsigned status, const char *content_type);
#define TEXT_PLAIN "text/plain; charset=UTF-8"
#define TEXT_JSON "application/json"
#define TEXT_HTML "text/html; charset=UTF-8"
struct admin_page *page_error(unsigned status, const char *fmt, ...) PRINTF(2, 3);

typedef struct admin_page *page_fn(struct admin *a, const struct query *q);

page_fn page_home, page_help, page_ready, page_server_info, page_memory, page_certs, page_runtime,
    page_contention, page_hot_restart_version, page_quit, page_reopen_logs, page_reset_counters,
    page_healthcheck_fail, page_healthcheck_ok, page_drain_listeners, page_logging, page_listeners,
    page_clusters, page_stats, page_stats_prometheus, page_config_dump, page_init_dump,
    page_runtime_modify, page_recent_lookups, page_recent_lookups_set, page_unsupported;

struct admin_page *page_client_status(struct admin *a, struct bytes body);

/* What /help lists. */
struct admin_param {
    const char *name, *help;
};
struct admin_command {
    const char *path, *help;
    bool post;
    page_fn *fn;
    const struct admin_param *params; /* ends with {NULL} */
};
void admin_each_command(void (*fn)(void *ctx, const struct admin_command *c), void *ctx);
void admin_html_escape(struct strbuf *out, struct bytes text);

const char *admin_state_name(enum admin_state s);
/* core.v3.Address in JSON. */
void json_address(struct json_out *j, const char *key, const struct address *a);
/* The list of commands, for /help and for unknown paths. */
void admin_help_text(struct strbuf *out);
