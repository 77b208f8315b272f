/* envoy.config.accesslog.v3.AccessLog: sink, format, filter. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config/access_log_filter_decode.h"
#include "config/runtime.h"
#include "config/data_source.h"
#include "config/decode.h"
#include "config/decode_util.h"
#include "config/grpc_log.h"
#include "config/metadata.h"
#include "config/grpc_log_decode.h"
#include "config/typed.h"
#include "envoy/config/accesslog/v3/accesslog.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/config/core/v3/substitution_format_string.upb.h"
#include "envoy/extensions/access_loggers/file/v3/file.upb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.upb.h"
#include "google/protobuf/struct.upb.h"

#define LOGGERS(f) envoy_extensions_access_loggers_##f
#define FORMAT(f) envoy_config_core_v3_SubstitutionFormatString_##f
#define VALUE(f) google_protobuf_Value_##f

enum { FORMAT_TEXT_MAX = 1024 * 1024 }; /* bytes of a format in a file or variable, too */

typedef envoy_config_core_v3_SubstitutionFormatString format_msg;
typedef google_protobuf_Struct struct_msg;
typedef google_protobuf_Value value_msg;

/* log->format says what holds for all formats of the log. */
static bool compile(struct arena *a, struct bytes text, struct access_log *log, struct format *out,
                    struct error *err)
{
    out->omit_empty = log->omit_empty;
    out->has_without_query = log->format.has_without_query;
    if (!format_compile(a, text, out, err))
        return false;
    log->wants_upstream_metadata |= out->has_upstream_metadata;
    return true;
}

static bool take_value(struct arena *a, const value_msg *v, struct access_log *log,
                       struct json_format_node *out, struct error *err);

static int by_key(const void *a, const void *b)
{
    const struct json_format_node *x = a, *y = b;
    return bytes_cmp(x->key, y->key);
}

/* Keys are sorted, so that lines look the same in every process. */
static bool take_struct(struct arena *a, const struct_msg *s, struct access_log *log,
                        struct json_format_node *out, struct error *err)
{
    size_t it = kUpb_Map_Begin, n = google_protobuf_Struct_fields_size(s);
    const google_protobuf_Struct_FieldsEntry *e;
    out->kind = JSON_NODE_OBJECT;
    out->children = ARENA_ARRAY(a, struct json_format_node, n ? n : 1);
    while ((e = google_protobuf_Struct_fields_next(s, &it))) {
        struct json_format_node *child = &out->children[out->n_children++];
        child->key = arena_dup(a, upb_bytes(google_protobuf_Struct_FieldsEntry_key(e)));
        const value_msg *v = google_protobuf_Struct_FieldsEntry_value(e);
        if (!take_value(a, v, log, child, err))
            return error_prefix(err, "%.*s: ", BYTES_ARG(child->key));
    }
    qsort(out->children, out->n_children, sizeof(out->children[0]), by_key);
    return true;
}

static bool take_list(struct arena *a, const google_protobuf_ListValue *l, struct access_log *log,
                      struct json_format_node *out, struct error *err)
{
    size_t n;
    const value_msg *const *values = google_protobuf_ListValue_values(l, &n);
    out->kind = JSON_NODE_LIST;
    out->children = ARENA_ARRAY(a, struct json_format_node, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        if (!take_value(a, values[i], log, &out->children[out->n_children++], err))
            return error_prefix(err, "[%zu]: ", i);
    }
    return true;
}

static struct bytes number_text(struct arena *a, double number)
{
    struct strbuf text = STRBUF_INIT;
    metadata_add_number(&text, number);
    struct bytes kept = arena_dup(a, strbuf_bytes(&text));
    strbuf_fini(&text);
    return kept;
}

static bool take_value(struct arena *a, const value_msg *v, struct access_log *log,
                       struct json_format_node *out, struct error *err)
{
    switch (v ? VALUE(kind_case)(v) : VALUE(kind_NOT_SET)) {
    case VALUE(kind_string_value):
        out->kind = JSON_NODE_FORMAT;
        return compile(a, upb_bytes(VALUE(string_value)(v)), log, &out->format, err);
    case VALUE(kind_number_value):
        out->kind = JSON_NODE_LITERAL;
        out->literal = number_text(a, VALUE(number_value)(v));
        return true;
    case VALUE(kind_bool_value):
        out->kind = JSON_NODE_LITERAL;
        out->literal = VALUE(bool_value)(v) ? BYTES("true") : BYTES("false");
        return true;
    case VALUE(kind_struct_value):
        return take_struct(a, VALUE(struct_value)(v), log, out, err);
    case VALUE(kind_list_value):
        return take_list(a, VALUE(list_value)(v), log, out, err);
    case VALUE(kind_null_value):
    case VALUE(kind_NOT_SET):
        break;
    }
    out->kind = JSON_NODE_NULL;
    return true;
}

static bool take_json(struct arena *a, const struct_msg *s, struct access_log *log,
                      struct error *err)
{
    log->is_json = true;
    return take_struct(a, s, log, &log->json, err) || error_prefix(err, "json_format: ");
}

static bool take_text(struct arena *a, struct bytes text, struct access_log *log, struct error *err)
{
    return compile(a, text, log, &log->format, err);
}

/* A file is read once, when its listener is decoded; Envoy does not watch it either. */
static bool take_text_source(struct arena *a, const envoy_config_core_v3_DataSource *m,
                             struct access_log *log, struct error *err)
{
    struct data_source s;
    if (!data_source_read(m, a, FORMAT_TEXT_MAX, &s, err))
        return error_prefix(err, "text_format_source: ");
    return take_text(a, s.data, log, err);
}

/* Formatters bring operators of their own; most of them are there without by now. */
static bool take_formatters(struct decode_context *ctx, struct arena *a, const format_msg *m,
                            struct access_log *log, struct error *err)
{
    size_t n;
    const envoy_config_core_v3_TypedExtensionConfig *const *list = FORMAT(formatters)(m, &n);
    for (size_t i = 0; i < n; i++) {
        struct typed t;
        if (!take_any(ctx, a, envoy_config_core_v3_TypedExtensionConfig_typed_config(list[i]), &t,
                      err))
            return error_prefix(err, "formatters[%zu]: ", i);
        if (bytes_eq_str(t.type_name,
                         "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"))
            log->format.has_without_query = true;
        else if (!bytes_eq_str(t.type_name, "envoy.extensions.formatter.metadata.v3.Metadata"))
            return error_set(
                err, "formatters[%zu]: Formatter not found: %.*s", i,
                BYTES_ARG(upb_bytes(envoy_config_core_v3_TypedExtensionConfig_name(list[i]))));
    }
    return true;
}

static bool take_format(struct decode_context *ctx, struct arena *a, const format_msg *m,
                        struct access_log *log, struct error *err)
{
    if (!m)
        return take_text(a, bytes_of(access_log_default_format), log, err);
    log->omit_empty = FORMAT(omit_empty_values)(m);
    if (!take_formatters(ctx, a, m, log, err))
        return false;
    switch (FORMAT(format_case)(m)) {
    case FORMAT(format_json_format):
        return take_json(a, FORMAT(json_format)(m), log, err);
    case FORMAT(format_text_format_source):
        return take_text_source(a, FORMAT(text_format_source)(m), log, err);
    case FORMAT(format_text_format):
        return take_text(a, upb_bytes(FORMAT(text_format)(m)), log, err);
    case FORMAT(format_NOT_SET):
        break;
    }
    return take_text(a, bytes_of(access_log_default_format), log, err);
}

/* As in Envoy, a log that cannot be written refuses its listener, rather than losing lines. A pipe
 * that nobody reads yet is no error, and nobody waits for its reader here. */
static bool can_be_written(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0644);
    if (fd < 0 && errno != ENXIO)
        return error_set(err, "path: unable to open file '%s': %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return true;
}

static bool take_file_of(struct decode_context *ctx, struct arena *a, struct access_log *log,
                         struct error *err)
{
    const struct log_files *files = ctx->log_files;
    if (!files)
        return can_be_written(arena_str(a, log->path), err);
    if (!files->open(files->ctx, log->path, err))
        return error_prefix(err, "path: ");
    log->kept = files;
    return true;
}

bool access_log_take_path(struct decode_context *ctx, struct arena *a, struct bytes path,
                          struct access_log *log, struct error *err)
{
    if (path.len == 0 || path.len > 4096 || memchr(path.data, '\0', path.len))
        return error_set(err, "path: expected the path of a file");
    log->path = arena_dup(a, path);
    log->sink = ACCESS_LOG_FILE;
    if (bytes_eq_str(path, "/dev/stdout"))
        log->sink = ACCESS_LOG_STDOUT;
    if (bytes_eq_str(path, "/dev/stderr"))
        log->sink = ACCESS_LOG_STDERR;
    return log->sink != ACCESS_LOG_FILE || take_file_of(ctx, a, log, err);
}

static bool take_file(struct decode_context *ctx, struct arena *a, struct bytes value,
                      upb_Arena *arena, struct access_log *log, struct error *err)
{
    const envoy_extensions_access_loggers_file_v3_FileAccessLog *m =
        LOGGERS(file_v3_FileAccessLog_parse)(value.data, value.len, arena);
    struct bytes text;
    if (!m)
        return error_set(err, "the bytes are no FileAccessLog");
    if (!access_log_take_path(ctx, a, upb_bytes(LOGGERS(file_v3_FileAccessLog_path)(m)), log, err))
        return false;
    switch (LOGGERS(file_v3_FileAccessLog_access_log_format_case)(m)) {
    case LOGGERS(file_v3_FileAccessLog_access_log_format_format):
        text = upb_bytes(LOGGERS(file_v3_FileAccessLog_format)(m));
        return take_text(a, text.len ? text : bytes_of(access_log_default_format), log, err);
    case LOGGERS(file_v3_FileAccessLog_access_log_format_json_format):
        return take_json(a, LOGGERS(file_v3_FileAccessLog_json_format)(m), log, err);
    case LOGGERS(file_v3_FileAccessLog_access_log_format_typed_json_format):
        return take_json(a, LOGGERS(file_v3_FileAccessLog_typed_json_format)(m), log, err);
    case LOGGERS(file_v3_FileAccessLog_access_log_format_log_format):
        return take_format(ctx, a, LOGGERS(file_v3_FileAccessLog_log_format)(m), log, err);
    case LOGGERS(file_v3_FileAccessLog_access_log_format_NOT_SET):
        break;
    }
    return take_text(a, bytes_of(access_log_default_format), log, err);
}

static bool take_stream(struct decode_context *ctx, struct arena *a, struct bytes value,
                        bool to_stdout, upb_Arena *arena, struct access_log *log, struct error *err)
{
    const format_msg *format = NULL;
    bool ok = false;
    if (to_stdout) {
        const envoy_extensions_access_loggers_stream_v3_StdoutAccessLog *m =
            LOGGERS(stream_v3_StdoutAccessLog_parse)(value.data, value.len, arena);
        ok = m != NULL;
        format = m ? LOGGERS(stream_v3_StdoutAccessLog_log_format)(m) : NULL;
    } else {
        const envoy_extensions_access_loggers_stream_v3_StderrAccessLog *m =
            LOGGERS(stream_v3_StderrAccessLog_parse)(value.data, value.len, arena);
        ok = m != NULL;
        format = m ? LOGGERS(stream_v3_StderrAccessLog_log_format)(m) : NULL;
    }
    log->sink = to_stdout ? ACCESS_LOG_STDOUT : ACCESS_LOG_STDERR;
    if (!ok)
        return error_set(err, "the bytes are no stream access log");
    return take_format(ctx, a, format, log, err);
}

static bool take_logger(struct decode_context *ctx, struct arena *a,
                        const envoy_config_accesslog_v3_AccessLog *m, upb_Arena *arena,
                        struct access_log *log, struct error *err)
{
    struct bytes name = upb_bytes(envoy_config_accesslog_v3_AccessLog_name(m));
    struct typed t;
    if (!take_any(ctx, a, envoy_config_accesslog_v3_AccessLog_typed_config(m), &t, err))
        return false;
#define IS(type) bytes_eq_str(t.type_name, "envoy.extensions.access_loggers." type)
    if (IS("file.v3.FileAccessLog"))
        return take_file(ctx, a, t.value, arena, log, err);
    if (IS("stream.v3.StdoutAccessLog"))
        return take_stream(ctx, a, t.value, true, arena, log, err);
    if (IS("stream.v3.StderrAccessLog"))
        return take_stream(ctx, a, t.value, false, arena, log, err);
    if (IS("grpc.v3.HttpGrpcAccessLogConfig"))
        return grpc_log_http_decode(a, t.value, arena, log, err);
    if (IS("grpc.v3.TcpGrpcAccessLogConfig"))
        return grpc_log_tcp_decode(a, t.value, arena, log, err);
#undef IS
    return error_set(err,
                     "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'",
                     BYTES_ARG(name), BYTES_ARG(t.type_name));
}

bool access_log_decode(struct decode_context *ctx, struct arena *a, struct bytes wire,
                       struct access_log **out, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_accesslog_v3_AccessLog *m =
        envoy_config_accesslog_v3_AccessLog_parse(wire.data, wire.len, arena);
    struct access_log *log = ARENA_NEW(a, struct access_log);
    bool ok =
        m ? take_logger(ctx, a, m, arena, log, err) : error_set(err, "the bytes are no AccessLog");
    const envoy_config_accesslog_v3_AccessLogFilter *f =
        ok ? envoy_config_accesslog_v3_AccessLog_filter(m) : NULL;
    if (f) {
        struct access_log_filter_home home = {a, &log->regexes, &log->cells, ctx->runtime};
        log->filter = access_log_filter_decode(f, &home, err);
        ok = log->filter || error_prefix(err, "filter.");
    }
    upb_Arena_Free(arena);
    log->wants_upstream_metadata |= log->grpc && log->grpc->wants_upstream_metadata;
    if (!ok)
        access_log_fini(log);
    *out = ok ? log : NULL;
    return ok;
}

void access_log_fini(struct access_log *log)
{
    regex_list_fini(&log->regexes);
    for (struct access_log_cell *c = log->cells; c; c = c->next)
        runtime_cell_unref(&c->cell);
    log->cells = NULL;
    if (log->kept)
        log->kept->close(log->kept->ctx, log->path);
    log->kept = NULL;
}
