/* Small bridges between upb's accessors and our own words. For .c files that decode. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "google/protobuf/duration.upb.h"
#include "google/protobuf/wrappers.upb.h"
#include "upb/upb.h"

/* Strings are not copied: they lie in the bytes, which must outlive the message. So a key is in one
 * place alone, which its owner overwrites. */
#define UPB_VIEW (kUpb_DecodeOption_AliasString | (int)UPB_DECODE_MAXDEPTH(100))

static inline struct bytes upb_bytes(upb_StringView v)
{
    return (struct bytes){v.data, v.size};
}

/* A copy in the arena, in lower case. */
static inline struct bytes upb_lower(upb_StringView v, struct arena *a)
{
    struct bytes b = arena_dup(a, upb_bytes(v));
    for (size_t i = 0; i < b.len; i++)
        ((char *)b.data)[i] = ascii_lower(b.data[i]);
    return b;
}

/* The name of a header of requests, as they have it: "host" is what HTTP/1 calls the authority. */
static inline struct bytes upb_request_header(upb_StringView v, struct arena *a)
{
    struct bytes name = upb_lower(v, a);
    return bytes_eq_str(name, "host") ? BYTES(":authority") : name;
}

/* Milliseconds, rounded up so that a tiny duration is not "off"; `missing` when msg is NULL. */
static inline uint64_t upb_duration_ms(const google_protobuf_Duration *msg, uint64_t missing)
{
    if (!msg)
        return missing;
    int64_t s = google_protobuf_Duration_seconds(msg), n = google_protobuf_Duration_nanos(msg);
    if (s < 0 || n < 0)
        return 0;
    if (s > 315576000000)
        s = 315576000000;
    return (uint64_t)s * 1000 + (uint64_t)(n + 999999) / 1000000;
}

static inline bool upb_bool(const google_protobuf_BoolValue *msg, bool missing)
{
    return msg ? google_protobuf_BoolValue_value(msg) : missing;
}

static inline uint32_t upb_u32(const google_protobuf_UInt32Value *msg, uint32_t missing)
{
    return msg ? google_protobuf_UInt32Value_value(msg) : missing;
}
