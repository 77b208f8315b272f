/* What is known of each node and type: sent, ACKed, NACKed. Survives the end of streams.
 *
 * Used with the hub's lock held. */
#pragma once

#include "session.h"

enum outcome { OUTCOME_SENT, OUTCOME_ACKED, OUTCOME_NACKED };

/* One response's fate, for waits on versions that are not the newest. */
struct verdict {
    char *version;
    enum outcome outcome;
};

#define VERDICTS 64

struct type_status {
    char *version_sent, *version_acked, *version_nacked;
    char *nack_reason;
    int nack_code;
    char *nonce;
    enum outcome outcome; /* of the newest response */
    bool any;             /* a response was sent */
    unsigned long sent, acked, nacked;
    struct verdict verdicts[VERDICTS];
    size_t next_verdict;
    const struct subscription *sub; /* while its stream lives */
    unsigned long stream;
};

struct node_status {
    char *id;
    char *cluster;
    size_t streams;      /* open now */
    struct strmap types; /* type URL -> struct type_status * */
};

struct node_table {
    struct strmap nodes; /* id -> struct node_status * */
};

void node_table_fini(struct node_table *t);
struct node_status *node_get_or_make(struct node_table *t, const char *id);
struct type_status *node_type(struct node_status *n, const char *type_url);
void status_sent(struct type_status *t, const char *version, const char *nonce);
void status_answered(struct type_status *t, enum meaning m, const struct xds_request *req);
/* Does the version stand at the outcome? `newest`: only its latest sending counts. */
bool status_matches(const struct type_status *t, const char *version, enum outcome outcome,
                    bool newest);
/* The whole table as JSON. */
void node_table_json(const struct node_table *t, struct text *out);
