/* The example filter of docs/adding-a-filter.md: decoding, and whole requests through it. */
#include "config/route.h"
#include "config/wire.h"
#include "filters.h"
#include "filters/http/example/example.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;
static struct client c;

static struct example_config *decode(struct bytes wire, struct error *err)
{
    struct filter_context ctx = {.arena = lb.manager->node.arena};
    return example_filter.factory.config_new(&ctx, wire, err);
}

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&example_filter, &origin_filter};
    struct error err = ERROR_INIT;
    loopback_init(&lb, filters, 2);
    lb.manager->filters[0].config = decode(BYTES("\x0a\x05world"), &err);
    ck_assert_ptr_nonnull(lb.manager->filters[0].config);
    client_connect(&c, &lb);
}

static void tear_down(void)
{
    client_fini(&c);
    loopback_fini(&lb);
    origin_reset();
}

START_TEST(test_adds_its_header)
{
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(client_take(&c), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-example: world\r\n"
                                      "server: envoy\r\n\r\nhello");
}
END_TEST

START_TEST(test_remembers_the_request)
{
    client_send(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "x-example-body: true\r\n"));
}
END_TEST

START_TEST(test_refused_values)
{
    static const struct {
        struct bytes wire;
        const char *text;
    } rows[] = {
        {{"\x0a", 1}, "the bytes are not a StringValue message"},
        {{"", 0}, "value: must be 1 to 256 printable bytes"},
        {{"\x0a\x03x\r\n", 5}, "value: must be 1 to 256 printable bytes"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = ERROR_INIT;
        ck_assert_ptr_null(decode(rows[i].wire, &err));
        ck_assert_str_eq(error_text(&err), rows[i].text);
        error_fini(&err);
    }
}
END_TEST

/* RouteConfiguration with one route "/" whose typed_per_filter_config gives another value. */
static void route_wire(struct strbuf *out)
{
    struct strbuf any = STRBUF_INIT, entry = STRBUF_INIT, route = STRBUF_INIT, vhost = STRBUF_INIT;
    wire_put_bytes(&any, 1, BYTES("type.googleapis.com/google.protobuf.StringValue"));
    wire_put_bytes(&any, 2, BYTES("\x0a\x05route"));
    wire_put_bytes(&entry, 1, bytes_of(example_filter.factory.name));
    wire_put_bytes(&entry, 2, strbuf_bytes(&any));
    wire_put_bytes(&route, 1, BYTES("\x0a\x01/"));
    wire_put_bytes(&route, 7, BYTES("\x08\xc8\x01"));
    wire_put_bytes(&route, 13, strbuf_bytes(&entry));
    wire_put_bytes(&vhost, 1, BYTES("v"));
    wire_put_bytes(&vhost, 2, BYTES("*"));
    wire_put_bytes(&vhost, 3, strbuf_bytes(&route));
    wire_put_bytes(out, 1, BYTES("r"));
    wire_put_bytes(out, 2, strbuf_bytes(&vhost));
    strbuf_fini(&any);
    strbuf_fini(&entry);
    strbuf_fini(&route);
    strbuf_fini(&vhost);
}

START_TEST(test_route_chooses_another_value)
{
    static const struct filter_factory *const list[] = {&example_filter.factory};
    static const struct filter_registry registry = {.http = list, .n_http = 1};
    struct filter_context filters = {.arena = lb.manager->node.arena, .stats = lb.stats};
    struct route_decode_context ctx = {.filters = &filters, .registry = &registry};
    struct strbuf wire = STRBUF_INIT;
    struct error err = ERROR_INIT;
    route_wire(&wire);
    struct route_config *routes = route_config_decode(&ctx, strbuf_bytes(&wire), NULL, &err);
    ck_assert_msg(routes != NULL, "%s", error_text(&err));
    lb.binding->routes = routes;
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "x-example: route\r\n"));
    lb.binding->routes = NULL;
    NODE_UNREF(&routes);
    strbuf_fini(&wire);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("example");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_adds_its_header);
    tcase_add_test(t, test_remembers_the_request);
    tcase_add_test(t, test_refused_values);
    tcase_add_test(t, test_route_chooses_another_value);
    return run_suite(t);
}
