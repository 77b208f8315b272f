/* struct tls_context: certificates, trust and policy for connections of one chain or cluster:
 * BoringSSL's SSL_CTX with what Envoy's API adds to it. Made on the config thread from struct
 * tls_settings, immutable then (but for session caches, which lock themselves), used by any thread,
 * counted atomically. The doorway of BoringSSL is net/tls*: nobody else includes it. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/stats.h"
#include "config/tls.h"

/* listener.ADDRESS.ssl.* and cluster.NAME.ssl.*: Envoy's names. The families with a label in their
 * name (ciphers, curves, sigalgs, versions) are counted apart (tls_stats). */
#define TLS_STAT_LIST(X)                                                                           \
    X(CONNECTION_ERROR, "ssl.connection_error", COUNTER)                                           \
    X(HANDSHAKE, "ssl.handshake", COUNTER)                                                         \
    X(SESSION_REUSED, "ssl.session_reused", COUNTER)                                               \
    X(NO_CERTIFICATE, "ssl.no_certificate", COUNTER)                                               \
    X(FAIL_VERIFY_NO_CERT, "ssl.fail_verify_no_cert", COUNTER)                                     \
    X(FAIL_VERIFY_ERROR, "ssl.fail_verify_error", COUNTER)                                         \
    X(FAIL_VERIFY_SAN, "ssl.fail_verify_san", COUNTER)                                             \
    X(FAIL_VERIFY_CERT_HASH, "ssl.fail_verify_cert_hash", COUNTER)                                 \
    X(OCSP_STAPLING_FAILED, "ssl.ocsp_staple_failed", COUNTER)                                     \
    X(OCSP_STAPLING_OMITTED, "ssl.ocsp_staple_omitted", COUNTER)                                   \
    X(OCSP_STAPLING_RESPONSES, "ssl.ocsp_staple_responses", COUNTER)                               \
    X(OCSP_STAPLING_REQUESTS, "ssl.ocsp_staple_requests", COUNTER)                                 \
    X(WAS_KEY_USAGE_INVALID, "ssl.was_key_usage_invalid", COUNTER)

/* For struct tls_factory: ctx is not looked at. */
struct tls_context *tls_context_new(const struct tls_settings *s, struct error *err);
struct tls_context *tls_context_ref(struct tls_context *c); /* any thread */
void tls_context_unref(struct tls_context **c);             /* any thread */
/* Valid while the context is. */
void tls_context_cert_infos(const struct tls_context *c, struct tls_cert_infos *out);
bool tls_context_is_server(const struct tls_context *c);
