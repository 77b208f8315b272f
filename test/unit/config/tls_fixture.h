/* A fake TLS library for tests of src/config: certificates are words ("cert-1" goes with "key-1",
 * what begins with "bad" cannot be read), and a context is the text of what it was made of. */
#pragma once

#include "config/tls.h"

struct tls_context {
    unsigned refs;
    struct tls_cert_info info;
    char text[512]; /* "server cert-1,cert-2 ca=root sans=2 tickets=1" */
};

extern const struct tls_factory fake_tls;
extern unsigned fake_tls_live, fake_tls_made;

/* The text of a snapshot's context; "" for none. */
const char *fake_tls_text(const struct tls_node *n);
