#include "dataplane/http/scope_match.h"

/* Takes the part of *rest before the next separator. False: there is no more; the last part, which
 * may be empty, is one. data of *rest NULL: it was the last. */
static bool next_part(struct bytes *rest, struct bytes separator, struct bytes *part)
{
    if (!rest->data)
        return false;
    ptrdiff_t at = separator.len ? bytes_find(*rest, separator) : -1;
    *part = at < 0 ? *rest : bytes_first(*rest, (size_t)at);
    *rest = at < 0 ? BYTES_NONE : bytes_skip(*rest, (size_t)at + separator.len);
    return true;
}

/* data NULL: the header has no such part. */
static struct bytes fragment_of(const struct scope_fragment *f, struct bytes value)
{
    struct bytes part;
    for (uint32_t i = 0; next_part(&value, f->element_separator, &part); i++) {
        if (!f->separator.data) {
            if (i == f->index)
                return part;
            continue;
        }
        struct bytes rest = part, key;
        if (next_part(&rest, f->separator, &key) && bytes_eq(key, f->key))
            return rest.data ? rest : BYTES("");
    }
    return BYTES_NONE;
}

const struct scope_entry *scope_match(const struct scoped_routes *s, const struct scope_table *t,
                                      const struct headers *h)
{
    struct bytes *fragments = t ? arena_alloc(h->arena, s->n_fragments * sizeof(*fragments)) : NULL;
    if (!t)
        return NULL;
    for (unsigned i = 0; i < s->n_fragments; i++) {
        struct bytes value = headers_get_name(h, s->fragments[i].header);
        fragments[i] = value.data ? fragment_of(&s->fragments[i], value) : BYTES_NONE;
        if (!fragments[i].data)
            return NULL;
    }
    return scope_table_find(t, fragments, s->n_fragments);
}
