#include "load/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/client.h"

uint64_t client_tls_full, client_tls_resumed;

static SSL_CTX *context;
static SSL_SESSION *session; /* the newest; NULL: none is to be resumed */
static const char *server_name;

static void give_up(const char *what)
{
    fprintf(stderr, "load: %s: ", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int keep(SSL *ssl, SSL_SESSION *new)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = new;
    return 1; /* it is ours */
}

bool client_tls_wanted(void)
{
    return context != NULL;
}

void client_tls_init(const struct load_options *o)
{
    context = SSL_CTX_new(TLS_method());
    server_name = o->host;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (o->ca && (!SSL_CTX_load_verify_locations(context, o->ca, NULL)))
        give_up(o->ca);
    SSL_CTX_set_verify(context, o->ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (o->cert && (!SSL_CTX_use_certificate_chain_file(context, o->cert) ||
                    !SSL_CTX_use_PrivateKey_file(context, o->key, SSL_FILETYPE_PEM)))
        give_up(o->cert);
    if (!o->resume)
        return;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep);
}

void client_tls_begin(struct client *c)
{
    c->ssl = SSL_new(context);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->io.fd))
        give_up("TLS");
    SSL_set_tlsext_host_name(c->ssl, server_name);
    if (session)
        SSL_set_session(c->ssl, session);
    SSL_set_connect_state(c->ssl);
    c->shaking = true;
}

void client_tls_end(struct client *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    c->shaking = false;
}

static bool again(struct client *c, int result)
{
    int e = SSL_get_error(c->ssl, result);
    c->tls_wants = e == SSL_ERROR_WANT_WRITE ? EV_WRITE : EV_READ;
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

int client_tls_handshake(struct client *c)
{
    ERR_clear_error();
    int n = SSL_do_handshake(c->ssl);
    if (n != 1)
        return again(c, n) ? 0 : -1;
    c->shaking = false;
    if (SSL_session_reused(c->ssl))
        client_tls_resumed++;
    else
        client_tls_full++;
    return 1;
}

static ssize_t told(struct client *c, int n)
{
    if (n > 0)
        return n;
    if (again(c, n)) {
        errno = EAGAIN;
        return -1;
    }
    return 0;
}

ssize_t client_tls_recv(struct client *c, char *buf, size_t len)
{
    ERR_clear_error();
    size_t done = 0;
    ssize_t n = 0;
    while (done < len && (n = told(c, SSL_read(c->ssl, buf + done, (int)(len - done)))) > 0)
        done += (size_t)n;
    return done ? (ssize_t)done : n;
}

ssize_t client_tls_send(struct client *c, const char *data, size_t len)
{
    ERR_clear_error();
    return told(c, SSL_write(c->ssl, data, (int)len));
}
