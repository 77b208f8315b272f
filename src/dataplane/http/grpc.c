#include "dataplane/http/grpc.h"

static const struct bytes content_type = {"application/grpc", 16};

bool grpc_content_type(const struct headers *h)
{
    struct bytes t = headers_get(h, HEADER_CONTENT_TYPE);
    return bytes_starts_with(t, content_type) &&
           (t.len == content_type.len || t.data[content_type.len] == '+');
}

bool grpc_response(const struct headers *h, bool end)
{
    if (end)
        return headers_has(h, HEADER_GRPC_STATUS);
    return headers_status(h) == 200 && grpc_content_type(h);
}

int64_t grpc_status(const struct headers *h)
{
    struct bytes v = headers_get(h, HEADER_GRPC_STATUS);
    uint64_t n;
    if (v.len == 0)
        return GRPC_NO_STATUS;
    return bytes_to_u64(v, &n) && n <= INT64_MAX ? (int64_t)n : GRPC_BAD_STATUS;
}

bool grpc_method_of(struct bytes path, struct grpc_method *out)
{
    unsigned n = 0;
    ptrdiff_t query = bytes_find_char(path, '?');
    struct bytes rest = query < 0 ? path : bytes_first(path, (size_t)query);
    while (rest.data) {
        struct bytes segment = bytes_split(&rest, '/');
        if (segment.len == 0)
            continue;
        if (n == 0)
            out->service = segment;
        else
            out->method = segment;
        if (++n > 2)
            return false;
    }
    return n == 2;
}

struct bytes grpc_frames_next(struct grpc_frames *f, struct bytes *data, bool *begins)
{
    struct bytes piece;
    *begins = f->header == 0 && data->len > 0;
    if (f->header == GRPC_FRAME_HEADER) {
        piece = bytes_first(*data, f->left);
        f->left -= (uint32_t)piece.len;
    } else {
        piece = bytes_first(*data, (size_t)(GRPC_FRAME_HEADER - f->header));
        for (size_t i = 0; i < piece.len; i++) {
            uint8_t byte = (uint8_t)piece.data[i];
            if (f->header++ == 0)
                f->flags = byte;
            else
                f->length = f->length << 8 | byte;
        }
        f->left = f->length;
    }
    *data = bytes_skip(*data, piece.len);
    if (f->header == GRPC_FRAME_HEADER && f->left == 0)
        f->header = 0;
    return piece;
}

uint64_t grpc_frames_count(struct grpc_frames *f, const struct buffer *data)
{
    uint64_t n = 0;
    for (const struct slice *s = data->head; s; s = s->next) {
        struct bytes rest = {s->data, s->len};
        while (rest.len) {
            bool begins;
            grpc_frames_next(f, &rest, &begins);
            n += begins;
        }
    }
    return n;
}

void grpc_frame_header(uint8_t flags, uint32_t length, char out[GRPC_FRAME_HEADER])
{
    out[0] = (char)flags;
    for (unsigned i = 0; i < 4; i++)
        out[1 + i] = (char)(length >> (24 - 8 * i));
}
