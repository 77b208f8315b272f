/* Scripted bad behaviour: rules that change responses, and responses written by hand.
 *
 * Used with the hub's lock held. A rule applies where node, type and stream match. Rules are
 * orthogonal: several that match apply one after the other, in the order they were made. */
#pragma once

#include "session.h"
#include "wire.h"

struct fault {
    struct fault *next;
    unsigned long id;
    char *node, *type_url;
    unsigned long stream; /* 0: every one */
    bool hold;            /* do not answer */
    uint64_t delay_us;    /* answer this much later */
    bool empty;           /* leave all resources out */
    char **omit;          /* leave these resources out */
    size_t omit_count;
    char **duplicate; /* send these twice ("*": all) */
    size_t duplicate_count;
    char **extra; /* send these too, asked for or not */
    size_t extra_count;
    char *set_type_url;      /* DiscoveryResponse.type_url */
    char *set_resource_type; /* type URL of each resource's Any */
    char *set_version, *set_nonce;
    char *set_control_plane;
    bool drop;           /* takes it as sent, and does not send it */
    bool late;           /* sends it after the next response of the stream */
    unsigned long again; /* sends it so many times more */
    bool unknown_field;  /* a field that no API has in each resource */
    unsigned long pad;   /* so many bytes of an unknown field in the response */
    char **garble;       /* these resources are no messages ("*": all) */
    size_t garble_count;
    char **readd; /* delta: names these as removed, too */
    size_t readd_count;
    bool ends; /* ends the stream after it, with this status */
    int end_status;
    unsigned long times; /* responses it still changes; 0: no limit */
    unsigned long used;
};

struct fault_list {
    struct fault *first;
    unsigned long next_id;
};

/* A response given byte by byte. */
struct literal {
    struct literal *next;
    char *type_url, *version, *nonce; /* for the log and for telling its ACK */
    char *bytes;
    size_t len;
};

struct fault *fault_add(struct fault_list *l);
void fault_free(struct fault **f);
/* Remove one rule (id 0: all). Returns how many went. */
size_t fault_remove(struct fault_list *l, unsigned long id);
void fault_list_json(const struct fault_list *l, struct text *out);
/* When may the type be answered? 0: now; UINT64_MAX: while no rule changes, never. */
uint64_t fault_gate(const struct fault_list *l, const struct session *s,
                    const struct subscription *sub);
/* Change a response that is about to go. */
void fault_apply(struct fault_list *l, const struct session *s, const struct snapshot *set,
                 struct xds_response *r, struct wire_extra *extra);
/* Does a rule still hold responses back for the next? */
bool fault_any_late(const struct fault_list *l);
void literal_free(struct literal **l);
