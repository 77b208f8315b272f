/* Values of metadata as text, for custom tags. Inside of this folder; any thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "config/grpc_log.h"

struct upb_Arena;

/* What the tag's path leads to in the bytes of an envoy.config.core.v3.Metadata, as Envoy prints
 * it; in `text`. BYTES_NONE: nothing, or null. */
struct bytes grpc_log_metadata(struct bytes metadata, const struct grpc_log_tag *tag,
                               struct upb_Arena *scratch, struct arena *text);
