/* struct tls_context: certificates, trust and policy for connections of one chain or cluster:
 * BoringSSL's SSL_CTX with what Envoy's API adds to it. Made on the config thread from struct
 * tls_settings, immutable then (but for session caches, which lock themselves), used by any thread,
 * counted atomically. The doorway of BoringSSL is net/tls*: nobody else includes it. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "config/tls.h"

/* For struct tls_factory: ctx is not looked at. */
struct tls_context *tls_context_new(const struct tls_settings *s, struct error *err);
struct tls_context *tls_context_ref(struct tls_context *c); /* any thread */
void tls_context_unref(struct tls_context **c);             /* any thread */
/* Valid while the context is. */
void tls_context_cert_infos(const struct tls_context *c, struct tls_cert_infos *out);
bool tls_context_is_server(const struct tls_context *c);
