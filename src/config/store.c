#include "config/store.h"

#include <stddef.h>

#include "base/memory.h"
#include "config/google_grpc.h"
#include "config/route.h"
#include "config/scoped_routes.h"

#define X(id, name, shrt, full) name,
static const char *const type_names[] = {RESOURCE_TYPE_LIST(X)};
#undef X
#define X(id, name, shrt, full) shrt,
static const char *const type_shorts[] = {RESOURCE_TYPE_LIST(X)};
#undef X
#define X(id, name, shrt, full) "type.googleapis.com/" name,
static const char *const type_urls[] = {RESOURCE_TYPE_LIST(X)};
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

const char *resource_type_url(enum resource_type t)
{
    return type_urls[t];
}

bool resource_type_is_wildcard(enum resource_type t)
{
    return type_wildcards[t];
}

bool resource_type_is_global(enum resource_type t)
{
    return t == RESOURCE_CLUSTER || t == RESOURCE_LISTENER;
}

enum resource_type resource_type_of_url(struct bytes type_url)
{
    struct bytes name = bytes_skip(type_url, (size_t)(bytes_rfind_char(type_url, '/') + 1));
    unsigned t = 0;
    while (t < RESOURCE_TYPE_COUNT && !bytes_eq_str(name, type_names[t]))
        t++;
    return (enum resource_type)t;
}

void store_init(struct store *s)
{
    *s = (struct store){.sources = MAP_INIT};
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++)
        list_init(&s->lists[t]);
}

static uint32_t hash_of(enum resource_type type, struct bytes name)
{
    return (uint32_t)bytes_hash(name) * 31 + type;
}

static struct bytes source_key(const struct config_source *source)
{
    return source ? source->key : BYTES_NONE;
}

static bool is_it(const struct resource *r, const struct config_source *source,
                  enum resource_type type, struct bytes name)
{
    return r->type == type && bytes_eq(r->name, name) &&
           (resource_type_is_global(type) ||
            bytes_eq(source_key(r->source ? &r->source->source : NULL), source_key(source)));
}

struct resource *store_find(const struct store *s, const struct config_source *source,
                            enum resource_type type, struct bytes name)
{
    uint32_t hash = hash_of(type, name);
    struct resource *r = s->n ? s->buckets[hash & (s->n_buckets - 1)] : NULL;
    while (r && !(r->hash == hash && is_it(r, source, type, name)))
        r = r->next;
    return r;
}

static void resize(struct store *s, size_t n_buckets)
{
    mem_free(s->buckets);
    s->buckets = mem_zalloc(n_buckets * sizeof(s->buckets[0]));
    s->n_buckets = n_buckets;
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        LIST_EACH(it, &s->lists[t])
        {
            struct resource *r = LIST_ENTRY(it, struct resource, link);
            struct resource **bucket = &s->buckets[r->hash & (n_buckets - 1)];
            r->next = *bucket;
            *bucket = r;
        }
    }
}

/* A copy at *end, which moves behind its NUL. */
static struct bytes put(char **end, struct bytes b)
{
    char *data = *end;
    if (b.len)
        memcpy(data, b.data, b.len);
    data[b.len] = '\0';
    *end = data + b.len + 1;
    return bytes_from(data, b.len);
}

static struct bytes copy_bytes(struct bytes b)
{
    char *data = mem_alloc(b.len + 1);
    return put(&data, b);
}

static char *copy_str(struct bytes b)
{
    return (char *)copy_bytes(b).data;
}

struct resource *store_add(struct store *s, const struct config_source *source,
                           enum resource_type type, struct bytes name)
{
    struct resource *r = mem_alloc(sizeof(*r) + name.len + 1);
    char *text = memcpy((char *)(r + 1), name.len ? name.data : "", name.len);
    text[name.len] = '\0';
    *r = (struct resource){
        .type = (uint8_t)type,
        .hash = hash_of(type, name),
        .name = bytes_from(text, name.len),
        .source = source && source->kind != SOURCE_NONE ? store_source(s, source) : NULL,
    };
    list_init(&r->dirty_link);
    list_init(&r->dependants);
    list_init(&r->want_link);
    list_init(&r->wait_link);
    list_push_back(&s->lists[type], &r->link);
    s->counts[type]++;
    if (++s->n > s->n_buckets) {
        resize(s, s->n_buckets ? s->n_buckets * 2 : 16);
    } else {
        struct resource **bucket = &s->buckets[r->hash & (s->n_buckets - 1)];
        r->next = *bucket;
        *bucket = r;
    }
    return r;
}

static void resource_free(struct store *s, struct resource *r)
{
    CHECK(!r->active && !r->pending && !r->wait && r->n_dependants == 0);
    CHECK(r->type != RESOURCE_SECRET || !r->refused);
    list_remove(&r->link);
    list_remove(&r->dirty_link);
    list_remove(&r->want_link);
    resource_clear_rejected(r);
    store_source_unref(s, &r->source);
    stat_scope_unref(&r->stats);
    mem_free(r);
}

void store_remove(struct store *s, struct resource *r)
{
    struct resource **at = &s->buckets[r->hash & (s->n_buckets - 1)];
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    s->counts[r->type]--;
    resource_free(s, r);
    if (--s->n * 8 < s->n_buckets && s->n_buckets > 16)
        resize(s, s->n_buckets / 4);
}

void store_fini(struct store *s)
{
    for (unsigned t = 0; t < RESOURCE_TYPE_COUNT; t++) {
        CHECK(list_empty(&s->lists[t]));
    }
    mem_free(s->buckets);
    map_fini(&s->sources);
}

static struct bytes *copy_list(struct arena *a, const struct bytes *list, unsigned n)
{
    struct bytes *out = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (unsigned i = 0; i < n; i++)
        out[i] = arena_dup(a, list[i]);
    return out;
}

void config_source_copy(struct arena *a, struct config_source *to, const struct config_source *from)
{
    *to = *from;
    to->key = arena_dup(a, from->key);
    to->path = arena_dup(a, from->path);
    to->watched_directory = arena_dup(a, from->watched_directory);
    to->api.rest_cluster = arena_dup(a, from->api.rest_cluster);
    unsigned n = from->api.n_services;
    to->api.services = ARENA_ARRAY(a, struct grpc_service, n ? n : 1);
    for (unsigned i = 0; i < n; i++) {
        const struct grpc_service *f = &from->api.services[i];
        struct grpc_service *t = &to->api.services[i];
        *t = *f;
        t->cluster_name = arena_dup(a, f->cluster_name);
        t->authority = arena_dup(a, f->authority);
        t->google = f->google ? google_grpc_copy(a, f->google) : NULL;
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
        config_source_copy(ref->arena, &ref->source, source);
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

static struct version_text *last_version; /* made last, while somebody has it */

static struct version_text *version_ref(struct bytes text)
{
    struct version_text *v = last_version;
    if (!v || !bytes_eq_str(text, v->text)) {
        v = last_version = mem_alloc(sizeof(*v) + text.len + 1);
        char *at = v->text;
        put(&at, text);
        v->refs = 0;
    }
    v->refs++;
    return v;
}

static void version_unref(struct version_text **vp)
{
    struct version_text *v = *vp;
    *vp = NULL;
    if (!v || --v->refs)
        return;
    if (v == last_version)
        last_version = NULL;
    mem_free(v);
}

struct resource_version *resource_version_new(struct resource *r, struct bytes wire,
                                              struct bytes type_url, struct bytes version_info,
                                              uint64_t wall_ns)
{
    size_t size = r->type == RESOURCE_ENDPOINT ? offsetof(struct resource_version, nothing)
                                               : sizeof(struct resource_version);
    bool own_url = type_url.len && !bytes_eq_str(type_url, type_urls[r->type]);
    struct resource_version *v = mem_alloc(size + wire.len + 1 + (own_url ? type_url.len + 1 : 0));
    memset(v, 0, size);
    char *end = (char *)v + size;
    v->resource = r;
    v->wire = put(&end, wire);
    v->type_url = own_url ? put(&end, type_url).data : type_urls[r->type];
    v->version = version_ref(version_info);
    v->received_wall_ns = wall_ns;
    return v;
}

void resource_version_rename(struct resource_version *v, struct bytes version_info)
{
    struct version_text *old = v->version;
    v->version = version_ref(version_info);
    version_unref(&old);
}

static void cluster_parts_free(struct resource_version *v)
{
    for (uint32_t i = 0; v->dns && i < v->cluster->n_dns_targets; i++)
        mem_free(v->dns[i].addresses);
    mem_free(v->dns);
    NODE_UNREF(&v->hosts);
    NODE_UNREF(&v->cluster);
    cluster_state_unref(&v->state);
}

/* May a private key stand in its bytes? */
static bool holds_key(const struct resource_version *v)
{
    switch ((enum resource_type)v->resource->type) {
    case RESOURCE_SECRET:
        return true;
    case RESOURCE_CLUSTER:
        return v->cluster && cluster_has_tls(v->cluster);
    case RESOURCE_LISTENER:
        return v->listener && listener_has_tls(v->listener);
    case RESOURCE_ENDPOINT:
    case RESOURCE_EXTENSION:
    case RESOURCE_VIRTUAL_HOST:
    case RESOURCE_SCOPED_ROUTE:
    case RESOURCE_RUNTIME:
    case RESOURCE_ROUTE:
    case RESOURCE_TYPE_COUNT:
        break;
    }
    return false;
}

void resource_version_free(struct resource_version **vp)
{
    struct resource_version *v = *vp;
    *vp = NULL;
    if (!v)
        return;
    CHECK(v->n_deps == 0 && !v->bound);
    enum resource_type type = (enum resource_type)v->resource->type;
    if (holds_key(v))
        explicit_bzero((char *)v->wire.data, v->wire.len);
    if (type == RESOURCE_CLUSTER)
        cluster_parts_free(v);
    if (type == RESOURCE_LISTENER)
        NODE_UNREF(&v->listener);
    if (type == RESOURCE_ROUTE)
        NODE_UNREF(&v->route);
    if (type == RESOURCE_SCOPED_ROUTE)
        scope_free(&v->scope);
    if (type != RESOURCE_CLUSTER || v->deps != &v->cluster_dep)
        mem_free(v->deps);
    version_unref(&v->version);
    mem_free(v);
}

void resource_clear_rejected(struct resource *r)
{
    struct resource_rejected *x = r->rejected;
    r->rejected = NULL;
    if (!x)
        return;
    explicit_bzero((char *)x->wire.data, x->wire.len); /* it may be a key */
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
