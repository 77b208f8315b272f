/* struct client_hello: what a TLS client says first, read from bytes as they come, before a
 * filter chain is chosen: is it TLS, which name and which protocols does it ask for. Each byte is
 * looked at once, however the peer cuts them. One thread. */
#pragma once

#include "base/bytes.h"
#include "dataplane/net/buffer.h"

enum hello_result {
    HELLO_MORE,      /* not yet known */
    HELLO_TLS,       /* read */
    HELLO_NOT_TLS,   /* plain text, or something that no TLS library would take */
    HELLO_TOO_LARGE, /* longer than the limit */
};

enum { HELLO_SIZE_MAX = 16 * 1024, HELLO_PROTOCOLS_MAX = 64 };

struct client_hello {
    size_t max;     /* of the message; set before the first byte */
    size_t scanned; /* of the buffer */
    uint8_t header[5];
    unsigned header_len;
    size_t record_left;
    char *message; /* owned */
    size_t len, cap;
    /* Once it is HELLO_TLS; they point into message. */
    struct bytes server_name;
    struct bytes protocols[HELLO_PROTOCOLS_MAX];
    unsigned n_protocols;
    uint16_t version;
    struct bytes ciphers, extensions; /* the lists, without their lengths */
};

void client_hello_init(struct client_hello *h, size_t max);
void client_hello_fini(struct client_hello *h);
/* Looks at what is new at the end of `in`; nothing is taken out of it. */
enum hello_result client_hello_read(struct client_hello *h, const struct buffer *in);
