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

/* After a piece of input: frames were counted when they were seen, streams when they were read. */
void h2_limit_counts(struct codec_h2 *h)
{
    uint64_t priority = (uint64_t)h->o.max_priority_per_stream * (1 + h->streams_opened);
    uint64_t updates =
        5 + 2 * (h->streams_opened + (uint64_t)h->o.max_window_updates_per_data * h->data_sent);
    if (h->priority_frames > priority)
        flood(h, STAT_HTTP2_INBOUND_PRIORITY_FRAMES_FLOOD, &h2_error_priority_flood);
    else if (h->window_updates > updates)
        flood(h, STAT_HTTP2_INBOUND_WINDOW_UPDATE_FRAMES_FLOOD, &h2_error_window_flood);
}

void h2_limit_frame(struct codec_h2 *h, const nghttp2_frame *f)
{
    switch (f->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        limit_empty(h, f);
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        h->control_queued += !(f->hd.flags & NGHTTP2_FLAG_ACK); /* it is to be acknowledged */
        h2_limit_outbound(h);
        break;
    case NGHTTP2_RST_STREAM: /* another may begin, while a RST_STREAM of nghttp2's own waits */
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

void h2_note_reset(struct codec_h2 *h, int32_t id)
{
    if (!h->resets)
        h->resets = h2_alloc(h->memory, sizeof(*h->resets));
    if (h->resets)
        h->resets->ids[h->resets->n++ % H2_RESETS] = id;
}

void h2_reset_queued(struct codec_h2 *h, int32_t id, struct codec_stream *s)
{
    if (s && s->reset_sent)
        return;
    if (s)
        s->reset_sent = true;
    h2_note_reset(h, id);
    h->control_queued++;
    h2_limit_outbound(h);
}

bool h2_may_be_late(const struct codec_h2 *h, int32_t id)
{
    if (!h->resets || h->resets->n > H2_RESETS)
        return h->resets != NULL; /* more than are remembered: anything may be */
    for (uint32_t i = 0; i < h->resets->n; i++) {
        if (h->resets->ids[i] == id)
            return true;
    }
    return false;
}

bool h2_is_closed(struct codec_h2 *h, int32_t id)
{
    return h->c.options.downstream && id <= h->last_stream && id % 2 == 1 &&
           !nghttp2_session_find_stream(h->session, id) && !h2_may_be_late(h, id);
}

/* Of these nghttp2 drops some in silence: those of streams that have ended. */
static void judge_head(struct codec_h2 *h, uint8_t type, int32_t id)
{
    h->priority_frames += type == NGHTTP2_PRIORITY;
    h->window_updates += type == NGHTTP2_WINDOW_UPDATE;
    if (type == NGHTTP2_DATA && h2_is_closed(h, id))
        h2_break(h, &h2_error_protocol, NGHTTP2_STREAM_CLOSED);
}

/* DATA is judged when all before it has been read: the piece ends where it begins. */
size_t h2_scan(struct codec_h2 *h, struct bytes piece)
{
    enum { HEAD = sizeof(h->scan.head) };
    size_t at = 0;
    while (at < piece.len) {
        size_t n = piece.len - at;
        if (h->scan.left) {
            n = n < h->scan.left ? n : h->scan.left;
            h->scan.left -= (uint32_t)n;
            at += n;
            continue;
        }
        uint8_t *head = h->scan.head;
        size_t more = (size_t)HEAD - h->scan.have;
        n = n < more ? n : more;
        memcpy(head + h->scan.have, piece.data + at, n);
        bool data = n == more && head[3] == NGHTTP2_DATA;
        if (data && at > 0)
            return at; /* copied again, from the same place */
        h->scan.have = n == more ? 0 : (uint8_t)(h->scan.have + n);
        at += n;
        if (n == more)
            h->scan.left = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
        uint32_t id = (uint32_t)(head[5] & 127) << 24 | (uint32_t)head[6] << 16 |
                      (uint32_t)head[7] << 8 | head[8];
        if (n == more)
            judge_head(h, head[3], (int32_t)id);
    }
    return at;
}
