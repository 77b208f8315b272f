/* From an accepted descriptor to a connection: limits, what the listener filters want to see first,
 * the filter chain, and TLS below it. What waits for its client's first bytes stands in a list of
 * the worker's. Worker thread. */
#pragma once

#include "base/list.h"
#include "config/listener.h"
#include "dataplane/net/worker.h"

struct accept_list {
    struct worker *worker;
    struct list waiting;          /* struct accepted */
    struct stat_scope *inspector; /* tls_inspector; made at the first use */
};

/* tls_inspector.* */
#define TLS_INSPECTOR_STAT_LIST(X)                                                                 \
    X(CLIENT_HELLO_TOO_LARGE, "client_hello_too_large", COUNTER)                                   \
    X(TLS_FOUND, "tls_found", COUNTER)                                                             \
    X(TLS_NOT_FOUND, "tls_not_found", COUNTER)                                                     \
    X(ALPN_FOUND, "alpn_found", COUNTER)                                                           \
    X(ALPN_NOT_FOUND, "alpn_not_found", COUNTER)                                                   \
    X(SNI_FOUND, "sni_found", COUNTER)                                                             \
    X(SNI_NOT_FOUND, "sni_not_found", COUNTER)                                                     \
    X(BYTES_PROCESSED, "bytes_processed", HISTOGRAM)

void accept_list_init(struct accept_list *l, struct worker *w);
void accept_list_fini(struct accept_list *l); /* closes what waits */
/* Takes over the descriptor. `e` is of the worker's current snapshot, address_id of the address at
 * which it was accepted. */
void accept_begin(struct accept_list *l, const struct listener_entry *e, uint32_t address_id,
                  int fd, const struct address *local, const struct address *remote);
