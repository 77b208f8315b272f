/* Content types, methods in paths, status codes, and the frames of a body, cut anywhere. */
#include <check.h>
#include <stdlib.h>

#include "dataplane/http/grpc.h"

static struct arena *arena;
static struct chunk_pool *pool;

static void set_up(void)
{
    arena = arena_new(0);
    pool = chunk_pool_new(NULL, 0);
}

static void tear_down(void)
{
    arena_free(&arena);
    chunk_pool_free(&pool);
}

static struct headers head(const char *status, const char *type, const char *grpc)
{
    struct headers h;
    headers_init(&h, arena);
    if (status)
        headers_add_id(&h, HEADER_STATUS, bytes_of(status));
    if (type)
        headers_add_id(&h, HEADER_CONTENT_TYPE, bytes_of(type));
    if (grpc)
        headers_add_id(&h, HEADER_GRPC_STATUS, bytes_of(grpc));
    return h;
}

START_TEST(test_content_types)
{
    static const struct {
        const char *type;
        bool grpc;
    } rows[] = {
        {"application/grpc", true},
        {"application/grpc+proto", true},
        {"application/grpc+", true},
        {"application/grpc;x=1", false},
        {"application/grpc-web", false},
        {"application/grpcx", false},
        {"application/grp", false},
        {"Application/grpc", false},
        {NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct headers h = head("200", rows[i].type, NULL);
        ck_assert_msg(grpc_content_type(&h) == rows[i].grpc, "%s", rows[i].type);
        ck_assert(grpc_response(&h, false) == rows[i].grpc);
        ck_assert(!grpc_response(&h, true));
    }
    struct headers h = head("503", "application/grpc", "5");
    ck_assert(!grpc_response(&h, false));
    ck_assert(grpc_response(&h, true));
}
END_TEST

START_TEST(test_methods)
{
    static const struct {
        const char *path, *service, *method;
    } rows[] = {
        {"/a.B/M", "a.B", "M"}, {"//x///y/?q=/z", "x", "y"}, {"/a/b?c", "a", "b"},
        {"/one", NULL, NULL},   {"/a/b/c", NULL, NULL},      {"/", NULL, NULL},
        {"", NULL, NULL},       {"/a?/b", NULL, NULL},       {"a/b", "a", "b"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct grpc_method m;
        bool is = grpc_method_of(bytes_of(rows[i].path), &m);
        ck_assert_msg(is == (rows[i].service != NULL), "%s", rows[i].path);
        if (is)
            ck_assert(bytes_eq_str(m.service, rows[i].service) &&
                      bytes_eq_str(m.method, rows[i].method));
    }
    struct grpc_method m;
    ck_assert(!grpc_method_of(BYTES_NONE, &m));
}
END_TEST

START_TEST(test_status)
{
    static const struct {
        const char *value;
        int64_t status;
    } rows[] = {
        {"0", 0},
        {"16", 16},
        {"99", 99},
        {"zz", GRPC_BAD_STATUS},
        {"-1", GRPC_BAD_STATUS},
        {"18446744073709551615", GRPC_BAD_STATUS},
        {"", GRPC_NO_STATUS},
        {NULL, GRPC_NO_STATUS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct headers h = head(NULL, NULL, rows[i].value);
        ck_assert_int_eq(grpc_status(&h), rows[i].status);
    }
    static const unsigned http[][2] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14},
                                       {502, 14}, {503, 14}, {504, 14}, {200, 2},  {500, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(http); i++)
        ck_assert_uint_eq(grpc_status_of_http(http[i][0]), http[i][1]);
}
END_TEST

START_TEST(test_message)
{
    ck_assert(bytes_eq_str(grpc_message_encode(arena, BYTES("a b%\n\xff~")), "a b%25%0A%FF~"));
    ck_assert_uint_eq(grpc_message_encode(arena, BYTES("")).len, 0);
}
END_TEST

/* Three messages, one of them empty, in pieces of every size: the same count. */
START_TEST(test_frames_in_pieces)
{
    static const char body[] = "\0\0\0\0\3abc"
                               "\1\0\0\0\0"
                               "\2\0\0\0\1z";
    size_t len = sizeof(body) - 1;
    for (size_t size = 1; size <= len; size++) {
        struct grpc_frames f = {0};
        uint64_t n = 0;
        for (size_t at = 0; at < len; at += size) {
            struct buffer b;
            buffer_init(&b, pool);
            buffer_add(&b, body + at, at + size < len ? size : len - at);
            n += grpc_frames_count(&f, &b);
            buffer_fini(&b);
        }
        ck_assert_msg(n == 3 && grpc_frames_at_end(&f), "pieces of %zu: %d", size, (int)n);
        ck_assert_uint_eq(f.flags, 2);
    }
}
END_TEST

START_TEST(test_frame_longer_than_memory)
{
    struct grpc_frames f = {0};
    struct bytes data = BYTES("\0\xff\xff\xff\xff"
                              "xyz");
    bool begins;
    struct bytes piece = grpc_frames_next(&f, &data, &begins);
    ck_assert(begins && piece.len == 5 && f.left == UINT32_MAX);
    piece = grpc_frames_next(&f, &data, &begins);
    ck_assert(!begins && bytes_eq_str(piece, "xyz") && f.left == UINT32_MAX - 3);
    ck_assert(data.len == 0 && !grpc_frames_at_end(&f));
}
END_TEST

START_TEST(test_frame_header)
{
    char out[GRPC_FRAME_HEADER];
    grpc_frame_header(0x80, 0x01020304, out);
    ck_assert_mem_eq(out, "\x80\1\2\3\4", 5);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc");
    TCase *t = tcase_create("grpc");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, test_content_types);
    tcase_add_test(t, test_methods);
    tcase_add_test(t, test_status);
    tcase_add_test(t, test_message);
    tcase_add_test(t, test_frames_in_pieces);
    tcase_add_test(t, test_frame_longer_than_memory);
    tcase_add_test(t, test_frame_header);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
