#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/builder.h"
#include "config_fixture.h"
#include "secret_yaml.h"
#include "tls_fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_init(&f);
    fake_tls_made = 0;
}

static void teardown(void)
{
    fixture_fini(&f);
    ck_assert_uint_eq(fake_tls_live, 0);
}

#define HCM                                                                                        \
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."             \
    "HttpConnectionManager"
#define ROUTER                                                                                     \
    "{name: r, typed_config: {'@type': "                                                           \
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"
#define FILTERS(prefix)                                                                            \
    "filters: [{name: hcm, typed_config: {'@type': " HCM ", stat_prefix: " prefix                  \
    ", route_config: {name: r}, http_filters: [" ROUTER "]}}]"
#define DOWN(common)                                                                               \
    "transport_socket: {name: tls, typed_config: {'@type': " TLS                                   \
    "DownstreamTlsContext, common_tls_context: {" common "}}}"
#define LISTENER(name, port, chains)                                                               \
    "{name: " name ", address: {socket_address: {address: 127.0.0.1, port_value: " port            \
    "}}, filter_chains: [" chains "]}"
#define CHAIN(name, prefix, common)                                                                \
    "{name: " name ", filter_chain_match: {server_names: [" name                                   \
    "]}, " FILTERS(prefix) ", " DOWN(common) "}"
#define CA_SDS(name) "validation_context_sds_secret_config: {name: " name ", sds_config: {ads: {}}}"
#define PAIR(n)                                                                                    \
    "certificate_chain: {inline_string: cert-" n "}, private_key: {inline_string: key-" n "}"
#define CERT(name, n) "{name: " name ", tls_certificate: {" PAIR(n) "}}"
#define CA(name, text)                                                                             \
    "{name: " name ", validation_context: {trusted_ca: {inline_string: " text "}}}"

static void expect(const char *text, const char *expected)
{
    ck_assert_str_eq(text, expected);
}

static const char *secret(const char *name, const char *yaml)
{
    return fixture_update(&f, RESOURCE_SECRET, name, yaml);
}

static struct chain_binding *chain(const char *listener, unsigned i)
{
    struct listener_entry *e = fixture_listener(&f, listener);
    ck_assert_ptr_nonnull(e);
    return e->chains[i];
}

static const char *served(const char *listener, unsigned i)
{
    return fake_tls_text(chain(listener, i)->tls);
}

static const char *sent(const char *cluster)
{
    struct cluster_entry *e = fixture_cluster(&f, cluster);
    ck_assert_ptr_nonnull(e);
    return fake_tls_text(e->tls);
}

static int64_t updates(const char *scope)
{
    char name[200];
    snprintf(name, sizeof(name), "%s.ssl_context_update_by_sds", scope);
    return fixture_stat(&f, name);
}

#define L1_STATS "listener.127.0.0.1_1.server_ssl_socket_factory"
#define UP_STATS "cluster.up.client_ssl_socket_factory"

START_TEST(a_listener_waits_for_its_secrets)
{
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_LISTENER, "l",
                          LISTENER("l", "1", CHAIN("a", "p", CERT_SDS("web") ", " CA_SDS("root")))),
           "");
    expect(fixture_log(&f), "bind l;want sds web;want sds root;done;");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(secret("web", CERT("web", "1")), "");
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    expect(secret("root", CA("root", "ca")), "");
    expect(served("l", 0), "server cert-1 ca=ca");
    expect(fixture_log(&f), "publish 1;");
    ck_assert_int_eq(updates(L1_STATS), 2);
    ck_assert_int_eq(fixture_stat(&f, "sds.web.update_success"), 1);
    ck_assert_int_eq(fixture_stat(&f, "sds.web.update_attempt"), 2);
}
END_TEST

START_TEST(a_cluster_waits_for_its_secrets)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("web") ", " CA_SDS("root")));
    expect(fixture_log(&f), "want sds web;want sds root;done;");
    ck_assert_ptr_null(fixture_cluster(&f, "up"));
    secret("root", CA("root", "ca"));
    ck_assert_ptr_null(fixture_cluster(&f, "up"));
    secret("web", CERT("web", "7"));
    expect(sent("up"), "client cert-7 ca=ca");
    ck_assert_int_eq(updates(UP_STATS), 2);
}
END_TEST

START_TEST(an_eds_cluster_waits_for_both)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up",
                   "{name: up, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, " UP(
                       CA_SDS("root")) "}");
    expect(fixture_log(&f), "want eds up;want sds root;done;");
    fixture_update(&f, RESOURCE_ENDPOINT, "up", "{cluster_name: up}");
    ck_assert_ptr_null(fixture_cluster(&f, "up"));
    secret("root", CA("root", "ca"));
    expect(sent("up"), "client ca=ca");
}
END_TEST

START_TEST(t01_a_secret_that_does_not_come_leaves_no_context)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l",
                   LISTENER("l", "1", CHAIN("a", "p", CERT_SDS("web"))));
    ck_assert(fixture_expire(&f));
    ck_assert_ptr_null(chain("l", 0)->tls);
    ck_assert_ptr_nonnull(chain("l", 0)->chain->tls);
    ck_assert_ptr_nonnull(fixture_listener(&f, "l")->tls_stats);
    ck_assert_int_eq(fixture_stat(&f, "sds.web.init_fetch_timeout"), 1);
    secret("web", CERT("web", "1"));
    expect(served("l", 0), "server cert-1");
}
END_TEST

START_TEST(m17_a_new_secret_changes_its_context_and_nothing_else)
{
    fixture_start(&f);
    fixture_update(
        &f, RESOURCE_LISTENER, "l",
        LISTENER("l", "1", CHAIN("a", "p", CERT_SDS("one")) ", " CHAIN("b", "q", CERT_SDS("two"))));
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    fixture_update(&f, RESOURCE_CLUSTER, "other", CLUSTER("other", CERT_SDS("two")));
    secret("one", CERT("one", "1"));
    secret("two", CERT("two", "2"));
    struct chain_binding *a = chain("l", 0), *b = chain("l", 1);
    const struct filter_chain *chain_a = a->chain;
    struct bytes key = arena_dup(f.arena, a->chain->key);
    struct cluster_entry *other = fixture_cluster(&f, "other");
    const struct tls_node *tls_b = b->tls;
    unsigned made = fake_tls_made;
    fixture_log(&f);
    expect(secret("one", CERT("one", "3")), "");
    expect(fixture_log(&f), "publish 3;");
    expect(served("l", 0), "server cert-3");
    expect(sent("up"), "client cert-3");
    ck_assert_uint_eq(fake_tls_made, made + 2);
    ck_assert_ptr_eq(chain("l", 0)->chain, chain_a);
    ck_assert(bytes_eq(chain("l", 0)->chain->key, key));
    ck_assert_ptr_eq(chain("l", 1), b);
    ck_assert_ptr_eq(chain("l", 1)->tls, tls_b);
    ck_assert_ptr_eq(fixture_cluster(&f, "other"), other);
    ck_assert_int_eq(fixture_stat(&f, "listener_manager.listener_modified"), 0);
}
END_TEST

START_TEST(equal_bytes_of_a_secret_are_not_decoded)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    secret("one", CERT("one", "1"));
    uint64_t decoded = builder_decoded(f.builder, RESOURCE_SECRET);
    unsigned made = fake_tls_made;
    fixture_log(&f);
    expect(secret("one", CERT("one", "1")), "");
    expect(fixture_log(&f), "");
    ck_assert_uint_eq(builder_decoded(f.builder, RESOURCE_SECRET), decoded);
    ck_assert_uint_eq(fake_tls_made, made);
}
END_TEST

START_TEST(a_bad_secret_is_refused_by_name_and_the_last_good_stays)
{
    static const struct {
        const char *yaml, *why;
    } bad[] = {
        {"{name: one, tls_certificate: {certificate_chain: {inline_string: bad}, private_key: "
         "{inline_string: key-1}}}",
         "cluster 'up': Failed to load certificate chain from <inline>"},
        {"{name: one, tls_certificate: {certificate_chain: {inline_string: cert-1}, private_key: "
         "{inline_string: key-2}}}",
         "cluster 'up': Failed to load private key from <inline>, Cause: KEY_VALUES_MISMATCH"},
        {CA("one", "ca"), "cluster 'up': secret 'one': it is no static secret"},
        {"{name: two, tls_certificate: {" PAIR("1") "}}",
         "Unexpected SDS secret (expecting one): two"},
        {"{name: one}", "type: expected one of tls_certificate, session_ticket_keys, "
                        "validation_context, generic_secret"},
        {"{name: one, tls_certificate: {certificate_chain: {filename: /nonexistent/a}}}",
         "Failed to load incomplete certificate from /nonexistent/a: certificate chain not set: "
         "cannot read '/nonexistent/a': No such file or directory"},
    };
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    fixture_update(&f, RESOURCE_CLUSTER, "fine", CLUSTER("fine", CERT_SDS("other")));
    secret("one", CERT("one", "1"));
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char expected[300];
        struct cluster_entry *before = fixture_cluster(&f, "up");
        snprintf(expected, sizeof(expected), "Error adding/updating secret(s) one: %s", bad[i].why);
        expect(secret("one", bad[i].yaml), expected);
        ck_assert_ptr_eq(fixture_cluster(&f, "up"), before);
        expect(sent("up"), "client cert-1");
        ck_assert_int_eq(fixture_stat(&f, "sds.one.update_rejected"), i + 1);
    }
    secret("other", CERT("other", "5"));
    expect(sent("fine"), "client cert-5");
    expect(secret("one", CERT("one", "6")), "");
    expect(sent("up"), "client cert-6");
}
END_TEST

START_TEST(a_bad_first_secret_blocks_only_its_own)
{
    fixture_start(&f);
    fixture_update(
        &f, RESOURCE_LISTENER, "l",
        LISTENER("l", "1",
                 CHAIN("a", "p", CERT_SDS("good")) ", " CHAIN("b", "q", CERT_SDS("bad"))));
    secret("good", CERT("good", "1"));
    ck_assert_ptr_null(fixture_listener(&f, "l"));
    ck_assert_str_ne(secret("bad", "{name: bad}"), "");
    expect(served("l", 0), "server cert-1");
    expect(served("l", 1), "");
    secret("bad", CERT("bad", "2"));
    expect(served("l", 1), "server cert-2");
}
END_TEST

/* The one that is bad is named, not the one that comes last. */
START_TEST(a_secret_is_judged_before_its_companions_come)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one") ", " CA_SDS("root")));
    expect(secret("one", "{name: one, tls_certificate: {certificate_chain: {inline_string: cert-1},"
                         " private_key: {inline_string: key-2}}}"),
           "Error adding/updating secret(s) one: Failed to load private key from <inline>, Cause: "
           "KEY_VALUES_MISMATCH");
    expect(secret("root", CA("root", "ca")), "");
    expect(sent("up"), "");
    expect(secret("one", CERT("one", "1")), "");
    expect(sent("up"), "client cert-1 ca=ca");
}
END_TEST

START_TEST(combined_contexts_are_merged)
{
    fixture_start(&f);
    fixture_update(
        &f, RESOURCE_CLUSTER, "up",
        CLUSTER("up",
                "combined_validation_context: {default_validation_context: {trusted_ca: "
                "{inline_string: own}, match_typed_subject_alt_names: [{san_type: DNS, "
                "matcher: {exact: a}}], max_verify_depth: 3}, "
                "validation_context_sds_secret_config: {name: root, sds_config: {ads: {}}}}"));
    secret("root", "{name: root, validation_context: {trusted_ca: {inline_string: theirs}, "
                   "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: b}}]}}");
    expect(sent("up"), "client ca=theirs sans=2 depth=3");
    expect(secret("root",
                  "{name: root, validation_context: {max_verify_depth: 1, "
                  "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: b}}]}}"),
           "");
    expect(sent("up"), "client ca=own sans=2 depth=1");
}
END_TEST

START_TEST(ticket_keys_are_a_secret)
{
    char yaml[400], key[81];
    memset(key, 'k', 80);
    key[80] = '\0';
    fixture_start(&f);
    fixture_update(
        &f, RESOURCE_LISTENER, "l",
        LISTENER(
            "l", "1",
            "{" FILTERS(
                "p") ", transport_socket: {name: tls, typed_config: "
                     "{'@type': " TLS "DownstreamTlsContext, common_tls_context: "
                     "{tls_certificates: [{" PAIR(
                         "1") "}]}, "
                              "session_ticket_keys_sds_secret_config: {name: t, sds_config: {ads: "
                              "{}}}}}}"));
    snprintf(yaml, sizeof(yaml), "{name: t, session_ticket_keys: {keys: [{inline_string: %s}]}}",
             key + 1);
    expect(secret("t", yaml), "Error adding/updating secret(s) t: Incorrect TLS session ticket key "
                              "length. Length 79, expected length 80.");
    snprintf(yaml, sizeof(yaml),
             "{name: t, session_ticket_keys: {keys: [{inline_string: %s}, {inline_string: %s}]}}",
             key, key);
    expect(secret("t", yaml), "");
    expect(served("l", 0), "server cert-1 tickets=2");
}
END_TEST

START_TEST(bad_inline_certificates_refuse_the_resource)
{
    fixture_start(&f);
    expect(
        fixture_update(&f, RESOURCE_LISTENER, "l",
                       LISTENER("l", "1",
                                CHAIN("a", "p",
                                      "tls_certificates: [{certificate_chain"
                                      ": {inline_string: bad}, private_key: "
                                      "{inline_string: x}}]"))),
        "Error adding/updating listener(s) l: filter_chains[0]: transport_socket: Failed to load "
        "certificate chain from <inline>");
    expect(fixture_log(&f), "");
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up",
                          CLUSTER("up", "validation_context: {trusted_ca: {inline_string: bad}}")),
           "Error adding/updating cluster(s) up: transport_socket: Failed to load trusted CA "
           "certificates from <inline>");
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up",
                          CLUSTER("up", "tls_certificate_sds_secret_configs: [{name: foo}]")),
           "Error adding/updating cluster(s) up: transport_socket: Unknown static secret: foo");
}
END_TEST

START_TEST(equal_sockets_keep_their_context)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_LISTENER, "l",
                   LISTENER("l", "1", CHAIN("a", "p", CERT_SDS("one"))));
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    secret("one", CERT("one", "1"));
    const struct tls_node *down = chain("l", 0)->tls, *up = fixture_cluster(&f, "up")->tls;
    unsigned made = fake_tls_made;
    fixture_update(&f, RESOURCE_LISTENER, "l",
                   LISTENER("l", "1", CHAIN("a", "other", CERT_SDS("one"))));
    fixture_update(&f, RESOURCE_CLUSTER, "up",
                   "{name: up, connect_timeout: 3s, " UP(CERT_SDS("one")) "}");
    ck_assert_ptr_eq(chain("l", 0)->tls, down);
    ck_assert_ptr_eq(fixture_cluster(&f, "up")->tls, up);
    ck_assert_uint_eq(fixture_cluster(&f, "up")->cluster->connect_timeout_ms, 3000);
    ck_assert_uint_eq(fake_tls_made, made);
    expect(secret("one", CERT("one", "2")), "");
    expect(served("l", 0), "server cert-2");
    expect(sent("up"), "client cert-2");
}
END_TEST

START_TEST(secrets_that_nobody_names_are_forgotten)
{
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    secret("one", CERT("one", "1"));
    fixture_log(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("two")));
    expect(fixture_log(&f), "want sds two;done;");
    expect(sent("up"), "client cert-1");
    secret("two", CERT("two", "2"));
    expect(fixture_log(&f), "unwant sds one;done;publish 2;");
    expect(sent("up"), "client cert-2");
    ck_assert_ptr_null(store_find(builder_store(f.builder), &f.ads, RESOURCE_SECRET, BYTES("one")));
}
END_TEST

/* A removed secret stays in use: only who names it can let it go (rule R02). */
START_TEST(r02_a_removed_secret_stays_in_use)
{
    struct bytes removed = BYTES("one");
    struct update_result r;
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    secret("one", CERT("one", "1"));
    config_update(f.builder, &f.ads, RESOURCE_SECRET, NULL, 0, &removed, 1, false, BYTES("v"), &r);
    update_result_fini(&r);
    builder_commit(f.builder);
    expect(sent("up"), "client cert-1");
}
END_TEST

#define DEEP "deep: {a: [1, x, true, null]"
#define MESH_CLUSTER                                                                               \
    "{name: up, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, "                          \
    "transport_socket_matches: [{name: mesh, match: {mode: istio, " DEEP                           \
    "}}, " UP(CERT_SDS("one")) "}, {name: rest, match: {mode: other}, transport_socket: {name: "   \
                               "envoy.transport_sockets.raw_buffer}}]}"
#define META(text) "metadata: {filter_metadata: {envoy.transport_socket_match: " text "}}"
#define END(port, more)                                                                            \
    "{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " port "}}}" more "}"

/* What each chooses: 1, 2, nothing, nothing, nothing; by its locality 2. */
static const char *const ends[] = {
    "{cluster_name: up, endpoints: [{lb_endpoints: [",
    END("1", ", " META("{mode: istio, more: 1, " DEEP "}}")),
    ", ",
    END("2", ", " META("{mode: other}")),
    ", ",
    END("3", ", " META("{mode: istio}")),
    ", ",
    END("4", ", " META("{mode: istio, " DEEP ", b: 1}}")),
    ", ",
    END("5", ""),
    "]}, {" META("{mode: other}") ", lb_endpoints: [",
    END("6", ""),
    "]}]}",
};

static unsigned socket_of(unsigned i)
{
    return fixture_cluster(&f, "up")->hosts->hosts[i].socket;
}

START_TEST(endpoints_choose_their_socket)
{
    struct strbuf assignment = STRBUF_INIT;
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
        strbuf_add_str(&assignment, ends[i]);
    fixture_start(&f);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up", MESH_CLUSTER), "");
    expect(fixture_log(&f), "want eds up;want sds one;done;");
    expect(fixture_update(&f, RESOURCE_ENDPOINT, "up", strbuf_str(&assignment)), "");
    strbuf_fini(&assignment);
    ck_assert_ptr_null(fixture_cluster(&f, "up"));
    expect(secret("one", CERT("one", "1")), "");
    static const unsigned expected[] = {1, 2, 0, 0, 0, 2};
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        ck_assert_uint_eq(socket_of(i), expected[i]);
    struct cluster_entry *e = fixture_cluster(&f, "up");
    expect(fake_tls_text(e->tls), "");
    expect(fake_tls_text(e->match_tls[0]), "client cert-1");
    expect(fake_tls_text(e->match_tls[1]), "");
    ck_assert_ptr_nonnull(e->tls_stats);
    expect(secret("one", CERT("one", "2")), "");
    expect(fake_tls_text(fixture_cluster(&f, "up")->match_tls[0]), "client cert-2");
    /* other criteria: the endpoints that are known choose anew */
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up",
                          "{name: up, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, "
                          "transport_socket_matches: [{name: all, " UP(CERT_SDS("one")) "}]}"),
           "");
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        ck_assert_uint_eq(socket_of(i), 1);
    expect(fake_tls_text(fixture_cluster(&f, "up")->match_tls[0]), "client cert-2");
}
END_TEST

START_TEST(a_bad_match_is_refused)
{
    fixture_start(&f);
    expect(
        fixture_update(&f, RESOURCE_CLUSTER, "up",
                       "{name: up, transport_socket_matches: [{name: a, transport_socket: {name: "
                       "envoy.transport_sockets.raw_buffer}}, {name: b, " UP(
                           "validation_context: {trusted_ca: {inline_string: bad}}") "}]}"),
        "Error adding/updating cluster(s) up: transport_socket_matches[1].transport_socket: "
        "Failed to load trusted CA certificates from <inline>");
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up",
                          "{name: up, transport_socket_matches: [{name: a, transport_socket: "
                          "{name: what}}]}"),
           "Error adding/updating cluster(s) up: transport_socket_matches[0].transport_socket: "
           "Didn't find a registered implementation for 'what' with type URL: ''");
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up",
                          "{name: up, transport_socket_matches: [{name: a}]}"),
           "Error adding/updating cluster(s) up: transport_socket_matches[0].transport_socket: "
           "Didn't find a registered implementation for '' with type URL: ''");
}
END_TEST

START_TEST(the_first_certificate_to_end)
{
    fixture_start(&f);
    ck_assert_int_eq(builder_first_expiry(f.builder), INT64_MAX);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    fixture_update(&f, RESOURCE_LISTENER, "l",
                   LISTENER("l", "1", CHAIN("a", "p", CERT_SDS("two"))));
    secret("one", CERT("one", "500"));
    secret("two", CERT("two", "300"));
    ck_assert_int_eq(builder_first_expiry(f.builder), 300);
    secret("two", CERT("two", "700"));
    ck_assert_int_eq(builder_first_expiry(f.builder), 500);
    const char *none[] = {NULL};
    fixture_full(&f, RESOURCE_CLUSTER, none);
    ck_assert_int_eq(builder_first_expiry(f.builder), 700);
}
END_TEST

static bool add_static(enum resource_type type, const char *name, const char *yaml,
                       struct error *err)
{
    struct resource_update u = {bytes_of(name), BYTES(""), BYTES_NONE,
                                fixture_wire(&f, resource_type_name(type), yaml)};
    return builder_add_static(f.builder, type, &u, err);
}

START_TEST(secrets_of_the_bootstrap)
{
    struct error err = ERROR_INIT;
    ck_assert(add_static(RESOURCE_SECRET, "one", CERT("one", "1"), &err));
    ck_assert(add_static(RESOURCE_SECRET, "root", CA("root", "ca"), &err));
    ck_assert(!add_static(RESOURCE_SECRET, "one", CERT("one", "2"), &err));
    expect(error_text(&err), "Duplicated static secret name one");
    error_fini(&err);
    ck_assert(add_static(RESOURCE_CLUSTER, "up",
                         CLUSTER("up", "tls_certificate_sds_secret_configs: [{name: one}], "
                                       "validation_context_sds_secret_config: {name: root}"),
                         &err));
    ck_assert(!add_static(RESOURCE_CLUSTER, "bad",
                          CLUSTER("bad", "validation_context_sds_secret_config: {name: one}"),
                          &err));
    expect(error_text(&err), "transport_socket: secret 'one': it is no static certificate "
                             "validation context");
    error_fini(&err);
    fixture_start(&f);
    expect(sent("up"), "client cert-1 ca=ca");
}
END_TEST

START_TEST(a_secret_of_the_bootstrap_is_read_by_who_names_it)
{
    struct error err = ERROR_INIT;
    ck_assert(add_static(RESOURCE_SECRET, "one",
                         "{name: one, tls_certificate: {certificate_chain: {filename: /no/such}, "
                         "private_key: {filename: /no/such}}}",
                         &err));
    ck_assert(!add_static(RESOURCE_CLUSTER, "up",
                          CLUSTER("up", "tls_certificate_sds_secret_configs: [{name: one}]"),
                          &err));
    ck_assert_ptr_nonnull(strstr(error_text(&err), "secret 'one': Failed to load incomplete "
                                                   "certificate from /no/such"));
    error_fini(&err);
    ck_assert(!add_static(RESOURCE_SECRET, "two", "{name: two}", &err));
    expect(error_text(&err), "type: expected one of tls_certificate, session_ticket_keys, "
                             "validation_context, generic_secret");
    error_fini(&err);
    fixture_start(&f);
}
END_TEST

START_TEST(first_clusters_ask_for_secrets_at_once)
{
    struct error err = ERROR_INIT;
    ck_assert(add_static(RESOURCE_CLUSTER, "sds", "{name: sds}", &err));
    ck_assert(add_static(RESOURCE_CLUSTER, "up",
                         CLUSTER("up", "tls_certificate_sds_secret_configs: [{name: one, "
                                       "sds_config: {api_config_source: {api_type: GRPC, "
                                       "transport_api_version: V3, grpc_services: [{envoy_grpc: "
                                       "{cluster_name: sds}}]}}}]"),
                         &err));
    builder_start(f.builder, &f.ads, &f.ads);
    /* the server's cluster is published before it is asked */
    expect(fixture_log(&f), "publish 1;want sds one;done;");
    ck_assert(fixture_expire(&f));
    expect(fixture_log(&f), "publish 2;want cds *;done;");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("builder_secret");
    TCase *t = tcase_create("builder_secret");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_listener_waits_for_its_secrets);
    tcase_add_test(t, a_cluster_waits_for_its_secrets);
    tcase_add_test(t, an_eds_cluster_waits_for_both);
    tcase_add_test(t, t01_a_secret_that_does_not_come_leaves_no_context);
    tcase_add_test(t, m17_a_new_secret_changes_its_context_and_nothing_else);
    tcase_add_test(t, equal_bytes_of_a_secret_are_not_decoded);
    tcase_add_test(t, a_bad_secret_is_refused_by_name_and_the_last_good_stays);
    tcase_add_test(t, a_bad_first_secret_blocks_only_its_own);
    tcase_add_test(t, a_secret_is_judged_before_its_companions_come);
    tcase_add_test(t, combined_contexts_are_merged);
    tcase_add_test(t, ticket_keys_are_a_secret);
    tcase_add_test(t, bad_inline_certificates_refuse_the_resource);
    tcase_add_test(t, equal_sockets_keep_their_context);
    tcase_add_test(t, secrets_that_nobody_names_are_forgotten);
    tcase_add_test(t, r02_a_removed_secret_stays_in_use);
    tcase_add_test(t, endpoints_choose_their_socket);
    tcase_add_test(t, a_bad_match_is_refused);
    tcase_add_test(t, the_first_certificate_to_end);
    tcase_add_test(t, secrets_of_the_bootstrap);
    tcase_add_test(t, a_secret_of_the_bootstrap_is_read_by_who_names_it);
    tcase_add_test(t, first_clusters_ask_for_secrets_at_once);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
