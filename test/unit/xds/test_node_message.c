/* The Node of every stream. */
#include <check.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/wire.h"
#include "xds/node_message.h"

START_TEST(test_the_command_line_wins_and_the_rest_is_kept)
{
    struct strbuf node = STRBUF_INIT, locality = STRBUF_INIT, out = STRBUF_INIT;
    wire_put_bytes(&node, 1, BYTES("from-file"));
    wire_put_bytes(&node, 2, BYTES("cluster"));
    wire_put_bytes(&node, 3, BYTES("metadata"));
    wire_put_bytes(&locality, 1, BYTES("region"));
    wire_put_bytes(&locality, 2, BYTES("zone"));
    wire_put_bytes(&node, 4, strbuf_bytes(&locality));
    struct node_overrides o = {BYTES("id"), BYTES_NONE, BYTES("b")};
    node_message_build(strbuf_bytes(&node), &o, &out);
    struct bytes m = strbuf_bytes(&out);
    ck_assert(bytes_eq_str(wire_find_bytes(m, 1), "id"));
    ck_assert(bytes_eq_str(wire_find_bytes(m, 2), "cluster"));
    ck_assert(bytes_eq_str(wire_find_bytes(m, 3), "metadata"));
    ck_assert(bytes_eq_str(wire_find_bytes(wire_find_bytes(m, 4), 1), "region"));
    ck_assert(bytes_eq_str(wire_find_bytes(wire_find_bytes(m, 4), 2), "b"));
    ck_assert(bytes_eq_str(wire_find_bytes(m, 6), NODE_USER_AGENT));
    struct bytes version = wire_find_bytes(wire_find_bytes(m, 8), 1);
    ck_assert_uint_eq(wire_find_varint(version, 2, 0), NODE_COMPATIBLE_MINOR);
    strbuf_fini(&node);
    strbuf_fini(&locality);
    strbuf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node_message");
    TCase *t = tcase_create("all");
    tcase_add_test(t, test_the_command_line_wins_and_the_rest_is_kept);
    suite_add_tcase(s, t);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
