/* One xDS stream as the protocol sees it: subscriptions, nonces, versions, what is owed.
 *
 * Pure: requests, worlds and time in; the next response out. No thread, no gRPC, no clock in it.
 * Used with the hub's lock held. State of the world in session.c, incremental in session_delta.c.
 */
#pragma once

#include "snapshot.h"
#include "types.h"

enum dialect { DIALECT_SOTW, DIALECT_DELTA };

/* A DiscoveryRequest or DeltaDiscoveryRequest. Points into the message it was read from. */
struct xds_request {
    bool has_node;
    const char *node_id, *node_cluster; /* "" when absent */
    const char *type_url, *version_info, *nonce;
    char **names; /* resource_names or resource_names_subscribe */
    size_t name_count;
    char **unsubscribe; /* delta */
    size_t unsubscribe_count;
    const char **initial_names, **initial_versions; /* delta: initial_resource_versions */
    size_t initial_count;
    bool has_error;
    int error_code;
    const char *error_message;
};

/* What a request turned out to be. */
enum meaning {
    MEANING_FIRST, /* opens the type on this stream */
    MEANING_ACK,   /* answers the newest response */
    MEANING_NACK,
    MEANING_CHANGE, /* changes the subscription, answers nothing */
    MEANING_STALE,  /* carries a nonce other than the newest */
};

/* A type as subscribed on one stream. */
struct subscription {
    char *type_url;
    size_t rank;
    bool full_state;
    bool wildcard;
    bool named;          /* a name was sent at least once: an empty list is no wildcard any more */
    struct strmap names; /* without "*" */
    size_t globs;        /* of names: those that stand for a collection, "xdstp://.../(all)" */
    char *nonce;         /* of the newest response; NULL before the first */
    char *version_sent;  /* its version_info */
    char published[17];  /* the version of the world that it showed */
    bool answered;       /* ACK or NACK came for `nonce` */
    bool due;            /* a response is owed ... */
    uint64_t due_since;  /* ... since then, microseconds */
    uint64_t beat_at;    /* heartbeats: the next one is due then; 0: nothing has a time to live */
    struct strmap have;  /* delta: name -> hash of what the client holds */
    struct strmap owed;  /* delta: names to answer even when nothing changed */
};

struct session {
    enum dialect dialect;
    unsigned long id;
    char *fixed_type; /* a per-type service; NULL: ADS */
    char *node_id;    /* "" until a node was seen */
    bool node_seen;
    unsigned long requests;
    unsigned long nonces;
    bool heartbeats; /* resources with a time to live are told of again at half of it */
    struct subscription **subs;
    size_t sub_count, sub_cap;
};

/* A response before it is serialized. The owner of `items` and `removed` is the response. */
struct xds_response {
    char *type_url, *version, *nonce;
    struct resource **items; /* borrowed from the world */
    size_t count, cap;
    char **removed; /* delta */
    size_t removed_count, removed_cap;
    struct subscription *sub;
    bool heartbeat; /* that the items live on, without what they are */
    uint64_t at;    /* when it was made */
};

/* Until when must a type wait on this stream? 0: may go; UINT64_MAX: held. */
typedef uint64_t session_gate(void *user, const struct session *s, const struct subscription *sub);

struct session *session_new(enum dialect dialect, unsigned long id, const char *fixed_type);
void session_free(struct session **s);
/* Take a request in. false: the stream must end with INVALID_ARGUMENT and `err`. */
MUST_CHECK bool session_request(struct session *s, const struct xds_request *req,
                                const struct world *w, uint64_t now, enum meaning *meaning,
                                struct subscription **sub, struct error *err);
/* A new world was published: note what is owed. */
void session_publish(struct session *s, const struct world *w, uint64_t now);
/* The next response in order of types; false when none may go now. *wake becomes the earliest time
 * at which one may (unchanged where none will). The caller commits or drops it. */
bool session_next(struct session *s, const struct world *w, session_gate *gate, void *user,
                  uint64_t now, struct xds_response *out, uint64_t *wake);
/* The response was sent as it stands now: remember its nonce and version. */
void session_commit(struct session *s, const struct xds_response *r, const struct world *w);
/* The same for a response that the world knows nothing of. */
void session_commit_literal(struct subscription *sub, const char *version, const char *nonce);
void response_fini(struct xds_response *r);
void response_add(struct xds_response *r, struct resource *item);
struct subscription *session_find(const struct session *s, const char *type_url);
const char *meaning_name(enum meaning m);

/* Shared by the two dialects. */
/* Is it asked for by "*" or by a collection? */
bool subscription_covers(const struct subscription *sub, const char *name);
/* Does the name stand for a collection? */
bool name_is_glob(const char *name);
void subscription_owe(struct subscription *sub, uint64_t now);
void delta_request(struct subscription *sub, const struct xds_request *req,
                   const struct type_set *set, bool first, uint64_t now);
bool delta_fill(struct subscription *sub, const struct type_set *set, struct xds_response *out);
/* session_beat.c: is a heartbeat due, what does it hold (false: nothing), a response went. */
bool beat_due(const struct session *s, const struct subscription *sub, uint64_t now);
bool beat_fill(const struct session *s, struct subscription *sub, const struct type_set *set,
               struct xds_response *out);
void beat_committed(const struct session *s, struct subscription *sub,
                    const struct xds_response *r);
bool delta_holds(const struct subscription *sub, const struct resource *r);
bool sotw_fill(const struct subscription *sub, const struct type_set *set,
               struct xds_response *out);
void delta_publish(struct subscription *sub, const struct type_set *set, uint64_t now);
void delta_commit(struct subscription *sub, const struct xds_response *r,
                  const struct type_set *set);
