/* The incremental dialect. What it says on a stream follows from what was said:
 *
 *     want ──► unsaid ──────► said ──► (dropped) gone ──► unsubscribed
 *                               ▲                  │ wanted again before that was told
 *                               └────── again ◄────┘
 *
 * A name in `again` is subscribed once more: the server must send it once more (D07). */
#include <stdlib.h>

#include "base/memory.h"
#include "config/wire.h"
#include "xds/subscription_internal.h"

/* Field numbers of DeltaDiscoveryRequest, and of an entry of its map. */
enum {
    DELTA_NODE = 1,
    DELTA_TYPE_URL = 2,
    DELTA_SUBSCRIBE = 3,
    DELTA_UNSUBSCRIBE = 4,
    DELTA_INITIAL_VERSIONS = 5,
    DELTA_RESPONSE_NONCE = 6,
    DELTA_ERROR_DETAIL = 7,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
};

static char unsaid, said, again; /* values of the map: their addresses are what counts */

void delta_want(struct subscription *s, struct bytes name)
{
    map_set(&s->names, name, map_remove(&s->gone, name) ? &again : &unsaid);
    s->n_unsaid++;
}

void delta_unwant(struct subscription *s, struct bytes name)
{
    const void *state = map_get(&s->names, name);
    if (state != &unsaid)
        map_set(&s->gone, name, &said);
    if (state != &said)
        s->n_unsaid--;
    map_remove(&s->names, name);
}

void delta_reset(struct subscription *s)
{
    size_t n;
    struct bytes *all = subscription_sorted(&s->names, &n);
    for (size_t i = 0; i < n; i++)
        map_set(&s->names, all[i], &unsaid);
    s->n_unsaid = n;
    mem_free(all);
    map_fini(&s->gone);
}

bool delta_due(const struct subscription *s)
{
    return s->n_unsaid > 0 || map_count(&s->gone) > 0;
}

static void put_version(void *arg, struct bytes name, struct bytes version)
{
    struct strbuf entry = STRBUF_INIT;
    wire_put_bytes(&entry, ENTRY_KEY, name);
    if (version.len)
        wire_put_bytes(&entry, ENTRY_VALUE, version);
    wire_put_bytes(arg, DELTA_INITIAL_VERSIONS, strbuf_bytes(&entry));
    strbuf_fini(&entry);
}

/* All that is to be subscribed. Alone, "*" is the empty first list (W06). */
static void put_subscribed(struct subscription *s, bool first, struct strbuf *out)
{
    size_t n;
    struct bytes *all = subscription_sorted(&s->names, &n);
    bool legacy = first && s->wildcard_type && n == 1 && bytes_eq_str(all[0], "*");
    for (size_t i = 0; i < n; i++) {
        if (map_get(&s->names, all[i]) == &said)
            continue;
        if (!legacy)
            wire_put_bytes(out, DELTA_SUBSCRIBE, all[i]);
        map_set(&s->names, all[i], &said);
    }
    s->n_unsaid = 0;
    mem_free(all);
}

static void put_unsubscribed(struct subscription *s, struct strbuf *out)
{
    size_t n;
    struct bytes *all = subscription_sorted(&s->gone, &n);
    for (size_t i = 0; i < n; i++)
        wire_put_bytes(out, DELTA_UNSUBSCRIBE, all[i]);
    mem_free(all);
    map_fini(&s->gone);
}

/* One purpose a request: changes beside an answer are lost by some servers (Q03, Q05), and those
 * that carry a nonce when it has become old (Q04). */
void delta_take(struct subscription *s, struct bytes node, const struct subscription_held *held,
                struct strbuf *out)
{
    bool first = !s->requested;
    if (node.data)
        wire_put_bytes(out, DELTA_NODE, node);
    subscription_put_text(out, DELTA_TYPE_URL, s->type_url);
    if (s->answer_due && !s->answer_held) {
        subscription_put_text(out, DELTA_RESPONSE_NONCE, s->nonce);
        if (s->nack)
            subscription_put_error(out, DELTA_ERROR_DETAIL, s->nack);
        return;
    }
    put_subscribed(s, first, out);
    put_unsubscribed(s, out);
    if (first)
        held->each(held->ctx, put_version, out);
}
