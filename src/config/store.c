#include "config/store.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "config/route.h"

#define X(id, name, shrt, full) name,
static const char *const type_names[] = {RESOURCE_TYPE_LIST(X)};
#undef X
#define X(id, name, shrt, full) shrt,
static const char *const type_shorts[] = {RESOURCE_TYPE_LIST(X)};
#undef X
#define X(id, name, shrt, full) full,
static const bool type_wildcards[] = {RESOURCE_TYPE_LIST(X)};
#undef X

const char *resource_type_name(enum resource_type t)
{
    return type_names[t];
}

const char *resource_type_short(enum resource_type t)
{
    return type_shorts[t];
}

bool resource_type_is_wildcard(enum resource_type t)
{
    return type_wildcards[t];
}

enum resource_type resource_type_of_url(struct bytes type_url)
{
    struct bytes name = bytes_skip(type_url, (size_t)(bytes_rfind_char(type_url, '/') + 1));
    unsigned t = 0;
    while (t < RESOURCE_TYPE_COUNT && !bytes_eq_str(name, type_names[t]))
        t++;
    return (enum resource_type)t;
}

static void add_key(struct strbuf *key, const struct config_source *source, enum resource_type type,
                    struct bytes name)
{
    struct bytes from = !type_wildcards[type] && source ? source->key : BYTES_NONE;
    strbuf_printf(key, "%d|%zu|", (int)type, from.len);
    strbuf_add_bytes(key, from);
    strbuf_add_bytes(key, name);
}

void store_init(struct store *s)
{
    *s = (struct store){.by_key = MAP_INIT, .sources = MAP_INIT};
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++)
        list_init(&s->lists[t]);
}

struct resource *store_find(const struct store *s, const struct config_source *source,
                            enum resource_type type, struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    add_key(&key, source, type, name);
    struct resource *r = map_get(&s->by_key, strbuf_bytes(&key));
    strbuf_fini(&key);
    return r;
}

static struct bytes copy_bytes(struct bytes b)
{
    char *data = mem_alloc(b.len + 1);
    if (b.len)
        memcpy(data, b.data, b.len);
    data[b.len] = '\0';
    return bytes_from(data, b.len);
}

static char *copy_str(struct bytes b)
{
    return (char *)copy_bytes(b).data;
}

struct resource *store_add(struct store *s, const struct config_source *source,
                           enum resource_type type, struct bytes name)
{
    struct strbuf key = STRBUF_INIT;
    struct resource *r = NEW(struct resource);
    add_key(&key, source, type, name);
    r->type = type;
    r->name = copy_bytes(name);
    r->source = source && source->kind != SOURCE_NONE ? store_source(s, source) : NULL;
    list_init(&r->dirty_link);
    list_init(&r->dependants);
    list_init(&r->want_link);
    list_init(&r->link);
    void *old = map_set(&s->by_key, strbuf_bytes(&key), r);
    CHECK(!old);
    list_push_back(&s->lists[type], &r->link);
    s->counts[type]++;
    strbuf_fini(&key);
    return r;
}

static void resource_free(struct store *s, struct resource *r)
{
    CHECK(!r->active && !r->pending && !r->timer && r->n_dependants == 0);
    list_remove(&r->link);
    list_remove(&r->dirty_link);
    list_remove(&r->want_link);
    resource_clear_rejected(r);
    store_source_unref(s, &r->source);
    stat_scope_unref(&r->stats);
    mem_free((void *)r->name.data);
    mem_free(r);
}

void store_remove(struct store *s, struct resource *r)
{
    struct strbuf key = STRBUF_INIT;
    add_key(&key, r->source ? &r->source->source : NULL, r->type, r->name);
    CHECK(map_remove(&s->by_key, strbuf_bytes(&key)) == r);
    s->counts[r->type]--;
    strbuf_fini(&key);
    resource_free(s, r);
}

void store_fini(struct store *s)
{
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        CHECK(list_empty(&s->lists[t]));
    }
    map_fini(&s->by_key);
    map_fini(&s->sources);
}

static struct bytes *copy_list(struct arena *a, const struct bytes *list, unsigned n)
{
    struct bytes *out = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (unsigned i = 0; i < n; i++)
        out[i] = arena_dup(a, list[i]);
    return out;
}

static void copy_source(struct arena *a, struct config_source *to, const struct config_source *from)
{
    *to = *from;
    to->key = arena_dup(a, from->key);
    to->path = arena_dup(a, from->path);
    to->watched_directory = arena_dup(a, from->watched_directory);
    unsigned n = from->api.n_services;
    to->api.services = ARENA_ARRAY(a, struct grpc_service, n ? n : 1);
    for (unsigned i = 0; i < n; i++) {
        const struct grpc_service *f = &from->api.services[i];
        struct grpc_service *t = &to->api.services[i];
        *t = *f;
        t->cluster_name = arena_dup(a, f->cluster_name);
        t->authority = arena_dup(a, f->authority);
        t->metadata_keys = copy_list(a, f->metadata_keys, f->n_metadata);
        t->metadata_values = copy_list(a, f->metadata_values, f->n_metadata);
    }
}

struct source_ref *store_source(struct store *s, const struct config_source *source)
{
    struct source_ref *ref = map_get(&s->sources, source->key);
    if (!ref) {
        ref = NEW(struct source_ref);
        ref->arena = arena_new(0);
        copy_source(ref->arena, &ref->source, source);
        map_set(&s->sources, source->key, ref);
    }
    ref->refs++;
    return ref;
}

void store_source_unref(struct store *s, struct source_ref **refp)
{
    struct source_ref *ref = *refp;
    *refp = NULL;
    if (!ref || --ref->refs)
        return;
    map_remove(&s->sources, ref->source.key);
    arena_free(&ref->arena);
    mem_free(ref);
}

struct resource_version *resource_version_new(struct resource *r, struct bytes wire,
                                              struct bytes type_url, struct bytes version_info,
                                              uint64_t wall_ns)
{
    struct resource_version *v = NEW(struct resource_version);
    v->resource = r;
    v->wire = copy_bytes(wire);
    v->type_url = copy_str(type_url);
    v->version_info = copy_str(version_info);
    v->received_wall_ns = wall_ns;
    return v;
}

void resource_version_free(struct resource_version **vp)
{
    struct resource_version *v = *vp;
    *vp = NULL;
    if (!v)
        return;
    CHECK(v->n_deps == 0 && !v->bound);
    for (uint32_t i = 0; v->dns && i < v->cluster->n_dns_targets; i++)
        mem_free(v->dns[i].addresses);
    mem_free(v->dns);
    NODE_UNREF(&v->hosts);
    NODE_UNREF(&v->cluster);
    NODE_UNREF(&v->listener);
    NODE_UNREF(&v->route);
    cluster_state_unref(&v->state);
    mem_free((void *)v->wire.data);
    mem_free(v->type_url);
    mem_free(v->version_info);
    mem_free(v->deps);
    mem_free(v);
}

void resource_clear_rejected(struct resource *r)
{
    struct resource_rejected *x = r->rejected;
    r->rejected = NULL;
    if (!x)
        return;
    mem_free((void *)x->wire.data);
    mem_free(x->details);
    mem_free(x->version_info);
    mem_free(x);
}

void resource_reject(struct resource *r, struct bytes wire, struct bytes version_info,
                     const char *details, uint64_t wall_ns)
{
    resource_clear_rejected(r);
    struct resource_rejected *x = NEW(struct resource_rejected);
    x->wire = copy_bytes(wire);
    x->version_info = copy_str(version_info);
    x->details = mem_strdup(details);
    x->wall_ns = wall_ns;
    r->rejected = x;
}
