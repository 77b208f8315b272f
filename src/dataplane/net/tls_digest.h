/* Digests of bytes for those who may not include the TLS library. Any thread. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

enum { TLS_MD5_SIZE = 16, TLS_SHA256_SIZE = 32 };

void tls_md5(struct bytes b, uint8_t out[TLS_MD5_SIZE]); /* names things; protects nothing */
void tls_sha256(struct bytes b, uint8_t out[TLS_SHA256_SIZE]);
