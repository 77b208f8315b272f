/* trust_bundles of the SPIFFE validator: a map of bundles as JSON, each a JSON Web Key Set.
 *
 *     {"trust_domains": {"example.org": {"keys": [{"use": "x509-svid", "x5c": ["MII..."]}]}}}
 *
 * Pure, any thread. */
#pragma once

#include "base/arena.h"
#include "config/tls.h"

/* Fills out->spiffe, in the arena: for each domain its certificates as PEM. */
MUST_CHECK bool spiffe_bundles_read(struct arena *a, struct bytes json, struct tls_validation *out,
                                    struct error *err);
