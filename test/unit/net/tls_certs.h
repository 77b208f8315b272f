/* Certificates for the tests of TLS, made on the spot. All memory goes with made_free(). */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"
#include "config/tls.h"

struct made; /* a certificate with its key */

struct wanted {
    const char *cn, *dns, *dns2, *uri, *ip, *email;
    struct bytes raw_dns; /* a DNS name of any bytes */
    bool ca, rsa, server_only, must_staple;
    bool signs;                /* KeyUsage: digitalSignature, as an SVID has it */
    unsigned rsa_bits;         /* 0: 2048 */
    int from_days, until_days; /* from now; both 0: -1 to 30 */
    const char *key_password;
};

/* issuer NULL: signs itself. */
struct made *make_certificate(const struct made *issuer, const struct wanted *w);
void made_free(struct made **m);
struct bytes made_pem(const struct made *m);
struct bytes made_key(const struct made *m);
struct bytes made_crl(struct made *issuer, const struct made *revoked); /* of the issuer's memory */
/* An OCSP answer (unsigned) about the certificate, good until that many seconds from now. */
struct bytes made_staple(struct made *m, int64_t until_s);
void made_hash(const struct made *m, bool spki, uint8_t out[TLS_HASH_SIZE]);
struct tls_certificate made_settings(const struct made *m);
