/* HTTP/1.1, both sides, as a codec (see codec.h): pure, one stream at a time. Stricter than Envoy
 * where RFC 9112 allows it: a request with a bare LF, a lone CR, obs-fold, several Host lines or
 * Transfer-Encoding in HTTP/1.0 is refused. Worker thread; the owner of the connection owns it. */
#pragma once

#include "dataplane/http/codec.h"

/* out is the owner's and outlives the codec. The text of the options is the owner's, too. */
struct codec *codec_h1_new(const struct codec_options *options, const struct codec_callbacks *cb,
                           void *owner, struct buffer *out);
