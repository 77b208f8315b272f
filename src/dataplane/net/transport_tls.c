#include "dataplane/net/transport_tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "dataplane/net/buffer.h"
#include "dataplane/net/tls_internal.h"

enum {
    RECORD_HEADER = 5,
    RECORD_MAX = 16384 + 2048, /* of an encrypted record, without its header */
    PLAIN_MAX = 16384,
    BATCH_MAX = 4 * PLAIN_MAX, /* encrypted before it is written */
    SERVER_NAME_MAX = 255,
};

/* Between the library and the transport below stand two buffers:
 *
 *   below ─ read ─► in ─ whole records ─► SSL ─► the user
 *   below ◄─ writev ─ out ◄─ records ─ SSL ◄─ the user
 *
 * The library is given whole records only, so that it holds none of its own and that "more can be
 * read" is exact. `sealed` bytes of the user's are in `out`, and are told as taken once they left.
 */
struct transport_tls {
    struct transport transport; /* first member */
    struct tls_connection *c;
    struct transport *below;
    struct chunk_pool *pool;
    struct buffer in, out;
    size_t record_left; /* bytes of a record that the library may still take */
    size_t sealed;
    unsigned interest;
    bool established, eof, failed, write_wants_read;
    bool end_told; /* by a read: what came with the last data is a read of its own */
    struct strbuf failure;
};

static const struct transport_ops tls_ops;

static struct transport_tls *tls_of(const struct transport *t)
{
    return CONTAINER_OF((struct transport *)(uintptr_t)t, struct transport_tls, transport);
}

/* --- the library's side of the buffers --- */

/* Is there a whole record, or something that is none? Its length, else 0. */
static size_t whole_record(const struct transport_tls *t)
{
    uint8_t h[RECORD_HEADER];
    if (t->in.len < RECORD_HEADER)
        return 0;
    buffer_copy(&t->in, 0, h, sizeof(h));
    size_t len = (size_t)h[3] << 8 | h[4];
    if (h[0] < 20 || h[0] > 24 || h[1] != 3 || len > RECORD_MAX)
        return t->in.len; /* let the library say what it is */
    return t->in.len >= RECORD_HEADER + len ? RECORD_HEADER + len : 0;
}

static bool has_record(const struct transport_tls *t)
{
    return t->record_left > 0 || whole_record(t) > 0;
}

static int bio_read(BIO *bio, char *buf, int len)
{
    struct transport_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->record_left == 0)
        t->record_left = whole_record(t);
    if (t->record_left == 0) {
        if (!t->eof)
            BIO_set_retry_read(bio);
        return t->eof ? 0 : -1;
    }
    size_t n = (size_t)len < t->record_left ? (size_t)len : t->record_left;
    buffer_copy(&t->in, 0, buf, n);
    buffer_drain(&t->in, n);
    t->record_left -= n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *buf, int len)
{
    struct transport_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buffer_add(&t->out, buf, (size_t)len);
    return len;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_method;

static void make_method(void)
{
    bio_method = BIO_meth_new(0, "transport");
    if (!bio_method)
        mem_exhausted(sizeof(void *));
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
    BIO_meth_set_create(bio_method, bio_create);
}

/* --- failures --- */

/* Sets the sentence and what is counted. The queue of the library is empty then. */
static ssize_t fail(struct transport_tls *t)
{
    uint32_t code = 0;
    bool counted = false;
    t->failed = true;
    t->transport.error = EPROTO;
    strbuf_reset(&t->failure);
    while ((code = ERR_get_error()) != 0) {
        int reason = ERR_GET_REASON(code);
        bool ssl = ERR_GET_LIB(code) == ERR_LIB_SSL;
        if (strbuf_bytes(&t->failure).len == 0)
            strbuf_add_str(&t->failure, "TLS_error:");
        strbuf_printf(&t->failure, "|%u:%s:%s:%s", code, ERR_lib_error_string(code),
                      "OPENSSL_internal", ERR_reason_error_string(code));
        if (ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && t->c->verify_failure) {
            strbuf_printf(&t->failure, ":%s", t->c->verify_failure);
            counted = true; /* by its cause */
        } else if (ssl && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
            strbuf_add_str(&t->failure, ":peer did not provide required client certificate");
            tls_count(t->c, STAT_TLS_FAIL_VERIFY_NO_CERT);
            counted = true;
        }
    }
    if (strbuf_bytes(&t->failure).len) {
        strbuf_add_str(&t->failure, ":TLS_error_end");
        if (!counted)
            tls_count(t->c, STAT_TLS_CONNECTION_ERROR);
    }
    t->transport.failure = strbuf_str(&t->failure);
    return IO_ERROR;
}

/* In the middle of a handshake the socket's trouble is TLS's, as in Envoy. After a failure of its
 * own, whose alert is not taken, that stays. */
static ssize_t below_failed(struct transport_tls *t)
{
    int error = t->below->error;
    bool failed_before = t->failed;
    t->failed = true;
    t->transport.error = error;
    t->transport.failure = t->below->failure;
    if (failed_before || !t->transport.opened || t->established || t->below->failure)
        return IO_ERROR;
    const char *text = strerrordesc_np(error);
    strbuf_reset(&t->failure);
    strbuf_printf(&t->failure, "TLS_error:|%u:system library:OPENSSL_internal:%s:TLS_error_end",
                  ERR_PACK(ERR_LIB_SYS, error), text ? text : "unknown error");
    t->transport.failure = strbuf_str(&t->failure);
    return IO_ERROR;
}

/* --- to and from below --- */

/* Writes what is encrypted. 0, IO_AGAIN, IO_ERROR. */
static ssize_t flush_out(struct transport_tls *t)
{
    while (t->out.len > 0) {
        struct iovec iov[BUFFER_IOV_MAX];
        size_t total = 0;
        int n_iov = buffer_iov(&t->out, iov, BUFFER_IOV_MAX);
        for (int i = 0; i < n_iov; i++)
            total += iov[i].iov_len;
        ssize_t n = transport_writev(t->below, iov, n_iov);
        if (n == IO_ERROR)
            return below_failed(t);
        if (n < 0)
            return n;
        buffer_drain(&t->out, (size_t)n);
        if ((size_t)n < total)
            return IO_AGAIN;
    }
    return 0;
}

/* One read. More than 0: something came; *full: there may be more. */
static ssize_t fill_in(struct transport_tls *t, bool *full)
{
    size_t room;
    char *space = buffer_reserve(&t->in, &room);
    if (!space) {
        t->failed = true;
        t->transport.error = ENOMEM;
        return IO_ERROR;
    }
    ssize_t n = transport_read(t->below, space, room);
    buffer_commit(&t->in, n > 0 ? (size_t)n : 0);
    *full = n == (ssize_t)room;
    if (n == IO_EOF)
        t->eof = true;
    return n == IO_ERROR ? below_failed(t) : n;
}

static void update_want(struct transport_tls *t)
{
    transport_want(t->below, t->interest | (t->out.len > 0 ? IO_WRITE : 0));
}

/* --- handshake --- */

static void established(struct transport_tls *t)
{
    t->established = true;
    t->c->peer = SSL_get_peer_certificate(t->c->ssl);
    if (t->c->peer && SSL_session_reused(t->c->ssl))
        t->c->validated = t->c->context->policy.n_trusts > 0; /* by the first handshake */
    tls_count_handshake(t->c);
}

/* A policy holds for what the peer has chosen, too: nothing was said over it yet. */
static bool cipher_allowed(struct transport_tls *t)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->c->ssl);
    if (!t->c->context->only_aes || SSL_CIPHER_get_id(cipher) != TLS1_CK_CHACHA20_POLY1305_SHA256)
        return true;
    t->failed = true;
    t->transport.error = EPROTO;
    t->transport.failure = "TLS_error:|the compliance policy forbids the cipher:TLS_error_end";
    tls_count(t->c, STAT_TLS_CONNECTION_ERROR);
    return false;
}

/* The peer is gone, or never was one: nothing of TLS failed. */
static ssize_t lost(struct transport_tls *t)
{
    t->failed = true;
    t->transport.error = ECONNRESET;
    t->transport.failure = "";
    return IO_ERROR;
}

static ssize_t wait_for_peer(struct transport_tls *t)
{
    t->interest = IO_READ;
    update_want(t);
    return IO_AGAIN;
}

static ssize_t handshake_step(struct transport_tls *t)
{
    int r = SSL_do_handshake(t->c->ssl);
    if (r == 1) {
        if (!cipher_allowed(t))
            return IO_ERROR;
        established(t);
        return flush_out(t) == IO_ERROR ? IO_ERROR : 0;
    }
    int e = SSL_get_error(t->c->ssl, r);
    if (e == SSL_ERROR_WANT_READ)
        return flush_out(t) == IO_ERROR ? IO_ERROR : IO_AGAIN;
    bool nothing = e == SSL_ERROR_SYSCALL && t->eof;
    if (nothing)
        return lost(t);
    fail(t);
    if (t->out.len > 0) { /* the alert, if the peer still takes it */
        const char *why = t->transport.failure;
        (void)flush_out(t);
        t->transport.failure = why;
        t->transport.error = EPROTO;
    }
    return IO_ERROR;
}

static ssize_t tls_handshake(struct transport *transport)
{
    struct transport_tls *t = tls_of(transport);
    bool full = false;
    ssize_t n = transport_handshake(t->below);
    if (n == IO_ERROR) {
        t->transport.error = t->below->error;
        t->transport.failure = t->below->failure;
    }
    if (n != 0)
        return n;
    t->transport.opened = true;
    for (;;) {
        n = handshake_step(t);
        if (n != IO_AGAIN)
            return n;
        if (has_record(t))
            continue;
        n = t->eof ? IO_EOF : fill_in(t, &full);
        if (n == IO_AGAIN)
            return wait_for_peer(t);
        if (n == IO_ERROR)
            return IO_ERROR;
        if (n == IO_EOF && t->in.len == 0)
            return lost(t);
    }
}

/* --- data --- */

/* One record's worth. Bytes, IO_AGAIN when a record is missing, IO_EOF, IO_ERROR. */
static ssize_t read_record(struct transport_tls *t, char *buf, size_t len)
{
    int n = SSL_read(t->c->ssl, buf, len < PLAIN_MAX ? (int)len : PLAIN_MAX);
    if (n > 0)
        return n;
    switch (SSL_get_error(t->c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        t->eof = true;
        return IO_EOF;
    case SSL_ERROR_SYSCALL:
        return t->eof ? IO_EOF : fail(t);
    default: /* the library's numbers */
        return fail(t);
    }
}

static bool readable(const struct transport_tls *t)
{
    return SSL_pending(t->c->ssl) > 0 || has_record(t);
}

static ssize_t read_records(struct transport_tls *t, char *buf, size_t len)
{
    size_t done = 0;
    bool full = true;
    for (;;) {
        ssize_t n = IO_AGAIN;
        if (readable(t) || t->eof)
            n = read_record(t, buf + done, len - done);
        if (n > 0) {
            done += (size_t)n;
            if (done == len || !readable(t))
                return (ssize_t)done;
            continue;
        }
        if (n != IO_AGAIN)
            return done ? (ssize_t)done : n;
        if (readable(t))
            continue; /* that record was not for the user */
        if (done || !full)
            return done ? (ssize_t)done : IO_AGAIN;
        n = fill_in(t, &full);
        if (n == IO_AGAIN || n == IO_ERROR)
            return n;
    }
}

static ssize_t tls_read(struct transport *transport, char *buf, size_t len)
{
    struct transport_tls *t = tls_of(transport);
    if (t->failed) {
        t->end_told = true;
        return IO_ERROR;
    }
    ssize_t n = read_records(t, buf, len);
    t->end_told |= n == IO_EOF || n == IO_ERROR;
    /* Answers of the library itself: a new key, an alert */
    if (t->out.len > 0 && t->sealed == 0) {
        const char *why = t->transport.failure;
        bool failed = t->failed;
        if (flush_out(t) == IO_AGAIN)
            update_want(t);
        if (failed)
            t->transport.failure = why;
    }
    return n;
}

/* Encrypts the front of what is left, as one record. Bytes, 0: it cannot now, IO_ERROR. */
static ssize_t seal(struct transport_tls *t, const struct iovec *iov, int n_iov, size_t skip)
{
    struct chunk *scratch = NULL;
    const char *from = NULL;
    size_t len = 0;
    for (int i = 0; i < n_iov && len < PLAIN_MAX; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t n = iov[i].iov_len - skip, room = PLAIN_MAX - len;
        const char *at = (const char *)iov[i].iov_base + skip;
        skip = 0;
        if (len == 0 && (n >= PLAIN_MAX || i + 1 == n_iov)) {
            from = at;
            len = n < room ? n : room;
            break;
        }
        if (!scratch && !(scratch = chunk_new(t->pool))) {
            t->transport.error = ENOMEM;
            return IO_ERROR;
        }
        memcpy(scratch->data + len, at, n < room ? n : room);
        from = scratch->data;
        len += n < room ? n : room;
    }
    int done = SSL_write(t->c->ssl, from, (int)len);
    int e = done > 0 ? SSL_ERROR_NONE : SSL_get_error(t->c->ssl, done);
    chunk_unref(&scratch);
    t->write_wants_read = e == SSL_ERROR_WANT_READ;
    if (done <= 0)
        return t->write_wants_read ? 0 : fail(t);
    t->sealed += (size_t)done;
    return done;
}

static ssize_t tls_writev(struct transport *transport, const struct iovec *iov, int n_iov)
{
    struct transport_tls *t = tls_of(transport);
    size_t total = 0, done = 0;
    ssize_t n = 1;
    if (t->failed)
        return IO_ERROR;
    for (int i = 0; i < n_iov; i++)
        total += iov[i].iov_len;
    CHECK(t->sealed <= total); /* what was not told as taken comes again */
    for (;;) {
        while (n > 0 && done + t->sealed < total && t->out.len < BATCH_MAX)
            n = seal(t, iov, n_iov, done + t->sealed);
        if (n == IO_ERROR)
            return IO_ERROR;
        ssize_t flushed = flush_out(t);
        if (flushed == IO_ERROR)
            return IO_ERROR;
        if (flushed == IO_AGAIN)
            return done ? (ssize_t)done : IO_AGAIN;
        done += t->sealed;
        t->sealed = 0;
        if (done == total || n <= 0)
            return done ? (ssize_t)done : IO_AGAIN;
    }
}

static void tls_want(struct transport *transport, unsigned interest)
{
    struct transport_tls *t = tls_of(transport);
    t->interest = interest;
    update_want(t);
}

static void say_goodbye(struct transport_tls *t)
{
    if (!t->established || t->failed)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->c->ssl);
    ERR_clear_error();
    (void)flush_out(t);
}

static void tls_shutdown_write(struct transport *transport)
{
    struct transport_tls *t = tls_of(transport);
    say_goodbye(t);
    transport_shutdown_write(t->below);
}

void tls_connection_unref(struct tls_connection **cp)
{
    struct tls_connection *c = *cp;
    *cp = NULL;
    if (!c || --c->refs > 0)
        return;
    SSL_free(c->ssl);
    X509_free(c->peer);
    mem_free(c->verify_failure);
    mem_free(c->ja3);
    mem_free(c->ja4);
    for (unsigned i = 0; i < c->n_verify_sans; i++)
        mem_free((char *)(uintptr_t)c->verify_sans[i].data);
    mem_free(c->verify_sans);
    tls_context_unref(&c->context);
    mem_free(c);
}

static void tls_close(struct transport *transport, bool reset)
{
    struct transport_tls *t = tls_of(transport);
    if (!reset)
        say_goodbye(t);
    tls_connection_unref(&t->c);
    buffer_fini(&t->in);
    buffer_fini(&t->out);
    strbuf_fini(&t->failure);
    transport_close(&t->below, reset);
    mem_free(t);
}

static bool tls_pending(const struct transport *transport)
{
    const struct transport_tls *t = tls_of(transport);
    bool over = t->eof || t->failed;
    return t->established && ((over && !t->end_told) || (!t->failed && readable(t)));
}

static struct bytes tls_protocol(const struct transport *transport)
{
    const uint8_t *data;
    unsigned len;
    SSL_get0_alpn_selected(tls_of(transport)->c->ssl, &data, &len);
    return len ? bytes_from((const char *)data, len) : BYTES_NONE;
}

static struct bytes tls_server_name(const struct transport *transport)
{
    return bytes_of(SSL_get_servername(tls_of(transport)->c->ssl, TLSEXT_NAMETYPE_host_name));
}

static int tls_fd(const struct transport *transport)
{
    return transport_fd(tls_of(transport)->below);
}

static const struct transport_ops tls_ops = {
    .name = "tls",
    .read = tls_read,
    .writev = tls_writev,
    .handshake = tls_handshake,
    .want = tls_want,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
    .pending = tls_pending,
    .protocol = tls_protocol,
    .server_name = tls_server_name,
    .fd = tls_fd,
};

/* --- readiness --- */

static void on_below_ready(void *ctx, unsigned events)
{
    struct transport_tls *t = ctx;
    unsigned tell = events & t->interest;
    if (!t->established) {
        t->transport.ready(t->transport.ready_ctx, events);
        return;
    }
    if ((events & IO_READ) && t->write_wants_read)
        tell |= IO_WRITE;
    if ((events & IO_WRITE) && !(t->interest & IO_WRITE)) {
        (void)flush_out(t); /* an error shows at the next read or write */
        update_want(t);
    }
    if (tell)
        t->transport.ready(t->transport.ready_ctx, tell);
}

/* --- making --- */

static bool set_alpn(struct transport_tls *t, const struct tls_connect_options *o)
{
    struct strbuf wire = STRBUF_INIT;
    bool ok = true;
    if (o->n_alpn)
        ok = tls_alpn_wire(&wire, o->alpn, o->n_alpn);
    else if (t->c->context->alpn.len)
        strbuf_add_bytes(&wire, t->c->context->alpn);
    else if (o->n_alpn_fallback)
        ok = tls_alpn_wire(&wire, o->alpn_fallback, o->n_alpn_fallback);
    if (ok && wire.len)
        ok = SSL_set_alpn_protos(t->c->ssl, (const uint8_t *)wire.data, wire.len) == 0;
    strbuf_fini(&wire);
    return ok;
}

static void set_server_name(struct transport_tls *t, struct bytes name)
{
    char text[SERVER_NAME_MAX + 1];
    /* What cannot be a name is not sent: the peer then shows its usual certificate */
    if (name.len == 0 || name.len > SERVER_NAME_MAX || memchr(name.data, '\0', name.len))
        return;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    (void)SSL_set_tlsext_host_name(t->c->ssl, text);
}

static void take_verify_sans(struct transport_tls *t, const struct tls_connect_options *o)
{
    if (!o->n_verify_sans)
        return;
    t->c->verify_sans = mem_zalloc(o->n_verify_sans * sizeof(struct bytes));
    for (unsigned i = 0; i < o->n_verify_sans; i++) {
        char *text = mem_alloc(o->verify_sans[i].len + 1);
        memcpy(text, o->verify_sans[i].data, o->verify_sans[i].len);
        t->c->verify_sans[i] = bytes_from(text, o->verify_sans[i].len);
        t->c->n_verify_sans++;
    }
}

static bool client_init(struct transport_tls *t, const struct tls_connect_options *o)
{
    const struct tls_context *c = t->c->context;
    struct bytes name = o->server_name.len ? o->server_name : c->sni;
    SSL_set_connect_state(t->c->ssl);
    set_server_name(t, name);
    take_verify_sans(t, o);
    if (c->allow_renegotiation)
        SSL_set_renegotiate_mode(t->c->ssl, ssl_renegotiate_freely);
    if (c->n_identities)
        t->c->identity = &c->identities[0];
    /* A session is good for the name and the SANs that were checked when it began */
    t->c->session_key = bytes_hash(name);
    for (unsigned i = 0; i < o->n_verify_sans; i++)
        t->c->session_key = bytes_hash_seeded(o->verify_sans[i], t->c->session_key);
    if (!set_alpn(t, o))
        return false;
    tls_sessions_resume(t->c);
    return true;
}

static bool init(struct transport_tls *t, const struct tls_connect_options *o)
{
    const struct tls_context *c = t->c->context;
    BIO *bio = t->c->ssl ? BIO_new(bio_method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    SSL_set_bio(t->c->ssl, bio, bio);
    SSL_set_app_data(t->c->ssl, t->c);
    SSL_set_enforce_rsa_key_usage(t->c->ssl, 1);
    SSL_set_mode(t->c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_shed_handshake_config(t->c->ssl, !c->allow_renegotiation);
    if (!c->is_server)
        return client_init(t, o);
    SSL_set_accept_state(t->c->ssl);
    t->c->identity = &c->identities[0];
    return true;
}

struct transport *transport_tls_new(struct tls_context *c, struct transport *below,
                                    struct chunk_pool *pool, const struct tls_connect_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    struct transport_tls *t = NEW(struct transport_tls);
    t->transport.ops = &tls_ops;
    t->transport.loop = below->loop;
    t->c = NEW(struct tls_connection);
    t->c->refs = 1;
    t->c->context = tls_context_ref(c);
    t->c->ssl = SSL_new(c->ssl);
    t->c->stats = o->stats;
    t->c->slot = o->stat_slot;
    t->c->fd = transport_fd(below);
    t->below = below;
    t->pool = pool;
    buffer_init(&t->in, pool);
    buffer_init(&t->out, pool);
    transport_on_ready(below, on_below_ready, t);
    if (init(t, o))
        return &t->transport;
    tls_close(&t->transport, true);
    return NULL;
}

void transport_tls_prefill(struct transport *transport, struct buffer *bytes)
{
    buffer_move(&tls_of(transport)->in, bytes);
}

void transport_tls_fingerprints(struct transport *transport, const char *ja3, const char *ja4)
{
    struct tls_connection *c = tls_of(transport)->c;
    if (ja3 && !c->ja3)
        c->ja3 = mem_strdup(ja3);
    if (ja4 && !c->ja4)
        c->ja4 = mem_strdup(ja4);
}

/* --- questions --- */

bool transport_is_tls(const struct transport *t)
{
    return t && t->ops == &tls_ops;
}

struct bytes transport_tls_text(const struct transport *t, enum tls_question q, struct arena *a)
{
    if (!transport_is_tls(t))
        return BYTES_NONE;
    if (q == TLS_FAILURE_REASON)
        return t->failure && t->failure[0] ? arena_dup(a, bytes_of(t->failure)) : BYTES_NONE;
    return tls_text(tls_of(t)->c, q, a);
}

unsigned transport_tls_peer_names(const struct transport *t, enum tls_san_type type,
                                  struct arena *a, struct bytes **out)
{
    return tls_text_names(transport_is_tls(t) ? tls_of(t)->c->peer : NULL, type, a, out);
}

unsigned transport_tls_local_names(const struct transport *t, enum tls_san_type type,
                                   struct arena *a, struct bytes **out)
{
    const struct tls_identity *own = transport_is_tls(t) ? tls_of(t)->c->identity : NULL;
    return tls_text_names(own ? own->leaf : NULL, type, a, out);
}

struct tls_connection *transport_tls_hold(const struct transport *t)
{
    if (!transport_is_tls(t))
        return NULL;
    tls_of(t)->c->refs++;
    return tls_of(t)->c;
}

struct bytes tls_connection_text(const struct tls_connection *c, enum tls_question q,
                                 struct arena *a)
{
    return c ? tls_text(c, q, a) : BYTES_NONE;
}

bool tls_connection_peer_time(const struct tls_connection *c, bool until, int64_t *out)
{
    if (!c || !c->peer)
        return false;
    *out = tls_text_time(until ? X509_get0_notAfter(c->peer) : X509_get0_notBefore(c->peer));
    return true;
}

bool transport_tls_peer_presented(const struct transport *t)
{
    return transport_is_tls(t) && tls_of(t)->c->peer;
}

bool transport_tls_peer_validated(const struct transport *t)
{
    return transport_tls_peer_presented(t) && tls_of(t)->c->validated;
}
