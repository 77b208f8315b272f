#include "base/bytes_set.h"

#include "base/memory.h"

bool bytes_set_init(struct bytes_set *s, size_t most)
{
    size_t size = 16;
    while (size / 2 < most)
        size *= 2;
    *s = (struct bytes_set){mem_try(size * sizeof(s->slots[0])), size - 1};
    if (!s->slots)
        return false;
    memset(s->slots, 0, size * sizeof(s->slots[0]));
    return true;
}

void bytes_set_fini(struct bytes_set *s)
{
    mem_free(s->slots);
    s->slots = NULL;
}

bool bytes_set_add(struct bytes_set *s, struct bytes name)
{
    size_t at = (size_t)bytes_hash(name) & s->mask;
    while (s->slots[at].data) {
        if (bytes_eq(s->slots[at], name))
            return false;
        at = (at + 1) & s->mask;
    }
    s->slots[at] = bytes_from(name.data ? name.data : "", name.len);
    return true;
}
