/* How connections ended, in Envoy's words. A request is logged before its connections end. */
#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"

static const char *local_close(const struct stream *s)
{
    static const char *const words[CLOSE_REASON_COUNT] = {
        [CLOSE_CONNECT_TIMEOUT] = "transport_socket_timeout",
        [CLOSE_DELAYED_CLOSE_TIMEOUT] = "triggered_delayed_close_timeout",
        [CLOSE_IDLE_TIMEOUT] = "on_idle_timeout",
        [CLOSE_MAX_DURATION] = "duration_timeout",
        [CLOSE_PROTOCOL_ERROR] = "deferred_close_on_drained_connection",
        [CLOSE_REQUEST_DONE] = "deferred_close_on_drained_connection",
        [CLOSE_DRAIN] = "deferred_close_on_drained_connection",
    };
    if (s->priv->ended == CLOSE_IDLE_TIMEOUT && s->conn->codec->multiplexed)
        return "http2_ping_timeout";
    return words[s->priv->ended];
}

bool format_close(const struct stream *s, enum format_op op, struct strbuf *out)
{
    const char *text = NULL;
    switch ((int)op) {
    case FORMAT_DOWNSTREAM_LOCAL_CLOSE_REASON:
        text = local_close(s);
        break;
    case FORMAT_DOWNSTREAM_DETECTED_CLOSE_TYPE:
        text = s->priv->ended == CLOSE_REMOTE_RESET ? "RemoteReset" : "Normal";
        break;
    case FORMAT_UPSTREAM_DETECTED_CLOSE_TYPE:
        text = s->info.has_upstream_address ? "Normal" : NULL;
        break;
    default:
        break;
    }
    if (text)
        strbuf_add_str(out, text);
    return text != NULL;
}
