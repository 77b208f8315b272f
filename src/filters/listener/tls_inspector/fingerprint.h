/* Fingerprints of a TLS client: which versions, ciphers and extensions its hello offers, as two
 * texts that others compute too. JA3 is an MD5 of the lists as they stand; JA4 sorts them. Ciphers
 * and extensions that clients make up (GREASE) are left out. Of a hello that was read (HELLO_TLS);
 * any thread. */
#pragma once

#include "filters/listener/tls_inspector/client_hello.h"

enum { JA3_SIZE = 33, JA4_SIZE = 37 };

void client_hello_ja3(const struct client_hello *h, char out[JA3_SIZE]);
void client_hello_ja4(const struct client_hello *h, char out[JA4_SIZE]);
