/* struct wire_bytes: what one side of a stream has cost in bytes, framing included. The codecs that
 * carry one stream at a time count into the one that the owner of the stream names. Worker thread
 * only. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

struct wire_bytes {
    uint64_t received, sent;
    /* Of them, fields of heads and trailers, with what stands around a name and a value. */
    uint64_t fields_received, fields_sent;
    struct bytes head; /* received last: its fields are counted when somebody asks */
};

/* Counts the fields of w->head, whose memory may go then. */
void wire_bytes_settle(struct wire_bytes *w);
uint64_t wire_bytes_fields_received(const struct wire_bytes *w);
/* Of lines as they came, up to an empty one: "name:value" and the end of the line. */
uint64_t wire_bytes_of_fields(struct bytes lines);

static inline void wire_bytes_add_head(struct wire_bytes *w, struct bytes head)
{
    if (UNLIKELY(w->head.len > 0))
        wire_bytes_settle(w);
    w->head = head;
    w->received += head.len;
}
