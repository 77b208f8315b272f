/* Discovery messages as bytes: the only user of the protobuf-c discovery types.
 *
 * Pure; any thread. */
#pragma once

#include "session.h"

/* A decoded request; `req` points into `message`. */
struct wire_request {
    struct xds_request req;
    enum dialect dialect;
    void *message;
};

MUST_CHECK bool wire_read(struct wire_request *out, enum dialect dialect, const void *data,
                          size_t len);
void wire_request_fini(struct wire_request *r);

/* What a fault adds to a response. */
struct wire_extra {
    const char *control_plane; /* identifier; NULL: none */
    const char *resource_type; /* type URL of the Any of each resource, if not the response's */
    bool unknown_field;        /* one that no API has, in each resource */
    unsigned long pad;         /* bytes of one in the response */
    char **garble;             /* names of resources that shall be no messages */
    size_t garble_count;
    /* What becomes of it on the way: the hub's. */
    bool drop, late, ends;
    unsigned long again;
    int end_status;
};

/* The time to live of a serialized envoy.service.discovery.v3.Resource, microseconds; 0: none. */
uint64_t wire_ttl(const void *wrapper, size_t len);
/* Serialize a response. */
void wire_write(enum dialect dialect, const struct xds_response *r, const struct wire_extra *extra,
                struct text *out);
