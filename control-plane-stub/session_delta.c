/* The incremental dialect: what the client holds is known by name and hash, so that only what
 * differs is sent; a name that it (re)subscribes is always answered. */
#include "session.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *as_value(uint64_t hash)
{
    return (void *)(uintptr_t)hash;
}

/* A resource's version as text: its content hash. */
static bool holds_version(const struct resource *r, const char *version)
{
    char mine[17];

    snprintf(mine, sizeof(mine), "%016llx", (unsigned long long)r->hash);
    return !strcmp(mine, version);
}

static void take_initial(struct subscription *sub, const struct xds_request *req,
                         const struct type_set *set)
{
    for (size_t i = 0; i < req->initial_count; i++) {
        struct resource *r = type_set_get(set, req->initial_names[i]);
        bool same = r && holds_version(r, req->initial_versions[i]);

        *strmap_put(&sub->have, req->initial_names[i]) = as_value(same ? r->hash : 0);
    }
}

bool delta_holds(const struct subscription *sub, const struct resource *r)
{
    return strmap_has(&sub->have, r->name) && strmap_get(&sub->have, r->name) == as_value(r->hash);
}

/* Is there anything that the client should hear of? */
static bool differs(const struct subscription *sub, const struct type_set *set)
{
    for (size_t i = 0; i < sub->have.count; i++)
        if (!type_set_get(set, sub->have.entries[i].key))
            return true;
    for (size_t i = 0; (sub->wildcard || sub->globs) && set && i < set->count; i++)
        if (subscription_covers(sub, set->items[i]->name) && !delta_holds(sub, set->items[i]))
            return true;
    for (size_t i = 0; i < sub->names.count; i++) {
        struct resource *r = type_set_get(set, sub->names.entries[i].key);

        if (r && !delta_holds(sub, r))
            return true;
    }
    return sub->owed.count > 0;
}

static void take_subscribe(struct subscription *sub, const struct xds_request *req,
                           const struct type_set *set, bool first, uint64_t now)
{
    for (size_t i = 0; i < req->name_count; i++) {
        const char *name = req->names[i];
        struct resource *r = type_set_get(set, name);

        if (!strcmp(name, "*")) {
            sub->wildcard = true;
            continue;
        }
        if (name_is_glob(name)) {
            sub->globs += !strmap_has(&sub->names, name);
            strmap_put(&sub->names, name);
            subscription_owe(sub, now); /* also with nothing */
            continue;
        }
        strmap_put(&sub->names, name);
        if (!first || !r || !delta_holds(sub, r))
            strmap_put(&sub->owed, name);
    }
}

static void drop_wildcard(struct subscription *sub)
{
    struct strmap kept = {0};

    sub->wildcard = false;
    for (size_t i = 0; i < sub->have.count; i++)
        if (strmap_has(&sub->names, sub->have.entries[i].key))
            *strmap_put(&kept, sub->have.entries[i].key) = sub->have.entries[i].value;
    strmap_fini(&sub->have);
    sub->have = kept;
}

static void take_unsubscribe(struct subscription *sub, const struct xds_request *req)
{
    for (size_t i = 0; i < req->unsubscribe_count; i++) {
        const char *name = req->unsubscribe[i];
        bool known = strmap_has(&sub->names, name);

        if (!strcmp(name, "*")) {
            drop_wildcard(sub);
            continue;
        }
        sub->globs -= known && name_is_glob(name);
        strmap_remove(&sub->names, name);
        strmap_remove(&sub->owed, name);
        if (sub->wildcard && known)
            strmap_put(&sub->owed, name); /* tell it whether the wildcard still covers the name */
        else if (!sub->wildcard)
            strmap_remove(&sub->have, name);
    }
}

void delta_request(struct subscription *sub, const struct xds_request *req,
                   const struct type_set *set, bool first, uint64_t now)
{
    bool was_wildcard = sub->wildcard;

    if (first) {
        take_initial(sub, req, set);
        if (!req->name_count && !req->unsubscribe_count)
            sub->wildcard = true;
    }
    take_subscribe(sub, req, set, first, now);
    take_unsubscribe(sub, req);
    if ((sub->wildcard && !was_wildcard) || differs(sub, set))
        subscription_owe(sub, now);
}

void delta_publish(struct subscription *sub, const struct type_set *set, uint64_t now)
{
    if (differs(sub, set))
        subscription_owe(sub, now);
}

static void add_removed(struct xds_response *out, const char *name)
{
    ARRAY_ROOM(out->removed, out->removed_count, out->removed_cap);
    out->removed[out->removed_count++] = mem_string(name);
}

bool delta_fill(struct subscription *sub, const struct type_set *set, struct xds_response *out)
{
    for (size_t i = 0; (sub->wildcard || sub->globs) && set && i < set->count; i++) {
        struct resource *r = set->items[i];

        if (!subscription_covers(sub, r->name))
            continue;
        if (!delta_holds(sub, r) || strmap_has(&sub->owed, r->name))
            response_add(out, r);
    }
    for (size_t i = 0; !sub->wildcard && i < sub->names.count; i++) {
        struct resource *r = type_set_get(set, sub->names.entries[i].key);

        if (r && (!delta_holds(sub, r) || strmap_has(&sub->owed, r->name)))
            response_add(out, r);
    }
    for (size_t i = 0; i < sub->have.count; i++)
        if (!type_set_get(set, sub->have.entries[i].key))
            add_removed(out, sub->have.entries[i].key);
    for (size_t i = 0; i < sub->owed.count; i++) {
        const char *name = sub->owed.entries[i].key;

        if (!type_set_get(set, name) && !strmap_has(&sub->have, name))
            add_removed(out, name);
    }
    /* "there is none" is news for a client that begins with nothing */
    return out->count || out->removed_count ||
           ((sub->wildcard || sub->globs) && !sub->nonce && !sub->have.count);
}

void delta_commit(struct subscription *sub, const struct xds_response *r,
                  const struct type_set *set)
{
    for (size_t i = 0; i < r->count; i++)
        *strmap_put(&sub->have, r->items[i]->name) = as_value(r->items[i]->hash);
    for (size_t i = 0; i < r->removed_count; i++)
        if (!type_set_get(set, r->removed[i]))
            strmap_remove(&sub->have, r->removed[i]);
    strmap_fini(&sub->owed);
}
