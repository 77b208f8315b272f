#include "config/json_write.h"

#include <upb/def.h>
#include <upb/reflection.h>
#include <upb/upb.h>

#include "base/memory.h"

struct paths {
    struct bytes *items;
    size_t n, cap;
};

struct mask {
    struct descriptors *d;
    upb_Arena *arena;
    struct error *err;
};

static bool prune(struct mask *k, const upb_MessageDef *m, upb_Message *msg,
                  const struct paths *paths);

static void add_path(struct paths *p, struct bytes path)
{
    GROW(p->items, p->cap, p->n + 1);
    p->items[p->n++] = path;
}

static bool is_any(const upb_MessageDef *m)
{
    return upb_MessageDef_WellKnownType(m) == kUpb_WellKnown_Any;
}

/* Every path starts with a field of the message, and goes on only into a message. */
static bool check_paths(struct mask *k, const upb_MessageDef *m, const struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        struct bytes rest = paths->items[i], name = bytes_split(&rest, '.');
        const upb_FieldDef *f = upb_MessageDef_FindByJsonNameWithSize(m, name.data, name.len);
        if (!f)
            return error_set(k->err, "%s has no field '%.*s'", upb_MessageDef_FullName(m),
                             BYTES_ARG(name));
        if (rest.len == 0)
            continue;
        if (!upb_FieldDef_IsSubMessage(f) || upb_FieldDef_IsRepeated(f))
            return error_set(k->err, "nothing below '%.*s' of %s can be chosen", BYTES_ARG(name),
                             upb_MessageDef_FullName(m));
        const upb_MessageDef *sub = upb_FieldDef_MessageSubDef(f);
        struct paths one = {.items = &rest, .n = 1};
        if (!is_any(sub) && !check_paths(k, sub, &one))
            return false;
    }
    return true;
}

static bool prune_any(struct mask *k, const upb_MessageDef *any, upb_Message *msg,
                      const struct paths *paths)
{
    const upb_FieldDef *type = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_TypeFieldNumber);
    const upb_FieldDef *value = upb_MessageDef_FindFieldByNumber(any, kUpb_Any_ValueFieldNumber);
    upb_StringView url = upb_Message_Get(msg, type).str_val;
    upb_StringView body = upb_Message_Get(msg, value).str_val;
    const upb_MessageDef *m = descriptors_type_url(k->d, bytes_from(url.data, url.size));
    if (!m)
        return error_set(k->err, "no message type %.*s is known", (int)url.size, url.data);
    struct bytes out;
    upb_Message *inner = descriptors_decode(m, bytes_from(body.data, body.size), k->arena, k->err);
    if (!inner || !prune(k, m, inner, paths) ||
        !descriptors_encode(m, inner, k->arena, &out, k->err))
        return false;
    upb_MessageValue v = {.str_val = upb_StringView_FromDataAndSize(out.data, out.len)};
    CHECK(upb_Message_Set(msg, value, v, k->arena));
    return true;
}

/* What the paths say about one field: the rests of those that name it; *whole: one ends here. */
static struct paths below(const struct paths *paths, const upb_FieldDef *f, bool *whole)
{
    struct paths rests = {0};
    *whole = false;
    for (size_t i = 0; i < paths->n; i++) {
        struct bytes rest = paths->items[i], name = bytes_split(&rest, '.');
        if (!bytes_eq_str(name, upb_FieldDef_Name(f)) &&
            !bytes_eq_str(name, upb_FieldDef_JsonName(f)))
            continue;
        if (rest.len == 0)
            *whole = true;
        else
            add_path(&rests, rest);
    }
    return rests;
}

static bool prune(struct mask *k, const upb_MessageDef *m, upb_Message *msg,
                  const struct paths *paths)
{
    bool ok = check_paths(k, m, paths);
    for (int i = 0; ok && i < upb_MessageDef_FieldCount(m); i++) {
        const upb_FieldDef *f = upb_MessageDef_Field(m, i);
        bool whole;
        struct paths rests = below(paths, f, &whole);
        if (rests.n == 0 && !whole) {
            upb_Message_ClearField(msg, f);
        } else if (!whole && upb_Message_Has(msg, f)) {
            const upb_MessageDef *sub = upb_FieldDef_MessageSubDef(f);
            upb_Message *child = upb_Message_Mutable(msg, f, k->arena).msg;
            ok = is_any(sub) ? prune_any(k, sub, child, &rests) : prune(k, sub, child, &rests);
        }
        mem_free(rests.items);
    }
    return ok;
}

bool field_mask_prune(struct descriptors *d, struct bytes message, struct bytes mask,
                      struct bytes body, struct strbuf *out, struct error *err)
{
    struct mask k = {.d = d, .err = err};
    struct paths paths = {0};
    struct bytes pruned;
    const upb_MessageDef *m = descriptors_message(d, message);
    if (!m)
        return error_set(err, "no message type %.*s is known", BYTES_ARG(message));
    while (mask.len > 0)
        add_path(&paths, bytes_split(&mask, ','));
    k.arena = upb_Arena_New();
    CHECK(k.arena != NULL);
    upb_Message *msg = descriptors_decode(m, body, k.arena, err);
    bool ok = msg && prune(&k, m, msg, &paths) && descriptors_encode(m, msg, k.arena, &pruned, err);
    if (ok)
        strbuf_add_bytes(out, pruned);
    mem_free(paths.items);
    upb_Arena_Free(k.arena);
    return ok;
}
