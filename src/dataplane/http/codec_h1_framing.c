#include "dataplane/http/codec_h1_internal.h"

/* All lines of Content-Length and Transfer-Encoding, read once: several of either, or both, are
 * where two readers of one message come to disagree. */
struct lengths {
    unsigned n_length, n_encoding;
    uint64_t length;
    bool chunked;
};

static const struct codec_error *read_lengths(const struct headers *hs, struct lengths *l)
{
    *l = (struct lengths){0};
    if (!headers_has(hs, HEADER_CONTENT_LENGTH) && !headers_has(hs, HEADER_TRANSFER_ENCODING))
        return NULL;
    for (const struct header *e = hs->entries, *end = headers_end(hs); e < end; e++) {
        if (e->id == HEADER_CONTENT_LENGTH) {
            if (l->n_length++ || !bytes_to_u64(e->value, &l->length) || l->length > INT64_MAX)
                return &h1_error_codec;
        } else if (e->id == HEADER_TRANSFER_ENCODING) {
            if (l->n_encoding++ || !bytes_eq_nocase(e->value, BYTES("chunked")))
                return &h1_error_transfer_encoding;
            l->chunked = true;
        }
    }
    return NULL;
}

static const struct codec_error *length_and_chunked(struct codec_h1 *h, const struct lengths *l)
{
    if (!l->n_length || !l->chunked)
        return NULL;
    if (!h->c.options.allow_chunked_length)
        return &h1_error_length_and_chunked;
    headers_remove_id(h->stream.headers, HEADER_CONTENT_LENGTH);
    return NULL;
}

static bool any_token(const struct headers *hs, enum header_id id, struct bytes token)
{
    if (!headers_has(hs, id))
        return false;
    for (const struct header *e = hs->entries, *end = headers_end(hs); e < end; e++) {
        if (e->id == id && h1_has_token(e->value, token))
            return true;
    }
    return false;
}

static bool wants_keep_alive(const struct codec_h1 *h)
{
    const struct headers *hs = h->stream.headers;
    if (any_token(hs, HEADER_CONNECTION, BYTES("close")) ||
        any_token(hs, HEADER_PROXY_CONNECTION, BYTES("close")))
        return false;
    return h->c.protocol != PROTOCOL_HTTP10 ||
           any_token(hs, HEADER_CONNECTION, BYTES("keep-alive"));
}

static void body_follows(struct codec_h1 *h, const struct lengths *l)
{
    if (l->chunked) {
        h->recv = H1_RECV_CHUNK_SIZE;
        h->recv_left = 0;
        h1_scan_reset(h);
    } else if (l->n_length && l->length) {
        h->recv = H1_RECV_LENGTH;
        h->recv_left = l->length;
    } else {
        h->recv = H1_RECV_DONE;
    }
}

/* An upgrade that nobody can mean: of HTTP/1.0 (RFC 9110 section 7.8), and to what this connection
 * is not offered as. It goes no further. */
static void drop_upgrade(struct codec_h1 *h)
{
    struct headers *hs = h->stream.headers;
    struct bytes type = headers_get_all_id(hs, HEADER_UPGRADE);
    if (h->c.protocol == PROTOCOL_HTTP10 || bytes_eq_nocase(type, BYTES("h2c"))) {
        headers_remove_id(hs, HEADER_UPGRADE);
        headers_remove(hs, BYTES("http2-settings")); /* speaks of the upgrade */
    }
}

/* What Connection names is taken out of the request: never what routing and trust stand on, and
 * not very much. */
static bool connection_is_ok(const struct headers *hs, bool tunnel)
{
    enum { TOO_MANY = 10 };
    struct bytes rest = headers_get_all_id(hs, HEADER_CONNECTION);
    unsigned n = 0;
    while (rest.data) {
        struct bytes piece = bytes_split(&rest, ','), name = bytes_trim(piece);
        n += piece.len > 0;
        if ((name.len && name.data[0] == ':') || bytes_eq_nocase(name, BYTES("x-forwarded-for")) ||
            bytes_eq_nocase(name, BYTES("x-forwarded-host")) ||
            bytes_eq_nocase(name, BYTES("x-forwarded-proto")))
            return false;
    }
    return n < TOO_MANY || tunnel;
}

const struct codec_error *h1_frame_request(struct codec_h1 *h)
{
    struct lengths l;
    const struct codec_error *e = read_lengths(h->stream.headers, &l);
    if (e)
        return e;
    if (l.chunked && h->c.protocol == PROTOCOL_HTTP10)
        return &h1_error_te_not_allowed;
    e = length_and_chunked(h, &l);
    if (e)
        return e;
    if (!wants_keep_alive(h)) {
        h->keep_alive = false;
        h->c.peer_is_done = true;
    }
    if (headers_has(h->stream.headers, HEADER_UPGRADE))
        drop_upgrade(h);
    h->tunnel = tunnel_asked(h->stream.headers);
    if (headers_has(h->stream.headers, HEADER_CONNECTION) &&
        !connection_is_ok(h->stream.headers, h->tunnel == TUNNEL_UPGRADE))
        return &h1_error_connection_header;
    if (h->request_is_connect) {
        if (l.chunked)
            return &h1_error_transfer_encoding;
        if (l.length)
            return &h1_error_body;
    }
    /* The connection manager refuses an upgrade with a body: which bytes would be which? */
    bool body = l.chunked || l.length;
    if (h->tunnel != TUNNEL_NONE)
        h->keep_alive = false;
    if (h->tunnel != TUNNEL_NONE && !body)
        h->recv = H1_RECV_TUNNEL;
    else
        body_follows(h, &l);
    return NULL;
}

static const struct codec_error *open_tunnel(struct codec_h1 *h)
{
    h->tunnel_open = true;
    h->keep_alive = false;
    h->recv = H1_RECV_TUNNEL;
    return NULL;
}

/* RFC 9110 section 7.8: to what was asked for, and to nothing else; no coding, and no length but
 * none, which goes no further. */
static const struct codec_error *frame_upgrade(struct codec_h1 *h, const struct lengths *l)
{
    struct headers *hs = h->stream.headers;
    if (l->chunked)
        return &h1_error_te_not_allowed;
    if (l->n_length && l->length)
        return &h1_error_length_not_allowed;
    headers_remove_id(hs, HEADER_CONTENT_LENGTH);
    if (h->tunnel != TUNNEL_UPGRADE || !tunnel_names_upgrade(hs) ||
        !bytes_eq_nocase(headers_get_all_id(hs, HEADER_UPGRADE), h->upgrade))
        return &h1_error_upgrade;
    return open_tunnel(h);
}

const struct codec_error *h1_frame_response(struct codec_h1 *h, unsigned status)
{
    struct lengths l;
    if (h->tunnel == TUNNEL_CONNECT && tunnel_opened(h->tunnel, status)) {
        headers_remove_id(h->stream.headers, HEADER_CONTENT_LENGTH); /* RFC 9110 section 9.3.6 */
        headers_remove_id(h->stream.headers, HEADER_TRANSFER_ENCODING);
        return open_tunnel(h);
    }
    const struct codec_error *e = read_lengths(h->stream.headers, &l);
    if (!e)
        e = length_and_chunked(h, &l);
    if (e)
        return e;
    if (status == 101)
        return frame_upgrade(h, &l);
    if (status < 200 || status == 204) {
        if (l.chunked)
            return &h1_error_te_not_allowed;
        if (l.n_length && l.length)
            return &h1_error_length_not_allowed;
        headers_remove_id(h->stream.headers, HEADER_CONTENT_LENGTH);
    }
    if (!wants_keep_alive(h))
        h->keep_alive = false;
    if (status < 200)
        return NULL;
    if (status == 204 || status == 304 || h->request_is_head) {
        h->recv = H1_RECV_DONE;
    } else if (!l.chunked && !l.n_length) {
        h->recv = H1_RECV_UNTIL_CLOSE;
        h->keep_alive = false;
    } else {
        body_follows(h, &l);
    }
    return NULL;
}
