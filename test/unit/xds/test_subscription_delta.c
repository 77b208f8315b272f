/* The incremental dialect alone, rule by rule (docs/rules.md): what it says, when, and how. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/wire.h"
#include "xds/subscription.h"

static const char cds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
static const char eds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

static struct subscription sub;
static struct strbuf request, text;

static void begin(const char *type, bool wildcard)
{
    subscription_init(&sub, type, wildcard, true);
    subscription_stream_opened(&sub);
}

static void end(void)
{
    subscription_fini(&sub);
    strbuf_fini(&request);
    strbuf_fini(&text);
}

static void hold_two(void *ctx, subscription_held_fn *fn, void *arg)
{
    ck_assert_ptr_null(ctx);
    fn(arg, BYTES("h1"), BYTES("7"));
    fn(arg, BYTES("h2"), BYTES(""));
}

/* The due request: "node=N +a +b -c h1=7 nonce=n error=13:text"; "" when nothing is due. */
static const char *said(void)
{
    static const struct subscription_held held = {hold_two, NULL};
    static const char *const words[] = {[1] = "node=", [3] = "+", [4] = "-", [6] = "nonce="};
    struct wire_field f;
    strbuf_reset(&request);
    strbuf_reset(&text);
    strbuf_add_str(&text, "");
    if (!subscription_due(&sub))
        return "";
    subscription_take(&sub, BYTES_NONE, &held, &request);
    struct bytes rest = strbuf_bytes(&request);
    while (wire_next(&rest, &f)) {
        ck_assert_int_eq(f.type, WIRE_BYTES);
        if (f.number == 2) {
            ck_assert(bytes_eq_str(f.bytes, sub.type_url));
            continue;
        }
        strbuf_add_str(&text, text.len ? " " : "");
        if (f.number == 5)
            strbuf_printf(&text, "%.*s=%.*s", BYTES_ARG(wire_find_bytes(f.bytes, 1)),
                          BYTES_ARG(wire_find_bytes(f.bytes, 2)));
        else if (f.number == 7)
            strbuf_printf(&text, "error=%d:%.*s", (int)wire_find_varint(f.bytes, 1, 0),
                          BYTES_ARG(wire_find_bytes(f.bytes, 2)));
        else
            strbuf_printf(&text, "%s%.*s", words[f.number], BYTES_ARG(f.bytes));
    }
    ck_assert_uint_eq(rest.len, 0);
    return text.len ? strbuf_str(&text) : "empty";
}

#define ck_said(s) ck_assert_str_eq(said(), s)

static void want(const char *name)
{
    subscription_want(&sub, bytes_of(name));
}

static void unwant(const char *name)
{
    subscription_unwant(&sub, bytes_of(name));
}

static void answer(const char *nonce, const char *error)
{
    subscription_answer(&sub, BYTES("system"), bytes_of(nonce), error);
}

START_TEST(test_D02_D03_the_first_request_tells_what_is_wanted_and_held)
{
    begin(eds, false);
    ck_said(""); /* W07: nothing is wanted yet */
    want("b");
    want("a");
    ck_said("+a +b h1=7 h2=");
    ck_said("");
    want("c");
    ck_said("+c");
    end();
}
END_TEST

START_TEST(test_W06_all_is_an_empty_first_list)
{
    begin(cds, true);
    want("*");
    ck_said("h1=7 h2=");
    want("A");
    ck_said("+A");
    unwant("*");
    ck_said("-*");
    unwant("A");
    ck_said("-A");
    ck_said("");
    end();
}
END_TEST

START_TEST(test_W06_all_and_more_are_named)
{
    begin(cds, true);
    want("*");
    want("A");
    ck_said("+* +A h1=7 h2=");
    end();
    begin(eds, false); /* of another type, all has a name */
    want("*");
    ck_said("+* h1=7 h2=");
    end();
}
END_TEST

START_TEST(test_D01_an_answer_and_a_change_are_two_requests)
{
    begin(eds, false);
    want("a");
    ck_said("+a h1=7 h2=");
    want("b");
    answer("n1", NULL);
    ck_said("nonce=n1");
    ck_said("+b");
    answer("n2", "bad");
    unwant("b");
    ck_said("nonce=n2 error=13:bad");
    ck_said("-b");
    ck_said("");
    answer("n3", NULL); /* A04: an error is told once */
    ck_said("nonce=n3");
    end();
}
END_TEST

START_TEST(test_A14_a_held_answer_lets_the_names_pass)
{
    begin(eds, false);
    want("a");
    ck_said("+a h1=7 h2=");
    answer("n1", "bad");
    subscription_hold_answer(&sub);
    ck_said("");
    want("b");
    ck_said("+b");
    ck_said("");
    subscription_let_answer_go(&sub);
    ck_said("nonce=n1 error=13:bad");
    ck_said("");
    end();
}
END_TEST

START_TEST(test_D07_a_name_wanted_again_is_said_again)
{
    begin(eds, false);
    want("a");
    want("b");
    ck_said("+a +b h1=7 h2=");
    unwant("a");
    want("a");
    ck_said("+a");
    unwant("a");
    want("a");
    unwant("a"); /* the server still thinks that it is wanted */
    ck_said("-a");
    ck_said("");
    end();
}
END_TEST

START_TEST(test_D09_all_is_given_up_and_asked_for_again)
{
    begin(cds, true);
    want("*");
    ck_said("h1=7 h2=");
    unwant("*");
    ck_assert(!subscription_is_wildcard(&sub));
    ck_said("-*");
    ck_said("");
    want("*");
    ck_said("+*"); /* an empty list means all in a first request alone */
    unwant("*");
    want("*");
    ck_said("+*");
    unwant("*");
    subscription_stream_closed(&sub);
    subscription_stream_opened(&sub);
    ck_said("");
    end();
}
END_TEST

START_TEST(test_D10_what_was_never_said_is_not_unsubscribed)
{
    begin(eds, false);
    want("a");
    ck_said("+a h1=7 h2=");
    want("b");
    unwant("b");
    ck_said("");
    unwant("c");
    ck_said("");
    end();
}
END_TEST

START_TEST(test_D15_T04_a_new_stream_says_all_names_and_no_version)
{
    begin(eds, false);
    want("a");
    want("b");
    ck_said("+a +b h1=7 h2=");
    answer("n1", NULL);
    unwant("b");
    subscription_stream_closed(&sub);
    ck_said("");
    subscription_stream_opened(&sub);
    ck_said("+a h1=7 h2=");
    ck_said("");
    end();
}
END_TEST

START_TEST(test_M13_a_paused_type_says_nothing)
{
    begin(eds, false);
    want("a");
    ck_said("+a h1=7 h2=");
    subscription_pause(&sub);
    answer("n1", NULL);
    want("b");
    ck_said("");
    subscription_resume(&sub);
    ck_said("nonce=n1");
    ck_said("+b");
    end();
}
END_TEST

START_TEST(test_a_stream_of_its_own_may_want_nothing_any_more)
{
    begin(eds, false);
    want("a");
    ck_said("+a h1=7 h2=");
    unwant("a");
    ck_assert(subscription_active(&sub));
    ck_said("-a");
    subscription_stream_closed(&sub);
    subscription_stream_opened(&sub);
    ck_said("");
    ck_assert(!subscription_active(&sub));
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("subscription_delta");
    TCase *t = tcase_create("rules");
    tcase_add_test(t, test_D02_D03_the_first_request_tells_what_is_wanted_and_held);
    tcase_add_test(t, test_W06_all_is_an_empty_first_list);
    tcase_add_test(t, test_W06_all_and_more_are_named);
    tcase_add_test(t, test_D01_an_answer_and_a_change_are_two_requests);
    tcase_add_test(t, test_A14_a_held_answer_lets_the_names_pass);
    tcase_add_test(t, test_D07_a_name_wanted_again_is_said_again);
    tcase_add_test(t, test_D09_all_is_given_up_and_asked_for_again);
    tcase_add_test(t, test_D10_what_was_never_said_is_not_unsubscribed);
    tcase_add_test(t, test_D15_T04_a_new_stream_says_all_names_and_no_version);
    tcase_add_test(t, test_M13_a_paused_type_says_nothing);
    tcase_add_test(t, test_a_stream_of_its_own_may_want_nothing_any_more);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
