#include "admin/stat_list.h"

#include <stdlib.h>

#include "base/memory.h"

static bool type_wanted(const struct stat_list *l, enum stat_kind kind)
{
    static const char *const names[] = {[STAT_COUNTER] = "Counters",
                                        [STAT_GAUGE] = "Gauges",
                                        [STAT_HISTOGRAM] = "Histograms",
                                        [STAT_TEXT] = "TextReadouts"};
    return l->type.len == 0 || bytes_eq_str(l->type, "All") ||
           bytes_eq_str(l->type, names[kind]);
}

static void add(void *ctx, const struct stat_view *v)
{
    struct stat_list *l = ctx;
    if ((l->used_only && !v->used) || !type_wanted(l, v->kind) ||
        (l->filter && !regex_partial_match(l->filter, v->name)))
        return;
    GROW(l->entries, l->cap, l->n + 1);
    struct stat_entry *e = &l->entries[l->n++];
    *e = (struct stat_entry){.name = arena_dup(l->arena, v->name),
                             .kind = v->kind,
                             .value = v->value,
                             .scope = v->scope,
                             .id = v->id};
    if (v->text)
        e->text = arena_dup(l->arena, bytes_of(v->text));
    if (v->kind == STAT_HISTOGRAM) /* under the store's lock: the reader's share is taken here */
        ((struct stat_scope *)v->scope)->refs++;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct stat_entry *)a)->name, ((const struct stat_entry *)b)->name);
}

static bool known_type(struct bytes type)
{
    static const char *const types[] = {"All", "Counters", "Gauges", "Histograms", "TextReadouts"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (bytes_eq_str(type, types[i]))
            return true;
    }
    return type.len == 0;
}

bool stat_list_make(struct stat_list *l, const struct query *q, struct stat_store *stats,
                    struct error *err)
{
    struct bytes filter = query_get(q, "filter"), type = query_get(q, "type");
    *l = (struct stat_list){.used_only = query_has(q, "usedonly"), .type = type};
    if (!known_type(type))
        return error_set(err, "usage: /stats?type=(All|Counters|Histograms|Gauges|TextReadouts)\n\n");
    if (filter.len && !(l->filter = regex_new(filter, err)))
        return error_prefix(err, "Invalid re2 regex: ");
    l->arena = arena_new(64 * 1024);
    stat_visit(stats, add, l);
    qsort(l->entries, l->n, sizeof(l->entries[0]), by_name);
    return true;
}

void stat_list_fini(struct stat_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct stat_scope *s = (struct stat_scope *)l->entries[i].scope;
        if (l->entries[i].kind == STAT_HISTOGRAM)
            stat_scope_unref(&s);
    }
    mem_free(l->entries);
    regex_free(&l->filter);
    arena_free(&l->arena);
}
