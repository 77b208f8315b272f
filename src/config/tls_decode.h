/* The TLS messages of the API: Downstream- and UpstreamTlsContext into a tls_socket, and from that
 * and the secrets it names into the tls_settings that a context is made of. Files are read and keys
 * stand in memory only while settings are made: the reader's arena is overwritten before it goes.
 * Config thread. */
#pragma once

#include "config/decode.h"
#include "config/matcher.h"
#include "config/tls.h"

struct envoy_config_core_v3_DataSource;
struct envoy_config_core_v3_TransportSocket;
struct envoy_extensions_transport_sockets_tls_v3_TlsCertificate;
struct envoy_extensions_transport_sockets_tls_v3_TlsSessionTicketKeys;

/* The transport socket of a filter chain (is_server) or cluster. *out is NULL for plain text, else
 * in the arena. Whatever else it is is refused by name. field: for the message. */
MUST_CHECK bool transport_socket_decode(struct decode_context *ctx, struct arena *a,
                                        const struct envoy_config_core_v3_TransportSocket *ts,
                                        bool is_server, const char *field,
                                        const struct tls_socket **out, struct error *err);

/* Of the bytes of an UpstreamTlsContext that names no secrets; nobody's but the caller's. */
struct tls_socket *tls_socket_of_client(struct decode_context *ctx, struct arena *a,
                                        struct bytes wire, struct error *err);

/* Lets go of what the builder has put into it. NULL: nothing. */
void tls_socket_fini(struct tls_socket *s);

/* A file that settings or a secret were read from, and where to look for it to change. */
struct tls_file {
    struct bytes path, directory;
    bool live; /* read again when it changes, wherever it is named */
};

/* One making of settings: what is read lives as long as the reader. */
struct tls_reader {
    struct decode_context *ctx;
    struct arena *arena;
    struct upb_Arena *messages;
    struct regex_list regexes;
    struct tls_file *files;
    unsigned n_files;
    uint64_t files_hash; /* of what stands in them */
    uint64_t live_hash;  /* of those that are live; 0: there are none */
};
void tls_reader_init(struct tls_reader *r, struct decode_context *ctx);
void tls_reader_fini(struct tls_reader *r);

/* Bytes of the Secret of that name; data NULL: it is not there yet. */
typedef struct bytes tls_secret_fn(void *arg, const struct tls_secret_ref *ref);

/* False and *err: refused. *missing: true, a secret is not there; *out is then not whole. */
MUST_CHECK bool tls_settings_read(struct tls_reader *r, const struct tls_socket *s,
                                  tls_secret_fn *secret, void *arg, struct tls_settings *out,
                                  bool *missing, struct error *err);

/* ---- secrets ---- */

enum tls_secret_kind {
    TLS_SECRET_NONE,
    TLS_SECRET_CERTIFICATE,
    TLS_SECRET_TICKET_KEYS,
    TLS_SECRET_VALIDATION,
    TLS_SECRET_GENERIC,
};
/* The rules of the API and the name; no file is read. */
MUST_CHECK bool tls_secret_check(struct tls_reader *r, struct bytes wire, struct bytes name,
                                 struct error *err);
/* The same, and all that it says: names, files that must be readable. *out: settings of which
 * a context can be made to see whether its parts are good (nothing of a generic one). */
MUST_CHECK bool tls_secret_read(struct tls_reader *r, struct bytes wire, struct bytes name,
                                enum tls_secret_kind *kind, struct tls_settings *out,
                                struct error *err);

/* ---- parts: tls_parts_decode.c ---- */

MUST_CHECK bool
tls_certificate_read(struct tls_reader *r,
                     const struct envoy_extensions_transport_sockets_tls_v3_TlsCertificate *m,
                     struct tls_certificate *out, struct error *err);
/* Bytes of a CertificateValidationContext; two of them one after the other are merged. whole: it is
 * checked whether its parts make sense together. */
MUST_CHECK bool tls_validation_read(struct tls_reader *r, struct bytes wire, bool whole,
                                    struct tls_validation *out, struct error *err);
MUST_CHECK bool
tls_ticket_keys_read(struct tls_reader *r,
                     const struct envoy_extensions_transport_sockets_tls_v3_TlsSessionTicketKeys *m,
                     struct tls_settings *out, struct error *err);
