/* A thread's letter box for snapshots: keeps only the newest, wakes the thread, and lets the config
 * thread take back what was never looked at. */
#pragma once

#include <stdatomic.h>

#include "config/snapshot.h"
#include "dataplane/net/loop.h"

struct snapshot_slot {
    _Atomic(struct snapshot *) newest;
    struct post post;
    struct loop *loop;
};

static inline void snapshot_slot_init(struct snapshot_slot *s, struct loop *loop,
                                      void (*fn)(struct post *p), void *owner)
{
    atomic_store(&s->newest, NULL);
    s->loop = loop;
    post_init(&s->post, fn, owner);
}

/* Config thread. Returns a snapshot that was still waiting there, or NULL. */
static inline struct snapshot *snapshot_slot_put(struct snapshot_slot *s, struct snapshot *now)
{
    struct snapshot *unseen = atomic_exchange(&s->newest, now);
    loop_post(s->loop, &s->post);
    return unseen;
}

/* The receiving thread. */
static inline struct snapshot *snapshot_slot_take(struct snapshot_slot *s)
{
    return atomic_exchange(&s->newest, NULL);
}
