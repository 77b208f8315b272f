#include "config/route_reuse.h"

#include "base/map.h"
#include "config/wire.h"

_Static_assert(sizeof(struct route_ref) == sizeof(struct vhost_ref) &&
                   offsetof(struct route_ref, len) == offsetof(struct vhost_ref, len) &&
                   offsetof(struct route, node) == 0 && offsetof(struct virtual_host, node) == 0,
               "parts are both");

unsigned parts_count(struct bytes wire, uint32_t number, struct strbuf *out, struct bytes *rest)
{
    struct wire_field f;
    unsigned n = 0;
    strbuf_reset(out);
    strbuf_reserve(out, 0);
    while (wire_next(&wire, &f)) {
        if (f.number != number)
            strbuf_add_bytes(out, f.raw);
        else
            n += f.type == WIRE_BYTES;
    }
    *rest = strbuf_bytes(out);
    return n;
}

bool parts_find(struct parts *p, uint32_t number)
{
    struct bytes rest = p->wire;
    struct wire_field f;
    unsigned n = 0;
    while (wire_next(&rest, &f)) {
        if (f.number == number && f.type == WIRE_BYTES)
            p->refs[n++] = (struct route_ref){NULL, (uint32_t)(f.bytes.data - p->wire.data),
                                              (uint32_t)f.bytes.len};
    }
    return rest.len == 0;
}

static struct bytes part(const struct parts *p, unsigned i)
{
    return bytes_from(p->wire.data + p->refs[i].offset, p->refs[i].len);
}

static void keep(struct route_ref *to, const struct route_ref *from)
{
    to->route = from->route;
    node_ref(&to->route->node);
}

/* Those between `from` and the ends, by their bytes, wherever they stand. */
static void keep_moved(struct parts *p, const struct parts *previous, unsigned from, unsigned to,
                       unsigned old_to)
{
    struct map by_bytes = MAP_INIT;
    for (unsigned i = from; i < old_to; i++) {
        if (i >= to || p->refs[i].route != previous->refs[i].route)
            map_set(&by_bytes, part(previous, i), &previous->refs[i]);
    }
    for (unsigned i = from; i < to; i++) {
        const struct route_ref *old = p->refs[i].route ? NULL : map_get(&by_bytes, part(p, i));
        if (old)
            keep(&p->refs[i], old);
    }
    map_fini(&by_bytes);
}

/* What changes is mostly in a few places: what is before and behind them is compared one to one,
 * and so is what is between where nothing has come or gone. */
void parts_keep(struct parts *p, const struct parts *previous)
{
    unsigned from = 0, to = p->n, old_to = previous->n;
    for (; from < to && from < old_to && bytes_eq(part(p, from), part(previous, from)); from++)
        keep(&p->refs[from], &previous->refs[from]);
    for (; to > from && old_to > from && bytes_eq(part(p, to - 1), part(previous, old_to - 1));
         to--, old_to--)
        keep(&p->refs[to - 1], &previous->refs[old_to - 1]);
    for (unsigned i = from; to == old_to && i < to; i++) {
        if (bytes_eq(part(p, i), part(previous, i)))
            keep(&p->refs[i], &previous->refs[i]);
    }
    if (from < to && from < old_to)
        keep_moved(p, previous, from, to, old_to);
}
