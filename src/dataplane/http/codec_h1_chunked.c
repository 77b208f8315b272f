#include "dataplane/http/codec_h1_internal.h"

/* chunk-size [ ";" extension ]; nothing in an extension is understood, control bytes are refused.
 * Spaces after the size are an old habit of some origins: taken from responses only. */
static const struct codec_error *parse_size(const struct codec_h1 *h, struct bytes line,
                                            uint64_t *size)
{
    uint64_t v = 0;
    size_t i = 0;
    for (int d; i < line.len && (d = hex_digit(line.data[i])) >= 0; i++) {
        if (i == 16 || v >> 60)
            return &h1_error_chunk;
        v = v << 4 | (uint64_t)d;
    }
    if (i == 0 || v > INT64_MAX)
        return &h1_error_chunk;
    struct bytes rest = bytes_skip(line, i);
    if (!h->c.options.downstream)
        rest = bytes_trim(rest);
    if (rest.len && (rest.data[0] != ';' || !h1_value_ok(rest)))
        return &h1_error_chunk;
    *size = v;
    return NULL;
}

static const struct codec_error *size_line(struct codec_h1 *h, struct buffer *in, bool *progress)
{
    size_t lf;
    if (!h1_find_lf(in, h->scanned, &lf)) {
        h->scanned = in->len;
        return in->len > H1_CHUNK_LINE_MAX ? &h1_error_chunk : NULL;
    }
    if (lf + 1 > H1_CHUNK_LINE_MAX || lf < 2)
        return &h1_error_chunk;
    struct bytes line = buffer_peek(in, lf + 1);
    if (line.data[lf - 1] != '\r')
        return &h1_error_chunk;
    uint64_t size;
    const struct codec_error *e = parse_size(h, bytes_first(line, lf - 1), &size);
    if (e)
        return e;
    buffer_drain(in, lf + 1);
    h1_scan_reset(h);
    h->recv_left = size;
    h->recv = size ? H1_RECV_CHUNK_DATA : H1_RECV_TRAILERS;
    *progress = true;
    return NULL;
}

static const struct codec_error *data_end(struct codec_h1 *h, struct buffer *in, bool *progress)
{
    char crlf[2];
    size_t n = buffer_copy(in, 0, crlf, 2);
    if ((n > 0 && crlf[0] != '\r') || (n > 1 && crlf[1] != '\n'))
        return &h1_error_chunk;
    if (n < 2)
        return NULL;
    buffer_drain(in, 2);
    h->recv = H1_RECV_CHUNK_SIZE;
    *progress = true;
    return NULL;
}

static const struct codec_error *trailers(struct codec_h1 *h, struct buffer *in, bool *progress)
{
    size_t len;
    switch (h1_scan_head(h, in, &len)) {
    case H1_SCAN_MORE:
        return NULL;
    case H1_SCAN_TOO_LARGE:
        return &h1_error_too_large;
    case H1_SCAN_TOO_MANY:
        return &h1_error_too_many;
    case H1_SCAN_FOUND:
        break;
    }
    char *copy = arena_try(h->stream.headers->arena, len);
    if (!copy)
        return &h1_error_no_memory;
    buffer_copy(in, 0, copy, len);
    buffer_drain(in, len);
    struct headers *out = h->c.options.enable_trailers ? h->stream.trailers : NULL;
    if (out && h->c.bytes)
        h->c.bytes->fields_received += wire_bytes_of_fields(bytes_from(copy, len));
    const struct codec_error *e = h1_parse_fields(h, copy, len, out, true);
    h1_scan_reset(h);
    h->recv = H1_RECV_DONE;
    *progress = true;
    return e;
}

const struct codec_error *h1_chunked_input(struct codec_h1 *h, struct buffer *in,
                                           struct buffer *body, bool *progress)
{
    const struct codec_error *e = NULL;
    bool again = true;
    while (again && !e && !buffer_empty(in)) {
        again = false;
        switch ((int)h->recv) {
        case H1_RECV_CHUNK_SIZE:
            e = size_line(h, in, &again);
            break;
        case H1_RECV_CHUNK_DATA: {
            size_t n = in->len < h->recv_left ? in->len : (size_t)h->recv_left;
            buffer_move_n(body, in, n);
            h->recv_left -= n;
            if (!h->recv_left)
                h->recv = H1_RECV_CHUNK_END;
            again = true;
            break;
        }
        case H1_RECV_CHUNK_END:
            e = data_end(h, in, &again);
            break;
        case H1_RECV_TRAILERS:
            e = trailers(h, in, &again);
            break;
        default:
            break;
        }
        *progress |= again;
    }
    return e;
}
