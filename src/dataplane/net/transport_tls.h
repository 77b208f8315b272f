/* TLS as a transport stacked on another (socket or memory pair): handshake, records, ALPN, SNI, the
 * peer's certificate. On the thread of its loop. One system call reads what the kernel has, one
 * writes what a flush gives; an idle connection holds no record buffer. A peer's renegotiation is
 * refused unless the context allows it. Errors: transport.failure is Envoy's sentence
 * ("TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"). */
#pragma once

#include "base/arena.h"
#include "dataplane/net/tls_context.h"
#include "dataplane/net/transport.h"

struct buffer;
struct chunk_pool;

/* Of one connection; nothing of it is kept by pointer. */
struct tls_connect_options {
    struct bytes server_name; /* client: SNI to send; empty: the context's */
    const struct bytes *alpn; /* replaces the context's; n_alpn = 0: the context's */
    unsigned n_alpn;
    const struct bytes *verify_sans; /* client: replace the context's SAN matchers (exact) */
    unsigned n_verify_sans;
    const struct bytes *alpn_fallback; /* client: offered where neither says anything */
    unsigned n_alpn_fallback;
    struct stat_scope *stats; /* of tls_stat_schema; NULL: not counted */
    unsigned stat_slot;
};

/* Takes over `below`, and a reference on the context for its own life. */
struct transport *transport_tls_new(struct tls_context *c, struct transport *below,
                                    struct chunk_pool *pool, const struct tls_connect_options *o);
/* Bytes of the peer that were read already (by a listener filter), before the handshake. */
void transport_tls_prefill(struct transport *t, struct buffer *bytes);
bool transport_is_tls(const struct transport *t);
/* What the client's hello looked like, for logs; NULL: not known. Copied. */
void transport_tls_fingerprints(struct transport *t, const char *ja3, const char *ja4);

/* What formatters, x-forwarded-client-cert and filters ask; text is made in the arena, BYTES_NONE
 * where there is none. Of the certificate presented in the first handshake of the session. */
#define TLS_QUESTION_LIST(X)                                                                       \
    X(VERSION)                                                                                     \
    X(CIPHER)                                                                                      \
    X(CIPHER_ID) /* of IANA, in decimal */                                                         \
    X(GROUP)                                                                                       \
    X(SESSION_ID)                                                                                  \
    X(SERVER_NAME)                                                                                 \
    X(PEER_SUBJECT)                                                                                \
    X(PEER_ISSUER)                                                                                 \
    X(PEER_SERIAL)                                                                                 \
    X(PEER_FINGERPRINT_256)                                                                        \
    X(PEER_FINGERPRINT_1)                                                                          \
    X(PEER_CERT_PEM_URLENCODED)                                                                    \
    X(PEER_CHAIN_PEM_URLENCODED)                                                                   \
    X(PEER_URI_SANS)                                                                               \
    X(PEER_DNS_SANS)                                                                               \
    X(PEER_IP_SANS)                                                                                \
    X(PEER_EMAIL_SANS)                                                                             \
    X(PEER_OTHERNAME_SANS)                                                                         \
    X(PEER_ISSUER_FINGERPRINT_256)                                                                 \
    X(PEER_ISSUER_SERIAL)                                                                          \
    X(PEER_CHAIN_FINGERPRINTS_256)                                                                 \
    X(PEER_CHAIN_FINGERPRINTS_1)                                                                   \
    X(PEER_CHAIN_SERIALS)                                                                          \
    X(LOCAL_SUBJECT)                                                                               \
    X(LOCAL_URI_SANS)                                                                              \
    X(LOCAL_DNS_SANS)                                                                              \
    X(LOCAL_IP_SANS)                                                                               \
    X(LOCAL_EMAIL_SANS)                                                                            \
    X(LOCAL_OTHERNAME_SANS)                                                                        \
    X(JA3)                                                                                         \
    X(JA4)                                                                                         \
    X(FAILURE_REASON)
enum tls_question {
#define X(id) TLS_##id,
    TLS_QUESTION_LIST(X)
#undef X
};
/* Lists (…_SANS, PEER_CHAIN_…) are joined with ','. `t` may be no TLS: BYTES_NONE. */
struct bytes transport_tls_text(const struct transport *t, enum tls_question q, struct arena *a);
/* The names of a type that a side's certificate has, as they stand there (any byte but NUL), made
 * in the arena in one walk. How many; 0 for no TLS. */
unsigned transport_tls_peer_names(const struct transport *t, enum tls_san_type type,
                                  struct arena *a, struct bytes **out);
unsigned transport_tls_local_names(const struct transport *t, enum tls_san_type type,
                                   struct arena *a, struct bytes **out);
/* Answers about a connection that outlive it: NULL for no TLS. On the thread of its loop. */
struct tls_connection;
struct tls_connection *transport_tls_hold(const struct transport *t);
void tls_connection_unref(struct tls_connection **c);
struct bytes tls_connection_text(const struct tls_connection *c, enum tls_question q,
                                 struct arena *a); /* c may be NULL */
/* From or until when (Unix time) the peer's certificate is valid; false: there is none. */
bool tls_connection_peer_time(const struct tls_connection *c, bool until, int64_t *out);
bool transport_tls_peer_presented(const struct transport *t);
bool transport_tls_peer_validated(const struct transport *t);
