/* Statistics of handshakes: listener.ADDRESS.ssl.* and cluster.NAME.ssl.*, Envoy's names. The
 * builder makes the scope (listener_entry.ssl_stats, cluster_entry.ssl_stats), the data plane
 * writes it. Names that carry a label (ciphers, curves, sigalgs, versions) are there once they
 * were counted, as in Envoy. */
#pragma once

#include "base/stats.h"

#define TLS_CIPHER_LIST(X)                                                                         \
    X("TLS_AES_128_GCM_SHA256")                                                                    \
    X("TLS_AES_256_GCM_SHA384")                                                                    \
    X("TLS_CHACHA20_POLY1305_SHA256")                                                              \
    X("ECDHE-ECDSA-AES128-GCM-SHA256")                                                             \
    X("ECDHE-ECDSA-AES256-GCM-SHA384")                                                             \
    X("ECDHE-ECDSA-CHACHA20-POLY1305")                                                             \
    X("ECDHE-RSA-AES128-GCM-SHA256")                                                               \
    X("ECDHE-RSA-AES256-GCM-SHA384")                                                               \
    X("ECDHE-RSA-CHACHA20-POLY1305")                                                               \
    X("ECDHE-ECDSA-AES128-SHA")                                                                    \
    X("ECDHE-ECDSA-AES256-SHA")                                                                    \
    X("ECDHE-RSA-AES128-SHA")                                                                      \
    X("ECDHE-RSA-AES256-SHA")                                                                      \
    X("AES128-GCM-SHA256")                                                                         \
    X("AES256-GCM-SHA384")                                                                         \
    X("AES128-SHA")                                                                                \
    X("AES256-SHA")                                                                                \
    X("DES-CBC3-SHA")
#define TLS_CURVE_LIST(X)                                                                          \
    X("X25519")                                                                                    \
    X("P-256")                                                                                     \
    X("P-384")                                                                                     \
    X("P-521")                                                                                     \
    X("P-224")                                                                                     \
    X("CECPQ2")
#define TLS_SIGALG_LIST(X)                                                                         \
    X("ecdsa_secp256r1_sha256")                                                                    \
    X("ecdsa_secp384r1_sha384")                                                                    \
    X("ecdsa_secp521r1_sha512")                                                                    \
    X("ecdsa_sha1")                                                                                \
    X("ed25519")                                                                                   \
    X("rsa_pss_rsae_sha256")                                                                       \
    X("rsa_pss_rsae_sha384")                                                                       \
    X("rsa_pss_rsae_sha512")                                                                       \
    X("rsa_pkcs1_sha256")                                                                          \
    X("rsa_pkcs1_sha384")                                                                          \
    X("rsa_pkcs1_sha512")                                                                          \
    X("rsa_pkcs1_sha1")                                                                            \
    X("rsa_pkcs1_md5_sha1")
#define TLS_VERSION_LIST(X)                                                                        \
    X("TLSv1")                                                                                     \
    X("TLSv1.1")                                                                                   \
    X("TLSv1.2")                                                                                   \
    X("TLSv1.3")

#define TLS_STAT_LIST(X)                                                                           \
    X(CONNECTION_ERROR, "ssl.connection_error", COUNTER)                                           \
    X(HANDSHAKE, "ssl.handshake", COUNTER)                                                         \
    X(SESSION_REUSED, "ssl.session_reused", COUNTER)                                               \
    X(NO_CERTIFICATE, "ssl.no_certificate", COUNTER)                                               \
    X(FAIL_VERIFY_NO_CERT, "ssl.fail_verify_no_cert", COUNTER)                                     \
    X(FAIL_VERIFY_ERROR, "ssl.fail_verify_error", COUNTER)                                         \
    X(FAIL_VERIFY_SAN, "ssl.fail_verify_san", COUNTER)                                             \
    X(FAIL_VERIFY_CERT_HASH, "ssl.fail_verify_cert_hash", COUNTER)                                 \
    X(OCSP_STAPLE_FAILED, "ssl.ocsp_staple_failed", COUNTER)                                       \
    X(OCSP_STAPLE_OMITTED, "ssl.ocsp_staple_omitted", COUNTER)                                     \
    X(OCSP_STAPLE_RESPONSES, "ssl.ocsp_staple_responses", COUNTER)                                 \
    X(OCSP_STAPLE_REQUESTS, "ssl.ocsp_staple_requests", COUNTER)

/* The four families follow in this order, each entry after itself. */
enum { TLS_CIPHERS = 18, TLS_CURVES = 6, TLS_SIGALGS = 13, TLS_VERSIONS = 4 };
enum tls_stat {
#define X(id, name, kind) STAT_TLS_##id,
    TLS_STAT_LIST(X)
#undef X
        STAT_TLS_CIPHER_FIRST,
    STAT_TLS_CURVE_FIRST = STAT_TLS_CIPHER_FIRST + TLS_CIPHERS,
    STAT_TLS_SIGALG_FIRST = STAT_TLS_CURVE_FIRST + TLS_CURVES,
    STAT_TLS_VERSION_FIRST = STAT_TLS_SIGALG_FIRST + TLS_SIGALGS,
    TLS_STAT_COUNT = STAT_TLS_VERSION_FIRST + TLS_VERSIONS
};
extern const struct stat_schema tls_stat_schema;
