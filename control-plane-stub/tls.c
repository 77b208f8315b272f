#include "tls.h"

#include <openssl/base.h>
#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of another TLS library: see docs/building.md"
#endif
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES 3

/* What a file was when it was read. */
struct stamp {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct tls {
    struct tls_files files;
    struct stamp stamps[FILES];
    SSL_CTX *context;
};

struct tls_conn {
    SSL *ssl;
    bool wants_write;
};

static bool fail(struct error *err, const char *what)
{
    uint32_t code = ERR_get_error();
    char reason[256] = "it cannot be used";

    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    return error_set(err, "%s: %s", what, reason);
}

static void look(const struct tls_files *f, struct stamp stamps[FILES])
{
    const char *const names[FILES] = {f->certificate, f->key, f->client_ca};
    struct stat st;

    memset(stamps, 0, FILES * sizeof(*stamps));
    for (size_t i = 0; i < FILES; i++)
        if (names[i] && !stat(names[i], &st))
            stamps[i] = (struct stamp){st.st_mtim, st.st_ino, st.st_size};
}

static bool same(const struct stamp *a, const struct stamp *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

/* HTTP/2 for gRPC if the client can, HTTP/1.1 for those that poll. */
static int choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                           unsigned in_len, void *arg)
{
    static const uint8_t ours[] = "\x02h2\x08http/1.1";
    uint8_t *chosen;

    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_client_ca(SSL_CTX *context, const char *file, struct error *err)
{
    if (!SSL_CTX_load_verify_locations(context, file, NULL))
        return fail(err, file);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

/* Without sessions to resume: every handshake shows its certificates. */
static SSL_CTX *make_context(const struct tls_files *f, struct error *err)
{
    SSL_CTX *made = SSL_CTX_new(TLS_method());

    SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
    SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_select_cb(made, choose_protocol, NULL);
    if ((SSL_CTX_use_certificate_chain_file(made, f->certificate) || fail(err, f->certificate)) &&
        (SSL_CTX_use_PrivateKey_file(made, f->key, SSL_FILETYPE_PEM) || fail(err, f->key)) &&
        (!f->client_ca || set_client_ca(made, f->client_ca, err)))
        return made;
    SSL_CTX_free(made);
    return NULL;
}

bool tls_refresh(struct tls *t, struct error *err)
{
    struct stamp now[FILES];
    SSL_CTX *made;
    bool changed = false;

    look(&t->files, now);
    for (size_t i = 0; i < FILES; i++)
        changed = changed || !same(&now[i], &t->stamps[i]);
    if (!changed && t->context)
        return true;
    made = make_context(&t->files, err);
    if (!made)
        return false;
    SSL_CTX_free(t->context);
    t->context = made;
    memcpy(t->stamps, now, sizeof(now));
    return true;
}

bool tls_new(struct tls **out, const struct tls_files *files, struct error *err)
{
    struct tls *t = mem_zero(sizeof(*t));

    t->files = *files;
    *out = t;
    if (tls_refresh(t, err))
        return true;
    tls_free(out);
    return false;
}

void tls_free(struct tls **tls)
{
    struct tls *t = *tls;

    if (!t)
        return;
    SSL_CTX_free(t->context);
    free(t);
    *tls = NULL;
}

struct tls_conn *tls_conn_new(struct tls *t, int fd)
{
    struct tls_conn *c = mem_zero(sizeof(*c));

    c->ssl = SSL_new(t->context);
    SSL_set_fd(c->ssl, fd);
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_conn_free(struct tls_conn **conn)
{
    struct tls_conn *c = *conn;

    if (!c)
        return;
    SSL_free(c->ssl);
    free(c);
    *conn = NULL;
}

/* What became of a call that did not succeed. */
static int outcome(struct tls_conn *c, int got)
{
    int why = SSL_get_error(c->ssl, got);

    c->wants_write = why == SSL_ERROR_WANT_WRITE;
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return TLS_AGAIN;
    return why == SSL_ERROR_ZERO_RETURN ? TLS_OVER : TLS_BROKEN;
}

int tls_conn_accept(struct tls_conn *c, struct error *err)
{
    int got;

    ERR_clear_error();
    got = SSL_do_handshake(c->ssl);
    if (got == 1)
        return 1;
    got = outcome(c, got);
    if (got != TLS_AGAIN)
        fail(err, "the handshake failed");
    return got == TLS_AGAIN ? TLS_AGAIN : TLS_BROKEN;
}

ssize_t tls_conn_read(struct tls_conn *c, void *data, size_t len)
{
    int got;

    ERR_clear_error();
    got = SSL_read(c->ssl, data, (int)len);
    return got > 0 ? got : outcome(c, got);
}

ssize_t tls_conn_write(struct tls_conn *c, const void *data, size_t len)
{
    int got;

    ERR_clear_error();
    got = SSL_write(c->ssl, data, (int)len);
    return got > 0 ? got : outcome(c, got);
}

void tls_conn_end(struct tls_conn *c)
{
    ERR_clear_error();
    if (SSL_is_init_finished(c->ssl))
        SSL_shutdown(c->ssl);
    ERR_clear_error();
}

bool tls_conn_wants_write(const struct tls_conn *c)
{
    return c->wants_write;
}

const char *tls_conn_version(const struct tls_conn *c)
{
    return SSL_get_version(c->ssl);
}

void tls_conn_alpn(const struct tls_conn *c, struct text *out)
{
    const uint8_t *name;
    unsigned len;

    SSL_get0_alpn_selected(c->ssl, &name, &len);
    text_add(out, name, len);
}

void tls_conn_serial(const struct tls_conn *c, struct text *out)
{
    X509 *leaf = SSL_get_peer_certificate(c->ssl);
    BIGNUM *number = leaf ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL) : NULL;
    char *hex = number ? BN_bn2hex(number) : NULL;

    if (hex)
        text_puts(out, hex);
    OPENSSL_free(hex);
    BN_free(number);
    X509_free(leaf);
}
