/* A control plane for the test of histories: a small world, both dialects, no sockets. Requests and
 * responses wait in two queues until somebody moves them, so that they cross and come late. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "config/resource_type.h"

/* c0 ... endpoints c0 ..., listeners l0 ..., routes r0 ..., secrets s0 ..., filters f0 ..., scopes
 * o0 ..., virtual hosts r0/h0 ...; 0: not there, MODEL_BAD: refused. */
enum { MODEL_TYPES = RESOURCE_VIRTUAL_HOST + 1 }; /* all but the runtime */
enum { MODEL_NAMES = 4, MODEL_VARIANTS = 3, MODEL_BAD = MODEL_VARIANTS + 1, MODEL_QUEUE = 64 };

struct model_world {
    uint8_t variant[MODEL_TYPES][MODEL_NAMES];
};

/* What the server knows of one type on one stream. */
struct model_session {
    bool subscribed, wildcard;
    bool wanted[MODEL_NAMES], owed[MODEL_NAMES];
    uint8_t has[MODEL_NAMES]; /* delta: what the client holds, as a variant */
    uint64_t sent_version;    /* state of the world; 0: nothing yet */
    uint64_t nonce;           /* of the newest response; 0: none */
};

struct model_queue {
    struct strbuf messages[MODEL_QUEUE];
    unsigned first, n;
};

struct model_server {
    bool delta;
    bool forgets_nothing; /* answers requests of an old nonce too */
    struct model_world world;
    uint64_t version[MODEL_TYPES], nonce;
    struct model_session sessions[MODEL_TYPES];
    struct model_queue to_client, to_server;
    const struct model_bytes *bytes;
};

/* The bytes of every resource: [type][name][variant], made once. */
struct model_bytes {
    struct bytes wire[MODEL_TYPES][MODEL_NAMES][MODEL_BAD + 1];
};

const char *model_name(enum resource_type type, unsigned name); /* until the next call */
void model_init(struct model_server *s, const struct model_bytes *bytes, bool delta);
void model_fini(struct model_server *s);
void model_set(struct model_server *s, enum resource_type type, unsigned name, uint8_t variant);
/* The stream ends: what was under way is lost. */
void model_cut(struct model_server *s);
/* Forgets its versions and nonces, too. */
void model_restart(struct model_server *s, uint64_t first_version);
/* Reads one request that the client sent. False: there is none. */
bool model_read(struct model_server *s);
/* Answers a type, if there is anything to say; again: also if not, as a duplicate. */
bool model_answer(struct model_server *s, enum resource_type type, bool again);
/* Queues: false when full or empty. */
bool model_push(struct model_queue *q, struct bytes message);
struct strbuf *model_pop(struct model_queue *q);
