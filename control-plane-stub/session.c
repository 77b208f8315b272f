#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session *session_new(enum dialect dialect, unsigned long id, const char *fixed_type)
{
    struct session *s = mem_zero(sizeof(*s));

    s->dialect = dialect;
    s->id = id;
    s->fixed_type = mem_string(fixed_type);
    s->node_id = mem_string("");
    return s;
}

void session_free(struct session **session)
{
    struct session *s = *session;

    if (!s)
        return;
    for (size_t i = 0; i < s->sub_count; i++) {
        struct subscription *sub = s->subs[i];

        strmap_fini(&sub->names);
        strmap_fini(&sub->have);
        strmap_fini(&sub->owed);
        free(sub->type_url);
        free(sub->nonce);
        free(sub->version_sent);
        free(sub);
    }
    free(s->subs);
    free(s->fixed_type);
    free(s->node_id);
    free(s);
    *session = NULL;
}

struct subscription *session_find(const struct session *s, const char *type_url)
{
    for (size_t i = 0; i < s->sub_count; i++)
        if (!strcmp(s->subs[i]->type_url, type_url))
            return s->subs[i];
    return NULL;
}

static struct subscription *subscribe(struct session *s, const char *type_url)
{
    struct subscription *sub = mem_zero(sizeof(*sub));
    const struct resource_type *t = resource_type_named(type_url);
    size_t at = s->sub_count;

    sub->type_url = mem_string(type_url);
    sub->rank = resource_type_rank(type_url);
    sub->full_state = t && t->full_state;
    sub->answered = true;
    ARRAY_ROOM(s->subs, s->sub_count, s->sub_cap);
    for (; at > 0 && s->subs[at - 1]->rank > sub->rank; at--)
        s->subs[at] = s->subs[at - 1];
    s->subs[at] = sub;
    s->sub_count++;
    return sub;
}

void subscription_owe(struct subscription *sub, uint64_t now)
{
    if (!sub->due)
        sub->due_since = now;
    sub->due = true;
}

bool name_is_glob(const char *name)
{
    const char *query = strchr(name, '?');
    size_t len = query ? (size_t)(query - name) : strlen(name);

    return !strncmp(name, "xdstp://", 8) && len > 2 && !strncmp(name + len - 2, "/*", 2);
}

/* A collection is named as any of its resources, with a star for the last part of the path. */
static bool glob_covers(const char *glob, const char *name)
{
    const char *query = strchr(name, '?'), *end = query ? query : name + strlen(name), *slash = end;
    size_t head;

    while (slash > name && *slash != '/')
        slash--;
    head = (size_t)(slash - name) + 1;
    return slash > name && !strncmp(glob, name, head) && glob[head] == '*' &&
           !strcmp(glob + head + 1, end);
}

bool subscription_covers(const struct subscription *sub, const char *name)
{
    if (sub->wildcard)
        return true;
    for (size_t i = 0; sub->globs && i < sub->names.count; i++)
        if (glob_covers(sub->names.entries[i].key, name))
            return true;
    return false;
}

static void take_node(struct session *s, const struct xds_request *req)
{
    s->requests++;
    if (!req->has_node || s->node_seen)
        return;
    s->node_seen = true;
    free(s->node_id);
    s->node_id = mem_string(req->node_id);
}

/* ACK, NACK or neither: by nonce first, then by error_detail and version. */
static enum meaning classify(const struct session *s, struct subscription *sub,
                             const struct xds_request *req)
{
    bool spontaneous = s->dialect == DIALECT_DELTA && !*req->nonce;

    if (!sub->nonce || spontaneous)
        return *req->nonce ? MEANING_STALE : MEANING_CHANGE;
    if (strcmp(req->nonce, sub->nonce))
        return MEANING_STALE;
    if (sub->answered)
        return MEANING_CHANGE;
    if (req->has_error) {
        sub->answered = true;
        return MEANING_NACK;
    }
    if (s->dialect == DIALECT_SOTW && strcmp(req->version_info, sub->version_sent))
        return MEANING_CHANGE;
    sub->answered = true;
    return MEANING_ACK;
}

/* The full list of names of a state-of-the-world request replaces the old one. */
static void sotw_request(struct subscription *sub, const struct xds_request *req,
                         const struct type_set *set, bool first, uint64_t now)
{
    bool wildcard = !req->name_count && sub->full_state && !sub->named;
    struct strmap names = {0};
    bool wanted = first && sub->full_state;

    for (size_t i = 0; i < req->name_count; i++) {
        const char *name = req->names[i];

        sub->named = true;
        if (!strcmp(name, "*")) {
            wildcard = true;
            continue;
        }
        if (!sub->wildcard && !strmap_has(&sub->names, name) &&
            (sub->full_state || type_set_get(set, name)))
            wanted = true;
        strmap_put(&names, name);
    }
    strmap_fini(&sub->names);
    sub->names = names;
    sub->globs = 0;
    for (size_t i = 0; i < names.count; i++)
        sub->globs += name_is_glob(names.entries[i].key);
    if (wildcard && !sub->wildcard)
        wanted = true;
    sub->wildcard = wildcard;
    if (wanted && (wildcard || names.count))
        subscription_owe(sub, now);
}

bool session_request(struct session *s, const struct xds_request *req, const struct world *w,
                     uint64_t now, enum meaning *meaning, struct subscription **out,
                     struct error *err)
{
    const char *type_url = *req->type_url || !s->fixed_type ? req->type_url : s->fixed_type;
    const struct type_set *set;
    struct subscription *sub;
    bool first;

    take_node(s, req);
    if (!*type_url)
        return error_set(err, "type_url is required on an aggregated stream");
    if (s->fixed_type && strcmp(type_url, s->fixed_type))
        return error_set(err, "this service serves %s, not %s", s->fixed_type, type_url);
    sub = session_find(s, type_url);
    first = !sub;
    if (first)
        sub = subscribe(s, type_url);
    *meaning = first ? MEANING_FIRST : classify(s, sub, req);
    *out = sub;
    set = snapshot_type(world_for(w, s->node_id), type_url);
    if (s->dialect == DIALECT_SOTW)
        sotw_request(sub, req, set, first, now);
    else
        delta_request(sub, req, set, first, now);
    return true;
}

static const char *world_version(const struct session *s, const struct world *w,
                                 const struct subscription *sub)
{
    return snapshot_version(world_for(w, s->node_id), sub->type_url);
}

void session_publish(struct session *s, const struct world *w, uint64_t now)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        struct subscription *sub = s->subs[i];

        if (!strcmp(sub->published, world_version(s, w, sub)))
            continue;
        if (s->dialect == DIALECT_DELTA)
            delta_publish(sub, snapshot_type(world_for(w, s->node_id), sub->type_url), now);
        else if (sub->wildcard || sub->names.count)
            subscription_owe(sub, now);
    }
}

void response_add(struct xds_response *r, struct resource *item)
{
    ARRAY_ROOM(r->items, r->count, r->cap);
    r->items[r->count++] = item;
}

void response_fini(struct xds_response *r)
{
    for (size_t i = 0; i < r->removed_count; i++)
        free(r->removed[i]);
    free(r->removed);
    free(r->items);
    free(r->type_url);
    free(r->version);
    free(r->nonce);
    *r = (struct xds_response){0};
}

/* Everything subscribed that exists. false: there is nothing to say. */
bool sotw_fill(const struct subscription *sub, const struct type_set *set, struct xds_response *out)
{
    if (sub->wildcard) {
        for (size_t i = 0; set && i < set->count; i++)
            response_add(out, set->items[i]);
        return true;
    }
    for (size_t i = 0; sub->globs && set && i < set->count; i++)
        if (subscription_covers(sub, set->items[i]->name))
            response_add(out, set->items[i]);
    for (size_t i = 0; i < sub->names.count; i++) {
        struct resource *r = type_set_get(set, sub->names.entries[i].key);

        if (r)
            response_add(out, r);
    }
    return out->count || (sub->full_state && sub->names.count);
}

static void set_labels(struct session *s, const struct world *w, struct subscription *sub,
                       struct xds_response *out)
{
    struct text nonce = {0};

    text_printf(&nonce, "%lu-%lu", s->id, ++s->nonces);
    out->nonce = text_take(&nonce);
    out->version = mem_string(world_version(s, w, sub));
    out->type_url = mem_string(sub->type_url);
    out->sub = sub;
}

/* What is owed, or else that it lives on. */
static bool fill(struct session *s, struct subscription *sub, const struct type_set *set,
                 struct xds_response *out)
{
    if (!sub->due)
        return beat_fill(s, sub, set, out);
    return s->dialect == DIALECT_SOTW ? sotw_fill(sub, set, out) : delta_fill(sub, set, out);
}

/* When it may go; UINT64_MAX: there is nothing to say. */
static uint64_t goes_at(const struct session *s, const struct subscription *sub, session_gate *gate,
                        void *user, uint64_t now)
{
    if (!sub->due && !beat_due(s, sub, now))
        return s->heartbeats && sub->beat_at ? sub->beat_at : UINT64_MAX;
    return gate ? gate(user, s, sub) : 0;
}

bool session_next(struct session *s, const struct world *w, session_gate *gate, void *user,
                  uint64_t now, struct xds_response *out, uint64_t *wake)
{
    for (size_t i = 0; i < s->sub_count; i++) {
        struct subscription *sub = s->subs[i];
        const struct type_set *set = snapshot_type(world_for(w, s->node_id), sub->type_url);
        uint64_t at = goes_at(s, sub, gate, user, now);

        if (at > now) {
            *wake = at < *wake ? at : *wake;
            continue;
        }
        *out = (struct xds_response){.at = now};
        if (fill(s, sub, set, out)) {
            set_labels(s, w, sub, out);
            return true;
        }
        sub->beat_at = sub->due ? sub->beat_at : 0;
        sub->due = false;
        snprintf(sub->published, sizeof(sub->published), "%s", world_version(s, w, sub));
        response_fini(out);
    }
    return false;
}

void session_commit_literal(struct subscription *sub, const char *version, const char *nonce)
{
    free(sub->nonce);
    free(sub->version_sent);
    sub->nonce = mem_string(nonce);
    sub->version_sent = mem_string(version);
    sub->answered = false;
}

void session_commit(struct session *s, const struct xds_response *r, const struct world *w)
{
    struct subscription *sub = r->sub;

    session_commit_literal(sub, r->version, r->nonce);
    beat_committed(s, sub, r);
    sub->due = false;
    snprintf(sub->published, sizeof(sub->published), "%s", world_version(s, w, sub));
    if (s->dialect == DIALECT_DELTA)
        delta_commit(sub, r, snapshot_type(world_for(w, s->node_id), sub->type_url));
}

const char *meaning_name(enum meaning m)
{
    switch (m) {
    case MEANING_FIRST:
        return "first";
    case MEANING_ACK:
        return "ack";
    case MEANING_NACK:
        return "nack";
    case MEANING_CHANGE:
        return "change";
    case MEANING_STALE:
        return "stale";
    }
    return "?";
}
