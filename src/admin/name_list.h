/* The names of a map when a page was asked for, in order. A page comes in slices, and what has gone
 * between two of them is left out: it looks each name up again in the snapshot of its turn. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"

struct pmap;
struct regex;

struct name_list {
    struct arena *arena;
    struct bytes *names;
    size_t n, at; /* at: the page's place */
};

/* map NULL: no names. filter NULL: all names; otherwise those in which it finds something. */
void name_list_init(struct name_list *l, const struct pmap *map, const struct regex *filter);
void name_list_fini(struct name_list *l);
