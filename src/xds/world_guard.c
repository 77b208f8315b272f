#include "xds/world_guard.h"

static void count_one(void *arg, struct bytes name, struct bytes version)
{
    ++*(size_t *)arg;
}

/* A listener or cluster of this source that is held. */
static bool is_held(const struct builder *b, const struct config_source *source,
                    enum resource_type type, struct bytes name)
{
    const struct resource *r = store_find(builder_store(b), source, type, name);
    return r && (r->active || r->pending) && !r->is_static && !r->doomed && r->source &&
           bytes_eq(r->source->source.key, source->key);
}

struct world_share world_share_of(const struct builder *b, const struct config_source *source,
                                  enum resource_type type, const struct discovery_response *r,
                                  bool full)
{
    struct world_share s = {0};
    size_t named = 0, removed = 0;
    builder_each_held(b, source, type, count_one, &s.held);
    for (size_t i = 0; full && i < r->n_resources; i++)
        named += is_held(b, source, type, r->resources[i].name);
    for (size_t i = 0; i < r->n_removed; i++)
        removed += is_held(b, source, type, r->removed[i]);
    s.left = full ? named : s.held - removed;
    return s;
}

bool world_share_enough(struct world_share s, unsigned percent)
{
    return s.left * 100 >= s.held * percent;
}
