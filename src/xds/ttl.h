/* struct ttl: resources that their server gave a time to live (rules T07, T08), by name; the
 * earliest has the one timer. Config thread; embedded in its topic. */
#pragma once

#include <stddef.h>

#include "base/bytes.h"
#include "base/map.h"
#include "xds/xds_table.h"

struct ttl_entry;

/* Those whose time is over, once each; the names live during the call. */
typedef void ttl_expired_fn(void *owner, const struct bytes *names, size_t n);

struct ttl {
    const struct xds_table *table;
    ttl_expired_fn *expired;
    void *owner;
    struct map names;        /* -> struct ttl_entry * */
    struct ttl_entry **heap; /* the earliest first */
    size_t n, cap;
    void *timer;
    uint64_t timer_ns; /* when it runs out */
};

void ttl_init(struct ttl *t, const struct xds_table *table, ttl_expired_fn *expired, void *owner);
void ttl_fini(struct ttl *t);
/* From now on; replaces what was set. */
void ttl_set(struct ttl *t, struct bytes name, uint64_t ms);
void ttl_clear(struct ttl *t, struct bytes name); /* harmless when there is none */
