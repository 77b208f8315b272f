/* Security catalogue 3.4: a stream may end at every point where a filter is called or waits, and a
 * chain or manager may go while streams run. Meant to run under AddressSanitizer. */
#include "filters.h"
#include "loopback.h"
#include "suite.h"

static struct loopback lb;

static void set_up(void)
{
    static const struct http_filter_ops *const filters[] = {&probe_filter, &probe_filter,
                                                            &origin_filter};
    probe_reset();
    loopback_init(&lb, filters, 3);
}

static void tear_down(void)
{
    loopback_fini(&lb);
    origin_reset();
}

#define FULL                                                                                       \
    "POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"                     \
    "5\r\nhello\r\n0\r\nx: y\r\n\r\n"

START_TEST(test_e_2026_26311_reset_in_every_hook)
{
    for (int hook = 0; hook < PROBE_HOOKS; hook++) {
        for (unsigned step = 1; step < 40; step += 7) {
            struct client c;
            client_connect(&c, &lb);
            unsigned before = probe.destroyed;
            probe.reset_at[hook] = true;
            for (struct bytes rest = BYTES(FULL); rest.len && c.connection;) {
                struct bytes part = bytes_first(rest, step);
                rest = bytes_skip(rest, part.len);
                connection_write_bytes(c.connection, part);
                loopback_run(&lb);
            }
            ck_assert_uint_eq(probe.destroyed, before + 2);
            probe.reset_at[hook] = false;
            client_fini(&c);
            loopback_advance(&lb, 2000);
            ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
        }
    }
}
END_TEST

START_TEST(test_disconnect_while_paused_in_every_hook)
{
    for (int hook = 0; hook < PROBE_HOOKS; hook++) {
        for (int status = FILTER_PAUSE; status <= FILTER_TAKEN; status++) {
            struct client c;
            client_connect(&c, &lb);
            probe.status[hook] = (enum filter_status)status;
            client_send(&c, FULL);
            client_fini(&c);
            loopback_advance(&lb, 305000); /* reading is paused: only a timer can notice */
            probe.status[hook] = FILTER_CONTINUE;
            ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 0);
        }
    }
    ck_assert_uint_le(origin.begun, origin.destroyed);
}
END_TEST

START_TEST(test_disconnect_after_every_byte)
{
    for (size_t n = 1; n < sizeof(FULL); n++) {
        struct client c;
        client_connect(&c, &lb);
        connection_write_bytes(c.connection, bytes_from(FULL, n));
        loopback_run(&lb);
        client_fini(&c);
        loopback_advance(&lb, 2000);
        ck_assert_uint_eq(http_conn_list_count(&lb.worker), 0);
    }
}
END_TEST

START_TEST(test_timeout_while_paused_in_every_hook)
{
    lb.manager->stream_idle_timeout_ms = 100;
    for (int hook = 0; hook < PROBE_HOOKS; hook++) {
        struct client c;
        client_connect(&c, &lb);
        probe.status[hook] = FILTER_PAUSE;
        client_send(&c, FULL);
        probe.status[hook] = FILTER_CONTINUE;
        loopback_advance(&lb, 5000);
        ck_assert_uint_eq(http_conn_list_active_requests(&lb.worker), 0);
        client_fini(&c);
    }
}
END_TEST

START_TEST(test_handle_goes_stale)
{
    struct client c;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    struct stream_handle h = stream_handle_of(origin.filter->stream);
    ck_assert_ptr_nonnull(stream_from_handle(h));
    client_fini(&c);
    ck_assert_ptr_null(stream_from_handle(h));
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_null(stream_from_handle(h));
    client_fini(&c);
}
END_TEST

START_TEST(test_http_change_closes_nothing)
{
    struct client c;
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, "key");
    ck_assert_ptr_eq(c.server->binding, lb.binding);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
    client_take(&c);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_null(strstr(client_take(&c), "connection: close"));
    ck_assert(!c.ended);
    client_fini(&c);
}
END_TEST

/* The new manager counts elsewhere: the old listener statistics stay while a stream writes them. */
START_TEST(test_manager_replaced_in_flight)
{
    struct client c;
    client_connect(&c, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, "key");
    ck_assert_ptr_eq(c.server->binding, lb.binding);
    struct stat_scope *other =
        stat_scope_get(lb.stats, BYTES("listener.l.http.other"), &listener_http_stat_schema);
    struct stat_scope *before = lb.binding->listener_http_stats;
    lb.binding->listener_http_stats = other;
    stat_scope_unref(&before);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
    node_reap();
    origin_answer("200", "hello", true);
    loopback_run(&lb);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "200 OK"));
    client_fini(&c);
}
END_TEST

START_TEST(test_chain_gone_drains)
{
    struct client c, idle;
    client_connect(&c, &lb);
    client_connect(&idle, &lb);
    client_send(&c, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, "other key");
    ck_assert_uint_eq(http_conn_list_drain_gone(&lb.worker), 2);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
    node_reap();
    origin_answer("200", "hello", true);
    loopback_run(&lb);
    ck_assert_ptr_nonnull(strstr(client_take(&c), "connection: close"));
    ck_assert(c.ended);
    ck_assert(!idle.ended);
    client_send(&idle, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&idle), "connection: close"));
    client_fini(&c);
    client_fini(&idle);
}
END_TEST

START_TEST(test_listener_gone_closes_after_drain_time)
{
    struct client c;
    client_connect(&c, &lb);
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, NULL);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
    ck_assert(!c.ended);
    ck_assert_uint_eq(http_conn_list_close_gone(&lb.worker), 0);
    loopback_run(&lb);
    ck_assert(c.ended);
    client_fini(&c);
}
END_TEST

static void swap_chain(const char *key)
{
    struct chain_binding *old = lb.binding;
    struct filter_chain *chain = (struct filter_chain *)old->chain;
    loopback_swap(&lb, key);
    NODE_UNREF(&chain);
    NODE_UNREF(&old);
}

/* Connections of before are held to what the new manager demands, at their next request, and live
 * as long as it lets them. */
START_TEST(test_new_manager_binds_open_connections)
{
    struct client c;
    struct http_manager *old = lb.manager;
    client_connect(&c, &lb);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\nx_a: 1\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "200 OK"));
    struct http_manager *next = node_new(NODE_HTTP_MANAGER, sizeof(*next), 0, NULL);
    struct node node = next->node;
    *next = *old;
    next->node = node;
    node_make_pinnable(&next->node);
    next->accept_http_10 = true;
    next->default_host_for_http_10 = BYTES("default");
    next->underscores = UNDERSCORES_REJECT;
    next->max_connection_duration_ms = 60000;
    loopback_advance(&lb, 10000);
    lb.manager = next;
    swap_chain("key");
    client_send(&c, "GET /ok HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "200 OK"));
    loopback_advance(&lb, 49000);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_MAX_DURATION_REACHED), 0);
    loopback_advance(&lb, 1001);
    ck_assert_uint_eq(loopback_stat(&lb, STAT_HTTP_DOWNSTREAM_CX_MAX_DURATION_REACHED), 1);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\nx_a: 1\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "400 Bad Request"));
    client_fini(&c);
    loopback_run(&lb);
    lb.manager = old;
    swap_chain("key");
    NODE_UNREF(&next);
}
END_TEST

/* One that goes while another drains gets its whole time all the same. */
START_TEST(test_each_chain_drains_for_its_time)
{
    struct client first, second;
    lb.worker.drain.time_ms = 1000;
    client_connect(&first, &lb);
    swap_chain("second");
    client_connect(&second, &lb);
    loopback_advance(&lb, 600);
    swap_chain("third");
    ck_assert_uint_eq(http_conn_list_close_gone(&lb.worker), 400);
    loopback_advance(&lb, 400);
    ck_assert_uint_eq(http_conn_list_close_gone(&lb.worker), 600);
    loopback_run(&lb);
    ck_assert(first.ended);
    ck_assert(!second.ended);
    loopback_advance(&lb, 600);
    ck_assert_uint_eq(http_conn_list_close_gone(&lb.worker), 0);
    loopback_run(&lb);
    ck_assert(second.ended);
    client_fini(&first);
    client_fini(&second);
}
END_TEST

static bool says_close(struct client *c)
{
    client_send(c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    return strstr(client_take(c), "connection: close") != NULL;
}

/* Nobody at its start, everybody at its end, some of those in between. */
START_TEST(test_drain_is_gradual)
{
    enum { CLIENTS = 64 };
    static struct client clients[CLIENTS];
    unsigned closed = 0;
    lb.worker.drain =
        (struct worker_drain){.time_ms = 1000, .begun = true, .begun_ns = loop_now_ns(lb.loop)};
    for (unsigned i = 0; i < CLIENTS; i++) {
        client_connect(&clients[i], &lb);
        ck_assert(!says_close(&clients[i]));
    }
    loopback_advance(&lb, 500);
    for (unsigned i = 0; i < CLIENTS; i++)
        closed += says_close(&clients[i]);
    ck_assert_uint_gt(closed, 0);
    ck_assert_uint_lt(closed, CLIENTS);
    loopback_advance(&lb, 500);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ck_assert(clients[i].ended || says_close(&clients[i]));
        client_fini(&clients[i]);
    }
}
END_TEST

START_TEST(test_drain_at_once)
{
    struct client c;
    lb.worker.drain = (struct worker_drain){
        .time_ms = 1000, .begun = true, .begun_ns = loop_now_ns(lb.loop), .immediately = true};
    client_connect(&c, &lb);
    ck_assert(says_close(&c));
    client_fini(&c);
}
END_TEST

START_TEST(test_failed_health_closes)
{
    struct client c;
    lb.worker.drain = (struct worker_drain){.time_ms = 1000, .health_failed = true};
    client_connect(&c, &lb);
    ck_assert(says_close(&c));
    client_fini(&c);
}
END_TEST

START_TEST(test_inbound_drain_leaves_others)
{
    struct client c;
    client_connect(&c, &lb);
    lb.worker.drain = (struct worker_drain){.begun = true, .inbound_only = true};
    ck_assert(!says_close(&c));
    lb.worker.drain.inbound_only = false;
    ck_assert(says_close(&c));
    client_fini(&c);
}
END_TEST

START_TEST(test_process_drain)
{
    struct client c;
    client_connect(&c, &lb);
    lb.worker.drain.begun = true;
    ck_assert_uint_eq(http_conn_list_count(&lb.worker), 1);
    client_send(&c, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_ptr_nonnull(strstr(client_take(&c), "connection: close"));
    client_fini(&c);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("lifetime");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_e_2026_26311_reset_in_every_hook);
    tcase_add_test(t, test_disconnect_while_paused_in_every_hook);
    tcase_add_test(t, test_disconnect_after_every_byte);
    tcase_add_test(t, test_timeout_while_paused_in_every_hook);
    tcase_add_test(t, test_handle_goes_stale);
    tcase_add_test(t, test_http_change_closes_nothing);
    tcase_add_test(t, test_manager_replaced_in_flight);
    tcase_add_test(t, test_new_manager_binds_open_connections);
    tcase_add_test(t, test_chain_gone_drains);
    tcase_add_test(t, test_listener_gone_closes_after_drain_time);
    tcase_add_test(t, test_each_chain_drains_for_its_time);
    tcase_add_test(t, test_drain_is_gradual);
    tcase_add_test(t, test_drain_at_once);
    tcase_add_test(t, test_failed_health_closes);
    tcase_add_test(t, test_inbound_drain_leaves_others);
    tcase_add_test(t, test_process_drain);
    return run_suite(t);
}
