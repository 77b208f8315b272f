#include "dataplane/http/grpc_status.h"

enum { UNKNOWN = 2, LAST = 16 };

bool grpc_status_read(const struct headers *h, unsigned *status)
{
    struct bytes v = headers_get(h, HEADER_GRPC_STATUS);
    uint64_t n;
    if (!v.data)
        return false;
    *status = bytes_to_u64(v, &n) && n <= LAST ? (unsigned)n : UNKNOWN;
    return true;
}

bool grpc_server_failed(const struct headers *h)
{
    enum { FAILED = 1 << 2 | 1 << 4 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 };
    unsigned status;
    return !h || !grpc_status_read(h, &status) || (FAILED >> status & 1);
}

struct bytes grpc_message_read(const struct headers *h, struct arena *a)
{
    struct bytes v = headers_get(h, HEADER_GRPC_MESSAGE);
    if (!v.len)
        return BYTES_NONE;
    char *out = arena_alloc(a, v.len), *p = out;
    for (size_t i = 0; i < v.len; i++) {
        int high = -1, low = -1;
        if (v.data[i] == '%' && i + 2 < v.len) {
            high = hex_digit(v.data[i + 1]);
            low = hex_digit(v.data[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            *p++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *p++ = v.data[i];
        }
    }
    return bytes_from(out, (size_t)(p - out));
}

unsigned grpc_status_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return 13;
    case 401:
        return 16;
    case 403:
        return 7;
    case 404:
        return 12;
    case 429:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return UNKNOWN; /* 200 too: gRPC would have said how it went */
    }
}

struct bytes grpc_message_encode(struct arena *a, struct bytes text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, text.len * 3 + 1), *p = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c < 0x7f && c != '%') {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return bytes_from(out, (size_t)(p - out));
}
