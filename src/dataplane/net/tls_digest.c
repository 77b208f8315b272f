#include "dataplane/net/tls_digest.h"

#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of another TLS library: see docs/building.md"
#endif
#include <openssl/md5.h>
#include <openssl/sha.h>

void tls_md5(struct bytes b, uint8_t out[TLS_MD5_SIZE])
{
    MD5((const uint8_t *)(b.data ? b.data : ""), b.len, out);
}

void tls_sha256(struct bytes b, uint8_t out[TLS_SHA256_SIZE])
{
    SHA256((const uint8_t *)(b.data ? b.data : ""), b.len, out);
}
