/* The codec that frames nothing: what goes to a TCP origin when a CONNECT ends here. One stream,
 * whose heads are not sent and whose data is the connection's. Upstream alone; one thread. */
#pragma once

#include "dataplane/http/codec.h"

struct codec *codec_tcp_new(const struct codec_callbacks *cb, void *owner, struct buffer *out);
