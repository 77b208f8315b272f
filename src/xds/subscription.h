/* struct subscription: what one type of resource wants from one server, and what was answered.
 * Pure: names, streams and answers in, requests out; no thread, no gRPC, no clock. The
 * state-of-the-world dialect; delta has the same events and other requests (struct
 * subscription_request). Config thread; owned by its mux.
 *
 * Rules of docs/rules.md it implements: S02-S06, S08, A01-A06, W01-W05, W07, W08, T04. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "base/map.h"
#include "base/strbuf.h"

enum { NACK_TEXT_MAX = 4096, GRPC_STATUS_INTERNAL = 13 };

struct subscription {
    const char *type_url; /* constant */
    bool wildcard_type;   /* listeners and clusters: an empty first list asks for all (W04) */
    struct map names;     /* wanted names; "*" is one of them */
    char *version;        /* last accepted; survives streams (S05); NULL: none */
    char *nonce;          /* newest of this stream (S03, S04); NULL: none */
    char *nack;           /* error text of the answer that is due; sent once (A04) */
    bool answer_due;      /* a response waits for its ACK or NACK (A01) */
    bool names_changed;   /* since the last request of this stream */
    bool requested;       /* a request went out on this stream */
    bool explicit_sent;   /* ... that named something: wildcard is then "*" (W05) */
    bool stream_open;
    unsigned paused; /* counted: nothing goes out meanwhile (M13) */
};

void subscription_init(struct subscription *s, const char *type_url, bool wildcard_type);
void subscription_fini(struct subscription *s);

/* Both return whether anything changed. */
bool subscription_want(struct subscription *s, struct bytes name);
bool subscription_unwant(struct subscription *s, struct bytes name);
bool subscription_wants(const struct subscription *s, struct bytes name); /* by name, not by "*" */
bool subscription_is_wildcard(const struct subscription *s);
bool subscription_active(const struct subscription *s); /* wants anything, or has on this stream */

void subscription_stream_opened(struct subscription *s);
void subscription_stream_closed(struct subscription *s);
void subscription_pause(struct subscription *s);
void subscription_resume(struct subscription *s);

/* A response was applied: accepted when error is NULL, otherwise NACKed with that text (cut to
 * NACK_TEXT_MAX). Its answer is due. */
void subscription_answer(struct subscription *s, struct bytes version, struct bytes nonce,
                         const char *error);

/* Is there something to say now? One request answers a response and carries all changes of names.
 */
bool subscription_due(const struct subscription *s);
/* Encodes the due request (envoy.service.discovery.v3.DiscoveryRequest) and takes it as sent. node:
 * bytes of core.v3.Node, data NULL: left out (S01). */
void subscription_take(struct subscription *s, struct bytes node, struct strbuf *out);
