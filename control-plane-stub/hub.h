/* The state that all threads share, and the one lock around it.
 *
 * The gRPC thread brings messages in and takes responses out; the main thread publishes worlds and
 * answers the control port. Every function below except hub_init/hub_fini needs the lock held. */
#pragma once

#include "events.h"
#include "fault.h"
#include "node_status.h"
#include "snapshot.h"
#include "transcript.h"

#include <pthread.h>

struct stream;

/* What the transport does for the hub (server.c; a fake one in tests). */
struct transport_ops {
    void (*kick)(struct stream *st);   /* there may be something to send */
    void (*resume)(struct stream *st); /* read again after a freeze */
    void (*end)(struct stream *st, int code, const char *message);
};

struct stream {
    struct stream *next;
    struct session *session;
    char *method, *peer;
    struct node_status *node; /* NULL until the first message */
    bool frozen;
    struct literal *literals; /* scripted responses, sent before anything else */
    struct literal *late;     /* held back until another response has gone */
    bool ends;                /* after what was given out last, with end_status */
    int end_status;
    unsigned long replays; /* the stream of the recording; 0: none */
    size_t replay_at;
    const struct transcript_line *replay_next; /* waits for its turn */
    const struct subscription *replay_last;    /* what went out last belongs to it */
    void *transport;
};

struct hub {
    pthread_mutex_t lock;
    const struct desc_pool *pool;
    const char *identifier; /* control_plane.identifier; NULL: not sent */
    bool verbose;
    bool heartbeats; /* tell at half of its time to live that a resource lives on */
    struct world *world;
    struct stream *streams;
    unsigned long next_stream;
    struct node_table nodes;
    struct event_log events;
    struct fault_list faults;
    const struct transport_ops *transport;
    uint64_t wake_at;                /* a delayed response is due; UINT64_MAX: none */
    const struct transcript *replay; /* answers with these; NULL: with the world */
    struct strmap opened;            /* method -> streams so far */
    FILE *record;                    /* what is sent is written here; NULL: nowhere */
    int wake_fd; /* eventfd: written when a wait or a timer should be looked at */
};

void hub_init(struct hub *h, const struct desc_pool *pool);
void hub_fini(struct hub *h);
void hub_lock(struct hub *h);
void hub_unlock(struct hub *h);

struct stream *hub_open(struct hub *h, enum dialect dialect, const char *fixed_type,
                        const char *method, const char *peer, void *transport);
/* The stream is over; frees it. */
void hub_close(struct hub *h, struct stream *st, const char *why);
/* A message came. false: end the stream with INVALID_ARGUMENT and `err`. */
MUST_CHECK bool hub_message(struct hub *h, struct stream *st, const void *data, size_t len,
                            struct error *err);
/* The next message to send; false when there is none now. */
bool hub_next(struct hub *h, struct stream *st, struct text *out);
/* Serve this world from now on (taken over); pushes what changed. */
void hub_publish(struct hub *h, struct world **w);
/* Look at all streams again (a fault was changed, a delay is over). */
void hub_kick_all(struct hub *h);
/* Tell the main thread to look at waits and timers. */
void hub_wake(struct hub *h);
