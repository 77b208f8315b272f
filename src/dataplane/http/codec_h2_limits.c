#include "dataplane/http/codec_h2_internal.h"

/* What a peer may cost: Envoy's limits, statistics and details. */

static void flood(struct codec_h2 *h, enum http2_stat stat, const struct codec_error *e)
{
    if (h->broken)
        return;
    h2_count(h, stat);
    h2_break(h, e, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Empty frames cost work and carry nothing; an end of stream makes one worth something. */
static void limit_empty(struct codec_h2 *h, const nghttp2_frame *f)
{
    size_t padding = f->hd.type == NGHTTP2_DATA      ? f->data.padlen
                     : f->hd.type == NGHTTP2_HEADERS ? f->headers.padlen
                                                     : 0;
    bool empty = f->hd.length <= padding && !(f->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (!empty)
        h->empty_frames = 0;
    else if (++h->empty_frames > h->o.max_empty_frames)
        flood(h, STAT_HTTP2_INBOUND_EMPTY_FRAMES_FLOOD, &h2_error_empty_flood);
}

static void limit_priority(struct codec_h2 *h)
{
    uint64_t max = (uint64_t)h->o.max_priority_per_stream * (1 + h->streams_opened);
    if (++h->priority_frames > max)
        flood(h, STAT_HTTP2_INBOUND_PRIORITY_FRAMES_FLOOD, &h2_error_priority_flood);
}

static void limit_window_updates(struct codec_h2 *h)
{
    uint64_t max =
        5 + 2 * (h->streams_opened + (uint64_t)h->o.max_window_updates_per_data * h->data_sent);
    if (++h->window_updates > max)
        flood(h, STAT_HTTP2_INBOUND_WINDOW_UPDATE_FRAMES_FLOOD, &h2_error_window_flood);
}

void h2_limit_frame(struct codec_h2 *h, const nghttp2_frame *f)
{
    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        limit_empty(h, f);
        break;
    case NGHTTP2_PRIORITY:
        limit_priority(h);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        limit_window_updates(h);
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        h->control_queued += !(f->hd.flags & NGHTTP2_FLAG_ACK); /* it is to be acknowledged */
        h2_limit_outbound(h);
        break;
    default:
        break;
    }
}

/* Frames that wait because the peer does not read. */
void h2_limit_outbound(struct codec_h2 *h)
{
    if (h->control_queued > h->o.max_outbound_control)
        flood(h, STAT_HTTP2_OUTBOUND_CONTROL_FLOOD, &h2_error_control_flood);
    else if (nghttp2_session_get_outbound_queue_size(h->session) > h->o.max_outbound_frames)
        flood(h, STAT_HTTP2_OUTBOUND_FLOOD, &h2_error_outbound_flood);
}
