/* Names to addresses, asynchronously: the only doorway of c-ares. One resolver on one loop
 * (main's), used by that thread only. Answers come with a time to live; the hosts file counts. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/address.h"
#include "base/stats.h"
#include "config/cluster.h"
#include "config/dns_options.h"
#include "dataplane/net/loop.h"

struct dns_resolver;
struct dns_query;

/* dns.cares.*, of all resolvers: X(enumerator, name, kind). Main writes them. */
#define DNS_STAT_LIST(X)                                                                           \
    X(RESOLVE_TOTAL, "resolve_total", COUNTER)                                                     \
    X(PENDING_RESOLUTIONS, "pending_resolutions", GAUGE)                                           \
    X(NOT_FOUND, "not_found", COUNTER)                                                             \
    X(GET_ADDR_FAILURE, "get_addr_failure", COUNTER)                                               \
    X(TIMEOUTS, "timeouts", COUNTER)                                                               \
    X(REINITS, "reinits", COUNTER)

enum dns_stat {
#define X(id, name, kind) STAT_DNS_##id,
    DNS_STAT_LIST(X)
#undef X
};
extern const struct stat_schema dns_stat_schema;

enum dns_status {
    DNS_OK,
    DNS_EMPTY,  /* the name exists or not, but has no such address: an answer, not a failure */
    DNS_FAILED, /* no answer: keep what you had */
};

struct dns_answer {
    enum dns_status status;
    const char *error;               /* a sentence when not DNS_OK, else NULL */
    const struct address *addresses; /* port as given to dns_resolve(); no duplicates */
    size_t count;
    uint32_t ttl_s; /* the smallest; 0 when unknown (the hosts file) */
};

/* The result lives during the call; the query is gone before it. */
typedef void dns_fn(void *ctx, const struct dns_answer *result);

/* opt may be NULL; nothing of it is kept. A resolver that cannot be started anew is not lost: the
 * next query tries again. */
MUST_CHECK struct dns_resolver *dns_resolver_new(struct loop *loop, const struct dns_options *opt,
                                                 struct error *err);
/* Where it counts; a reference is taken. */
void dns_resolver_set_stats(struct dns_resolver *r, struct stat_scope *stats);
void dns_resolver_free(struct dns_resolver **r); /* open queries are dropped, without a call */
/* AUTO: IPv6 first, IPv4 if there is none; V4_PREFERRED the other way round.
 * fn is called later, once, never from inside this call. An IP address resolves to itself. */
struct dns_query *dns_resolve(struct dns_resolver *r, struct bytes name, uint16_t port,
                              enum dns_lookup_family family, dns_fn *fn, void *ctx);
void dns_cancel(struct dns_query **q); /* fn will not be called */
