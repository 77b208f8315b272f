#include "filters/http/example/example.h"

#include "config/upb_util.h"
#include "google/protobuf/wrappers.upb.h"

enum { VALUE_MAX = 256 };

static bool printable(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f)
            return false;
    }
    return true;
}

void *example_config_new(struct filter_context *ctx, struct bytes value, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    struct example_config *c = NULL;
    const google_protobuf_StringValue *m =
        google_protobuf_StringValue_parse(value.data, value.len, arena);
    struct bytes text = m ? upb_bytes(google_protobuf_StringValue_value(m)) : BYTES_NONE;
    if (!m) {
        error_set(err, "the bytes are not a StringValue message");
    } else if (text.len == 0 || text.len > VALUE_MAX || !printable(text)) {
        error_set(err, "value: must be 1 to %d printable bytes", VALUE_MAX);
    } else {
        c = ARENA_NEW(ctx->arena, struct example_config);
        c->value = arena_dup(ctx->arena, text);
    }
    upb_Arena_Free(arena);
    return c;
}
