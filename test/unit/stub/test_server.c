/* The gRPC server with a real client on loopback: streams, statuses, faults, large messages. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "encode.h"
#include "hub.h"
#include "print.h"
#include "server.h"

#define ADS "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
#define CDS "type.googleapis.com/envoy.config.cluster.v3.Cluster"

static struct hub hub;
static struct server *server;
static grpc_completion_queue *queue;
static grpc_channel *channel;
static grpc_call *call;
static char *status_text;

/* --- a client that waits for every step --- */

static void finish(const grpc_op *ops, size_t count)
{
    gpr_timespec limit =
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_seconds(20, GPR_TIMESPAN));

    ck_assert_int_eq(grpc_call_start_batch(call, ops, count, call, NULL), GRPC_CALL_OK);
    ck_assert_int_eq(grpc_completion_queue_pluck(queue, call, limit, NULL).type, GRPC_OP_COMPLETE);
}

static void open_call(const char *method)
{
    grpc_slice path = grpc_slice_from_copied_string(method);
    grpc_op ops[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    grpc_metadata_array headers;

    grpc_metadata_array_init(&headers);
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &headers;
    call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, path, NULL,
                                    gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_slice_unref(path);
    finish(ops, 2);
    grpc_metadata_array_destroy(&headers);
}

static void send_bytes(const struct text *bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(text_str(bytes), bytes->len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    op.data.send_message.send_message = buffer;
    finish(&op, 1);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(slice);
}

/* A DiscoveryRequest of node n1. */
static void request(const char *type_url, const char *version, const char *nonce)
{
    struct text bytes = {0};

    wire_bytes(&bytes, 1, version, strlen(version));
    wire_bytes(&bytes, 2, "\x0a\x02n1", 4);
    wire_bytes(&bytes, 4, type_url, strlen(type_url));
    wire_bytes(&bytes, 5, nonce, strlen(nonce));
    send_bytes(&bytes);
    text_fini(&bytes);
}

/* The next response's bytes; nothing at the end of the stream. */
static void receive(struct text *out)
{
    grpc_byte_buffer *buffer = NULL;
    grpc_byte_buffer_reader reader;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    grpc_slice all;

    op.data.recv_message.recv_message = &buffer;
    finish(&op, 1);
    if (!buffer)
        return;
    ck_assert(grpc_byte_buffer_reader_init(&reader, buffer));
    all = grpc_byte_buffer_reader_readall(&reader);
    text_add(out, GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(buffer);
}

static char *field(const struct text *message, unsigned number)
{
    const char *at = message->data;
    size_t left = message->len;
    struct wire_field w;

    while (wire_next(&at, &left, &w))
        if (w.number == number && w.data)
            return mem_bytes(w.data, w.len);
    return mem_string("");
}

static size_t count(const struct text *message, unsigned number)
{
    const char *at = message->data;
    size_t left = message->len, n = 0;
    struct wire_field w;

    while (wire_next(&at, &left, &w))
        n += w.number == number;
    return n;
}

static int status(void)
{
    grpc_metadata_array trailers;
    grpc_status_code code = GRPC_STATUS_OK;
    grpc_slice details = grpc_empty_slice();
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

    grpc_metadata_array_init(&trailers);
    op.data.recv_status_on_client.trailing_metadata = &trailers;
    op.data.recv_status_on_client.status = &code;
    op.data.recv_status_on_client.status_details = &details;
    finish(&op, 1);
    free(status_text);
    status_text = mem_bytes(GRPC_SLICE_START_PTR(details), GRPC_SLICE_LENGTH(details));
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&trailers);
    return (int)code;
}

static void close_call(void)
{
    if (call) {
        grpc_call_cancel(call, NULL);
        grpc_call_unref(call);
    }
    call = NULL;
}

/* --- a hub with clusters --- */

static void publish(const char *name, size_t bytes)
{
    struct world *w = mem_zero(sizeof(*w));
    struct resource *r = mem_zero(sizeof(*r));
    struct resource_array all = {0};
    const struct resource_array *arrays[] = {&all};

    r->refs = 1;
    r->type_url = mem_string(CDS);
    r->name = mem_string(name);
    r->value = mem_zero(bytes + 1);
    r->len = bytes;
    r->origin = mem_string("test");
    r->hash = hash_bytes(HASH_START, name, strlen(name)) + bytes;
    resource_array_add(&all, r);
    snapshot_build(&w->shared, arrays, 1, NULL);
    resource_array_fini(&all);
    hub_lock(&hub);
    hub_publish(&hub, &w);
    hub_unlock(&hub);
}

static void start(void)
{
    char *listen[] = {(char *)"127.0.0.1:0"};
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH};
    grpc_channel_args args = {1, &arg};
    grpc_channel_credentials *plain;
    struct text address = {0};
    struct error err = {0};

    arg.value.integer = -1;
    hub_init(&hub, NULL);
    hub.identifier = "me";
    ck_assert(server_start(&server, &hub, listen, 1, 0, &err));
    publish("a", 10);
    grpc_init();
    queue = grpc_completion_queue_create_for_pluck(NULL);
    plain = grpc_insecure_credentials_create();
    text_printf(&address, "127.0.0.1:%d", server_port(server));
    channel = grpc_channel_create(text_str(&address), plain, &args);
    grpc_channel_credentials_release(plain);
    text_fini(&address);
}

static void tidy(void)
{
    close_call();
    grpc_channel_destroy(channel);
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
    server_stop(&server);
    hub_fini(&hub);
    free(status_text);
    status_text = NULL;
    grpc_shutdown_blocking();
}

/* Receive one response, acknowledge it, and return how many resources it had. */
static size_t take(void)
{
    struct text got = {0};
    char *version, *nonce;
    size_t n;

    receive(&got);
    ck_assert(got.len > 0);
    version = field(&got, 1);
    nonce = field(&got, 5);
    n = count(&got, 2);
    request(CDS, version, nonce);
    free(version);
    free(nonce);
    text_fini(&got);
    return n;
}

START_TEST(a_stream_is_served)
{
    struct text got = {0};
    char *control_plane;

    open_call(ADS);
    request(CDS, "", "");
    receive(&got);
    ck_assert_uint_eq(count(&got, 2), 1);
    control_plane = field(&got, 6);
    ck_assert_str_eq(control_plane, "\x0a\x02me");
    free(control_plane);
    text_fini(&got);
    publish("b", 3);
    ck_assert_uint_eq(take(), 1);
}
END_TEST

START_TEST(a_stream_of_one_type_needs_no_type)
{
    open_call("/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters");
    request("", "", "");
    ck_assert_uint_eq(take(), 1);
}
END_TEST

START_TEST(a_stream_of_one_type_serves_no_other)
{
    open_call("/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes");
    request(CDS, "", "");
    ck_assert_int_eq(status(), GRPC_STATUS_INVALID_ARGUMENT);
    ck_assert_str_eq(status_text, "this service serves "
                                  "type.googleapis.com/envoy.config.route.v3.RouteConfiguration, "
                                  "not type.googleapis.com/envoy.config.cluster.v3.Cluster");
}
END_TEST

START_TEST(other_methods_are_not_implemented)
{
    open_call("/a.b/StreamNothing");
    ck_assert_int_eq(status(), GRPC_STATUS_UNIMPLEMENTED);
}
END_TEST

START_TEST(broken_bytes_end_the_stream)
{
    struct text bytes = {0};

    open_call(ADS);
    text_add(&bytes, "\xff\xff\xff", 3);
    send_bytes(&bytes);
    text_fini(&bytes);
    ck_assert_int_eq(status(), GRPC_STATUS_INVALID_ARGUMENT);
}
END_TEST

START_TEST(a_stream_ends_with_the_status_asked_for)
{
    open_call(ADS);
    request(CDS, "", "");
    take();
    hub_lock(&hub);
    hub.transport->end(hub.streams, GRPC_STATUS_UNAVAILABLE, "later");
    hub_unlock(&hub);
    ck_assert_int_eq(status(), GRPC_STATUS_UNAVAILABLE);
    ck_assert_str_eq(status_text, "later");
}
END_TEST

START_TEST(a_held_type_waits)
{
    struct fault *f;

    hub_lock(&hub);
    f = fault_add(&hub.faults);
    f->hold = true;
    hub_unlock(&hub);
    open_call(ADS);
    request(CDS, "", "");
    publish("b", 2);
    hub_lock(&hub);
    fault_remove(&hub.faults, 0);
    hub_kick_all(&hub);
    hub_unlock(&hub);
    ck_assert_uint_eq(take(), 1);
}
END_TEST

START_TEST(a_rule_is_for_the_stream_it_names)
{
    struct session s = {.id = 3, .node_id = (char *)"n1"};
    struct subscription sub = {.type_url = (char *)CDS};
    struct fault *f;

    hub_lock(&hub);
    f = fault_add(&hub.faults);
    f->hold = true;
    f->stream = 3;
    ck_assert_uint_eq(fault_gate(&hub.faults, &s, &sub), UINT64_MAX);
    s.id = 4;
    ck_assert_uint_eq(fault_gate(&hub.faults, &s, &sub), 0);
    fault_remove(&hub.faults, 0);
    hub_unlock(&hub);
}
END_TEST

START_TEST(a_frozen_stream_goes_on_later)
{
    open_call(ADS);
    request(CDS, "", "");
    take();
    hub_lock(&hub);
    hub.streams->frozen = true;
    hub_unlock(&hub);
    publish("b", 2);
    hub_lock(&hub);
    hub.streams->frozen = false;
    hub.transport->resume(hub.streams);
    hub_unlock(&hub);
    ck_assert_uint_eq(take(), 1);
}
END_TEST

START_TEST(messages_have_no_limit)
{
    publish("big", 64 << 20);
    open_call(ADS);
    request(CDS, "", "");
    ck_assert_uint_eq(take(), 1);
}
END_TEST

START_TEST(a_client_may_leave_at_any_time)
{
    for (int i = 0; i < 20; i++) {
        open_call(ADS);
        if (i % 3)
            request(CDS, "", "");
        if (i % 2)
            publish(i % 4 == 1 ? "b" : "c", 100000);
        close_call();
    }
}
END_TEST

START_TEST(a_half_closed_stream_ends_well)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

    open_call(ADS);
    finish(&op, 1);
    ck_assert_int_eq(status(), GRPC_STATUS_OK);
}
END_TEST

START_TEST(an_address_in_use_is_refused)
{
    struct server *second;
    struct text address = {0};
    struct error err = {0};
    char *listen[1];

    text_printf(&address, "127.0.0.1:%d", server_port(server));
    listen[0] = address.data;
    ck_assert(!server_start(&second, &hub, listen, 1, 0, &err));
    error_fini(&err);
    text_fini(&address);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stub/server");
    TCase *tc = tcase_create("streams");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, start, tidy);
    tcase_add_test(tc, a_stream_is_served);
    tcase_add_test(tc, a_stream_of_one_type_needs_no_type);
    tcase_add_test(tc, a_stream_of_one_type_serves_no_other);
    tcase_add_test(tc, other_methods_are_not_implemented);
    tcase_add_test(tc, broken_bytes_end_the_stream);
    tcase_add_test(tc, a_stream_ends_with_the_status_asked_for);
    tcase_add_test(tc, a_held_type_waits);
    tcase_add_test(tc, a_rule_is_for_the_stream_it_names);
    tcase_add_test(tc, a_frozen_stream_goes_on_later);
    tcase_add_test(tc, messages_have_no_limit);
    tcase_add_test(tc, a_client_may_leave_at_any_time);
    tcase_add_test(tc, a_half_closed_stream_ends_well);
    tcase_add_test(tc, an_address_in_use_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
