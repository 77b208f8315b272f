#include "admin/stat_tags.h"

#include "config/wire.h"
#include "suite.h"

/* "name|tag=value|tag=value" */
static void expect(const struct stat_tag_rules *rules, const char *name, const char *expected)
{
    struct stat_tags t = {.name = STRBUF_INIT};
    struct strbuf got = STRBUF_INIT;
    stat_tags_extract(rules, bytes_of(name), &t);
    strbuf_add_bytes(&got, strbuf_bytes(&t.name));
    for (unsigned i = 0; i < t.n; i++)
        strbuf_printf(&got, "|%.*s=%.*s", BYTES_ARG(t.tags[i].name), BYTES_ARG(t.tags[i].value));
    ck_assert_str_eq(strbuf_str(&got), expected);
    strbuf_fini(&got);
    stat_tags_fini(&t);
}

/* As Envoy 1.40 printed them. */
START_TEST(default_rules)
{
    static const char *const cases[][2] = {
        {"server.live", "server.live"},
        {"cluster.one.upstream_rq_200",
         "cluster.upstream_rq|envoy.response_code=200|envoy.cluster_name=one"},
        {"cluster.one.external.upstream_rq_5xx",
         "cluster.external.upstream_rq_xx|envoy.response_code_class=5|envoy.cluster_name=one"},
        {"cluster.one.upstream_rq_completed",
         "cluster.upstream_rq_completed|envoy.cluster_name=one"},
        {"cluster.outbound|80||a.svc.local.upstream_cx_total",
         "cluster.svc.local.upstream_cx_total|envoy.cluster_name=outbound|80||a"},
        {"http.ingress.downstream_rq_2xx", "http.downstream_rq_xx|envoy.response_code_class=2"
                                           "|envoy.http_conn_manager_prefix=ingress"},
        {"http.sock.two.downstream_rq_total",
         "http.two.downstream_rq_total|envoy.http_conn_manager_prefix=sock"},
        {"http.front.rds.demo.update_success", "http.rds.update_success|envoy.rds_route_config=demo"
                                               "|envoy.http_conn_manager_prefix=front"},
        {"http.front.rds.a.b-c_d.update_success",
         "http.rds.update_success|envoy.rds_route_config=a.b-c_d"
         "|envoy.http_conn_manager_prefix=front"},
        {"http.front.rds.a|b.update_success",
         "http.rds.a|b.update_success|envoy.http_conn_manager_prefix=front"},
        {"listener.127.0.0.1_0.downstream_cx_total",
         "listener.downstream_cx_total|envoy.listener_address=127.0.0.1_0"},
        {"listener.[__1]_80.downstream_cx_total",
         "listener.downstream_cx_total|envoy.listener_address=[__1]_80"},
        {"listener.named.downstream_cx_total",
         "listener.downstream_cx_total|envoy.listener_address=named"},
        {"listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total"},
        {"listener.admin.http.admin.downstream_rq_4xx",
         "listener.admin.http.downstream_rq_xx|envoy.response_code_class=4"
         "|envoy.http_conn_manager_prefix=admin"},
        {"listener.admin.main_thread.downstream_cx_active",
         "listener.admin.main_thread.downstream_cx_active"},
        {"listener./tmp/adm/l.sock.downstream_cx_total",
         "listener.sock.downstream_cx_total|envoy.listener_address=/tmp/adm/l"},
        {"listener./tmp/adm/l.sock.worker_0.downstream_cx_total",
         "listener.sock.worker_0.downstream_cx_total|envoy.listener_address=/tmp/adm/l"},
        {"listener.127.0.0.1_0.worker_0.downstream_cx_total",
         "listener.worker_downstream_cx_total|envoy.worker_id=0"
         "|envoy.listener_address=127.0.0.1_0"},
        {"listener.127.0.0.1_0.http.ingress.downstream_rq_5xx",
         "listener.http.downstream_rq_xx|envoy.response_code_class=5"
         "|envoy.http_conn_manager_prefix=ingress|envoy.listener_address=127.0.0.1_0"},
        {"listener_manager.worker_1.dispatcher.loop_duration_us",
         "listener_manager.worker_dispatcher.loop_duration_us|envoy.worker_id=1"},
        {"listener.1.2.3.4_5.ssl.certificate.ROOTCA.expiration_unix_time_seconds",
         "listener.ssl.certificate.expiration_unix_time_seconds|envoy.tls_certificate=ROOTCA"
         "|envoy.listener_address=1.2.3.4_5"},
        {"cluster.c.1.ssl.certificate.a.b.expiration_unix_time_seconds",
         "cluster.1.ssl.certificate.b.expiration_unix_time_seconds|envoy.tls_certificate=a"
         "|envoy.cluster_name=c"},
        {"sds.file-cert_a~/b.update_success",
         "sds.update_success|envoy.xds_resource_name=file-cert_a~/b"},
        {"server.worker_12.watchdog_miss", "server.worker_watchdog_miss|envoy.worker_id=12"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        expect(NULL, cases[i][0], cases[i][1]);
}
END_TEST

/* Rules whose filters are still to come, by the rules' text. */
START_TEST(more_default_rules)
{
    static const char *const cases[][2] = {
        {"vhost.v.vcluster.c.upstream_rq_200",
         "vhost.vcluster.upstream_rq|envoy.response_code=200|envoy.virtual_cluster=c"
         "|envoy.virtual_host=v"},
        {"vhost.v.route.r.upstream_rq_total",
         "vhost.route.upstream_rq_total|envoy.virtual_host=v|envoy.route=r"},
        {"tcp.p.downstream_cx_total", "tcp.downstream_cx_total|envoy.tcp_prefix=p"},
        {"udp.p.downstream_sess_total", "udp.downstream_sess_total|envoy.udp_prefix=p"},
        {"http.p.fault.c.delays_injected",
         "http.fault.delays_injected|envoy.fault_downstream_cluster=c"
         "|envoy.http_conn_manager_prefix=p"},
        {"p.http_local_rate_limit.ok",
         "http_local_rate_limit.ok|envoy.local_http_ratelimit_prefix=p"},
        {"cluster.c.ssl.ciphers.ECDHE-RSA-AES128-GCM-SHA256",
         "cluster.ssl.ciphers|cipher_suite=ECDHE-RSA-AES128-GCM-SHA256|envoy.cluster_name=c"},
        {"listener.1.2.3.4_5.ssl.ciphers.AES",
         "listener.ssl.ciphers|envoy.ssl_cipher=AES|envoy.listener_address=1.2.3.4_5"},
        {"listener.1.2.3.4_5.ssl.versions.TLSv1.3",
         "listener.ssl.versions|envoy.ssl_version=TLSv1.3|envoy.listener_address=1.2.3.4_5"},
        {"cluster.c.ssl.curves.X25519",
         "cluster.ssl.curves|envoy.ssl_curve=X25519|envoy.cluster_name=c"},
        {"cluster.c.grpc.0", "cluster.grpc.0|envoy.cluster_name=c"},
        {"cluster.c.grpc.total", "cluster.grpc.total|envoy.cluster_name=c"},
        {"cluster.c.grpc.pkg.Method.success",
         "cluster.grpc.success|envoy.grpc_bridge_method=Method|envoy.grpc_bridge_service=pkg"
         "|envoy.cluster_name=c"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
        expect(NULL, cases[i][0], cases[i][1]);
}
END_TEST

/* Nothing is read beyond a name, however short or odd. */
START_TEST(odd_names)
{
    static const char *const names[] = {"",      ".",           "cluster",     "cluster.",
                                        "http.", "http..",      "listener.",   "listener..http.",
                                        "_rq_",  "_rq_2x",      "a.http.",     "rds.a.b.c",
                                        "vhost", "listener.[1", "listener.1_", "server.worker_"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        expect(NULL, names[i], names[i]);
}
END_TEST

static void put_spec(struct strbuf *config, const char *name, const char *regex, const char *fixed)
{
    struct strbuf spec = STRBUF_INIT;
    wire_put_bytes(&spec, 1, bytes_of(name));
    if (regex)
        wire_put_bytes(&spec, 2, bytes_of(regex));
    if (fixed)
        wire_put_bytes(&spec, 3, bytes_of(fixed));
    wire_put_bytes(config, 1, strbuf_bytes(&spec));
    strbuf_fini(&spec);
}

static struct fixed_tags given; /* by the command line */

static struct stat_tag_rules *rules_of(struct strbuf *config, bool defaults, const char *said)
{
    struct strbuf bootstrap = STRBUF_INIT, complaints = STRBUF_INIT;
    wire_put_bytes(config, 2, defaults ? BYTES("\x08\x01") : BYTES(""));
    wire_put_bytes(&bootstrap, 13, strbuf_bytes(config));
    struct stat_tag_rules *r = stat_tag_rules_new(given, strbuf_bytes(&bootstrap), &complaints);
    ck_assert_str_eq(strbuf_str(&complaints), said);
    strbuf_fini(&bootstrap);
    strbuf_fini(&complaints);
    strbuf_fini(config);
    return r;
}

START_TEST(rules_of_the_bootstrap)
{
    struct strbuf config = STRBUF_INIT;
    put_spec(&config, "region", NULL, "north");
    put_spec(&config, "shard", "^cluster\\.(shard_(\\d+)\\.)", NULL);
    put_spec(&config, "part", "(_part)", NULL);
    struct stat_tag_rules *r = rules_of(&config, true, "");
    expect(r, "cluster.shard_7.x", "cluster.x|region=north|envoy.cluster_name=shard_7|shard=7");
    expect(r, "server.x_part", "server.x|region=north|part=_part");
    expect(r, "server._part", "server|region=north|part=_part");
    stat_tag_rules_free(&r);
}
END_TEST

START_TEST(tags_of_the_command_line)
{
    static const char *const texts[] = {"zone:eu", "a:b:c", ":x", "a:second"};
    struct strbuf config = STRBUF_INIT;
    put_spec(&config, "zone", NULL, "us");
    put_spec(&config, "b", NULL, "2");
    given = (struct fixed_tags){texts, 4};
    struct stat_tag_rules *r = rules_of(&config, true, "");
    given = (struct fixed_tags){NULL, 0};
    expect(r, "server.live", "server.live|zone=eu|a=b:c|=x|b=2");
    expect(r, "cluster.one.x", "cluster.x|zone=eu|a=b:c|=x|b=2|envoy.cluster_name=one");
    stat_tag_rules_free(&r);
}
END_TEST

/* Istio's bootstrap: its own rules and some defaults by name. */
START_TEST(defaults_can_be_chosen)
{
    struct strbuf config = STRBUF_INIT;
    put_spec(&config, "cluster_name", "^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)",
             NULL);
    put_spec(&config, "envoy.listener_address", NULL, NULL);
    struct stat_tag_rules *r = rules_of(&config, false, "");
    expect(r, "cluster.a|80||b.c.svc.cluster.local.upstream_rq_200",
           "cluster.upstream_rq_200|cluster_name=a|80||b.c.svc.cluster.local");
    expect(r, "listener.0.0.0.0_80.x", "listener.x|envoy.listener_address=0.0.0.0_80");
    expect(r, "http.p.x", "http.p.x");
    stat_tag_rules_free(&r);
}
END_TEST

START_TEST(rules_that_cannot_be_used_are_said)
{
    struct strbuf config = STRBUF_INIT;
    put_spec(&config, "a", "^listener(?=\\.).*?\\.http\\.", NULL);
    put_spec(&config, "b", "nogroup", NULL);
    put_spec(&config, "c", NULL, NULL);
    struct stat_tag_rules *r = rules_of(
        &config, true,
        "stats_tags: tag 'a' is not extracted: Invalid regex '^listener(?=\\.).*?\\.http\\.': "
        "invalid perl operator: (?=\n"
        "stats_tags: tag 'b' is not extracted: no group in its regex\n"
        "stats_tags: no regex for tag 'c', which is no default tag\n");
    expect(r, "http.p.x", "http.x|envoy.http_conn_manager_prefix=p");
    stat_tag_rules_free(&r);
}
END_TEST

SUITE("stat_tags", default_rules, more_default_rules, odd_names, rules_of_the_bootstrap,
      tags_of_the_command_line, defaults_can_be_chosen, rules_that_cannot_be_used_are_said)
