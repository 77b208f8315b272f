/* What dial.c and dial_target.c share. Main. */
#pragma once

#include "base/address.h"
#include "dataplane/http/headers.h"
#include "dataplane/upstream/server_name.h"
#include "main/dial.h"
#include "main/dial_use.h"

struct connect_options;
struct connection;
struct dns_query;

enum { DIAL_ADDRESSES_MAX = 64 };

/* Of a google_grpc service: where it may be, by and by. */
struct dial_target {
    struct arena *arena;
    const struct google_grpc *google; /* in the arena */
    struct tls_context *tls;          /* a reference; NULL: plain text */
    struct dns_query *query;          /* under way, or NULL */
    unsigned next_name, next_address, n_addresses;
    struct address addresses[DIAL_ADDRESSES_MAX];
};

struct dial_tls {
    struct tls_context *context; /* NULL: plain text, or its secret has not come */
    struct stat_scope *ssl_stats, *tls_stats;
    struct server_name name; /* in the arena of the dial */
};

struct dial {
    struct dialer *dialer;
    struct arena *arena;
    struct bytes cluster; /* or what the target is called; in the arena, like ... */
    struct headers head;  /* ... that of the stream to come, whose names TLS may ask for */
    dial_fn *fn;
    void *arg;
    bool cancelled;   /* config thread */
    struct list link; /* main: in dialer->dials while under way */
    struct connection *conn;
    struct dial_use use; /* of the connection; nothing of a target */
    struct dial_tls tls; /* of the connection to a cluster's host: references */
    uint32_t tries_left;
    struct dial_target *target; /* NULL: a cluster */
    struct dial_result result;
    char error[256];
};

/* The last of a dial. fd < 0: d->error says why. */
void dial_finish(struct dial *d, int fd);
/* Makes d->conn, whose end is the dial's next step. */
void dial_connect(struct dial *d, const struct address *to, const struct connect_options *o);

struct dial_target *dial_target_new(const struct dial_request *q);
void dial_target_free(struct dial_target **t);
/* The next address, or first the next name; d->tries_left is what is left. */
void dial_target_next(struct dial *d);
void dial_target_cancel(struct dial *d); /* nothing is asked for any more */
