/* HTTP/2, both sides, as a codec (see codec.h) over nghttp2: pure, many streams at a time. What is
 * sent is queued and becomes frames in flush(), all of a turn together; nothing is framed inside
 * input(). Every decoded header byte is charged before it is stored; what was received is given
 * back to the peer's windows only while its stream reads. Worker thread; the owner of the
 * connection owns it. */
#pragma once

#include "config/http2.h"
#include "dataplane/http/codec.h"

/* Free memory of nghttp2 and of streams, for all codecs of a thread. */
struct h2_memory;
struct loop;
struct h2_memory *h2_memory_new(struct loop *loop); /* NULL: of a test that has none */
void h2_memory_free(struct h2_memory **m);          /* codecs that still live keep it */

/* out and memory are the owner's. Options are copied. Its SETTINGS are queued: flush. */
struct codec *codec_h2_new(const struct codec_options *options, const struct http2_options *h2,
                           const struct codec_callbacks *cb, void *owner, struct buffer *out,
                           struct h2_memory *memory);
