/* Chains of certificates that a worker has verified not long ago. Two ECDSA verifications are half
 * of what a client's certificate costs, and the clients of a mesh come back with the same chain
 * again and again: signatures over equal bytes, up to the same roots, need not be computed anew.
 * What is kept is a digest of all that the answer depends on (the context and every certificate
 * that was shown), and until when the answer holds; names, pins and possession of the key are
 * judged each time.
 *
 * A table for each statistics slot, which only that slot's thread uses: no lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { TLS_VERIFIED_KEY = 32, TLS_VERIFIED_MAX = 256 };

/* Was it verified, and is that still true at `now` (Unix time)? */
bool tls_verified_has(unsigned slot, const uint8_t key[TLS_VERIFIED_KEY], int64_t now);
/* It was; true from `from` on, and until `until`. Takes the place of another one. */
void tls_verified_add(unsigned slot, const uint8_t key[TLS_VERIFIED_KEY], int64_t from,
                      int64_t until);
