#include "fault.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>

struct fault *fault_add(struct fault_list *l)
{
    struct fault **end = &l->first, *f = mem_zero(sizeof(*f));

    while (*end)
        end = &(*end)->next;
    f->id = ++l->next_id;
    *end = f;
    return f;
}

static void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

void fault_free(struct fault **fault)
{
    struct fault *f = *fault;

    if (!f)
        return;
    names_free(f->omit, f->omit_count);
    names_free(f->duplicate, f->duplicate_count);
    names_free(f->extra, f->extra_count);
    names_free(f->garble, f->garble_count);
    names_free(f->readd, f->readd_count);
    free(f->node);
    free(f->type_url);
    free(f->set_type_url);
    free(f->set_resource_type);
    free(f->set_version);
    free(f->set_nonce);
    free(f->set_control_plane);
    free(f);
    *fault = NULL;
}

size_t fault_remove(struct fault_list *l, unsigned long id)
{
    struct fault **at = &l->first;
    size_t gone = 0;

    while (*at) {
        struct fault *f = *at;

        if (id && f->id != id) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        fault_free(&f);
        gone++;
    }
    return gone;
}

void literal_free(struct literal **literal)
{
    struct literal *l = *literal;

    if (!l)
        return;
    free(l->type_url);
    free(l->version);
    free(l->nonce);
    free(l->bytes);
    free(l);
    *literal = NULL;
}

static void names_json(struct text *out, const char *key, char *const *names, size_t count)
{
    if (!count)
        return;
    json_key(out, key);
    json_open(out, '[');
    for (size_t i = 0; i < count; i++)
        json_string(out, names[i]);
    json_close(out, ']');
}

static void fault_json(const struct fault *f, struct text *out)
{
    json_open(out, '{');
    json_member_int(out, "id", (long long)f->id);
    json_member(out, "node", f->node);
    json_member(out, "type", f->type_url);
    if (f->stream)
        json_member_int(out, "stream", (long long)f->stream);
    if (f->hold)
        json_member_bool(out, "hold", true);
    if (f->delay_us)
        json_member_int(out, "delay_ms", (long long)(f->delay_us / 1000));
    if (f->empty)
        json_member_bool(out, "empty", true);
    names_json(out, "omit", f->omit, f->omit_count);
    names_json(out, "duplicate", f->duplicate, f->duplicate_count);
    names_json(out, "extra", f->extra, f->extra_count);
    json_member(out, "type_url", f->set_type_url);
    json_member(out, "resource_type_url", f->set_resource_type);
    json_member(out, "version_info", f->set_version);
    json_member(out, "nonce", f->set_nonce);
    json_member(out, "control_plane", f->set_control_plane);
    if (f->drop)
        json_member_bool(out, "drop", true);
    if (f->late)
        json_member_bool(out, "late", true);
    if (f->again)
        json_member_int(out, "again", (long long)f->again);
    if (f->unknown_field)
        json_member_bool(out, "unknown_field", true);
    if (f->pad)
        json_member_int(out, "pad_bytes", (long long)f->pad);
    names_json(out, "garble", f->garble, f->garble_count);
    names_json(out, "readd", f->readd, f->readd_count);
    if (f->ends)
        json_member_int(out, "end_after", f->end_status);
    if (f->times)
        json_member_int(out, "times_left", (long long)(f->times - f->used));
    json_member_int(out, "used", (long long)f->used);
    json_close(out, '}');
}

void fault_list_json(const struct fault_list *l, struct text *out)
{
    json_open(out, '{');
    json_key(out, "faults");
    json_open(out, '[');
    for (const struct fault *f = l->first; f; f = f->next)
        fault_json(f, out);
    json_close(out, ']');
    json_close(out, '}');
}

static bool matches(const struct fault *f, const struct session *s, const char *type_url)
{
    return (!f->stream || f->stream == s->id) && (!f->node || !strcmp(f->node, s->node_id)) &&
           (!f->type_url || !strcmp(f->type_url, type_url)) && (!f->times || f->used < f->times);
}

uint64_t fault_gate(const struct fault_list *l, const struct session *s,
                    const struct subscription *sub)
{
    uint64_t at = 0;

    for (const struct fault *f = l->first; f; f = f->next) {
        if (!matches(f, s, sub->type_url))
            continue;
        if (f->hold)
            return UINT64_MAX;
        if (f->delay_us && sub->due_since + f->delay_us > at)
            at = sub->due_since + f->delay_us;
    }
    return at;
}

static bool listed(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name) || !strcmp(names[i], "*"))
            return true;
    return false;
}

static void leave_out(const struct fault *f, struct xds_response *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->count; i++)
        if (!f->empty && !listed(f->omit, f->omit_count, r->items[i]->name))
            r->items[kept++] = r->items[i];
    r->count = kept;
    if (f->empty) {
        names_free(r->removed, r->removed_count);
        r->removed = NULL;
        r->removed_count = r->removed_cap = 0;
    }
}

static void put_in(const struct fault *f, const struct type_set *set, struct xds_response *r)
{
    size_t count = r->count;

    for (size_t i = 0; i < count; i++)
        if (listed(f->duplicate, f->duplicate_count, r->items[i]->name))
            response_add(r, r->items[i]);
    for (size_t i = 0; i < f->extra_count; i++) {
        struct resource *item = type_set_get(set, f->extra[i]);

        if (item)
            response_add(r, item);
    }
}

static void put_removed(const struct fault *f, const struct session *s, struct xds_response *r)
{
    for (size_t i = 0; s->dialect == DIALECT_DELTA && i < r->count; i++) {
        if (!listed(f->readd, f->readd_count, r->items[i]->name))
            continue;
        ARRAY_ROOM(r->removed, r->removed_count, r->removed_cap);
        r->removed[r->removed_count++] = mem_string(r->items[i]->name);
    }
}

static void on_the_way(const struct fault *f, struct wire_extra *extra)
{
    extra->drop |= f->drop;
    extra->late |= f->late;
    extra->again += f->again;
    extra->unknown_field |= f->unknown_field;
    extra->pad += f->pad;
    extra->ends |= f->ends;
    if (f->ends)
        extra->end_status = f->end_status;
    if (f->garble_count) {
        extra->garble = f->garble;
        extra->garble_count = f->garble_count;
    }
}

bool fault_any_late(const struct fault_list *l)
{
    for (const struct fault *f = l->first; f; f = f->next)
        if (f->late && (!f->times || f->used < f->times))
            return true;
    return false;
}

static void replace(char **place, const char *value)
{
    if (!value)
        return;
    free(*place);
    *place = mem_string(value);
}

void fault_apply(struct fault_list *l, const struct session *s, const struct snapshot *snapshot,
                 struct xds_response *r, struct wire_extra *extra)
{
    char *type_url = mem_string(r->type_url);
    const struct type_set *set = snapshot_type(snapshot, type_url);

    for (struct fault *f = l->first; f; f = f->next) {
        if (!matches(f, s, type_url))
            continue;
        f->used++;
        leave_out(f, r);
        put_in(f, set, r);
        put_removed(f, s, r);
        on_the_way(f, extra);
        replace(&r->type_url, f->set_type_url);
        replace(&r->version, f->set_version);
        replace(&r->nonce, f->set_nonce);
        if (f->set_resource_type)
            extra->resource_type = f->set_resource_type;
        if (f->set_control_plane)
            extra->control_plane = f->set_control_plane;
    }
    free(type_url);
}
