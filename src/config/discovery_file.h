/* A file that holds a DiscoveryResponse (rule O01): YAML, JSON or protobuf, by its name. The
 * response's bytes come out, as a stream would bring them. Config thread. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct decode_context;

/* The same of JSON text, which errors call `name`. */
MUST_CHECK bool discovery_text_read(struct decode_context *ctx, const char *name, struct bytes text,
                                    struct arena *a, struct bytes *response, struct error *err);
/* The bytes live in the arena. */
MUST_CHECK bool discovery_file_read(struct decode_context *ctx, struct bytes path, struct arena *a,
                                    struct bytes *response, struct error *err);
