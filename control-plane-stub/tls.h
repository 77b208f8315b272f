/* The TLS of the xDS port: its certificate, whom it lets in, and one connection's worth of it. The
 * only user of BoringSSL here. Main thread only. */
#pragma once

#include "text.h"

#include <stddef.h>
#include <sys/types.h>

struct tls_files {
    const char *certificate, *key; /* PEM; the chain, and its leaf's key */
    const char *client_ca;         /* PEM: clients need a certificate of one of these; NULL: none */
};

struct tls;
struct tls_conn;

/* What a read or write comes to, besides a number of bytes. */
enum { TLS_AGAIN = -1, TLS_OVER = 0, TLS_BROKEN = -2 };

MUST_CHECK bool tls_new(struct tls **out, const struct tls_files *files, struct error *err);
void tls_free(struct tls **t);
/* Read the files again if they changed; what cannot be used leaves all as it was, with `err`. */
MUST_CHECK bool tls_refresh(struct tls *t, struct error *err);

/* A connection on `fd`, which stays the caller's. */
struct tls_conn *tls_conn_new(struct tls *t, int fd);
void tls_conn_free(struct tls_conn **c);
/* 1: the handshake is done; else TLS_AGAIN, or TLS_BROKEN with `err`. */
int tls_conn_accept(struct tls_conn *c, struct error *err);
ssize_t tls_conn_read(struct tls_conn *c, void *data, size_t len);
ssize_t tls_conn_write(struct tls_conn *c, const void *data, size_t len);
/* Say goodbye, if there is room for it. */
void tls_conn_end(struct tls_conn *c);
/* Does it wait until the descriptor takes bytes? Else until it has some. */
bool tls_conn_wants_write(const struct tls_conn *c);
const char *tls_conn_version(const struct tls_conn *c);
/* What was agreed on by ALPN; "" where nothing was. */
void tls_conn_alpn(const struct tls_conn *c, struct text *out);
/* The serial number of the certificate that the client showed, in hexadecimal; nothing where it
 * showed none. */
void tls_conn_serial(const struct tls_conn *c, struct text *out);
