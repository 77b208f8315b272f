/* TLS between two connections over a memory pair. */
#include "dataplane/net/transport_tls.h"

#include <errno.h>

#include "config/tls_stats.h"
#include "dataplane/net/transport_pair.h"
#include "support.h"
#include "tls_certs.h"

static struct fixture f;
static struct made *ca, *other, *web, *rsa, *client;
static struct stat_store *stats;
static struct arena *arena;

/* One try: what both sides are made of, and what came of it. */
static struct {
    struct tls_settings server, client;
    struct tls_certificate server_certs[3], client_cert;
    struct tls_validation server_checks, client_checks;
    struct tls_connect_options options;
    struct tls_context *server_context, *client_context;
    struct tap taps[2]; /* below the client, the server */
    struct peer client_peer, server_peer;
    struct stat_scope *client_stats, *server_stats;
    bool keep_server, keep_client; /* the contexts of the last try */
    bool running;
} t;

static void setup(void)
{
    struct wanted w = {.cn = "client", .uri = "spiffe://d/c", .dns = "c.test", .ip = "1.2.3.4"};
    w.email = "a@b.c";
    w.signs = true;
    fixture_init(&f);
    memset(&t, 0, sizeof(t));
    arena = arena_new(0);
    stats = stat_store_new(3);
    ca = make_certificate(NULL, &(struct wanted){.cn = "ca", .ca = true});
    other = make_certificate(NULL, &(struct wanted){.cn = "other", .ca = true});
    web = make_certificate(ca, &(struct wanted){.cn = "web", .dns = "a.test"});
    rsa = make_certificate(ca, &(struct wanted){.cn = "rsa", .dns = "a.test", .rsa = true});
    client = make_certificate(ca, &w);
    t.server_certs[0] = made_settings(web);
    t.server = (struct tls_settings){
        .is_server = true, .certificates = t.server_certs, .n_certificates = 1};
    t.client = (struct tls_settings){.max_version = TLS_VERSION_1_3, .max_session_keys = 1};
    t.server_checks.trusted_ca = t.client_checks.trusted_ca = made_pem(ca);
}

static void finish(void)
{
    if (!t.running)
        return;
    t.running = false;
    if (t.client_peer.conn)
        connection_close(t.client_peer.conn, CLOSE_REQUEST_DONE, CLOSE_NOW, 0);
    settle_loop(&f);
    if (t.server_peer.conn)
        connection_close(t.server_peer.conn, CLOSE_REQUEST_DONE, CLOSE_NOW, 0);
    settle_loop(&f);
    peer_fini(&t.client_peer);
    peer_fini(&t.server_peer);
    memset(&t.client_peer, 0, sizeof(t.client_peer));
    memset(&t.server_peer, 0, sizeof(t.server_peer));
    memset(t.taps, 0, sizeof(t.taps));
}

static void teardown(void)
{
    finish();
    stat_scope_unref(&t.client_stats);
    stat_scope_unref(&t.server_stats);
    tls_context_unref(&t.server_context);
    tls_context_unref(&t.client_context);
    made_free(&ca);
    made_free(&other);
    made_free(&web);
    made_free(&rsa);
    made_free(&client);
    stat_store_free(&stats);
    arena_free(&arena);
    fixture_fini(&f);
}

static struct tls_context *context(const struct tls_settings *s)
{
    struct error err = ERROR_INIT;
    struct tls_context *c = tls_context_new(s, &err);
    ck_assert_msg(c != NULL, "%s", error_text(&err));
    return c;
}

static void make_contexts(void)
{
    if (!t.keep_server || !t.server_context) {
        tls_context_unref(&t.server_context);
        t.server_context = context(&t.server);
    }
    if (!t.keep_client || !t.client_context) {
        tls_context_unref(&t.client_context);
        t.client_context = context(&t.client);
    }
    if (t.client_stats)
        return;
    t.client_stats = stat_scope_get(stats, BYTES("c"), &tls_stat_schema);
    t.server_stats = stat_scope_get(stats, BYTES("s"), &tls_stat_schema);
}

static struct connection *wrap(struct tls_context *c, struct tap *tap, struct transport *end,
                               struct stat_scope *scope, struct peer *p)
{
    struct tls_connect_options o = t.options;
    o.stats = scope;
    o.stat_slot = 2;
    struct transport *tls = transport_tls_new(c, tap_init(tap, end), f.pool, &o);
    ck_assert_ptr_nonnull(tls);
    p->conn = connection_new(f.loop, f.pool, tls, &peer_ops, p);
    return p->conn;
}

/* Makes both sides; `split`: no read or write below is larger. */
static void start(size_t split)
{
    struct transport *ends[2];
    finish();
    make_contexts();
    transport_pair_new(f.loop, f.pool, 0, ends);
    t.taps[0].max_read = t.taps[0].max_write = t.taps[1].max_read = t.taps[1].max_write = split;
    wrap(t.client_context, &t.taps[0], ends[0], t.client_stats, &t.client_peer);
    wrap(t.server_context, &t.taps[1], ends[1], t.server_stats, &t.server_peer);
    t.running = true;
}

static void run(size_t split)
{
    start(split);
    settle_loop(&f);
}

static bool works(void)
{
    run(0);
    if (t.client_peer.closed || t.server_peer.closed)
        return false;
    peer_write(&t.client_peer, "ping");
    peer_write(&t.server_peer, "pong");
    settle_loop(&f);
    return strcmp(strbuf_str(&t.server_peer.got), "ping") == 0 &&
           strcmp(strbuf_str(&t.client_peer.got), "pong") == 0;
}

static int64_t count(struct stat_scope *s, unsigned id)
{
    return stat_read(s, id, &(bool){false});
}

static const char *text(struct peer *p, enum tls_question q)
{
    struct bytes b = transport_tls_text(connection_transport(p->conn), q, arena);
    return b.data ? arena_str(arena, b) : "-";
}

static void server_says(const char *failure)
{
    run(0);
    ck_assert(t.server_peer.closed);
    ck_assert_str_eq(t.server_peer.failure, failure);
    ck_assert_int_eq(t.server_peer.reason, CLOSE_HANDSHAKE_FAILED);
}

static void client_says(const char *failure)
{
    run(0);
    ck_assert(t.client_peer.closed);
    ck_assert_str_eq(t.client_peer.failure, failure);
}

#define VERIFY_FAILED "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"

static void ask_client(void)
{
    t.server.validation = &t.server_checks;
    t.server.require_client_certificate = true;
    t.client_cert = made_settings(client);
    t.client.certificates = &t.client_cert;
    t.client.n_certificates = 1;
}

START_TEST(talks)
{
    struct bytes ours[] = {BYTES("h2"), BYTES("http/1.1")}, theirs[] = {BYTES("http/1.1")};
    t.server.alpn = ours;
    t.server.n_alpn = 2;
    t.options.alpn_fallback = theirs;
    t.options.n_alpn_fallback = 1;
    t.options.server_name = BYTES("a.test");
    ck_assert(works());
    ck_assert(bytes_eq_str(connection_protocol(t.client_peer.conn), "http/1.1"));
    ck_assert(bytes_eq_str(connection_protocol(t.server_peer.conn), "http/1.1"));
    ck_assert(
        bytes_eq_str(transport_server_name(connection_transport(t.server_peer.conn)), "a.test"));
    ck_assert_str_eq(text(&t.server_peer, TLS_VERSION), "TLSv1.3");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_HANDSHAKE), 1);
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_NO_CERTIFICATE), 1);
    ck_assert_int_eq(count(t.client_stats, STAT_TLS_CURVE_FIRST), 1);
    ck_assert_int_eq(count(t.client_stats, STAT_TLS_SIGALG_FIRST), 1);
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_VERSION_FIRST + 3), 1);
    ck_assert_uint_eq(f.pool->live_chunks, 0); /* idle */
}
END_TEST

START_TEST(no_protocol_in_common)
{
    struct bytes ours[] = {BYTES("h2")}, theirs[] = {BYTES("foo")};
    t.server.alpn = ours;
    t.client.alpn = theirs;
    t.server.n_alpn = t.client.n_alpn = 1;
    ck_assert(works());
    ck_assert_uint_eq(connection_protocol(t.server_peer.conn).len, 0);
}
END_TEST

static const size_t splits[] = {1, 2, 3, 5, 7, 64, 1000};

START_TEST(every_split)
{
    ask_client();
    t.client.validation = &t.client_checks;
    start(splits[_i]);
    RUN_UNTIL(&f, t.client_peer.connected && t.server_peer.connected);
    peer_write_n(&t.client_peer, 40000);
    peer_write_n(&t.server_peer, 40000);
    RUN_UNTIL(&f, t.client_peer.got.len == 40000 && t.server_peer.got.len == 40000);
    ck_assert(is_pattern(&t.client_peer.got) && is_pattern(&t.server_peer.got));
}
END_TEST

START_TEST(few_calls)
{
    run(0);
    unsigned reads = t.taps[1].reads, writes = t.taps[0].writes;
    peer_write(&t.client_peer, "a");
    peer_write(&t.client_peer, "b");
    settle_loop(&f);
    ck_assert_uint_eq(t.taps[0].writes - writes, 1); /* one record, one write */
    ck_assert_uint_eq(t.taps[1].reads - reads, 1);   /* and one read */
    writes = t.taps[0].writes;
    peer_write_n(&t.client_peer, 60000);
    settle_loop(&f);
    ck_assert_uint_eq(t.taps[0].writes - writes, 1);
    ck_assert_uint_eq(t.server_peer.got.len, 60002);
}
END_TEST

START_TEST(much_data)
{
    run(0);
    peer_write_n(&t.client_peer, 3000000);
    RUN_UNTIL(&f, t.server_peer.got.len == 3000000);
    ck_assert(is_pattern(&t.server_peer.got));
    settle_loop(&f);
    ck_assert_uint_eq(f.pool->live_chunks, 0);
}
END_TEST

START_TEST(orderly_end)
{
    run(0);
    peer_write(&t.client_peer, "last");
    connection_close(t.client_peer.conn, CLOSE_REQUEST_DONE, CLOSE_FLUSH, 0);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&t.server_peer.got), "last");
    ck_assert(t.server_peer.eof && t.server_peer.closed);
    ck_assert_int_eq(t.server_peer.reason, CLOSE_REMOTE_CLOSE);
}
END_TEST

/* The last data and the goodbye come in one read, and nothing after them: a peer that waits for
 * our goodbye. */
START_TEST(goodbye_with_the_last_data)
{
    run(0);
    t.taps[0].stays_open = true;
    connection_set_half_close(t.client_peer.conn, true);
    peer_write(&t.client_peer, "last");
    connection_shutdown_write(t.client_peer.conn);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&t.server_peer.got), "last");
    ck_assert(t.server_peer.eof && t.server_peer.closed);
}
END_TEST

START_TEST(cut_off)
{
    run(0);
    t.taps[0].fail_write = EPIPE; /* no close_notify reaches the peer */
    connection_close(t.client_peer.conn, CLOSE_REQUEST_DONE, CLOSE_NOW, 0);
    settle_loop(&f);
    ck_assert(t.server_peer.eof && t.server_peer.closed);
}
END_TEST

/* Its client is whoever writes into ends[0]. */
static void wrap_server_alone(struct transport *ends[2])
{
    make_contexts();
    transport_pair_new(f.loop, f.pool, 0, ends);
    wrap(t.server_context, &t.taps[1], ends[1], t.server_stats, &t.server_peer);
}

/* The alert is not always taken: what failed is the same. */
START_TEST(plain_text)
{
    struct transport *ends[2];
    static const char hello[] = "GET / HTTP/1.1\r\n\r\n";
    struct iovec iov = {(char *)(uintptr_t)hello, sizeof(hello) - 1};
    wrap_server_alone(ends);
    t.taps[1].fail_write = _i ? EPIPE : 0;
    ck_assert_int_gt(transport_writev(ends[0], &iov, 1), 0);
    settle_loop(&f);
    ck_assert(t.server_peer.closed);
    ck_assert_str_eq(t.server_peer.failure, "TLS_error:|268435612:SSL routines:OPENSSL_internal:"
                                            "HTTP_REQUEST:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_CONNECTION_ERROR), 1);
    transport_close(&ends[0], false);
    peer_fini(&t.server_peer);
}
END_TEST

START_TEST(reset_in_the_handshake)
{
    struct transport *ends[2];
    wrap_server_alone(ends);
    t.taps[1].fail_read = ECONNRESET;
    settle_loop(&f);
    ck_assert(t.server_peer.closed);
    ck_assert_str_eq(t.server_peer.failure, "TLS_error:|33554536:system library:OPENSSL_internal:"
                                            "Connection reset by peer:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_CONNECTION_ERROR), 0);
    transport_close(&ends[0], false);
    peer_fini(&t.server_peer);
}
END_TEST

START_TEST(gone_in_the_handshake)
{
    struct transport *ends[2];
    wrap_server_alone(ends);
    settle_loop(&f);
    transport_close(&ends[0], false);
    settle_loop(&f);
    ck_assert(t.server_peer.closed);
    ck_assert_str_eq(t.server_peer.failure, "");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_CONNECTION_ERROR), 0);
    peer_fini(&t.server_peer);
}
END_TEST

START_TEST(mutual)
{
    ask_client();
    t.client.validation = &t.client_checks;
    ck_assert(works());
    struct peer *s = &t.server_peer;
    const struct transport *tr = connection_transport(s->conn);
    ck_assert(transport_tls_peer_presented(tr) && transport_tls_peer_validated(tr));
    ck_assert_str_eq(text(s, TLS_PEER_SUBJECT), "CN=client,O=tests");
    ck_assert_str_eq(text(s, TLS_PEER_ISSUER), "CN=ca,O=tests");
    ck_assert_str_eq(text(s, TLS_PEER_URI_SANS), "spiffe://d/c");
    ck_assert_str_eq(text(s, TLS_PEER_DNS_SANS), "c.test");
    ck_assert_str_eq(text(s, TLS_PEER_IP_SANS), "1.2.3.4");
    ck_assert_str_eq(text(s, TLS_PEER_EMAIL_SANS), "a@b.c");
    ck_assert_str_eq(text(s, TLS_LOCAL_SUBJECT), "CN=web,O=tests");
    ck_assert_str_eq(text(s, TLS_LOCAL_DNS_SANS), "a.test");
    ck_assert_uint_eq(strlen(text(s, TLS_PEER_FINGERPRINT_256)), 64);
    ck_assert_uint_eq(strlen(text(s, TLS_PEER_FINGERPRINT_1)), 40);
    ck_assert(strncmp(text(s, TLS_PEER_CERT_PEM_URLENCODED), "-----BEGIN%20CERTIFICATE", 24) == 0);
    ck_assert_str_eq(text(s, TLS_SESSION_ID), "-");
    struct bytes *names;
    ck_assert_uint_eq(transport_tls_peer_names(tr, TLS_SAN_DNS, arena, &names), 1);
    ck_assert(bytes_eq_str(names[0], "c.test"));
    ck_assert_uint_eq(transport_tls_local_names(tr, TLS_SAN_URI, arena, &names), 0);
}
END_TEST

START_TEST(no_client_certificate)
{
    ask_client();
    t.client.n_certificates = 0;
    server_says("TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_"
                "CERTIFICATE:peer did not provide required client certificate:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_FAIL_VERIFY_NO_CERT), 1);
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_CONNECTION_ERROR), 0);
    t.server.require_client_certificate = false;
    ck_assert(works());
    ck_assert(!transport_tls_peer_presented(connection_transport(t.server_peer.conn)));
}
END_TEST

START_TEST(bad_client_certificates)
{
    struct made *m = make_certificate(other, &(struct wanted){.cn = "x"});
    ask_client();
    t.client_cert = made_settings(m);
    server_says(VERIFY_FAILED ":verify cert failed: X509_verify_cert: certificate verification "
                              "error at depth 0: unable to get local issuer "
                              "certificate:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_FAIL_VERIFY_ERROR), 1);
    t.server_checks.accept_untrusted = true;
    ck_assert(works());
    ck_assert(!transport_tls_peer_validated(connection_transport(t.server_peer.conn)));
    t.server_checks.accept_untrusted = false;
    made_free(&m);
    m = make_certificate(ca, &(struct wanted){.from_days = -9, .until_days = -1});
    t.client_cert = made_settings(m);
    server_says(VERIFY_FAILED ":verify cert failed: X509_verify_cert: certificate verification "
                              "error at depth 0: certificate has expired:TLS_error_end");
    t.server_checks.allow_expired = true;
    ck_assert(works());
    t.server_checks.allow_expired = false;
    made_free(&m);
    m = make_certificate(ca, &(struct wanted){.server_only = true});
    t.client_cert = made_settings(m);
    server_says(VERIFY_FAILED ":verify cert failed: X509_verify_cert: certificate verification "
                              "error at depth 0: unsupported certificate purpose:TLS_error_end");
    made_free(&m);
}
END_TEST

START_TEST(revoked)
{
    ask_client();
    t.server_checks.crl = made_crl(ca, NULL);
    ck_assert(works());
    t.server_checks.crl = made_crl(ca, client);
    server_says(VERIFY_FAILED ":verify cert failed: X509_verify_cert: certificate verification "
                              "error at depth 0: certificate revocation check against "
                              "provided CRLs failed: certificate revoked:TLS_error_end");
}
END_TEST

START_TEST(pins)
{
    uint8_t wrong[TLS_HASH_SIZE] = {1}, right[TLS_HASH_SIZE], spki[TLS_HASH_SIZE];
    made_hash(client, false, right);
    made_hash(client, true, spki);
    ask_client();
    t.server_checks.hashes = &wrong;
    t.server_checks.n_hashes = 1;
    server_says(VERIFY_FAILED ":verify cert failed: cert hash and spki:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_FAIL_VERIFY_CERT_HASH), 1);
    t.server_checks.spki = &spki; /* one of both is enough */
    t.server_checks.n_spki = 1;
    ck_assert(works());
    t.server_checks.n_spki = 0;
    t.server_checks.hashes = &right;
    ck_assert(works());
    t.server_checks.trusted_ca = BYTES_NONE; /* a pin needs no authority */
    ck_assert(works());
}
END_TEST

/* E 2022-21656: a rule for one type of name never takes another. */
START_TEST(typed_names)
{
    static const struct {
        enum tls_san_type type;
        const char *text;
        bool good;
    } rows[] = {
        {TLS_SAN_DNS, "c.test", true},         {TLS_SAN_DNS, "C.TEST", true},
        {TLS_SAN_URI, "c.test", false},        {TLS_SAN_EMAIL, "c.test", false},
        {TLS_SAN_URI, "spiffe://d/c", true},   {TLS_SAN_DNS, "spiffe://d/c", false},
        {TLS_SAN_IP, "1.2.3.4", true},         {TLS_SAN_DNS, "1.2.3.4", false},
        {TLS_SAN_EMAIL, "a@b.c", true},        {TLS_SAN_DNS, "test", false},
        {TLS_SAN_OTHER_NAME, "c.test", false},
    };
    struct tls_san_matcher m = {.oid = BYTES("1.2.3")};
    ask_client();
    t.server_checks.sans = &m;
    t.server_checks.n_sans = 1;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        m.type = rows[i].type;
        m.matcher.text = bytes_of(rows[i].text);
        ck_assert_msg(works() == rows[i].good, "row %zu", i);
    }
    server_says(VERIFY_FAILED ":verify cert failed: SAN matcher, certificate SANs are [c.test, "
                              "spiffe://d/c, a@b.c, 1.2.3.4]:TLS_error_end");
    m = (struct tls_san_matcher){.type = TLS_SAN_URI,
                                 .matcher = {.kind = STRING_REGEX, .text = BYTES("spiffe://d/.*")}};
    ck_assert(works());
}
END_TEST

static bool name_accepted(struct bytes in_certificate, const char *wanted, enum string_match kind)
{
    struct made *m = make_certificate(ca, &(struct wanted){.raw_dns = in_certificate});
    struct tls_san_matcher rule = {.type = TLS_SAN_DNS,
                                   .matcher = {.kind = kind, .text = bytes_of(wanted)}};
    t.client_cert = made_settings(m);
    t.server_checks.sans = &rule;
    t.server_checks.n_sans = 1;
    bool good = works();
    finish();
    made_free(&m);
    return good;
}

/* E 2020-15104, 2025-66220: a star is one whole label; a NUL ends nothing. */
START_TEST(names_that_lie)
{
    ask_client();
    ck_assert(name_accepted(BYTES("*.x.test"), "a.x.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("*.x.test"), "a.b.x.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("*.x.test"), "x.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("*.x.test"), ".x.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("a*.x.test"), "ab.x.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("*"), "a", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("a.test\0.evil"), "a.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("a.test\0.evil"), "a.test", STRING_PREFIX));
    ck_assert(!name_accepted(BYTES("\xc3\xa4.test"), "a.test", STRING_EXACT));
    ck_assert(!name_accepted(BYTES("1.2.3.4"), "1.2.3.5", STRING_EXACT));
}
END_TEST

START_TEST(client_checks_server)
{
    struct tls_san_matcher m = {.type = TLS_SAN_DNS, .matcher = {.text = BYTES("z.test")}};
    struct bytes list[] = {BYTES("z.test")}, good[] = {BYTES("a.test")};
    t.client.validation = &t.client_checks;
    ck_assert(works());
    t.client_checks.sans = &m;
    t.client_checks.n_sans = 1;
    client_says(VERIFY_FAILED ":verify cert failed: SAN matcher, certificate SANs are "
                              "[a.test]:TLS_error_end");
    ck_assert_int_eq(count(t.client_stats, STAT_TLS_FAIL_VERIFY_SAN), 1);
    t.client.auto_sni_san_validation = true; /* the name that was sent instead */
    t.options.server_name = BYTES("a.test");
    ck_assert(works());
    t.options.server_name = BYTES("b.test");
    client_says(VERIFY_FAILED ":verify cert failed: SAN matcher, certificate SANs are "
                              "[a.test]:TLS_error_end");
    t.client.auto_sni_san_validation = false;
    t.client_checks.n_sans = 0;
    t.options.verify_sans = list;
    t.options.n_verify_sans = 1;
    client_says(VERIFY_FAILED ":verify cert failed: verify SAN list, expected SANs: [z.test], "
                              "certificate SANs: [a.test]:TLS_error_end");
    t.options.verify_sans = good;
    ck_assert(works());
    t.client_checks.trusted_ca = made_pem(other);
    client_says(VERIFY_FAILED ":verify cert failed: X509_verify_cert: certificate verification "
                              "error at depth 0: unable to get local issuer "
                              "certificate:TLS_error_end");
    t.client.validation = NULL; /* whoever writes a certificate chooses its names */
    client_says(VERIFY_FAILED ":TLS_error_end");
}
END_TEST

START_TEST(spiffe)
{
    struct tls_spiffe_domain domains[] = {{BYTES("e"), made_pem(other)},
                                          {BYTES("d"), made_pem(ca)}};
    ask_client();
    t.server_checks = (struct tls_validation){.spiffe = domains, .n_spiffe = 2};
    ck_assert(works());
    domains[1].bundle = made_pem(other); /* the domain's own bundle decides */
    domains[0].bundle = made_pem(ca);
    ck_assert(!works());
    t.server_checks.n_spiffe = 1;
    ck_assert(!works());
}
END_TEST

/* --- certificates by name and by ability --- */

static const char *presented(const char *name)
{
    t.options.server_name = bytes_of(name);
    ck_assert(works());
    return text(&t.client_peer, TLS_PEER_SUBJECT);
}

START_TEST(choice_of_certificate)
{
    struct made *b = make_certificate(ca, &(struct wanted){.cn = "b", .dns = "b.test"});
    struct made *w = make_certificate(ca, &(struct wanted){.cn = "w", .dns = "*.w.test"});
    struct bytes rsa_only[] = {BYTES("ECDHE-RSA-AES128-GCM-SHA256")};
    t.server_certs[1] = made_settings(b);
    t.server_certs[2] = made_settings(w);
    t.server.n_certificates = 3;
    ck_assert_str_eq(presented("a.test"), "CN=web,O=tests");
    ck_assert_str_eq(presented("B.test"), "CN=b,O=tests");
    ck_assert_str_eq(presented("x.w.test"), "CN=w,O=tests");
    ck_assert_str_eq(presented("x.y.w.test"), "CN=web,O=tests");
    ck_assert_str_eq(presented(""), "CN=web,O=tests");
    t.server_certs[0] = made_settings(rsa);
    t.server_certs[1] = made_settings(web);
    t.server.n_certificates = 2;
    ck_assert_str_eq(presented("a.test"), "CN=web,O=tests"); /* the faster one */
    ck_assert_str_eq(presented("z.test"), "CN=rsa,O=tests"); /* the first */
    t.server.full_scan_certs_on_sni_mismatch = true;
    ck_assert_str_eq(presented("z.test"), "CN=web,O=tests");
    t.client.max_version = TLS_VERSION_1_2;
    t.client.ciphers = rsa_only;
    t.client.n_ciphers = 1;
    ck_assert_str_eq(presented("a.test"), "CN=rsa,O=tests");
    finish();
    made_free(&b);
    made_free(&w);
}
END_TEST

START_TEST(name_wanted)
{
    t.server.require_sni = true;
    ck_assert(!works());
    t.options.server_name = BYTES("a.test");
    ck_assert(works());
}
END_TEST

/* E 2024-32475: a name of any length is sent or not, and nothing else happens. */
START_TEST(names_of_any_length)
{
    static char name[70000];
    memset(name, 'a', sizeof(name));
    for (size_t n = 1; n <= sizeof(name); n = n * 3 + 1) {
        t.options.server_name = bytes_from(name, n);
        ck_assert(works());
        struct bytes got = transport_server_name(connection_transport(t.server_peer.conn));
        ck_assert_uint_eq(got.len, n <= 255 ? n : 0);
    }
}
END_TEST

START_TEST(no_version_or_cipher_in_common)
{
    struct bytes rsa_only[] = {BYTES("ECDHE-RSA-AES128-GCM-SHA256")};
    struct bytes old[] = {BYTES("ECDHE-ECDSA-AES128-SHA")};
    t.client.min_version = TLS_VERSION_1_1;
    t.client.max_version = TLS_VERSION_1_1;
    t.client.ciphers = old;
    t.client.n_ciphers = 1;
    server_says(
        "TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end");
    t.client.min_version = TLS_VERSION_AUTO;
    t.client.max_version = TLS_VERSION_1_2;
    t.client.ciphers = rsa_only;
    t.client.n_ciphers = 1;
    server_says(
        "TLS_error:|268435640:SSL routines:OPENSSL_internal:NO_SHARED_CIPHER:TLS_error_end");
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_CONNECTION_ERROR), 2);
}
END_TEST

/* --- sessions --- */

static bool resumed(void)
{
    int64_t before = t.server_stats ? count(t.server_stats, STAT_TLS_SESSION_REUSED) : 0;
    ck_assert(works());
    return count(t.server_stats, STAT_TLS_SESSION_REUSED) > before;
}

static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};

START_TEST(resumes)
{
    t.client.max_version = versions[_i];
    t.keep_server = t.keep_client = true;
    ck_assert(!resumed());
    ck_assert(resumed());
    ck_assert(resumed());
    t.options.server_name = BYTES("b.test"); /* not what was checked */
    ck_assert(!resumed());
    t.keep_client = false;
    t.client.max_session_keys = 0;
    ck_assert(!resumed());
    t.keep_client = true;
    ck_assert(!resumed());
}
END_TEST

START_TEST(resumes_without_tickets)
{
    t.client.max_version = TLS_VERSION_1_2;
    t.server.disable_tickets = true;
    t.keep_server = t.keep_client = true;
    ck_assert(!resumed());
    ck_assert(resumed());
    t.keep_server = t.keep_client = false;
    t.server.disable_session_cache = true;
    ck_assert(!resumed());
    t.keep_server = t.keep_client = true;
    ck_assert(!resumed());
}
END_TEST

static const uint8_t keys[3][TLS_TICKET_KEY_SIZE] = {{1}, {2}, {3}};

START_TEST(ticket_keys)
{
    t.client.max_version = versions[_i];
    t.keep_client = true;
    t.server.ticket_keys = &keys[0];
    t.server.n_ticket_keys = 1;
    ck_assert(!resumed());
    ck_assert(resumed()); /* another context with the same keys */
    t.server.ticket_keys = (const uint8_t(*)[TLS_TICKET_KEY_SIZE]) & keys[1];
    ck_assert(!resumed()); /* other keys */
    static uint8_t both[2][TLS_TICKET_KEY_SIZE] = {{3}, {2}};
    t.server.ticket_keys = (const uint8_t(*)[TLS_TICKET_KEY_SIZE])both;
    t.server.n_ticket_keys = 2;
    ck_assert(resumed()); /* rotated: the old key still reads, the new one writes */
    t.server.n_ticket_keys = 1;
    ck_assert(resumed());
}
END_TEST

/* E 2022-21654, N 2025-23419: what one chain let in is nothing to another, whatever the keys. */
START_TEST(sessions_stay_in_their_scope)
{
    struct tls_san_matcher san = {.type = TLS_SAN_DNS, .matcher = {.text = BYTES("c.test")}};
    t.client.max_version = versions[_i];
    t.keep_client = true;
    t.server.ticket_keys = &keys[0];
    t.server.n_ticket_keys = 1;
    t.client_cert = made_settings(client);
    t.client.certificates = &t.client_cert;
    t.client.n_certificates = 1;
    ck_assert(!resumed());
    ck_assert(resumed());
    t.server.validation = &t.server_checks;
    t.server.require_client_certificate = true;
    ck_assert(!resumed());
    ck_assert(resumed());
    t.server_checks.sans = &san;
    t.server_checks.n_sans = 1;
    ck_assert(!resumed());
    ck_assert(resumed());
    ck_assert_str_eq(text(&t.server_peer, TLS_PEER_DNS_SANS), "c.test"); /* of the first one */
    ck_assert(transport_tls_peer_validated(connection_transport(t.server_peer.conn)));
    t.server.session_scope = BYTES("another chain");
    ck_assert(!resumed());
}
END_TEST

START_TEST(staples)
{
    t.server_certs[0].ocsp_staple = made_staple(web, 3600);
    ck_assert(works());
    ck_assert_int_eq(count(t.server_stats, STAT_TLS_OCSP_STAPLE_REQUESTS), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("transport_tls");
    TCase *c = tcase_create("all");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, talks);
    tcase_add_test(c, no_protocol_in_common);
    tcase_add_loop_test(c, every_split, 0, (int)ARRAY_SIZE(splits));
    tcase_add_test(c, few_calls);
    tcase_add_test(c, much_data);
    tcase_add_test(c, orderly_end);
    tcase_add_test(c, goodbye_with_the_last_data);
    tcase_add_test(c, cut_off);
    tcase_add_loop_test(c, plain_text, 0, 2);
    tcase_add_test(c, reset_in_the_handshake);
    tcase_add_test(c, gone_in_the_handshake);
    tcase_add_test(c, mutual);
    tcase_add_test(c, no_client_certificate);
    tcase_add_test(c, bad_client_certificates);
    tcase_add_test(c, revoked);
    tcase_add_test(c, pins);
    tcase_add_test(c, typed_names);
    tcase_add_test(c, names_that_lie);
    tcase_add_test(c, client_checks_server);
    tcase_add_test(c, spiffe);
    tcase_add_test(c, choice_of_certificate);
    tcase_add_test(c, name_wanted);
    tcase_add_test(c, names_of_any_length);
    tcase_add_test(c, no_version_or_cipher_in_common);
    tcase_add_loop_test(c, resumes, 0, 2);
    tcase_add_test(c, resumes_without_tickets);
    tcase_add_loop_test(c, ticket_keys, 0, 2);
    tcase_add_loop_test(c, sessions_stay_in_their_scope, 0, 2);
    tcase_add_test(c, staples);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
