/* What the files of the TLS engine share: net/tls_*.c and net/transport_tls.c, nobody else. */
#pragma once

#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of another TLS library: see docs/building.md"
#endif
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "config/tls_stats.h"
#include "dataplane/net/tls_context.h"
#include "dataplane/net/transport_tls.h"

/* One certificate that a context presents. */
struct tls_identity {
    CRYPTO_BUFFER **chain; /* leaf first */
    size_t n_chain;
    X509 *leaf;
    EVP_PKEY *key;
    uint16_t group; /* of an ECDSA key: SSL_CURVE_*; 0: RSA */
    bool must_staple;
    struct bytes staple; /* DER */
    int64_t staple_from, staple_until;
    struct bytes *names; /* lower case: what clients may ask for */
    unsigned n_names;
    struct bytes path;
};

struct tls_trust {
    X509_STORE *store;
    struct bytes domain; /* of the SPIFFE validator; empty: of trusted_ca */
    bool has_crl;
};

struct tls_san_rule {
    enum tls_san_type type;
    ASN1_OBJECT *oid;
    struct string_matcher matcher; /* its regex is owned */
};

/* What is asked of a peer's certificate. */
struct tls_policy {
    struct tls_trust *trusts;
    unsigned n_trusts;
    X509 **ca_certs; /* of all trusts: for /certs, and to name them to clients */
    unsigned n_ca_certs;
    struct bytes ca_path;
    struct tls_san_rule *sans;
    unsigned n_sans;
    uint8_t (*spki)[TLS_HASH_SIZE], (*hashes)[TLS_HASH_SIZE];
    unsigned n_spki, n_hashes;
    bool spiffe, allow_expired, accept_untrusted;
    bool present; /* there is a validation context */
};

enum { TLS_CONTEXT_MAGIC = 0x746c7363, TLS_SCOPE_SIZE = 32 };

struct tls_session_cache;

struct tls_context {
    uint32_t magic;
    atomic_uint refs;
    uint64_t id; /* never that of another one */
    bool is_server, require_client_certificate, require_sni, full_scan, allow_renegotiation;
    bool auto_sni_san_validation, disable_tickets;
    bool only_aes; /* a policy: no connection with another cipher */
    enum tls_ocsp_policy ocsp_policy;
    SSL_CTX *ssl;
    struct arena *arena;
    struct tls_identity *identities;
    unsigned n_identities;
    struct tls_policy policy;
    struct bytes alpn; /* wire form */
    struct bytes sni;
    struct regex_list regexes;
    uint8_t (*ticket_keys)[TLS_TICKET_KEY_SIZE];
    unsigned n_ticket_keys;
    struct tls_session_cache *sessions; /* of a client; NULL: nothing is resumed */
    struct tls_cert_infos infos;
    int key_log_fd; /* -1: none */
    struct address_prefix *log_local, *log_remote;
    unsigned n_log_local, n_log_remote;
};

/* A connection as the callbacks of the library see it, and who asks about it later. The transport
 * has one reference; it does all input and output. Of one thread. */
struct tls_connection {
    unsigned refs;
    struct tls_context *context;
    SSL *ssl;
    const struct tls_identity *identity; /* presented, or NULL */
    struct stat_scope *stats;
    unsigned slot;
    struct bytes *verify_sans;
    unsigned n_verify_sans;
    bool validated;
    X509 *peer;           /* after the handshake, or once it was refused */
    char *verify_failure; /* owned: why the peer's certificate was refused */
    char *ja3, *ja4;      /* owned; NULL: not asked for */
    uint64_t session_key; /* of a client: which sessions may be resumed */
    int fd;               /* for the key log's filters; -1: none */
};

static inline struct tls_connection *tls_connection_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}
void tls_count(const struct tls_connection *c, enum tls_stat id);
/* Counts in one of the families, if the name is known. */
void tls_count_handshake(const struct tls_connection *c);

void tls_infos_make(struct tls_context *c);
/* The list as it goes over the wire, added to *out. False: it cannot. */
bool tls_alpn_wire(struct strbuf *out, const struct bytes *list, unsigned n);

/* tls_certificate.c */
bool tls_identities_load(struct tls_context *c, const struct tls_settings *s, struct error *err);
void tls_identities_fini(struct tls_context *c);
/* The certificates of PEM text. NULL: *err; at least one. */
STACK_OF(X509) * tls_pem_certificates(struct bytes pem, STACK_OF(X509_CRL) * *crls);
/* The oldest error of the library as text, and none left: "error:0b000074:X.509 ...". */
void tls_library_error(char *buf, size_t size);

/* tls_ocsp.c: *serial points into der. */
struct tls_ocsp {
    bool good; /* the responder answered, about one certificate */
    struct bytes serial;
    int64_t from, until;
};
bool tls_ocsp_parse(struct bytes der, struct tls_ocsp *out);

/* tls_select.c: which identity a client gets. */
enum ssl_select_cert_result_t tls_select_certificate(const SSL_CLIENT_HELLO *hello);
bool tls_name_matches(struct bytes pattern, struct bytes name);

/* tls_verify.c */
bool tls_policy_load(struct tls_context *c, const struct tls_settings *s, struct error *err);
void tls_policy_fini(struct tls_context *c);
enum ssl_verify_result_t tls_verify(SSL *ssl, uint8_t *alert);

/* tls_san.c */
bool tls_san_any_matches(const struct tls_context *c, X509 *leaf);
/* Any name of the certificate is one of the list. */
bool tls_san_listed(X509 *leaf, const struct bytes *list, unsigned n);
bool tls_san_dns_is(X509 *leaf, struct bytes name);
/* The value as text; false: it is none that can be compared. buf is for addresses. */
enum { TLS_SAN_TEXT_MAX = 64 };
bool tls_san_text(const GENERAL_NAME *name, struct bytes *out, char buf[TLS_SAN_TEXT_MAX]);
bool tls_san_type_of(const GENERAL_NAME *name, enum tls_san_type *type);
/* "a.test, b.test": for messages; at most max bytes. */
void tls_san_list_text(X509 *leaf, char *buf, size_t max);

/* tls_session.c */
bool tls_sessions_init(struct tls_context *c, const struct tls_settings *s, struct error *err);
void tls_sessions_fini(struct tls_context *c);
/* Takes the newest session that fits for a new connection. */
void tls_sessions_resume(struct tls_connection *t);

/* tls_key_log.c */
bool tls_key_log_init(struct tls_context *c, const struct tls_settings *s, struct error *err);
void tls_key_log_fini(struct tls_context *c);

/* tls_text.c */
struct bytes tls_text_serial(X509 *x, struct arena *a);
int64_t tls_text_time(const ASN1_TIME *t); /* Unix time */
struct bytes tls_text(const struct tls_connection *c, enum tls_question q, struct arena *a);
unsigned tls_text_names(X509 *x, enum tls_san_type type, struct arena *a, struct bytes **out);
