#include "sim_scenarios.h"

#define GET "GET /s HTTP/1.1\r\nhost: a\r\n\r\n"
#define POST "POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"
#define CHUNKED "POST /s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
#define CLOSE "GET /s HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
#define EXPECT "POST /s HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
#define OK_CHUNKED "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
#define UPGRADE "GET /s HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n"
#define UPGRADES "route: {cluster: c0, upgrade_configs: [{upgrade_type: foo}]}"
#define CONNECT "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"
#define CONNECTS "{connect_matcher: {}}"
#define CONNECT_TO(config)                                                                         \
    "route: {cluster: c0, upgrade_configs: [{upgrade_type: CONNECT" config "}]}"
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X1000 X100 X100 X100 X100 X100 X100 X100 X100 X100 X100
#define X10000 X1000 X1000 X1000 X1000 X1000 X1000 X1000 X1000 X1000 X1000
#define LARGE 100000
#define LARGE_TEXT "100000"
#define HELLO                                                                                      \
    {                                                                                              \
        200, "hello", false                                                                        \
    }

#define RETRY(policy) "route: {cluster: c0, retry_policy: {num_retries: 2, " policy "}}"

#define HEDGE(policy)                                                                              \
    "route: {cluster: c0, hedge_policy: {hedge_on_per_try_timeout: true}, retry_policy: "          \
    "{num_retries: 3, per_try_timeout: 1s, " policy "}}"

static struct circuit_breaker *breaker(struct sim *s)
{
    return &s->world->clusters[0][0].breakers[0];
}

static void one_connection(struct sim *s)
{
    breaker(s)->max_connections = 1;
}

static void one_request(struct sim *s)
{
    breaker(s)->max_requests = 1;
}

static void nobody_waits(struct sim *s)
{
    breaker(s)->max_pending_requests = 0;
}

static void one_request_a_connection(struct sim *s)
{
    s->world->clusters[0][0].max_requests_per_connection = 1;
}

static void two_requests_a_client(struct sim *s)
{
    s->proxy->manager->max_requests_per_connection = 2;
}

static void idle_streams_end(struct sim *s)
{
    s->proxy->manager->stream_idle_timeout_ms = 5000;
}

static void slow_heads_end(struct sim *s)
{
    s->proxy->manager->request_headers_timeout_ms = 5000;
}

static void slow_requests_end(struct sim *s)
{
    s->proxy->manager->request_timeout_ms = 5000;
}

static void http_10(struct sim *s)
{
    s->proxy->manager->accept_http_10 = true;
}

static void proxy_continue(struct sim *s)
{
    s->proxy->manager->proxy_100_continue = true;
}

static void much_is_kept(struct sim *s)
{
    s->proxy->listener.buffer_limit = 2 * LARGE;
}

static void no_hosts(struct sim *s)
{
    s->world->sets[0][0].priorities[0].n_hosts = 0;
    s->world->sets[0][0].n_hosts = 0;
}

static void short_lives(struct sim *s)
{
    s->proxy->manager->max_connection_duration_ms = 2000;
    s->proxy->manager->drain_timeout_ms = 1000;
}

const struct sim_scenario sim_scenarios[] = {
    {.name = "GET", .send = {GET}, .answer = {OK}, .expect = {HELLO}},
    {.name = "HEAD",
     .send = {"HEAD /s HTTP/1.1\r\nhost: a\r\n\r\n"},
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
     .expect = {{200, NULL, true}}},
    {.name = "POST with a length", .send = {POST "hello"}, .answer = {OK}, .expect = {HELLO}},
    {.name = "POST in pieces",
     .send = {"POST /s HT", "TP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe", "llo"},
     .answer = {"HTTP/1.1 200", " OK\r\ncontent-length: 5\r\n\r\nhe", "llo"},
     .expect = {HELLO}},
    {.name = "POST in chunks",
     .send = {CHUNKED "5\r\nhel", "lo\r\n1\r\n!\r\n", "0\r\n\r\n"},
     .answer = {OK_CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n", "0\r\n\r\n"},
     .expect = {HELLO}},
    {.name = "trailers",
     .send = {CHUNKED "5\r\nhello\r\n0\r\n", "x-a: b\r\n\r\n"},
     .answer = {OK_CHUNKED "5\r\nhello\r\n0\r\n", "x-b: c\r\n\r\n"},
     .expect = {HELLO}},
    {.name = "100-continue", .send = {EXPECT, "hello"}, .answer = {OK}, .expect = {HELLO}},
    {.name = "100-continue of the origin",
     .send = {EXPECT, "hello"},
     .answer = {"HTTP/1.1 100 Continue\r\n\r\n", OK},
     .origin = SIM_ORIGIN_EARLY,
     .expect = {HELLO},
     .setup = proxy_continue},
    {.name = "early hints",
     .send = {GET},
     .answer = {"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", OK},
     .expect = {HELLO}},
    {.name = "answer before the body",
     .send = {POST, "hello"},
     .answer = {OK},
     .origin = SIM_ORIGIN_EARLY,
     .expect = {HELLO}},
    {.name = "answer begins before the body",
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .answer = {OK_CHUNKED, "5\r\nhello\r\n", "0\r\n\r\n"},
     .origin = SIM_ORIGIN_EARLY,
     .expect = {HELLO}},
    {.name = "pipelined", .send = {GET GET GET}, .answer = {OK}, .expect = {HELLO, HELLO, HELLO}},
    {.name = "pipelined bodies",
     .send = {POST "hello" CHUNKED "5\r\nhello\r\n0\r\n\r\n" GET},
     .answer = {OK_CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .expect = {HELLO, HELLO, HELLO}},
    {.name = "one after the other",
     .send = {GET, POST "hello", GET},
     .answer = {OK},
     .expect = {HELLO, HELLO, HELLO}},
    {.name = "connection: close",
     .h1_client = true,
     .send = {CLOSE},
     .answer = {OK},
     .expect = {HELLO}},
    {.name = "origin says close",
     .send = {GET, GET},
     .answer = {"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"},
     .origin_closes = true,
     .expect = {HELLO, HELLO}},
    {.name = "answer until the end",
     .send = {GET},
     .answer = {"HTTP/1.1 200 OK\r\n\r\nhel", "lo"},
     .origin_closes = true,
     .expect = {HELLO}},
    {.name = "HTTP/1.0",
     .h1_client = true,
     .send = {"GET /s HTTP/1.0\r\nhost: a\r\n\r\n"},
     .answer = {OK_CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n", "0\r\n\r\n"},
     .expect = {HELLO},
     .setup = http_10},
    {.name = "204",
     .send = {GET GET},
     .answer = {"HTTP/1.1 204 No Content\r\n\r\n"},
     .expect = {{204, "", false}, {204, "", false}}},
    {.name = "large heads",
     .send = {"GET /s HTTP/1.1\r\nhost: a\r\nx-a: " X10000 X10000 "\r\n\r\n"},
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-b: " X10000 X10000 "\r\n\r\nhello"},
     .expect = {HELLO}},
    {.name = "large upload",
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .answer = {OK},
     .expect = {HELLO}},
    {.name = "large download",
     .send = {GET},
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .download = LARGE,
     .expect = {{200, NULL, false}}},
    {.name = "large download, slow client",
     .send = {GET},
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .download = LARGE,
     .slow_client = true,
     .expect = {{200, NULL, false}}},
    {.name = "large both ways",
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .download = LARGE,
     .origin = SIM_ORIGIN_EARLY,
     .expect = {{200, NULL, false}}},
    {.name = "redirect",
     .action = "redirect: {path_redirect: /new}",
     .send = {GET, POST "hello"},
     .expect = {{301, NULL, false}, {301, NULL, false}}},
    {.name = "direct response",
     .action = "direct_response: {status: 418, body: {inline_string: short}}",
     .send = {GET GET, POST "hello"},
     .expect = {{418, "short", false}, {418, "short", false}, {418, "short", false}}},
    {.name = "no cluster",
     .action = "route: {cluster: nobody}",
     .send = {GET GET},
     .expect = {{503, "", false}, {503, "", false}}},
    {.name = "no host",
     .send = {GET, POST "hello"},
     .expect = {{503, "no healthy upstream", false}, {503, "no healthy upstream", false}},
     .setup = no_hosts},
    {.name = "connect refused",
     .send = {GET, GET},
     .origin = SIM_ORIGIN_REFUSES,
     .expect = {{503, NULL, false}, {503, NULL, false}}},
    {.name = "connect refused, POST",
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .origin = SIM_ORIGIN_REFUSES,
     .expect = {{503, NULL, false}}},
    {.name = "connect hangs",
     .send = {GET},
     .origin = SIM_ORIGIN_HANGS,
     .expect = {{503, NULL, false}}},
    {.name = "origin is silent",
     .send = {POST "hello", GET},
     .origin = SIM_ORIGIN_SILENT,
     .expect = {{504, "upstream request timeout", false}, {504, NULL, false}}},
    {.name = "answer stops",
     .send = {GET},
     .answer = {OK_CHUNKED "5\r\nhello\r\n"},
     .cut = true,
     .expect = {HELLO},
     .setup = idle_streams_end},
    {.name = "answer is nonsense",
     .h1_origin = true,
     .send = {GET},
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n"},
     .expect = {{502, NULL, false}}},
    {.name = "head is slow",
     .h1_client = true,
     .send = {"GET /s HT"},
     .expect = {{408, NULL, false}},
     .setup = slow_heads_end},
    {.name = "body is slow",
     .send = {POST "he"},
     .expect = {{408, NULL, false}},
     .setup = slow_requests_end},
    {.name = "stream is idle",
     .send = {POST "he"},
     .expect = {{408, NULL, false}},
     .setup = idle_streams_end},
    {.name = "weighted clusters",
     .action = "route: {weighted_clusters: {clusters: [{name: c0, weight: 1}, {name: c3, weight: "
               "0}]}}",
     .send = {GET GET, POST "hello"},
     .answer = {OK},
     .expect = {HELLO, HELLO, HELLO}},
    {.name = "waiting for a connection",
     .clients = 3,
     .send = {GET, POST "hello"},
     .answer = {OK_CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .expect = {HELLO, HELLO},
     .setup = one_connection},
    {.name = "too many requests",
     .clients = 2,
     .send = {GET},
     .answer = {OK},
     .expect = {HELLO},
     .setup = one_request},
    {.name = "nobody may wait",
     .send = {GET, POST "hello"},
     .answer = {OK},
     .expect = {{503, NULL, false}, {503, NULL, false}},
     .setup = nobody_waits},
    {.name = "one request a connection",
     .clients = 2,
     .send = {GET GET},
     .answer = {OK},
     .expect = {HELLO, HELLO},
     .setup = one_request_a_connection},
    {.name = "two requests a client",
     .send = {GET GET},
     .answer = {OK},
     .expect = {HELLO, HELLO},
     .setup = two_requests_a_client},
    {.name = "short lives", .send = {GET}, .answer = {OK}, .expect = {HELLO}, .setup = short_lives},
    {.name = "malformed request",
     .h1_client = true,
     .send = {"GET /s HTTP/1.1\r\nbad\r\n\r\n"},
     .expect = {{400}}},
    {.name = "good, then malformed",
     .h1_client = true,
     .send = {GET "NONSENSE\r\n\r\n"},
     .answer = {OK},
     .expect = {HELLO, {400}}},
    {.name = "filter pauses the request",
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .answer = {OK},
     .gate = {FILTER_PAUSE},
     .expect = {HELLO}},
    {.name = "filter buffers the request",
     .send = {POST "he", "llo"},
     .answer = {OK},
     .gate = {FILTER_BUFFER, FILTER_BUFFER},
     .expect = {HELLO}},
    {.name = "filter buffers too much",
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .gate = {FILTER_BUFFER, FILTER_BUFFER},
     .expect = {{413, "Payload Too Large", false}}},
    {.name = "filter pauses the answer",
     .send = {GET},
     .answer = {OK_CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n", "0\r\n\r\n"},
     .gate = {[3] = FILTER_PAUSE},
     .expect = {HELLO}},
    {.name = "filter buffers the answer",
     .send = {GET, GET},
     .answer = {OK_CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n0\r\n\r\n"},
     .gate = {[3] = FILTER_BUFFER, FILTER_BUFFER},
     .expect = {HELLO, HELLO}},
    {.name = "filter pauses the trailers",
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\nx-a: b\r\n\r\n"},
     .answer = {OK_CHUNKED "5\r\nhello\r\n", "0\r\nx-b: c\r\n\r\n"},
     .gate = {[2] = FILTER_PAUSE, [5] = FILTER_PAUSE},
     .expect = {HELLO}},
    {.name = "filter buffers all before trailers",
     .send = {CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n0\r\nx-a: b\r\n\r\n"},
     .answer = {OK_CHUNKED "3\r\nhel\r\n", "2\r\nlo\r\n0\r\nx-b: c\r\n\r\n"},
     .gate = {FILTER_BUFFER, FILTER_BUFFER, [3] = FILTER_BUFFER, FILTER_BUFFER},
     .expect = {HELLO}},
    {.name = "filter pauses large bodies",
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .answer = {"HTTP/1.1 200 OK\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .download = LARGE,
     .origin = SIM_ORIGIN_EARLY,
     .gate = {FILTER_PAUSE, [3] = FILTER_PAUSE},
     .expect = {{200, NULL, false}}},
    {.name = "answer is tried again",
     .action = RETRY("retry_on: 5xx"),
     .send = {GET, POST "hello"},
     .answer = {OK},
     .fails = 2,
     .retries = 2,
     .expect = {HELLO, HELLO}},
    {.name = "answer to a body in pieces is tried again",
     .action = RETRY("retry_on: 5xx"),
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\nx-a: b\r\n\r\n"},
     .answer = {OK_CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .origin = SIM_ORIGIN_EARLY,
     .fails = 1,
     .retries = 2,
     .expect = {HELLO}},
    {.name = "answer is tried again in vain",
     .action = RETRY("retry_on: 5xx, retry_back_off: {base_interval: 5s}"),
     .send = {POST "hello", GET},
     .answer = {"HTTP/1.1 503 Broken\r\ncontent-length: 6\r\n\r\nbroken"},
     .retries = 2,
     .expect = {{503, NULL, false}, {503, NULL, false}}},
    {.name = "what fails is tried again",
     .action = RETRY("retry_on: 'reset,connect-failure,refused-stream'"),
     .send = {GET, POST "hello"},
     .answer = {OK},
     .retries = 2,
     .expect = {HELLO, HELLO}},
    {.name = "connecting is tried again",
     .action =
         RETRY("retry_on: connect-failure, retry_priority: {name: p, typed_config: {'@type': "
               "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3."
               "PreviousPrioritiesConfig, update_frequency: 1}}, retry_host_predicate: [{name: "
               "h, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host."
               "previous_hosts.v3.PreviousHostsPredicate}}]"),
     .send = {POST "hello", GET},
     .origin = SIM_ORIGIN_REFUSES,
     .retries = 2,
     .expect = {{503, NULL, false}, {503, NULL, false}}},
    {.name = "attempts have their time",
     .action = RETRY("retry_on: 5xx, per_try_timeout: 1s, per_try_idle_timeout: 2s"),
     .send = {POST "hello"},
     .origin = SIM_ORIGIN_SILENT,
     .retries = 2,
     .expect = {{504, "upstream request timeout", false}}},
    {.name = "another attempt begins beside a late one",
     .action = HEDGE("retry_on: 5xx"),
     .send = {POST "hello", GET},
     .answer = {OK},
     .silent = 1,
     .retries = 3,
     .expect = {HELLO, HELLO}},
    {.name = "one attempt is late, the next is bad",
     .action = HEDGE("retry_on: 5xx"),
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\nx-a: b\r\n\r\n"},
     .answer = {OK},
     .silent = 1,
     .fails = 2,
     .retries = 3,
     .expect = {HELLO}},
    {.name = "all attempts are late",
     .action = HEDGE("retry_on: 5xx"),
     .send = {POST "hello"},
     .origin = SIM_ORIGIN_SILENT,
     .retries = 3,
     .expect = {{504, "upstream request timeout", false}}},
    {.name = "large upload is tried again",
     .action = RETRY("retry_on: 5xx"),
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .answer = {OK},
     .fails = 2,
     .retries = 2,
     .expect = {HELLO},
     .setup = much_is_kept},
    {.name = "too large to be tried again",
     .action = RETRY("retry_on: retriable-status-codes, retriable_status_codes: [503]"),
     .send = {"POST /s HTTP/1.1\r\nhost: a\r\ncontent-length: " LARGE_TEXT "\r\n\r\n"},
     .upload = LARGE,
     .answer = {OK},
     .fails = 1,
     .expect = {{503, "broken", false}}},
    {.name = "filter answers",
     .send = {POST "hello"},
     .reply_at = 1,
     .expect = {{403, "no", false}}},
    {.name = "filter answers in the body",
     .send = {CHUNKED "5\r\nhello\r\n", "0\r\n\r\n"},
     .answer = {OK},
     .reply_at = 2,
     .expect = {{403, "no", false}}},
    {.name = "filter answers for the origin",
     .send = {GET},
     .answer = {OK},
     .reply_at = 4,
     .expect = {{403, "no", false}}},
    /* "" lets a client of HTTP/2 hear that extended CONNECT is taken. */
    {.name = "upgrade",
     .action = UPGRADES,
     .send = {"", UPGRADE, "to", "gether"},
     .answer = {SWITCH, "hel", "lo"},
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .expect = {{101, "hello", false}}},
    {.name = "upgrade with early bytes",
     .action = UPGRADES,
     .send = {"", UPGRADE "ear", "ly"},
     .answer = {SWITCH "first", "hello"},
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .expect = {{101, "firsthello", false}}},
    {.name = "upgrade, large both ways",
     .action = UPGRADES,
     .send = {"", UPGRADE},
     .upload = LARGE,
     .answer = {SWITCH},
     .download = LARGE,
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .expect = {{101, NULL, false}}},
    {.name = "upgrade that is paused",
     .action = UPGRADES,
     .send = {"", UPGRADE "ear", "ly"},
     .answer = {SWITCH, "hello"},
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .gate = {FILTER_PAUSE, [3] = FILTER_PAUSE},
     .expect = {{101, "hello", false}}},
    {.name = "upgrade that is refused",
     .action = UPGRADES,
     .send = {"", UPGRADE},
     .answer = {"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno"},
     .origin = SIM_ORIGIN_TUNNEL,
     .expect = {{403, "no", false}}},
    {.name = "CONNECT",
     .match = CONNECTS,
     .action = CONNECT_TO(""),
     .send = {"", CONNECT, "to", "gether"},
     .answer = {"HTTP/1.1 200 OK\r\n\r\n", "hel", "lo"},
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .expect = {HELLO}},
    {.name = "CONNECT with early bytes",
     .match = CONNECTS,
     .action = CONNECT_TO(""),
     .send = {"", CONNECT "ear", "ly"},
     .answer = {"HTTP/1.1 200 OK\r\n\r\n", "hello"},
     .origin = SIM_ORIGIN_TUNNEL,
     .origin_closes = true,
     .expect = {HELLO}},
    {.name = "CONNECT that ends here",
     .h1_origin = true,
     .match = CONNECTS,
     .action = CONNECT_TO(", connect_config: {}"),
     .send = {"", CONNECT "ear", "ly"},
     .answer = {"", "hel", "lo"},
     .origin = SIM_ORIGIN_TCP,
     .origin_closes = true,
     .expect = {HELLO}},
    {.name = "CONNECT that ends here, large both ways",
     .h1_origin = true,
     .match = CONNECTS,
     .action = CONNECT_TO(", connect_config: {}"),
     .send = {"", CONNECT},
     .upload = LARGE,
     .answer = {""},
     .download = LARGE,
     .origin = SIM_ORIGIN_TCP,
     .origin_closes = true,
     .expect = {{200, NULL, false}}},
    {.name = "POST that ends here",
     .h1_origin = true,
     .action = CONNECT_TO(", connect_config: {allow_post: true}"),
     .send = {POST "he", "llo"},
     .answer = {"", "hel", "lo"},
     .origin = SIM_ORIGIN_TCP,
     .origin_closes = true,
     .expect = {HELLO}},
};
const unsigned sim_n_scenarios = sizeof(sim_scenarios) / sizeof(sim_scenarios[0]);
