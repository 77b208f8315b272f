#include "admin/pages.h"
#include "base/log.h"
#include "suite.h"
#include "world.h"

static struct world w;

static void setup(void)
{
    world_init(&w);
    fixture_start(&w.f);
}

static void expect(const char *method, const char *target, unsigned status, const char *text)
{
    struct answer a = world_ask(&w, method, target);
    ck_assert_msg(a.status == status, "%s: %u", target, a.status);
    ck_assert_str_eq(a.text, text);
}

static void expect_log(const char *expected)
{
    ck_assert_str_eq(strbuf_str(&w.log), expected);
    strbuf_reset(&w.log);
}

START_TEST(ready_tells_the_state)
{
    setup();
    expect("GET", "/ready", 200, "LIVE\n");
    w.state = ADMIN_DRAINING;
    expect("GET", "/ready", 503, "DRAINING\n");
    w.state = ADMIN_PRE_INITIALIZING;
    expect("GET", "/ready", 503, "PRE_INITIALIZING\n");
    w.state = ADMIN_INITIALIZING;
    expect("PUT", "//ready?x", 503, "INITIALIZING\n");
    world_fini(&w);
}
END_TEST

START_TEST(paths_and_methods)
{
    setup();
    struct answer a = world_ask(&w, "GET", "/nosuch");
    ck_assert_uint_eq(a.status, 404);
    ck_assert_str_eq(a.content_type, TEXT_PLAIN);
    ck_assert(bytes_starts_with(
        bytes_of(a.text), BYTES("invalid path. admin commands are:\n  /: Admin home page\n")));
    ck_assert_uint_eq(world_ask(&w, "GET", "/ready/").status, 404);
    ck_assert_uint_eq(world_ask(&w, "GET", "").status, 404);
    expect("GET", "/quitquitquit", 405, "Method GET not allowed, POST required.");
    expect("HEAD", "/reset_counters?x", 405, "Method HEAD not allowed, POST required.");
    expect_log("");
    world_fini(&w);
}
END_TEST

START_TEST(commands_reach_the_process)
{
    setup();
    expect("POST", "/quitquitquit", 200, "OK\n");
    expect("POST", "/reopen_logs", 200, "OK\n");
    expect("POST", "/healthcheck/fail", 200, "OK\n");
    expect("POST", "/healthcheck/ok", 200, "OK\n");
    expect_log("quit;reopen;fail 1;fail 0;");
    expect("POST", "/drain_listeners", 200, "OK\n");
    expect("POST", "/drain_listeners?inboundonly&graceful", 200, "OK\n");
    expect("POST", "/drain_listeners?skip_exit", 200, "OK\n");
    expect_log("drain 0 0 0;drain 1 1 0;drain 0 0 1;");
    world_fini(&w);
}
END_TEST

START_TEST(fixed_pages)
{
    setup();
    expect("GET", "/certs", 200, "{\n \"certificates\": []\n}\n");
    expect("GET", "/runtime", 200, "{\n \"entries\": {},\n \"layers\": []\n}\n");
    expect("GET", "/hot_restart_version", 200, "disabled");
    expect("GET", "/contention", 200,
           "Mutex contention tracing is not enabled. To enable, run Envoy with flag "
           "--enable-mutex-tracing.");
    expect("POST", "/runtime_modify", 400,
           "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
           "       or send the parameters as form values\n"
           "use an empty value to remove a previously added override");
    expect("POST", "/runtime_modify?a=b", 503, "No admin layer specified");
    expect("POST", "/runtime_modify?=b", 503, "No admin layer specified");
    expect("POST", "/heapprofiler", 501, "The current build does not support heap profiler");
    expect("POST", "/cpuprofiler", 400, "?enable=<y|n>\n");
    expect("POST", "/cpuprofiler?enable=n", 200, "OK\n");
    expect("POST", "/cpuprofiler?enable=y", 501, "The current build does not support cpuprofiler");
    expect("GET", "/heap_dump", 501, "The current build does not support heap_dump");
    expect("GET", "/init_dump?mask=nosuch", 200, "{}\n");
    expect("GET", "/init_dump", 200, "{}\n");
    world_fini(&w);
}
END_TEST

START_TEST(server_info)
{
    setup();
    clock_fake_advance(&w.f.clock, 0);
    struct answer a = world_ask(&w, "GET", "/server_info");
    struct bytes text = bytes_of(a.text);
    ck_assert_str_eq(a.content_type, TEXT_JSON);
    ck_assert_msg(bytes_starts_with(text, BYTES("{\n \"version\": \"abc/1.40.0/Clean/RELEASE/"
                                                "BoringSSL\",\n \"state\": \"LIVE\",\n "
                                                "\"uptime_current_epoch\": \"")),
                  "%s", a.text);
    ck_assert(bytes_find(text, BYTES(" \"hot_restart_version\": \"disabled\",\n"
                                     " \"command_line_options\": {\n  \"concurrency\": 2,\n"
                                     "  \"log_path\": \"\"\n },\n \"node\": {\n"
                                     "  \"id\": \"me\",\n  \"cluster\": \"\",\n")) > 0);
    ck_assert(bytes_find(text, BYTES("  \"locality\": {\n   \"region\": \"\",\n   \"zone\": \"z\","
                                     "\n   \"sub_zone\": \"\"\n  },\n")) > 0);
    ck_assert(bytes_ends_with(text, BYTES("\n }\n}\n")));
    world_fini(&w);
}
END_TEST

/* A client that goes away while the config thread is asked. */
START_TEST(pages_may_be_left_while_they_wait)
{
    static const char *const targets[] = {"/server_info", "/config_dump", "/init_dump"};
    setup();
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        struct admin_page *p = world_open(&w, targets[i]);
        ck_assert(p->waiting);
        p->free(p);
        w.fn(w.f.builder, w.arg);
        w.fn = NULL;
        w.done(w.arg);
    }
    world_fini(&w);
}
END_TEST

/* ---- /logging ---- */

#define LOGGING_USAGE                                                                              \
    "usage: /logging?<name>=<level> (change single level)\n"                                       \
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n"               \
    "usage: /logging?level=<level> (change all levels)\n"                                          \
    "usage: /logging?group=<group_name>:<level> (change group of loggers)\n"                       \
    "levels: trace debug info warning error critical off \n"                                       \
    "active loggers:\n"

static void refused(const char *target, const char *error)
{
    struct strbuf expected = STRBUF_INIT;
    struct answer a = world_ask(&w, "POST", target);
    strbuf_printf(&expected, "%s\n\n" LOGGING_USAGE, error);
    ck_assert_uint_eq(a.status, 400);
    ck_assert_msg(bytes_starts_with(bytes_of(a.text), strbuf_bytes(&expected)), "%s: %s", target,
                  a.text);
    strbuf_fini(&expected);
}

static void logs(const char *line)
{
    struct answer a = world_ask(&w, "POST", "/logging");
    ck_assert_uint_eq(a.status, 200);
    ck_assert(bytes_starts_with(bytes_of(a.text), BYTES("active loggers:\n  a2a: ")));
    ck_assert(bytes_ends_with(bytes_of(a.text), BYTES("\n\n")));
    ck_assert_msg(bytes_find(bytes_of(a.text), bytes_of(line)) > 0, "%s", line);
}

START_TEST(logging_sets_levels)
{
    setup();
    ck_assert_uint_eq(world_ask(&w, "POST", "/logging?level=error").status, 200);
    logs("\n  http: error\n");
    ck_assert_uint_eq(world_ask(&w, "POST", "/logging?http=debug").status, 200);
    logs("\n  http: debug\n");
    logs("\n  config: error\n");
    ck_assert_uint_eq(world_ask(&w, "POST", "/logging?paths=http:info,config:off").status, 200);
    logs("\n  http: info\n");
    logs("\n  config: off\n");
    ck_assert_uint_eq(world_ask(&w, "POST", "/logging?level=").status, 200);
    logs("\n  http: info\n");
    world_fini(&w);
}
END_TEST

START_TEST(logging_refuses_as_envoy)
{
    setup();
    log_set_level(LOG_WARNING);
    refused("/logging?level=loud", "error: unknown logger level");
    refused("/logging?nosuch=info", "error: unknown logger name");
    refused("/logging?http=warn", "error: unknown logger level");
    refused("/logging?level=info&http=info", "error: invalid number of parameters");
    refused("/logging?paths=http:foo", "error: unknown logger level");
    refused("/logging?paths=foo:info", "error: unknown logger name");
    refused("/logging?paths=foo", "error: empty logger name or empty logger level");
    refused("/logging?group=http:info",
            "error: group parameter requires fine-grain logging to be enabled");
    refused("/logging?paths=http:info,foo:debug", "error: unknown logger name");
    logs("\n  http: warning\n"); /* all or nothing */
    world_fini(&w);
}
END_TEST

START_TEST(help_and_home)
{
    setup();
    const char *help = world_get(&w, "/help");
    ck_assert(bytes_starts_with(bytes_of(help), BYTES("admin commands are:\n  /: Admin home")));
    ck_assert(bytes_find(bytes_of(help), BYTES("\n  /quitquitquit (POST): exit the server\n")) > 0);
    ck_assert(bytes_find(bytes_of(help), BYTES("\n      usedonly: Only include stats that have "
                                               "been written by system since restart\n")) > 0);
    struct answer home = world_ask(&w, "GET", "/");
    ck_assert_str_eq(home.content_type, TEXT_HTML);
    ck_assert(bytes_find(bytes_of(home.text), BYTES("<a href=\"stats/prometheus\">")) > 0);
    ck_assert(bytes_find(bytes_of(home.text), BYTES("action=\"logging\" method=\"post\"")) > 0);
    ck_assert(bytes_find(bytes_of(home.text), BYTES("http://")) < 0);
    world_fini(&w);
}
END_TEST

SUITE("page_server", ready_tells_the_state, paths_and_methods, commands_reach_the_process,
      fixed_pages, server_info, pages_may_be_left_while_they_wait, logging_sets_levels,
      logging_refuses_as_envoy, help_and_home)
