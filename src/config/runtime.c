#include "config/runtime.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "config/runtime_value.h"

#define LIMIT_BEFORE "envoy.resource_limits.listener."
#define LIMIT_AFTER ".connection_limit"
#define LIMIT_OF_ALL "overload.global_downstream_max_connections"

#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc stats[] = {RUNTIME_STAT_LIST(X)};
#undef X
const struct stat_schema runtime_stat_schema = {stats, ARRAY_SIZE(stats)};

const struct runtime_value *runtime_get(const struct runtime *r, struct bytes key)
{
    const struct runtime_value *v = NULL;
    for (unsigned i = r->n_layers; !v && i-- > 0;)
        v = map_get(&r->layers[i].values, key);
    return v;
}

struct bytes *runtime_keys(const struct runtime *r, size_t *n)
{
    struct map all = MAP_INIT;
    struct bytes key;
    void *value;
    size_t at = 0;
    for (unsigned i = 0; i < r->n_layers; i++) {
        for (size_t it = 0; map_next(&r->layers[i].values, &it, &key, &value);)
            map_set(&all, key, value);
    }
    struct bytes *keys = mem_alloc((map_count(&all) + 1) * sizeof(*keys));
    for (unsigned i = 0; i < r->n_layers; i++) {
        for (size_t it = 0; map_next(&r->layers[i].values, &it, &key, &value);) {
            if (map_remove(&all, key))
                keys[at++] = key; /* of the layer: it outlives `all` */
        }
    }
    map_fini(&all);
    qsort(keys, at, sizeof(keys[0]), bytes_order);
    *n = at;
    return keys;
}

/* ---- cells ---- */

/* As Envoy: a number is a percentage, where a fraction is asked for. */
static uint64_t pack(const struct runtime_value *v)
{
    enum { SET = 4, NUMBER = 3 };
    uint64_t code = 0;
    if (v && v->kind == RUNTIME_NUMBER && v->number >= 0)
        return (uint64_t)(SET | NUMBER) << 32 | runtime_whole(v->number);
    if (!v || v->kind != RUNTIME_FRACTION)
        return 0;
    code = v->fraction.denominator == 10000 ? 1 : v->fraction.denominator == 1000000 ? 2 : 0;
    return (SET | code) << 32 | v->fraction.numerator;
}

static void fill_cells(struct runtime *r)
{
    struct bytes key;
    void *cell;
    for (size_t it = 0; map_next(&r->cells, &it, &key, &cell);)
        atomic_store_explicit(&((struct runtime_cell *)cell)->packed, pack(runtime_get(r, key)),
                              memory_order_relaxed);
}

struct runtime_cell *runtime_cell_get(struct runtime *r, struct bytes key)
{
    if (!r || key.len == 0)
        return NULL;
    struct runtime_cell *c = map_get(&r->cells, key);
    if (!c) {
        c = mem_alloc(sizeof(*c) + key.len);
        char *text = memcpy(c + 1, key.data, key.len);
        *c = (struct runtime_cell){.home = r, .key = bytes_from(text, key.len)};
        atomic_store_explicit(&c->packed, pack(runtime_get(r, key)), memory_order_relaxed);
        map_set(&r->cells, key, c);
    }
    c->refs++;
    return c;
}

void runtime_cell_unref(struct runtime_cell **cp)
{
    struct runtime_cell *c = *cp;
    *cp = NULL;
    if (!c || --c->refs)
        return;
    map_remove(&c->home->cells, c->key);
    mem_free(c);
}

/* ---- layers ---- */

static bool is_limit(const struct runtime_value *v)
{
    return v->kind == RUNTIME_NUMBER && v->number >= 0 && v->number < 1e18;
}

static void free_values(struct map *values)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(values, &it, &key, &value);)
        mem_free(value);
    map_fini(values);
}

void runtime_fini(struct runtime *r)
{
    CHECK(map_count(&r->cells) == 0);
    map_fini(&r->cells);
    for (unsigned i = 0; i < r->n_layers; i++)
        free_values(&r->layers[i].values);
    stat_scope_unref(&r->stats);
    *r = (struct runtime){0};
}

static void count_load(struct runtime *r, bool ok)
{
    unsigned folders = 0;
    if (!r->stats) {
        r->failed |= !ok;
        return;
    }
    for (unsigned i = 0; i < r->n_layers; i++)
        folders += r->layers[i].kind == RUNTIME_DISK && !r->layers[i].absent;
    stat_inc(r->stats, STAT_SLOT_CONFIG, ok ? STAT_RUNTIME_LOAD_SUCCESS : STAT_RUNTIME_LOAD_ERROR);
    stat_inc(r->stats, STAT_SLOT_CONFIG,
             folders > 1 ? STAT_RUNTIME_OVERRIDE_DIR_EXISTS : STAT_RUNTIME_OVERRIDE_DIR_NOT_EXISTS);
}

static void tell_stats(struct runtime *r)
{
    size_t n, admin = 0, layers = 0;
    if (!r->stats)
        return;
    mem_free(runtime_keys(r, &n));
    for (unsigned i = 0; i < r->n_layers; i++) {
        layers += !r->layers[i].absent;
        if (r->layers[i].kind == RUNTIME_ADMIN)
            admin += map_count(&r->layers[i].values);
    }
    stat_set(r->stats, STAT_SLOT_CONFIG, STAT_RUNTIME_NUM_KEYS, (int64_t)n);
    stat_set(r->stats, STAT_SLOT_CONFIG, STAT_RUNTIME_NUM_LAYERS, (int64_t)layers);
    stat_set(r->stats, STAT_SLOT_CONFIG, STAT_RUNTIME_ADMIN_OVERRIDES_ACTIVE, admin > 0);
}

/* Envoy begins with two loads. */
void runtime_set_stats(struct runtime *r, struct stat_store *store)
{
    r->stats = stat_scope_get(store, BYTES("runtime"), &runtime_stat_schema);
    count_load(r, !r->failed);
    count_load(r, !r->failed);
    tell_stats(r);
}

static void changed(struct runtime *r)
{
    fill_cells(r);
    count_load(r, true);
    tell_stats(r);
}

/* Takes over `values`, or drops it when it did not come to be. */
static bool replace(struct runtime *r, unsigned layer, struct map *values, bool ok)
{
    if (!ok) {
        free_values(values);
        count_load(r, false);
        return false;
    }
    free_values(&r->layers[layer].values);
    r->layers[layer].values = *values;
    changed(r);
    return true;
}

/* A limit that is no number would be no limit. */
static bool check_limits(const struct map *values, struct error *err)
{
    struct bytes key;
    void *value;
    for (size_t it = 0; map_next(values, &it, &key, &value);) {
        const struct runtime_value *v = value;
        bool limit =
            bytes_eq_str(key, LIMIT_OF_ALL) || (bytes_starts_with(key, BYTES(LIMIT_BEFORE)) &&
                                                bytes_ends_with(key, BYTES(LIMIT_AFTER)));
        if (limit && !is_limit(v))
            return error_set(err, "%.*s: expected a number from 0 on", BYTES_ARG(key));
    }
    return true;
}

bool runtime_set_layer(struct runtime *r, unsigned layer, struct bytes wire, struct error *err)
{
    struct map values = MAP_INIT;
    bool ok = runtime_values_of_struct(wire, &values, err) && check_limits(&values, err);
    return replace(r, layer, &values, ok);
}

bool runtime_read_disk(struct runtime *r, unsigned layer, struct bytes service_cluster,
                       struct error *err)
{
    struct runtime_layer *l = &r->layers[layer];
    struct arena *a = arena_new(0);
    bool there;
    struct map values = MAP_INIT;
    const char *path = arena_printf(a, "%.*s", BYTES_ARG(l->symlink_root));
    if (l->subdirectory.len)
        path = arena_printf(a, "%s/%.*s", path, BYTES_ARG(l->subdirectory));
    if (l->append_service_cluster)
        path = arena_printf(a, "%s/%.*s", path, BYTES_ARG(service_cluster));
    bool ok = runtime_values_of_folder(path, &values, &there, err);
    arena_free(&a);
    if (ok)
        l->absent = !there;
    return replace(r, layer, &values, ok);
}

int runtime_find_layer(const struct runtime *r, enum runtime_kind kind, struct bytes name)
{
    for (unsigned i = 0; i < r->n_layers; i++) {
        if (r->layers[i].kind == kind && (!name.data || bytes_eq(r->layers[i].name, name)))
            return (int)i;
    }
    return -1;
}

bool runtime_modify(struct runtime *r, struct bytes key, struct bytes value)
{
    int layer = runtime_find_layer(r, RUNTIME_ADMIN, BYTES_NONE);
    if (layer < 0)
        return false;
    struct map *values = &r->layers[layer].values;
    if (value.len)
        mem_free(map_set(values, key, runtime_value_of_text(value)));
    else
        mem_free(map_remove(values, key));
    changed(r);
    return true;
}

/* ---- limits ---- */

static uint64_t limit_of(const struct runtime *r, struct bytes key)
{
    const struct runtime_value *v = runtime_get(r, key);
    return v && is_limit(v) ? (uint64_t)v->number : UINT64_MAX;
}

uint64_t runtime_listener_connection_limit(const struct runtime *r, struct bytes listener)
{
    struct strbuf key = STRBUF_INIT;
    if (!r)
        return UINT64_MAX;
    strbuf_printf(&key, LIMIT_BEFORE "%.*s" LIMIT_AFTER, BYTES_ARG(listener));
    uint64_t limit = limit_of(r, strbuf_bytes(&key));
    strbuf_fini(&key);
    return limit;
}

uint64_t runtime_connection_limit(const struct runtime *r)
{
    return limit_of(r, BYTES(LIMIT_OF_ALL));
}
