#include "dataplane/http/access_log.h"
#include "dataplane/http/http_conn_mux.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/http/stream_pool.h"
#include "dataplane/net/transport_tls.h"

/* Of a head that did not end, or was too large, its bytes wait in the input. */
static void count_cut_head(struct stream *s)
{
    if (!s->priv->headers_received && !s->conn->mux)
        s->info.downstream_bytes.received += connection_input_len(s->conn->connection);
}

/* The end of a stream: counted, logged, its codec half let go. Its filters are destroyed at the end
 * of the turn, because one of them may be on the call stack now. */
void stream_finish(struct stream *s)
{
    struct stream_private *p = s->priv;
    struct http_conn *conn = s->conn;
    unsigned slot = s->worker->slot;
    CHECK(!p->finished);
    p->finished = true;
    stream_timers_stop(s);
    s->info.end_ns = loop_now_ns(s->worker->loop);
    stat_add(s->manager->stats, slot, STAT_HTTP_DOWNSTREAM_RQ_ACTIVE, -1);
    stat_record(s->manager->stats, slot, STAT_HTTP_DOWNSTREAM_RQ_TIME,
                (s->info.end_ns - s->info.start_ns) / NS_PER_MS);
    if (p->reset || !p->request_complete) { /* Envoy's sense: whoever did it */
        stream_stat(s, STAT_HTTP_DOWNSTREAM_RQ_RX_RESET);
        count_cut_head(s);
    }
    if (p->admitted)
        stat_add(s->manager->stats, slot, STAT_HTTP_DOWNSTREAM_CX_UPGRADES_ACTIVE, -1);
    access_log_stream(s, ACCESS_LOG_END);
    tls_connection_unref(&s->info.upstream_tls);
    bool reusable = p->request_complete && p->response_complete && !p->reset;
    if (s->codec_stream && !reusable)
        conn->codec->ops->stream_reset(s->codec_stream, p->reset_code);
    if (p->request_pauses && s->codec_stream && !conn->mux)
        connection_read_resume(conn->connection);
    s->codec_stream = NULL;
    stream_pool_bury(s->worker->streams, s);
    if (conn->mux)
        http_conn_mux_stream_done(conn, s);
    else
        http_conn_stream_done(conn, reusable);
}
