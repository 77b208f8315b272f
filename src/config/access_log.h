/* An access logger as configured: where to write, and a compiled format (config/format.h), which
 * the run time (dataplane/http/access_log.c) walks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/format.h"
#include "config/matcher.h"

enum access_log_sink { ACCESS_LOG_FILE, ACCESS_LOG_STDOUT, ACCESS_LOG_STDERR, ACCESS_LOG_GRPC };

/* JSON format: keys in order (sorted when asked) with nested objects flattened into a tree. */
struct json_format_node {
    struct bytes key;
    enum {
        JSON_NODE_FORMAT,
        JSON_NODE_LITERAL,
        JSON_NODE_NULL,
        JSON_NODE_OBJECT,
        JSON_NODE_LIST
    } kind;
    struct format format;
    struct bytes literal; /* a number, true or false, as it is written */
    struct json_format_node *children;
    unsigned n_children;
};

struct grpc_log;          /* config/grpc_log.h */
struct access_log_filter; /* config/access_log_filter.h */

/* Who keeps the files of logs open, from the moment that a log is taken until access_log_fini():
 * lines find their file whatever is short by then. Config thread, or main before it runs. */
struct log_files {
    void *ctx;
    MUST_CHECK bool (*open)(void *ctx, struct bytes path, struct error *err);
    void (*close)(void *ctx, struct bytes path);
};

struct access_log {
    enum access_log_sink sink;
    struct bytes path;
    const struct log_files *kept; /* with which its file is open; NULL: with none */
    const struct grpc_log *grpc;  /* ACCESS_LOG_GRPC */
    bool is_json;
    bool omit_empty;              /* of the JSON */
    bool wants_upstream_metadata; /* it tells of the cluster's or the host's */
    struct format format;
    struct json_format_node json;
    struct access_log_filter *filter; /* NULL: every request */
    struct regex_list regexes;        /* of the filter */
    struct access_log_cell {          /* and its runtime keys */
        struct access_log_cell *next;
        struct runtime_cell *cell;
    } * cells;
};

/* Envoy's default format, with its newline. */
extern const char access_log_default_format[];
