#include "dataplane/http/access_log.h"

#include "config/access_log_filter.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/format.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/http_conn_list.h"
#include "dataplane/http/stream_internal.h"

/* Every stream has one here: a request that is no gRPC is filtered by its HTTP status. */
static int grpc_status_of(const struct stream *s)
{
    int64_t n = stream_grpc_status(s);
    if (n == GRPC_NO_STATUS)
        return GRPC_UNKNOWN;
    return n <= GRPC_STATUS_MAX ? (int)n : GRPC_BAD_STATUS;
}

static bool passes(struct stream *s, const struct access_log *log)
{
    if (!log->filter)
        return true;
    struct strbuf flags = STRBUF_INIT;
    struct format_part part = {.op = FORMAT_RESPONSE_FLAGS};
    if (s->info.flags && !format_value(s, &part, &flags))
        strbuf_cut(&flags, 0);
    struct access_log_subject subject = {
        .status = s->info.status,
        .duration_ms = (s->info.end_ns - s->info.start_ns) / NS_PER_MS,
        .response_flags = strbuf_bytes(&flags),
        .grpc_status = grpc_status_of(s),
        .request_header = headers_values,
        .ctx = &s->request_headers,
        .random = &s->worker->random,
        .request_id = headers_get(&s->request_headers, HEADER_X_REQUEST_ID),
    };
    bool pass = access_log_filter_pass(log->filter, &subject);
    strbuf_fini(&flags);
    return pass;
}

void access_log_stream(struct stream *s)
{
    struct http_conn_list *list = s->worker->http_conns;
    struct strbuf *line = &list->log_line;
    const struct http_manager *m = s->manager;
    for (unsigned i = 0; i < m->n_access_logs; i++) {
        const struct access_log *log = m->access_logs[i];
        if (log->sink == ACCESS_LOG_GRPC ? !s->worker->log_service : !list->log)
            continue;
        if (!passes(s, log))
            continue;
        if (log->sink == ACCESS_LOG_GRPC) {
            s->worker->log_service->write(s->worker->log_service, s, log);
            continue;
        }
        strbuf_cut(line, 0);
        if (log->is_json) {
            format_json(s, &log->json, line);
            strbuf_add_char(line, '\n');
        } else {
            format_text(s, &log->format, line);
        }
        access_log_write(list->log, log, strbuf_bytes(line));
    }
}
