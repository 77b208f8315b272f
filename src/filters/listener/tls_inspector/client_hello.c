#include "filters/listener/tls_inspector/client_hello.h"

#include "base/memory.h"

enum {
    RECORD_HANDSHAKE = 22,
    CLIENT_HELLO = 1,
    MESSAGE_HEADER = 4,
    RECORD_MAX = 16384,
    RAW_FACTOR = 8, /* records of one byte each are as far as it goes */
    EXTENSION_NAME = 0,
    EXTENSION_ALPN = 16,
    NAME_MAX_LEN = 255,
};

void client_hello_init(struct client_hello *h, size_t max)
{
    *h = (struct client_hello){.max = max};
}

void client_hello_fini(struct client_hello *h)
{
    mem_free(h->message);
    h->message = NULL;
}

/* --- the message --- */

static bool take(struct bytes *from, size_t n, struct bytes *out)
{
    if (from->len < n)
        return false;
    *out = bytes_first(*from, n);
    *from = bytes_skip(*from, n);
    return true;
}

static bool take_number(struct bytes *from, size_t size, size_t *out)
{
    struct bytes raw;
    if (!take(from, size, &raw))
        return false;
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out = *out << 8 | (uint8_t)raw.data[i];
    return true;
}

/* A field with its length before it. */
static bool take_field(struct bytes *from, size_t size, struct bytes *out)
{
    size_t len;
    return take_number(from, size, &len) && take(from, len, out);
}

static bool read_name(struct client_hello *h, struct bytes body)
{
    struct bytes list, name;
    size_t type;
    if (!take_field(&body, 2, &list) || !take_number(&list, 1, &type) ||
        !take_field(&list, 2, &name))
        return false;
    if (type != 0 || name.len == 0 || name.len > NAME_MAX_LEN || memchr(name.data, '\0', name.len))
        return false;
    /* In place: it is compared in lower case */
    for (size_t i = 0; i < name.len; i++)
        ((char *)(uintptr_t)name.data)[i] = ascii_lower(name.data[i]);
    h->server_name = name;
    return true;
}

static bool read_protocols(struct client_hello *h, struct bytes body)
{
    struct bytes list, one;
    if (!take_field(&body, 2, &list))
        return false;
    while (list.len > 0) {
        if (!take_field(&list, 1, &one) || one.len == 0)
            return false;
        if (h->n_protocols < HELLO_PROTOCOLS_MAX)
            h->protocols[h->n_protocols++] = one;
    }
    return true;
}

static bool read_extensions(struct client_hello *h, struct bytes rest)
{
    struct bytes list, body;
    size_t type;
    if (rest.len == 0)
        return true;
    if (!take_field(&rest, 2, &list))
        return false;
    h->extensions = list;
    while (list.len > 0) {
        if (!take_number(&list, 2, &type) || !take_field(&list, 2, &body))
            return false;
        if (type == EXTENSION_NAME && !read_name(h, body))
            return false;
        if (type == EXTENSION_ALPN && !read_protocols(h, body))
            return false;
    }
    return true;
}

static bool read_message(struct client_hello *h)
{
    struct bytes m = bytes_from(h->message + MESSAGE_HEADER, h->len - MESSAGE_HEADER), skip;
    size_t version;
    if (!take_number(&m, 2, &version) || !take(&m, 32, &skip) || !take_field(&m, 1, &skip) ||
        !take_field(&m, 2, &h->ciphers) || !take_field(&m, 1, &skip))
        return false;
    h->version = (uint16_t)version;
    return read_extensions(h, m);
}

/* --- the records --- */

static size_t message_size(const struct client_hello *h)
{
    const uint8_t *m = (const uint8_t *)h->message;
    return MESSAGE_HEADER + ((size_t)m[1] << 16 | (size_t)m[2] << 8 | m[3]);
}

/* After more of the message came. */
static enum hello_result judge(struct client_hello *h)
{
    if (h->len == 0)
        return HELLO_MORE;
    if (h->message[0] != CLIENT_HELLO)
        return HELLO_NOT_TLS;
    if (h->len < MESSAGE_HEADER)
        return HELLO_MORE;
    if (message_size(h) > h->max)
        return HELLO_TOO_LARGE;
    if (h->len < message_size(h))
        return HELLO_MORE;
    h->len = message_size(h);
    return read_message(h) ? HELLO_TLS : HELLO_NOT_TLS;
}

static enum hello_result begin_record(struct client_hello *h)
{
    size_t len = (size_t)h->header[3] << 8 | h->header[4];
    if (h->header[0] != RECORD_HANDSHAKE || h->header[1] != 3 || len == 0 || len > RECORD_MAX)
        return HELLO_NOT_TLS;
    h->record_left = len;
    h->header_len = 0;
    return HELLO_MORE;
}

static enum hello_result feed_header(struct client_hello *h, uint8_t c)
{
    h->header[h->header_len++] = c;
    if (h->header[0] != RECORD_HANDSHAKE || (h->header_len > 1 && h->header[1] != 3))
        return HELLO_NOT_TLS;
    return h->header_len == sizeof(h->header) ? begin_record(h) : HELLO_MORE;
}

static enum hello_result feed(struct client_hello *h, struct bytes b)
{
    while (b.len > 0) {
        enum hello_result r;
        if (h->record_left == 0) {
            r = feed_header(h, (uint8_t)b.data[0]);
            b = bytes_skip(b, 1);
        } else {
            size_t n = b.len < h->record_left ? b.len : h->record_left;
            /* No more than the limit is kept, whatever the peer says */
            if (n > h->max + MESSAGE_HEADER - h->len)
                n = h->max + MESSAGE_HEADER - h->len;
            if (n == 0 || !mem_try_grow(&h->message, &h->cap, h->len + n, 1))
                return HELLO_TOO_LARGE;
            memcpy(h->message + h->len, b.data, n);
            h->len += n;
            h->record_left -= n;
            b = bytes_skip(b, n);
            r = judge(h);
        }
        if (r != HELLO_MORE)
            return r;
    }
    return HELLO_MORE;
}

enum hello_result client_hello_read(struct client_hello *h, const struct buffer *in)
{
    size_t skip = h->scanned;
    for (const struct slice *s = in->head; s; s = s->next) {
        if (skip >= s->len) {
            skip -= s->len;
            continue;
        }
        enum hello_result r = feed(h, bytes_from(s->data + skip, s->len - skip));
        skip = 0;
        if (r != HELLO_MORE)
            return r;
    }
    h->scanned = in->len;
    return in->len > RAW_FACTOR * h->max ? HELLO_TOO_LARGE : HELLO_MORE;
}
