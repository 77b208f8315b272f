/* What TLS of a listener's filter chain or of a cluster means. Two layers:
 *
 *   tls_socket    the decoded Downstream- or UpstreamTlsContext, as it stands in the resource:
 *                 part of the filter chain's or the cluster's node. It may name secrets that arrive
 *                 by SDS.
 *   tls_settings  the same with every secret filled in and every file read: what a context is made
 *                 of. Made anew by the builder whenever a secret or a file changes.
 *
 * config/ knows no TLS library: main hands it a struct tls_factory, which makes the contexts that
 * workers use (dataplane/net/tls_context.h). A snapshot carries them in struct tls_node, beside the
 * chain (chain_binding.tls) and the cluster (cluster_entry.tls), so that a new certificate changes
 * neither chain nor cluster, drains nothing, and is used from the next connection on.
 * Const data of the config thread's making; lengths in bytes, times in seconds unless said. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/stats.h"
#include "config/config_source.h"
#include "config/matcher.h"
#include "config/node.h"

struct tls_context; /* the data plane's */

/* listener.ADDRESS.server_ssl_socket_factory.*, cluster.NAME.client_ssl_socket_factory.* */
#define TLS_FACTORY_STAT_LIST(X)                                                                   \
    X(TLS_UPDATE_BY_SDS, "ssl_context_update_by_sds", COUNTER)                                     \
    X(TLS_DOWNSTREAM_NOT_READY, "downstream_context_secrets_not_ready", COUNTER)                   \
    X(TLS_UPSTREAM_NOT_READY, "upstream_context_secrets_not_ready", COUNTER)

enum tls_factory_stat {
#define X(id, name, kind) STAT_##id,
    TLS_FACTORY_STAT_LIST(X)
#undef X
        TLS_FACTORY_STAT_COUNT
};
extern const struct stat_schema tls_factory_stat_schema;

enum tls_version {
    TLS_VERSION_AUTO,
    TLS_VERSION_1_0,
    TLS_VERSION_1_1,
    TLS_VERSION_1_2,
    TLS_VERSION_1_3
};
enum tls_san_type { TLS_SAN_EMAIL, TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_IP, TLS_SAN_OTHER_NAME };
enum tls_ocsp_policy { TLS_OCSP_LENIENT, TLS_OCSP_STRICT, TLS_OCSP_MUST_STAPLE };

enum {
    TLS_CERTIFICATES_MAX = 32,  /* of one context */
    TLS_DATA_MAX = 1024 * 1024, /* of one certificate, key, bundle or list */
    TLS_TICKET_KEY_SIZE = 80,   /* Envoy's: name 16, HMAC 32, AES 32 */
    TLS_HASH_SIZE = 32,         /* SHA-256 */
};

/* A TlsCertificate: PEM, or PKCS#12 instead of chain and key. Key bytes are wiped when freed. */
struct tls_certificate {
    struct bytes chain, key, pkcs12, password, ocsp_staple;
    struct bytes chain_path, key_path; /* for /certs and messages: the file, or "<inline>" */
};

struct tls_san_matcher {
    enum tls_san_type type;
    struct bytes oid;              /* TLS_SAN_OTHER_NAME: dotted */
    struct string_matcher matcher; /* text is also the pattern of a regex: to be compiled anew */
};

/* One trust domain of the SPIFFE validator. */
struct tls_spiffe_domain {
    struct bytes name, bundle; /* PEM */
    struct bytes path;         /* for /certs; empty: of a map of bundles */
};

/* A CertificateValidationContext (combined: default and dynamic merged). */
struct tls_validation {
    struct bytes trusted_ca, trusted_ca_path; /* PEM; empty: none */
    struct bytes crl, crl_path;
    uint8_t (*spki)[TLS_HASH_SIZE], (*hashes)[TLS_HASH_SIZE];
    unsigned n_spki, n_hashes;
    struct tls_san_matcher *sans;
    unsigned n_sans;
    bool allow_expired, accept_untrusted, only_verify_leaf_crl;
    bool has_max_depth;
    uint32_t max_depth;
    struct tls_spiffe_domain *spiffe;
    unsigned n_spiffe;
};

struct tls_key_log {
    struct bytes path;                     /* empty: none */
    struct address_prefix *local, *remote; /* none: all */
    unsigned n_local, n_remote;
};

struct tls_settings {
    bool is_server;
    enum tls_version min_version, max_version;
    struct bytes *ciphers, *curves, *signature_algorithms, *alpn;
    unsigned n_ciphers, n_curves, n_signature_algorithms, n_alpn;
    bool fips_202205; /* versions, ciphers, curves and algorithms are those of this policy */
    const struct tls_certificate *certificates;
    unsigned n_certificates;
    const struct tls_validation *validation; /* NULL: the peer's certificate is not looked at */
    struct tls_key_log key_log;
    /* Sessions are resumed among contexts of one scope only: for a server the chain's match (its
     * bytes), so that no chain takes what another one has let in. */
    struct bytes session_scope;
    /* server */
    bool require_client_certificate, require_sni;
    bool disable_tickets, disable_session_cache;
    bool prefer_client_ciphers, full_scan_certs_on_sni_mismatch;
    const uint8_t (*ticket_keys)[TLS_TICKET_KEY_SIZE]; /* [0] encrypts, all decrypt */
    unsigned n_ticket_keys;                            /* 0: keys of the process's own */
    uint32_t session_timeout_s;                        /* 0: the library's */
    enum tls_ocsp_policy ocsp_policy;
    /* client */
    struct bytes sni;
    bool auto_host_sni, auto_sni_san_validation, allow_renegotiation;
    uint32_t max_session_keys; /* 1 unless told; 0: no resumption */
};

/* A secret that a tls_socket names. */
struct tls_secret_ref {
    struct bytes name;
    const struct config_source *source; /* NULL: a secret of the bootstrap */
};

/* The context as the resource has it. `settings` has what is neither certificate, validation nor
 * ticket key: those, inline or not, are read from `wire`, from files and from secrets only while a
 * context is made (config/tls_decode.h), so that no key stands about decoded. In the arena of the
 * owner's node. */
struct tls_socket {
    struct bytes type_url, wire; /* Downstream- or UpstreamTlsContext */
    bool is_server;
    struct tls_settings settings;
    struct tls_secret_ref *certificate_secrets;
    unsigned n_certificate_secrets;
    struct tls_secret_ref validation_secret; /* name empty: none */
    struct tls_secret_ref ticket_keys_secret;
    /* The builder's, and nobody else's: the newest context (or NULL: see chain_binding.tls and
     * cluster_entry.tls), and where it is counted. */
    struct tls_node *node;
    struct stat_scope *stats;
    struct tls_live *live; /* files that are read again when they change; NULL: none */
};

/* One certificate as /certs prints it. Strings belong to the context. */
struct tls_cert_info {
    const char *path, *serial; /* serial: lower-case hex */
    const struct tls_cert_san {
        enum tls_san_type type; /* DNS, URI or IP */
        const char *value;
    } * sans;
    unsigned n_sans;
    int64_t not_before, not_after; /* Unix time */
    int64_t ocsp_from, ocsp_until; /* 0: no staple */
};
struct tls_cert_infos {
    const struct tls_cert_info *ca, *certificates;
    unsigned n_ca, n_certificates;
};

/* What main hands over. Config thread. */
struct tls_factory {
    void *ctx;
    /* All is checked: keys fit certificates, names of ciphers, curves and algorithms are known, a
     * CRL and a bundle can be read. Nothing of `s` is kept by pointer. NULL: *err is a sentence as
     * Envoy's where there is one ("Failed to load certificate chain from ..."). The caller owns one
     * reference. */
    struct tls_context *(*make)(void *ctx, const struct tls_settings *s, struct error *err);
    void (*unref)(void *ctx, struct tls_context *c);
    void (*cert_infos)(void *ctx, const struct tls_context *c, struct tls_cert_infos *out);
};

/* A context in a snapshot. Whoever needs it longer than its snapshot (a connection) takes a
 * reference on the context itself, which is counted atomically. */
struct tls_node {
    struct node node;
    const struct tls_factory *factory;
    struct tls_context *context;
    struct stat_scope **expiry; /* the builder's: a gauge for each certificate */
    unsigned n_expiry;
};
