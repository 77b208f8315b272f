#include "admin/name_list.h"

#include "base/memory.h"
#include "base/pmap.h"
#include "regex/regex.h"

void name_list_init(struct name_list *l, const struct pmap *map, const struct regex *filter)
{
    struct pmap_pair *list = map ? pmap_sorted(map) : NULL;
    size_t n = map ? map->count : 0;
    *l = (struct name_list){.arena = arena_new(n * 64 + 64)};
    l->names = ARENA_ARRAY(l->arena, struct bytes, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (!filter || regex_partial_match(filter, list[i].key))
            l->names[l->n++] = arena_dup(l->arena, list[i].key);
    }
    mem_free(list);
}

void name_list_fini(struct name_list *l)
{
    arena_free(&l->arena);
    *l = (struct name_list){0};
}
