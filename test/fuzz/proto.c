#include "proto.h"

#include <upb/def.h>

#include "base/memory.h"
#include "config/unsupported.h"
#include "config/wire.h"

#define ANY "google.protobuf.Any"

enum { FIELDS_MAX = 256, LEAF_MAX = 64 };

struct making {
    struct descriptors *d;
    struct random_source *r;
};

static const char *const words[] = {
    "",
    "a",
    "c",
    "d",
    "e",
    "r",
    "l",
    "x",
    "*",
    "*.test",
    "a.test",
    "/",
    "/a",
    "/b/",
    "127.0.0.1",
    "::1",
    "10.0.0.0",
    "::",
    "localhost",
    "h.test",
    "GET",
    "x-a",
    ":path",
    "host",
    "text/html",
    ".*",
    "a|b",
    "[a-z]+",
    "(a)(b)?",
    "\\1",
    "%REQ(X-A)%",
    "%PROTOCOL%",
    "%START_TIME(%s.%3f)%",
    "100%",
    "a\r\nb",
    "\xc3\xa9",
    "/dev/null",
    "http",
    "ads",
    "p",
    "z",
    "envoy.filters.http.router",
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
};

static bool one_in(struct making *m, uint64_t n)
{
    return random_below(m->r, n) == 0;
}

static uint64_t number(struct making *m)
{
    static const uint64_t edges[] = {0,          1,         2,          80,         100,
                                     200,        599,       65535,      65536,      1u << 31,
                                     UINT32_MAX, INT64_MAX, UINT64_MAX, 1000000000, 315576000000};
    return one_in(m, 2) ? random_below(m->r, 8) : edges[random_below(m->r, ARRAY_SIZE(edges))];
}

static void add_text(struct making *m, struct strbuf *out)
{
    uint64_t kind = random_below(m->r, 8);
    if (kind < 6) {
        strbuf_add_str(out, words[random_below(m->r, ARRAY_SIZE(words))]);
        return;
    }
    for (uint64_t n = random_below(m->r, 10); n > 0; n--)
        strbuf_add_char(out, kind == 6 ? (char)(' ' + random_below(m->r, 95))
                                       : (char)random_below(m->r, 256));
}

static void message(struct making *m, const upb_MessageDef *def, unsigned depth,
                    struct strbuf *out);

static void put_tag(struct strbuf *out, uint32_t number, enum wire_type type)
{
    wire_put_varint(out, (uint64_t)number << 3 | (uint64_t)type);
}

static void put_fixed(struct making *m, size_t n, struct strbuf *out)
{
    uint64_t v = one_in(m, 2) ? number(m) : random_u64(m->r);
    strbuf_add(out, &v, n);
}

static uint64_t enum_value(struct making *m, const upb_EnumDef *e)
{
    int n = upb_EnumDef_ValueCount(e);
    if (n == 0 || one_in(m, 16))
        return number(m);
    int at = (int)random_below(m->r, (uint64_t)n);
    return (uint64_t)(int64_t)upb_EnumValueDef_Number(upb_EnumDef_Value(e, at));
}

static void put_value(struct making *m, const upb_FieldDef *f, unsigned depth, struct strbuf *out)
{
    struct strbuf sub = STRBUF_INIT;
    uint32_t n = upb_FieldDef_Number(f);
    switch (upb_FieldDef_CType(f)) {
    case kUpb_CType_Double:
        put_tag(out, n, WIRE_FIXED64);
        put_fixed(m, 8, out);
        return;
    case kUpb_CType_Float:
        put_tag(out, n, WIRE_FIXED32);
        put_fixed(m, 4, out);
        return;
    case kUpb_CType_String:
    case kUpb_CType_Bytes:
        add_text(m, &sub);
        break;
    case kUpb_CType_Message:
        message(m, upb_FieldDef_MessageSubDef(f), depth + 1, &sub);
        break;
    case kUpb_CType_Enum:
        put_tag(out, n, WIRE_VARINT);
        wire_put_varint(out, enum_value(m, upb_FieldDef_EnumSubDef(f)));
        return;
    case kUpb_CType_Bool:
    case kUpb_CType_Int32:
    case kUpb_CType_UInt32:
    case kUpb_CType_Int64:
    case kUpb_CType_UInt64:
        put_tag(out, n, WIRE_VARINT);
        wire_put_varint(out, number(m));
        return;
    }
    wire_put_bytes(out, n, strbuf_bytes(&sub));
    strbuf_fini(&sub);
}

static void any(struct making *m, unsigned depth, struct strbuf *out)
{
    static const char *const others[] = {
        "google.protobuf.Struct",
        "xds.type.v3.TypedStruct",
        "google.protobuf.Duration",
        "envoy.config.cluster.v3.Cluster",
        "no.such.Type",
        "envoy.config.route.v3.FilterConfig",
        ANY,
    };
    unsigned n = 0;
    while (support_extensions[n])
        n++;
    uint64_t at = random_below(m->r, n + ARRAY_SIZE(others));
    const char *name = at < n ? support_extensions[at] : others[at - n];
    const upb_MessageDef *def = descriptors_message(m->d, bytes_of(name));
    struct strbuf url = STRBUF_INIT, value = STRBUF_INIT;
    strbuf_printf(&url, "type.googleapis.com/%s", name);
    if (def)
        message(m, def, depth + 1, &value);
    wire_put_bytes(out, 1, strbuf_bytes(&url));
    wire_put_bytes(out, 2, strbuf_bytes(&value));
    strbuf_fini(&url);
    strbuf_fini(&value);
}

/* A field, more often one that is implemented. */
static const upb_FieldDef *choose_field(struct making *m, const upb_MessageDef *def)
{
    int n = upb_MessageDef_FieldCount(def);
    const upb_FieldDef *f = NULL;
    for (int tries = 0; n > 0 && tries < 6; tries++) {
        f = upb_MessageDef_Field(def, (int)random_below(m->r, (uint64_t)n));
        enum support s =
            support_of(bytes_of(upb_MessageDef_FullName(def)), bytes_of(upb_FieldDef_Name(f)));
        if (s == SUPPORT_FULL || s == SUPPORT_PART || one_in(m, 8))
            break;
    }
    return f;
}

static void message(struct making *m, const upb_MessageDef *def, unsigned depth, struct strbuf *out)
{
    if (depth > PROTO_DEPTH_MAX)
        return;
    if (bytes_eq_str(BYTES(ANY), upb_MessageDef_FullName(def))) {
        any(m, depth, out);
        return;
    }
    bool entry = upb_MessageDef_IsMapEntry(def);
    for (uint64_t n = entry ? 2 : random_below(m->r, 5); n > 0; n--) {
        const upb_FieldDef *f =
            entry ? upb_MessageDef_Field(def, (int)n - 1) : choose_field(m, def);
        if (f)
            put_value(m, f, depth, out);
    }
}

void proto_generate(struct descriptors *d, struct random_source *r, struct bytes name,
                    struct strbuf *out)
{
    struct making m = {d, r};
    const upb_MessageDef *def = descriptors_message(d, name);
    CHECK(def != NULL);
    message(&m, def, 0, out);
}

/* ---- changing ---- */

static void mutate(struct making *m, const upb_MessageDef *def, struct bytes wire, unsigned depth,
                   struct strbuf *out);

static void mutate_any(struct making *m, struct bytes wire, unsigned depth, struct strbuf *out)
{
    struct bytes url = wire_find_bytes(wire, 1), value = wire_find_bytes(wire, 2);
    const upb_MessageDef *def = descriptors_type_url(m->d, url);
    struct strbuf sub = STRBUF_INIT;
    if (!def || one_in(m, 10)) {
        any(m, depth, out);
        return;
    }
    mutate(m, def, value, depth + 1, &sub);
    wire_put_bytes(out, 1, url);
    wire_put_bytes(out, 2, strbuf_bytes(&sub));
    strbuf_fini(&sub);
}

static void mutate_leaf(struct making *m, struct bytes value, struct strbuf *out)
{
    uint8_t data[LEAF_MAX];
    if (!fuzz_mutate_bytes || value.len > LEAF_MAX) {
        add_text(m, out);
        return;
    }
    if (value.len)
        memcpy(data, value.data, value.len);
    strbuf_add(out, data, fuzz_mutate_bytes(data, value.len, LEAF_MAX));
}

/* The field in place of itself: entered, or with another value. */
static void change_field(struct making *m, const upb_MessageDef *def, const struct wire_field *w,
                         unsigned depth, struct strbuf *out)
{
    const upb_FieldDef *f = upb_MessageDef_FindFieldByNumber(def, w->number);
    struct strbuf sub = STRBUF_INIT;
    if (!f) {
        strbuf_add_bytes(out, w->raw);
        return;
    }
    bool enter = w->type == WIRE_BYTES && depth < PROTO_DEPTH_MAX;
    if (enter && upb_FieldDef_IsSubMessage(f) && !one_in(m, 10))
        mutate(m, upb_FieldDef_MessageSubDef(f), w->bytes, depth + 1, &sub);
    else if (enter && !upb_FieldDef_IsSubMessage(f) && one_in(m, 2))
        mutate_leaf(m, w->bytes, &sub);
    else {
        put_value(m, f, depth, out);
        return;
    }
    wire_put_bytes(out, w->number, strbuf_bytes(&sub));
    strbuf_fini(&sub);
}

static unsigned split(struct bytes wire, struct wire_field *fields, struct bytes *rest)
{
    unsigned n = 0;
    *rest = wire;
    while (n < FIELDS_MAX && wire_next(rest, &fields[n]))
        n++;
    return n;
}

static void mutate(struct making *m, const upb_MessageDef *def, struct bytes wire, unsigned depth,
                   struct strbuf *out)
{
    struct bytes rest;
    if (bytes_eq_str(BYTES(ANY), upb_MessageDef_FullName(def))) {
        mutate_any(m, wire, depth, out);
        return;
    }
    struct wire_field *fields = mem_alloc(FIELDS_MAX * sizeof(*fields));
    unsigned n = split(wire, fields, &rest);
    unsigned at = n ? (unsigned)random_below(m->r, n) : 0;
    unsigned other = n ? (unsigned)random_below(m->r, n) : 0;
    uint64_t what = n ? random_below(m->r, 16) : 0;
    for (unsigned i = 0; i < n; i++) {
        if (what > 4 && i == at)
            change_field(m, def, &fields[i], depth, out);
        else if (what == 1 && (i == at || i == other)) /* two change places */
            strbuf_add_bytes(out, fields[i == at ? other : at].raw);
        else if (what != 2 || i != at) /* 2: one goes */
            strbuf_add_bytes(out, fields[i].raw);
        if (what == 3 && i == at) /* one comes twice */
            strbuf_add_bytes(out, fields[i].raw);
    }
    const upb_FieldDef *f = what == 0 || what == 4 ? choose_field(m, def) : NULL;
    if (f)
        put_value(m, f, depth, out);
    strbuf_add_bytes(out, rest);
    mem_free(fields);
}

void proto_mutate(struct descriptors *d, struct random_source *r, struct bytes name,
                  struct bytes wire, struct strbuf *out)
{
    struct making m = {d, r};
    const upb_MessageDef *def = descriptors_message(d, name);
    struct strbuf next = STRBUF_INIT;
    CHECK(def != NULL);
    mutate(&m, def, wire, 0, out);
    while (one_in(&m, 3)) {
        strbuf_reset(&next);
        strbuf_add_bytes(&next, strbuf_bytes(out));
        strbuf_reset(out);
        mutate(&m, def, strbuf_bytes(&next), 0, out);
    }
    strbuf_fini(&next);
}
