/* Resumption. A server's sessions are bound to what it asks of clients: tickets carry the context's
 * scope, so that no other chain takes them, whoever knows the ticket keys. A client keeps its last
 * sessions, each for the name and the SANs that it was checked against. */
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/memory.h"
#include "dataplane/net/tls_internal.h"

enum { NAME_SIZE = 16, HMAC_SIZE = 32, AES_SIZE = 32 };

/* --- tickets --- */

static int use_ticket_key(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher,
                          HMAC_CTX *hmac, int encrypt)
{
    const struct tls_context *c = tls_connection_of(ssl)->context;
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    unsigned i = 0;
    if (encrypt) {
        memcpy(name, c->ticket_keys[0], NAME_SIZE);
        RAND_bytes(iv, EVP_CIPHER_iv_length(aes));
    } else {
        while (i < c->n_ticket_keys && CRYPTO_memcmp(name, c->ticket_keys[i], NAME_SIZE) != 0)
            i++;
        if (i == c->n_ticket_keys)
            return 0; /* a full handshake, not an error */
    }
    const uint8_t *key = c->ticket_keys[i];
    if (!HMAC_Init_ex(hmac, key + NAME_SIZE, HMAC_SIZE, EVP_sha256(), NULL))
        return -1;
    if (!(encrypt ? EVP_EncryptInit_ex : EVP_DecryptInit_ex)(cipher, aes, NULL,
                                                             key + NAME_SIZE + HMAC_SIZE, iv))
        return -1;
    return encrypt || i == 0 ? 1 : 2; /* 2: good, and to be renewed with the first key */
}

/* --- the scope of a server's sessions --- */

static void add(SHA256_CTX *sha, struct bytes b)
{
    uint64_t len = b.len;
    SHA256_Update(sha, &len, sizeof(len));
    SHA256_Update(sha, b.data ? b.data : "", b.len);
}

static void add_number(SHA256_CTX *sha, uint64_t n)
{
    SHA256_Update(sha, &n, sizeof(n));
}

static void add_validation(SHA256_CTX *sha, const struct tls_validation *v)
{
    add(sha, v->trusted_ca);
    add(sha, v->crl);
    add_number(sha, v->n_spki);
    add(sha, bytes_from((const char *)v->spki, v->n_spki * (size_t)TLS_HASH_SIZE));
    add_number(sha, v->n_hashes);
    add(sha, bytes_from((const char *)v->hashes, v->n_hashes * (size_t)TLS_HASH_SIZE));
    add_number(sha, v->n_sans);
    for (unsigned i = 0; i < v->n_sans; i++) {
        const struct tls_san_matcher *m = &v->sans[i];
        add_number(sha, (uint64_t)m->type << 16 | (uint64_t)m->matcher.kind << 8 |
                            m->matcher.ignore_case);
        add(sha, m->oid);
        add(sha, m->matcher.text);
    }
    add_number(sha, v->n_spiffe);
    for (unsigned i = 0; i < v->n_spiffe; i++) {
        add(sha, v->spiffe[i].name);
        add(sha, v->spiffe[i].bundle);
    }
    add_number(sha, (uint64_t)v->allow_expired | (uint64_t)v->accept_untrusted << 1 |
                        (uint64_t)v->only_verify_leaf_crl << 2 | (uint64_t)v->has_max_depth << 3);
    add_number(sha, v->max_depth);
}

static void scope_of(const struct tls_context *c, const struct tls_settings *s,
                     uint8_t out[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX sha;
    SHA256_Init(&sha);
    add(&sha, s->session_scope);
    add_number(&sha, c->n_identities);
    for (unsigned i = 0; i < c->n_identities; i++) {
        const CRYPTO_BUFFER *leaf = c->identities[i].chain[0];
        add(&sha, bytes_from((const char *)CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)));
    }
    add_number(&sha, (uint64_t)s->require_client_certificate | (uint64_t)(s->validation != NULL)
                                                                   << 1);
    if (s->validation)
        add_validation(&sha, s->validation);
    SHA256_Final(out, &sha);
}

static bool server_init(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    uint8_t scope[SHA256_DIGEST_LENGTH];
    scope_of(c, s, scope);
    if (!SSL_CTX_set_session_id_context(c->ssl, scope, sizeof(scope)))
        return error_set(err, "the scope of sessions cannot be set");
    if (s->disable_tickets)
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(c->ssl, s->disable_session_cache ? SSL_SESS_CACHE_OFF
                                                                    : SSL_SESS_CACHE_SERVER);
    if (s->session_timeout_s) {
        SSL_CTX_set_timeout(c->ssl, s->session_timeout_s);
        SSL_CTX_set_session_psk_dhe_timeout(c->ssl, s->session_timeout_s);
    }
    c->n_ticket_keys = s->n_ticket_keys;
    if (!s->n_ticket_keys)
        return true;
    c->ticket_keys = mem_alloc(s->n_ticket_keys * (size_t)TLS_TICKET_KEY_SIZE);
    memcpy(c->ticket_keys, s->ticket_keys, s->n_ticket_keys * (size_t)TLS_TICKET_KEY_SIZE);
    SSL_CTX_set_tlsext_ticket_key_cb(c->ssl, use_ticket_key);
    return true;
}

/* --- a client's sessions --- */

struct kept_session {
    SSL_SESSION *session;
    uint64_t key;
};

/* A ring, newest first from `head`; all workers share it. */
struct tls_session_cache {
    pthread_mutex_t lock;
    unsigned n, max;
    struct kept_session sessions[];
};

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_connection *t = tls_connection_of(ssl);
    struct tls_session_cache *cache = t->context->sessions;
    if (!cache)
        return 0;
    pthread_mutex_lock(&cache->lock);
    SSL_SESSION *gone = NULL;
    if (cache->n == cache->max)
        gone = cache->sessions[--cache->n].session;
    memmove(&cache->sessions[1], &cache->sessions[0], cache->n * sizeof(cache->sessions[0]));
    cache->sessions[0] = (struct kept_session){session, t->session_key};
    cache->n++;
    pthread_mutex_unlock(&cache->lock);
    SSL_SESSION_free(gone);
    return 1; /* it is ours */
}

void tls_sessions_resume(struct tls_connection *t)
{
    struct tls_session_cache *cache = t->context->sessions;
    SSL_SESSION *session = NULL;
    if (!cache)
        return;
    pthread_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < cache->n && !session; i++) {
        if (cache->sessions[i].key != t->session_key)
            continue;
        session = cache->sessions[i].session;
        if (!SSL_SESSION_should_be_single_use(session)) {
            SSL_SESSION_up_ref(session);
            break;
        }
        cache->n--;
        memmove(&cache->sessions[i], &cache->sessions[i + 1],
                (cache->n - i) * sizeof(cache->sessions[0]));
    }
    pthread_mutex_unlock(&cache->lock);
    if (session)
        SSL_set_session(t->ssl, session);
    SSL_SESSION_free(session);
}

enum { SESSIONS_MAX = 1024 };

static void client_init(struct tls_context *c, const struct tls_settings *s)
{
    unsigned max = s->max_session_keys < SESSIONS_MAX ? s->max_session_keys : SESSIONS_MAX;
    if (!max) {
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        return;
    }
    c->sessions = mem_zalloc(sizeof(*c->sessions) + max * sizeof(c->sessions->sessions[0]));
    c->sessions->max = max;
    pthread_mutex_init(&c->sessions->lock, NULL);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, keep_session);
}

bool tls_sessions_init(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    if (c->is_server)
        return server_init(c, s, err);
    client_init(c, s);
    return true;
}

void tls_sessions_fini(struct tls_context *c)
{
    if (c->ticket_keys)
        OPENSSL_cleanse(c->ticket_keys, c->n_ticket_keys * (size_t)TLS_TICKET_KEY_SIZE);
    mem_free(c->ticket_keys);
    if (!c->sessions)
        return;
    for (unsigned i = 0; i < c->sessions->n; i++)
        SSL_SESSION_free(c->sessions->sessions[i].session);
    pthread_mutex_destroy(&c->sessions->lock);
    mem_free(c->sessions);
}
