/* Heartbeats: resources with a time to live are told of again when half of it is over. */
#include "session.h"

bool beat_due(const struct session *s, const struct subscription *sub, uint64_t now)
{
    return s->heartbeats && sub->beat_at && sub->beat_at <= now;
}

static void add_held(const struct session *s, const struct subscription *sub, struct resource *r,
                     struct xds_response *out)
{
    if (r && r->ttl_us && (s->dialect == DIALECT_SOTW || delta_holds(sub, r)))
        response_add(out, r);
}

/* Where a response says all there is, Envoy takes what comes without its body as gone: there
 * everything is told in full once more. */
bool beat_fill(const struct session *s, struct subscription *sub, const struct type_set *set,
               struct xds_response *out)
{
    if (s->dialect == DIALECT_SOTW && sub->full_state)
        return sotw_fill(sub, set, out);
    out->heartbeat = true;
    for (size_t i = 0; sub->wildcard && set && i < set->count; i++)
        add_held(s, sub, set->items[i], out);
    for (size_t i = 0; !sub->wildcard && i < sub->names.count; i++)
        add_held(s, sub, type_set_get(set, sub->names.entries[i].key), out);
    return out->count > 0;
}

void beat_committed(const struct session *s, struct subscription *sub, const struct xds_response *r)
{
    if (s->dialect == DIALECT_SOTW || r->heartbeat)
        sub->beat_at = 0; /* it held all that has one */
    for (size_t i = 0; i < r->count; i++) {
        uint64_t at = r->at + r->items[i]->ttl_us / 2;

        if (r->items[i]->ttl_us && (!sub->beat_at || at < sub->beat_at))
            sub->beat_at = at;
    }
}
