/* struct subscription: what one type of resource wants from one server, and what was answered.
 * Pure: names, streams and answers in, requests out; no thread, no gRPC, no clock. Both dialects:
 * state of the world, where each request says all (subscription.c), and delta, where a request
 * either answers or says what changed (subscription_delta.c). Config thread; owned by its mux.
 *
 * Rules of docs/rules.md it implements: S02-S06, S08, A01-A06, W01-W08, T04; delta: D01-D03, D07,
 * D10, D15, D17, D18. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/strbuf.h"

enum { NACK_TEXT_MAX = 4096, GRPC_STATUS_INTERNAL = 13 };

struct subscription {
    const char *type_url; /* constant */
    bool wildcard_type;   /* listeners and clusters: an empty first list asks for all (W04) */
    bool delta;           /* the dialect; constant */
    struct map names;     /* wanted names; "*" is one of them; delta: whether they were said */
    struct map gone;      /* delta: names to unsubscribe on this stream */
    struct strbuf list;   /* not of delta: names as each request has them, while list_made */
    size_t n_unsaid;      /* delta: of names, those to subscribe on this stream */
    char *version;        /* last accepted; survives streams (S05); NULL: none; not of delta */
    char *nonce;          /* newest of this stream (S03, S04); NULL: none */
    char *nack;           /* error text of the answer that is due; sent once (A04) */
    bool answer_due;      /* a response waits for its ACK or NACK (A01) */
    bool answer_held;     /* ... and goes with the next change of names, or when it is let go */
    bool names_changed;   /* since the last request of this stream */
    bool requested;       /* a request went out on this stream */
    bool explicit_sent;   /* ... that named something: wildcard is then "*" (W05) */
    bool stream_open, list_made;
    unsigned paused; /* counted: nothing goes out meanwhile (M13) */
};

void subscription_init(struct subscription *s, const char *type_url, bool wildcard_type,
                       bool delta);
void subscription_fini(struct subscription *s);

/* Both return whether anything changed. */
bool subscription_want(struct subscription *s, struct bytes name);
bool subscription_unwant(struct subscription *s, struct bytes name);
bool subscription_wants(const struct subscription *s, struct bytes name); /* by name, not by "*" */
bool subscription_is_wildcard(const struct subscription *s);
bool subscription_active(const struct subscription *s); /* wants anything, or has on this stream */

void subscription_stream_opened(struct subscription *s);
void subscription_stream_closed(struct subscription *s);
/* The next request tells no version: that which is held is of another server (T12), or what it was
 * asked for with is not all that is wanted now (O04). */
void subscription_forget_version(struct subscription *s);
void subscription_pause(struct subscription *s);
void subscription_resume(struct subscription *s);

/* A response was applied: accepted when error is NULL, otherwise NACKed with that text (cut to
 * NACK_TEXT_MAX, and made valid UTF-8). Its answer is due. */
void subscription_answer(struct subscription *s, struct bytes version, struct bytes nonce,
                         const char *error);

/* The answer that is due waits, for nothing but a pause (A14); a newer one does not. */
void subscription_hold_answer(struct subscription *s);
void subscription_let_answer_go(struct subscription *s);

/* Is there something to say now? State of the world: one request answers a response and carries all
 * changes of names. Delta: one request after the other (Q03, Q04). */
bool subscription_due(const struct subscription *s);

/* What is held of the type, name by name with its version: told to a delta server by the first
 * request of a stream (D02). */
typedef void subscription_held_fn(void *arg, struct bytes name, struct bytes version);
struct subscription_held {
    void (*each)(void *ctx, subscription_held_fn *fn, void *arg);
    void *ctx;
};

/* Encodes a due request (envoy.service.discovery.v3.DiscoveryRequest or DeltaDiscoveryRequest) and
 * takes it as sent. node: bytes of core.v3.Node, data NULL: left out (S01). held: delta's. */
void subscription_take(struct subscription *s, struct bytes node,
                       const struct subscription_held *held, struct strbuf *out);
