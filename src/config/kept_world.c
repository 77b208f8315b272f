#include "config/kept_world.h"

#include <endian.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/xxhash64.h"
#include "config/builder_private.h"
#include "config/wire.h"

#define MAGIC "xylem world 1\n\n\n"

enum {
    FIELD_NODE_ID = 1,
    FIELD_NODE_CLUSTER = 2,
    FIELD_RESOURCE = 3, /* source's key, type, name, version, type URL, bytes */
    FIELD_VERSION = 4,  /* type, version_info */
    MAGIC_SIZE = 16,
    HASHED = KEPT_HEADER - 8,
    N_PARTS = 6,
    SAVED_AT = MAGIC_SIZE,
    LENGTH_AT = SAVED_AT + 8,
    BODY_HASH_AT = LENGTH_AT + 8,
};

enum part { PART_SOURCE, PART_TYPE, PART_NAME, PART_VERSION, PART_URL, PART_WIRE };

struct kept {
    struct bytes part[N_PARTS];
    enum resource_type type;
    bool given;
};

struct kept_world {
    uint64_t saved_ns;
    struct kept *list;
    size_t n, cap;
    struct bytes versions[RESOURCE_TYPE_COUNT];
};

/* ---- writing ---- */

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static size_t parts_size(const struct bytes *parts, unsigned n)
{
    size_t size = 0;
    for (unsigned i = 0; i < n; i++)
        size += 1 + varint_size(parts[i].len) + parts[i].len;
    return size;
}

static void put_parts(struct strbuf *out, uint32_t field, const struct bytes *parts, unsigned n)
{
    wire_put_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
    wire_put_varint(out, parts_size(parts, n));
    for (unsigned i = 0; i < n; i++)
        wire_put_bytes(out, i + 1, parts[i]);
}

/* The newest version that was accepted, if it is to be kept. */
static const struct resource_version *kept_version(const struct resource *r)
{
    const struct resource_version *v = r->pending ? r->pending : r->active;
    return r->is_static || r->absent || r->doomed || !r->source ? NULL : v;
}

static void parts_of(const struct resource_version *v, struct bytes parts[N_PARTS])
{
    const struct resource *r = v->resource;
    parts[PART_SOURCE] = r->source->source.key;
    parts[PART_TYPE] = bytes_of(resource_type_short(r->type));
    parts[PART_NAME] = r->name;
    parts[PART_VERSION] = bytes_of(v->version->text);
    parts[PART_URL] = bytes_of(v->type_url);
    parts[PART_WIRE] = v->wire;
}

typedef void each_kept_fn(struct strbuf *out, const struct bytes parts[N_PARTS], size_t *size);

static void add_size(struct strbuf *out, const struct bytes parts[N_PARTS], size_t *size)
{
    *size += parts_size(parts, N_PARTS) + 12;
}

static void add_resource(struct strbuf *out, const struct bytes parts[N_PARTS], size_t *size)
{
    put_parts(out, FIELD_RESOURCE, parts, N_PARTS);
}

static void each_kept(const struct builder *b, each_kept_fn *fn, struct strbuf *out, size_t *size,
                      size_t *left_out)
{
    *left_out = 0;
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        if (t == RESOURCE_SECRET)
            continue;
        LIST_EACH(it, &b->store.lists[t])
        {
            struct bytes parts[N_PARTS];
            const struct resource_version *v = kept_version(LIST_ENTRY(it, struct resource, link));
            if (v && v->holds_secret)
                ++*left_out;
            if (!v || v->holds_secret)
                continue;
            parts_of(v, parts);
            fn(out, parts, size);
        }
    }
}

static void put_u64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static uint64_t get_u64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static void put_header(struct strbuf *out, uint64_t saved_ns)
{
    struct bytes body = bytes_skip(strbuf_bytes(out), KEPT_HEADER);
    memcpy(out->data, MAGIC, MAGIC_SIZE);
    put_u64(out->data + SAVED_AT, saved_ns);
    put_u64(out->data + LENGTH_AT, body.len);
    put_u64(out->data + BODY_HASH_AT, xxhash64(body));
    put_u64(out->data + HASHED, xxhash64(bytes_from(out->data, HASHED)));
}

bool kept_world_write(const struct builder *b, const struct kept_node *node, struct strbuf *out,
                      size_t *left_out)
{
    enum { SLACK = 64 * 1024 };
    static const char header[KEPT_HEADER];
    size_t size = 0;
    each_kept(b, add_size, NULL, &size, left_out);
    if (!mem_reserve(size + SLACK))
        return false;
    strbuf_reserve(out, size + SLACK / 2);
    strbuf_add(out, header, KEPT_HEADER);
    wire_put_bytes(out, FIELD_NODE_ID, node->id);
    wire_put_bytes(out, FIELD_NODE_CLUSTER, node->cluster);
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        struct bytes parts[] = {bytes_of(resource_type_short(t)),
                                bytes_of(builder_type_version(b, t))};
        put_parts(out, FIELD_VERSION, parts, 2);
    }
    each_kept(b, add_resource, out, NULL, left_out);
    put_header(out, builder_wall_ns(b));
    mem_reserve_end();
    return true;
}

/* ---- reading ---- */

static bool type_of(struct bytes name, enum resource_type *type)
{
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        *type = (enum resource_type)t;
        if (bytes_eq_str(name, resource_type_short(*type)))
            return true;
    }
    return false;
}

/* n strings, each once and in order, as they are written. */
static bool read_parts(struct bytes rest, struct bytes *parts, unsigned n)
{
    struct wire_field f;
    for (unsigned i = 0; i < n; i++) {
        if (!wire_next(&rest, &f) || f.number != i + 1 || f.type != WIRE_BYTES)
            return false;
        parts[i] = f.bytes;
    }
    return rest.len == 0;
}

static bool add_kept(struct kept_world *k, struct bytes bytes)
{
    struct kept x = {.given = false};
    if (!read_parts(bytes, x.part, N_PARTS))
        return false;
    if (!type_of(x.part[PART_TYPE], &x.type) || x.type == RESOURCE_SECRET)
        return true; /* of a later Xylem, perhaps */
    GROW(k->list, k->cap, k->n + 1);
    k->list[k->n++] = x;
    return true;
}

static bool read_field(struct kept_world *k, const struct wire_field *f,
                       const struct kept_node *node, struct error *err)
{
    enum resource_type type;
    struct bytes parts[2];
    bool ok = f->type == WIRE_BYTES;
    if (ok && f->number == FIELD_NODE_ID && !bytes_eq(f->bytes, node->id))
        return error_set(err, "it is of another node, '%.*s'", BYTES_ARG(f->bytes));
    if (ok && f->number == FIELD_NODE_CLUSTER && !bytes_eq(f->bytes, node->cluster))
        return error_set(err, "it is of another cluster of nodes, '%.*s'", BYTES_ARG(f->bytes));
    if (ok && f->number == FIELD_RESOURCE)
        ok = add_kept(k, f->bytes);
    if (ok && f->number == FIELD_VERSION)
        ok = read_parts(f->bytes, parts, 2);
    if (ok && f->number == FIELD_VERSION && type_of(parts[0], &type))
        k->versions[type] = parts[1];
    return ok || error_set(err, "its content cannot be read");
}

static bool check_header(struct bytes file, struct error *err)
{
    if (file.len < KEPT_HEADER || memcmp(file.data, MAGIC, MAGIC_SIZE) != 0)
        return error_set(err, "it is no world that this version of Xylem has kept");
    if (get_u64(file.data + HASHED) != xxhash64(bytes_first(file, HASHED)))
        return error_set(err, "its header was changed");
    if (get_u64(file.data + LENGTH_AT) != file.len - KEPT_HEADER)
        return error_set(err, "it has %zu bytes and should have %llu", file.len,
                         (unsigned long long)get_u64(file.data + LENGTH_AT) + KEPT_HEADER);
    if (get_u64(file.data + BODY_HASH_AT) != xxhash64(bytes_skip(file, KEPT_HEADER)))
        return error_set(err, "its content was changed");
    return true;
}

struct kept_world *kept_world_read(struct bytes file, const struct kept_node *node,
                                   struct error *err)
{
    struct wire_field f;
    if (!check_header(file, err))
        return NULL;
    struct kept_world *k = NEW(struct kept_world);
    struct bytes rest = bytes_skip(file, KEPT_HEADER);
    k->saved_ns = get_u64(file.data + SAVED_AT);
    bool ok = true;
    while (ok && wire_next(&rest, &f))
        ok = read_field(k, &f, node, err);
    if (ok && rest.len)
        ok = error_set(err, "its content cannot be read");
    if (!ok)
        kept_world_free(&k);
    return k;
}

void kept_world_free(struct kept_world **kp)
{
    struct kept_world *k = *kp;
    *kp = NULL;
    if (!k)
        return;
    mem_free(k->list);
    mem_free(k);
}

uint64_t kept_world_saved_ns(const struct kept_world *k)
{
    return k->saved_ns;
}

size_t kept_world_count(const struct kept_world *k)
{
    return k->n;
}

/* ---- giving ---- */

/* Where a kept resource belongs, if it is wanted now and nothing newer is there; else NULL. */
static const struct config_source *wanted_by(const struct builder *b, const struct kept *x)
{
    struct config_source probe = {.kind = SOURCE_GRPC, .key = x->part[PART_SOURCE]};
    if (resource_type_is_wildcard(x->type)) {
        const struct resource *all = builder_wildcard(b, x->type, &probe);
        bool same = all && bytes_eq(all->source->source.key, probe.key);
        bool answered = same && (x->type == RESOURCE_SCOPED_ROUTE ? all->settled
                                                                  : builder_has_answer(b, x->type));
        return same && !answered ? &all->source->source : NULL;
    }
    const struct resource *r = store_find(&b->store, &probe, x->type, x->part[PART_NAME]);
    return r && r->source && r->told && !r->active && !r->pending && !r->absent && !r->rejected
               ? &r->source->source
               : NULL;
}

/* All of one type at once: a full response. */
static size_t give_type(struct kept_world *k, struct builder *b, enum resource_type type,
                        struct bytes source_key)
{
    const struct config_source *source = NULL;
    struct resource_update *updates = mem_alloc((k->n + 1) * sizeof(*updates));
    struct update_result result = {0};
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++) {
        struct kept *x = &k->list[i];
        if (x->type != type || x->given || !bytes_eq(x->part[PART_SOURCE], source_key))
            continue;
        const struct config_source *by = wanted_by(b, x);
        if (!by)
            continue;
        source = by;
        x->given = true;
        updates[n++] = (struct resource_update){x->part[PART_NAME], x->part[PART_VERSION],
                                                x->part[PART_URL], x->part[PART_WIRE]};
    }
    if (n) {
        builder_give_kept(b, source, type, updates, n, k->versions[type], &result);
        for (unsigned i = 0; i < result.n_errors; i++)
            LOG(LOG_CONFIG, LOG_WARNING, "%s '%s' was kept and is refused now: %s",
                resource_type_short(type), result.errors[i].name, result.errors[i].details);
        update_result_fini(&result);
    }
    mem_free(updates);
    return n;
}

size_t kept_world_apply(struct kept_world *k, struct builder *b, struct bytes source_key)
{
    size_t n = 0, before;
    do { /* what is given may want more of it */
        before = n;
        for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++)
            n += give_type(k, b, (enum resource_type)t, source_key);
    } while (n > before);
    return n;
}
