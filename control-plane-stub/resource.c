#include "resource.h"

#include "encode.h"
#include "types.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define WRAPPER "envoy.service.discovery.v3.Resource"

struct resource *resource_ref(struct resource *r)
{
    r->refs++;
    return r;
}

void resource_unref(struct resource **r)
{
    struct resource *gone = *r;

    *r = NULL;
    if (!gone || --gone->refs)
        return;
    free(gone->type_url);
    free(gone->name);
    free(gone->value);
    free(gone->wrapper);
    free(gone->origin);
    free(gone);
}

void resource_array_add(struct resource_array *a, struct resource *r)
{
    ARRAY_ROOM(a->items, a->count, a->cap);
    a->items[a->count++] = r;
}

void resource_array_fini(struct resource_array *a)
{
    for (size_t i = 0; i < a->count; i++)
        resource_unref(&a->items[i]);
    free(a->items);
    *a = (struct resource_array){0};
}

/* The name stands in `name`, for some types in another field. */
static const struct node *find_name(const struct node *n, const char *type_url)
{
    const struct resource_type *t = resource_type_named(type_url);
    const struct node *name;

    if (t && t->name_field) {
        name = node_get(n, t->name_field);
        return name ? name : node_get(n, "clusterName");
    }
    return node_get(n, "name");
}

static bool set_name(struct resource *r, struct encoder *e, const struct node *n,
                     const char *fallback)
{
    const struct node *name = find_name(n, r->type_url);

    if (name && name->kind == NODE_SCALAR)
        r->name = mem_string(name->text);
    else if (fallback)
        r->name = mem_string(fallback);
    else
        return encode_fail(e, n, NULL, "this %s needs a name", desc_url_name(r->type_url));
    if (fallback && strcmp(fallback, r->name))
        return encode_fail(e, n, NULL, "its name is \"%s\", not \"%s\"", r->name, fallback);
    return true;
}

/* {"@type": ...Resource, name: N, ttl: 1s, resource: {"@type": ...}}: keep the wrapper's bytes and
 * those of the resource inside. */
static bool make_wrapped(struct resource *r, struct encoder *e, const struct node *n,
                         const struct text *wrapper)
{
    const struct node *inner = node_get(n, "resource"), *name = node_get(n, "name");
    struct text url = {0}, value = {0};
    bool ok;

    if (!inner)
        return encode_fail(e, n, NULL, "the Resource wrapper needs `resource`");
    if (!name || name->kind != NODE_SCALAR)
        return encode_fail(e, n, NULL, "the Resource wrapper needs `name`");
    ok = encode_any(e, inner, NULL, &url, &value);
    r->name = mem_string(name->text);
    r->wrapper_len = wrapper->len;
    r->wrapper = mem_bytes(wrapper->data, wrapper->len);
    r->ttl_us = wire_ttl(r->wrapper, r->wrapper_len);
    r->type_url = text_take(&url);
    r->len = value.len;
    r->value = text_take(&value);
    return ok;
}

static bool fill(struct resource *r, struct encoder *e, const struct node *n,
                 const char *fallback_name)
{
    struct text url = {0}, value = {0};
    bool ok = encode_any(e, n, NULL, &url, &value);

    if (ok && !strcmp(desc_url_name(text_str(&url)), WRAPPER) && node_get(n, "resource")) {
        ok = make_wrapped(r, e, n, &value);
        text_fini(&url);
        text_fini(&value);
        return ok;
    }
    r->type_url = text_take(&url);
    r->len = value.len;
    r->value = text_take(&value);
    return ok && set_name(r, e, n, fallback_name);
}

/* What the URL of a PUT says and the body leaves out: nodes in front of the mapping's own. */
struct defaults {
    struct node map, keys[2], values[2];
    struct node *items[];
};

static void set_default(struct defaults *d, size_t at, const char *key, const char *value,
                        const struct node *n)
{
    d->keys[at] = (struct node){.text = key, .len = strlen(key), .line = n->line};
    d->values[at] = (struct node){.text = value, .len = strlen(value), .line = n->line};
    d->keys[at].column = d->values[at].column = n->column;
    d->items[2 * at] = &d->keys[at];
    d->items[2 * at + 1] = &d->values[at];
}

/* The mapping with type and name filled in where it has none; the caller frees it. */
static struct defaults *with_defaults(const struct node *n, const char *type, const char *name)
{
    struct defaults *d = mem_zero(sizeof(*d) + (n->count + 2) * 2 * sizeof(*d->items));
    const struct resource_type *t = resource_type_named(type);
    const struct node *own = node_get(n, "@type"), *raw = node_get(n, "raw");
    size_t added = 0;

    if (!own && !node_get(n, "type_url"))
        set_default(d, added++, raw ? "type_url" : "@type", type, n);
    if (name && !find_name(n, type) && (!own || resource_type_named(own->text) == t))
        set_default(d, added++, t && t->name_field && !raw ? t->name_field : "name", name, n);
    d->map = *n;
    if (n->count)
        memcpy(d->items + 2 * added, n->items, n->count * 2 * sizeof(*d->items));
    d->map.items = d->items;
    d->map.count = n->count + added;
    return d;
}

static void finish(struct resource *r, const struct encoder *e, const struct node *n)
{
    struct text where = {0};

    text_printf(&where, "%s:%d:%d", e->file, n->line, n->column);
    r->origin = text_take(&where);
    r->hash = hash_bytes(HASH_START, r->name, strlen(r->name) + 1);
    r->hash = hash_bytes(r->hash, r->value, r->len);
    r->hash = hash_bytes(r->hash, r->wrapper, r->wrapper_len);
}

bool resource_make(struct resource **out, const struct desc_pool *pool, const char *file,
                   const struct node *n, const char *fallback_type, const char *fallback_name,
                   struct error *err)
{
    struct encoder e = {.pool = pool, .file = file, .err = err};
    struct resource *r = mem_zero(sizeof(*r));
    struct defaults *d = NULL;
    bool ok;

    *out = NULL;
    r->refs = 1;
    if (n->kind == NODE_MAP && fallback_type) {
        d = with_defaults(n, fallback_type, fallback_name);
        n = &d->map;
    }
    if (n->kind != NODE_MAP)
        ok = encode_fail(&e, n, NULL, "a resource is a mapping with @type, this is %s",
                         node_kind_name(n));
    else if (!node_get(n, "@type") && !node_get(n, "type_url"))
        ok = encode_fail(&e, n, NULL, "a resource needs @type (or raw with type_url and name)");
    else
        ok = fill(r, &e, n, fallback_name);
    if (ok) {
        finish(r, &e, n);
        *out = r;
    } else {
        resource_unref(&r);
    }
    free(d);
    return ok;
}

static bool add_list(struct resource_array *out, const struct desc_pool *pool, const char *file,
                     const struct node *list, struct error *err)
{
    struct encoder e = {.pool = pool, .file = file, .err = err};

    if (list->kind != NODE_LIST)
        return encode_fail(&e, list, NULL, "resources: expected a list, found %s",
                           node_kind_name(list));
    for (size_t i = 0; i < list->count; i++) {
        struct resource *r;

        if (!resource_make(&r, pool, file, list->items[i], NULL, NULL, err))
            return false;
        resource_array_add(out, r);
    }
    return true;
}

/* Next to `resources:` only the other fields of a DiscoveryResponse may stand; they are ignored. */
static bool check_envelope(const struct desc_pool *pool, const char *file, const struct node *doc,
                           struct error *err)
{
    static const char *const known[] = {"resources", "version_info", "versionInfo",
                                        "type_url",  "typeUrl",      "nonce"};
    struct encoder e = {.pool = pool, .file = file, .err = err};

    for (size_t i = 0; i < doc->count; i++) {
        const struct node *key = doc->items[2 * i];
        bool ok = false;

        for (size_t j = 0; j < sizeof(known) / sizeof(*known); j++)
            ok = ok || !strcmp(key->text, known[j]);
        if (!ok)
            return encode_fail(&e, key, NULL, "\"%s\" cannot stand next to `resources`", key->text);
    }
    return true;
}

bool resources_from_tree(struct resource_array *out, const struct desc_pool *pool,
                         const struct tree *tree, struct error *err)
{
    for (size_t i = 0; i < tree->document_count; i++) {
        const struct node *doc = tree->documents[i];
        const struct node *list = node_get(doc, "resources");
        struct resource *r;

        if (node_is_null(doc))
            continue;
        if (list && !node_get(doc, "@type")) {
            if (!check_envelope(pool, tree->file, doc, err) ||
                !add_list(out, pool, tree->file, list, err))
                return false;
        } else if (doc->kind == NODE_LIST) {
            if (!add_list(out, pool, tree->file, doc, err))
                return false;
        } else {
            if (!resource_make(&r, pool, tree->file, doc, NULL, NULL, err))
                return false;
            resource_array_add(out, r);
        }
    }
    return true;
}
