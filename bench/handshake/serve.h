#pragma once

#include <openssl/ssl.h>

/* Answers requests over TLS on 127.0.0.1:port for ever. */
void serve(SSL_CTX *ctx, int port);
