/* The subscription machine alone, rule by rule (docs/rules.md): what it says, when, and how. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/wire.h"
#include "xds/subscription.h"

enum { VERSION = 1, NODE = 2, NAMES = 3, TYPE = 4, NONCE = 5, ERROR = 6 };

static const char cds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
static const char eds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

static struct subscription sub;
static struct strbuf request;

static void begin(const char *type, bool wildcard)
{
    subscription_init(&sub, type, wildcard, false);
    strbuf_reset(&request);
}

static void end(void)
{
    subscription_fini(&sub);
    strbuf_fini(&request);
}

/* Takes the due request; its fields are then read by text(). */
static void take(struct bytes node)
{
    ck_assert(subscription_due(&sub));
    strbuf_reset(&request);
    subscription_take(&sub, node, NULL, &request);
    ck_assert(!subscription_due(&sub));
}

static struct bytes text(uint32_t field)
{
    struct bytes b = wire_find_bytes(strbuf_bytes(&request), field);
    return b.data ? b : BYTES("");
}

/* The names of the request, joined with ",". */
static const char *names(void)
{
    static char all[256];
    struct bytes rest = strbuf_bytes(&request);
    struct wire_field f;
    all[0] = '\0';
    while (wire_next(&rest, &f)) {
        if (f.number != NAMES)
            continue;
        if (all[0])
            strcat(all, ",");
        strncat(all, f.bytes.data, f.bytes.len);
    }
    return all;
}

#define ck_bytes(b, s) ck_assert_msg(bytes_eq_str((b), (s)), "'%.*s'", BYTES_ARG(b))

START_TEST(test_S02_first_request_has_neither_version_nor_nonce)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    ck_assert(!subscription_due(&sub)); /* no stream yet */
    subscription_stream_opened(&sub);
    take(BYTES("node"));
    ck_bytes(text(VERSION), "");
    ck_bytes(text(NONCE), "");
    ck_bytes(text(TYPE), cds);
    ck_bytes(text(NODE), "node");
    end();
}
END_TEST

START_TEST(test_S03_every_later_request_has_the_newest_nonce)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), NULL);
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n1");
    subscription_want(&sub, BYTES("b"));
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n1");
    ck_bytes(text(VERSION), "1");
    ck_assert_str_eq(names(), "a,b");
    end();
}
END_TEST

START_TEST(test_S04_S05_nonce_dies_with_the_stream_and_version_lives)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("7"), BYTES("n7"), NULL);
    take(BYTES_NONE);
    subscription_stream_closed(&sub);
    ck_assert(!subscription_due(&sub));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "");
    ck_bytes(text(VERSION), "7");
    end();
}
END_TEST

START_TEST(test_A01_each_response_is_answered_once)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    ck_assert(!subscription_due(&sub));
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), NULL);
    take(BYTES_NONE);
    ck_bytes(text(VERSION), "1");
    ck_assert(!wire_has(strbuf_bytes(&request), ERROR));
    ck_assert(!subscription_due(&sub));
    end();
}
END_TEST

START_TEST(test_A02_A03_A04_a_nack_keeps_the_version_and_is_said_once)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), NULL);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("2"), BYTES("n2"), "a: why");
    take(BYTES_NONE);
    ck_bytes(text(VERSION), "1");
    ck_bytes(text(NONCE), "n2");
    ck_assert_uint_eq(wire_find_varint(text(ERROR), 1, 0), GRPC_STATUS_INTERNAL);
    ck_bytes(wire_find_bytes(text(ERROR), 2), "a: why");
    subscription_want(&sub, BYTES("b")); /* A04: not repeated */
    take(BYTES_NONE);
    ck_assert(!wire_has(strbuf_bytes(&request), ERROR));
    ck_bytes(text(NONCE), "n2");
    subscription_answer(&sub, BYTES("3"), BYTES("n3"), NULL); /* A03 */
    take(BYTES_NONE);
    ck_bytes(text(VERSION), "3");
    ck_assert(!wire_has(strbuf_bytes(&request), ERROR));
    end();
}
END_TEST

START_TEST(test_A14_a_held_answer_goes_later_or_with_the_names)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), "bad");
    subscription_hold_answer(&sub);
    ck_assert(!subscription_due(&sub));
    subscription_let_answer_go(&sub);
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n1");
    ck_assert(wire_has(strbuf_bytes(&request), ERROR));
    subscription_answer(&sub, BYTES("1"), BYTES("n2"), "bad");
    subscription_hold_answer(&sub);
    subscription_want(&sub, BYTES("b"));
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n2");
    ck_assert(wire_has(strbuf_bytes(&request), ERROR));
    subscription_let_answer_go(&sub);
    ck_assert(!subscription_due(&sub));
    subscription_answer(&sub, BYTES("1"), BYTES("n3"), "bad");
    subscription_hold_answer(&sub);
    subscription_answer(&sub, BYTES("2"), BYTES("n4"), NULL); /* not this one */
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n4");
    ck_assert(!wire_has(strbuf_bytes(&request), ERROR));
    end();
}
END_TEST

START_TEST(test_A02_a_first_nack_has_no_version)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), "bad");
    take(BYTES_NONE);
    ck_bytes(text(VERSION), "");
    ck_bytes(text(NONCE), "n1");
    end();
}
END_TEST

START_TEST(test_A06_a_nack_is_bounded)
{
    static char longer[3 * NACK_TEXT_MAX];
    memset(longer, 'x', sizeof(longer) - 1);
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), longer);
    take(BYTES_NONE);
    ck_assert_uint_eq(wire_find_bytes(text(ERROR), 2).len, NACK_TEXT_MAX);
    end();
}
END_TEST

/* What the server gets of an error. */
static void check_nack(const char *error, const char *nack)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), error);
    take(BYTES_NONE);
    ck_bytes(wire_find_bytes(text(ERROR), 2), nack);
    end();
}

START_TEST(test_A06_a_nack_is_text)
{
    char longest[NACK_TEXT_MAX + 4], most[NACK_TEXT_MAX + 1];
    check_nack("\xc3\xa9 is one, \xff\xfe are none", "\xc3\xa9 is one, \\377\\376 are none");
    check_nack("cut: \xe2\x82", "cut: \\342\\202");
    for (size_t n = 1; n < 3; n++) { /* bytes of the last character that would fit */
        memset(longest, 'x', NACK_TEXT_MAX);
        strcpy(longest + NACK_TEXT_MAX - n, "\xe2\x82\xac");
        snprintf(most, sizeof(most), "%.*s", (int)(NACK_TEXT_MAX - n), longest);
        check_nack(longest, most);
    }
    memset(longest, '\xff', NACK_TEXT_MAX);
    longest[NACK_TEXT_MAX] = '\0';
    for (size_t i = 0; i < NACK_TEXT_MAX; i += 4)
        memcpy(most + i, "\\377", 5);
    check_nack(longest, most);
}
END_TEST

START_TEST(test_W01_W02_each_request_carries_the_full_list)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("b"));
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "a,b");
    subscription_unwant(&sub, BYTES("b"));
    subscription_want(&sub, BYTES("c"));
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "a,c");
    ck_assert(!subscription_want(&sub, BYTES("c"))); /* nothing new: nothing to say */
    ck_assert(!subscription_due(&sub));
    end();
}
END_TEST

/* A change that crosses a response: the older nonce first, then the answer with the full list. */
START_TEST(test_W03_a_change_may_cross_a_response)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), NULL);
    take(BYTES_NONE);
    subscription_want(&sub, BYTES("b")); /* response n2 is under way */
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n1");
    ck_bytes(text(VERSION), "1");
    subscription_answer(&sub, BYTES("2"), BYTES("n2"), NULL);
    take(BYTES_NONE);
    ck_bytes(text(NONCE), "n2");
    ck_bytes(text(VERSION), "2");
    ck_assert_str_eq(names(), "a,b");
    end();
}
END_TEST

START_TEST(test_W04_W05_wildcard_is_empty_first_and_a_star_later)
{
    begin(cds, true);
    subscription_want(&sub, BYTES("*"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "");
    subscription_want(&sub, BYTES("A"));
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "*,A");
    subscription_unwant(&sub, BYTES("A"));
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "*"); /* an empty list would now mean nothing */
    subscription_want(&sub, BYTES("A"));
    subscription_unwant(&sub, BYTES("*"));
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "A");
    subscription_unwant(&sub, BYTES("A"));
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "");
    end();
}
END_TEST

START_TEST(test_W07_no_empty_first_request_of_a_named_type)
{
    begin(eds, false);
    subscription_stream_opened(&sub);
    ck_assert(!subscription_due(&sub));
    subscription_want(&sub, BYTES("a"));
    subscription_unwant(&sub, BYTES("a"));
    ck_assert(!subscription_due(&sub));
    subscription_want(&sub, BYTES("a"));
    take(BYTES_NONE);
    subscription_unwant(&sub, BYTES("a")); /* W08: the unsubscribe is sent */
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "");
    end();
}
END_TEST

START_TEST(test_M13_a_paused_type_says_nothing)
{
    begin(eds, false);
    subscription_stream_opened(&sub);
    subscription_pause(&sub);
    subscription_want(&sub, BYTES("a"));
    subscription_want(&sub, BYTES("b"));
    ck_assert(!subscription_due(&sub));
    subscription_resume(&sub);
    take(BYTES_NONE);
    ck_assert_str_eq(names(), "a,b"); /* once, with the final list */
    end();
}
END_TEST

START_TEST(test_T04_a_new_stream_asks_again)
{
    begin(eds, false);
    subscription_want(&sub, BYTES("a"));
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    subscription_answer(&sub, BYTES("1"), BYTES("n1"), NULL);
    subscription_stream_closed(&sub); /* before the ACK could be sent */
    subscription_stream_opened(&sub);
    take(BYTES_NONE);
    ck_bytes(text(VERSION), "1");
    ck_bytes(text(NONCE), "");
    ck_assert_str_eq(names(), "a");
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("subscription");
    TCase *t = tcase_create("rules");
    tcase_add_test(t, test_S02_first_request_has_neither_version_nor_nonce);
    tcase_add_test(t, test_S03_every_later_request_has_the_newest_nonce);
    tcase_add_test(t, test_S04_S05_nonce_dies_with_the_stream_and_version_lives);
    tcase_add_test(t, test_A01_each_response_is_answered_once);
    tcase_add_test(t, test_A02_A03_A04_a_nack_keeps_the_version_and_is_said_once);
    tcase_add_test(t, test_A14_a_held_answer_goes_later_or_with_the_names);
    tcase_add_test(t, test_A02_a_first_nack_has_no_version);
    tcase_add_test(t, test_A06_a_nack_is_bounded);
    tcase_add_test(t, test_A06_a_nack_is_text);
    tcase_add_test(t, test_W01_W02_each_request_carries_the_full_list);
    tcase_add_test(t, test_W03_a_change_may_cross_a_response);
    tcase_add_test(t, test_W04_W05_wildcard_is_empty_first_and_a_star_later);
    tcase_add_test(t, test_W07_no_empty_first_request_of_a_named_type);
    tcase_add_test(t, test_M13_a_paused_type_says_nothing);
    tcase_add_test(t, test_T04_a_new_stream_asks_again);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
