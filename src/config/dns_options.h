/* How names are looked up: what CaresDnsResolverConfig says, and the older fields that it replaced.
 * Plain const data; net/dns.c acts on it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"

enum { DNS_TIMEOUT_MAX_S = 3600 };

struct dns_options {
    struct bytes key;              /* equal keys mean equal options: one resolver serves them */
    const struct address *servers; /* none: those of resolv.conf */
    size_t n_servers;
    bool servers_are_fallback; /* used where resolv.conf names none but this machine's */
    bool use_tcp, no_search;   /* no_search: never append search domains */
    bool rotate;               /* take servers in turn */
    bool no_hosts_file;
    bool filter_unroutable; /* only families that an interface has an address of */
    bool reopen_on_timeout; /* start anew when no server answered */
    uint64_t timeout_ms;    /* of one try, at most an hour; 0: 5000 */
    uint64_t max_age_ms;    /* start anew after so long; 0: never */
    unsigned tries;         /* 0: 4 */
    unsigned edns_size;     /* EDNS0 payload; 0: no EDNS0 */
};
