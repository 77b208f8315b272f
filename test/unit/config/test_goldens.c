/* Messages made by another protobuf implementation (goldens/generate.py): bytes to JSON, JSON to
 * bytes, and bytes that were damaged. */
#include "config/json_read.h"
#include "config/json_write.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "config/json_scalar.h"
#include "config/unsupported.h"
#include "config/validate.h"

static struct descriptors *pool;
static struct arena *arena;
static struct yaml_node *goldens;

static struct bytes read_file(const char *path)
{
    struct strbuf text = STRBUF_INIT;
    char buf[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "%s", path);
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
        strbuf_add(&text, buf, n);
    fclose(f);
    struct bytes copy = arena_dup(arena, strbuf_bytes(&text));
    strbuf_fini(&text);
    return copy;
}

static bool same(const struct yaml_node *a, const struct yaml_node *b)
{
    double x, y;
    if (a->kind != b->kind || a->count != b->count)
        return false;
    switch (a->kind) {
    case YAML_SCALAR:
        if (a->quoted != b->quoted)
            return false;
        if (!a->quoted && bytes_to_double(a->text, &x) && bytes_to_double(b->text, &y))
            return !(x < y) && !(x > y);
        return bytes_eq(a->text, b->text);
    case YAML_SEQUENCE:
        for (size_t i = 0; i < a->count; i++)
            if (!same(a->items[i], b->items[i]))
                return false;
        return true;
    case YAML_MAPPING:
        for (size_t i = 0; i < a->count; i++) {
            char *key = arena_str(arena, a->entries[i].key);
            const struct yaml_node *other = yaml_get(b, key);
            if (!other || !same(a->entries[i].value, other))
                return false;
        }
        return true;
    }
    return false;
}

struct golden {
    struct bytes message, body;
    const struct yaml_node *json;
};

static struct golden golden_at(size_t i)
{
    struct strbuf body = STRBUF_INIT;
    const struct yaml_node *entry = goldens->items[i];
    struct golden g = {.message = yaml_get(entry, "message")->text,
                       .json = yaml_get(entry, "json")};
    ck_assert(json_scalar_base64(yaml_get(entry, "bytes")->text, &body));
    g.body = arena_dup(arena, strbuf_bytes(&body));
    strbuf_fini(&body);
    return g;
}

START_TEST(bytes_to_json)
{
    ck_assert_uint_gt(goldens->count, 50);
    for (size_t i = 0; i < goldens->count; i++) {
        struct golden g = golden_at(i);
        struct error err = ERROR_INIT;
        struct strbuf out = STRBUF_INIT;
        struct json_write_options options = {.compact = i % 2};
        ck_assert_msg(json_write(pool, g.message, g.body, &options, &out, &err), "%s",
                      error_text(&err));
        struct yaml_node *tree = json_parse(arena, "out", strbuf_bytes(&out), &err);
        ck_assert_msg(tree != NULL, "%s: %s", error_text(&err), strbuf_str(&out));
        ck_assert_msg(same(tree, g.json), "golden %zu: %s", i, strbuf_str(&out));
        strbuf_fini(&out);
    }
}
END_TEST

START_TEST(json_to_bytes)
{
    for (size_t i = 0; i < goldens->count; i++) {
        struct golden g = golden_at(i);
        struct error err = ERROR_INIT;
        struct bytes body;
        ck_assert_msg(json_read(pool, g.json, g.message, NULL, arena, &body, &err),
                      "golden %zu: %s", i, error_text(&err));
        ck_assert_msg(bytes_eq(body, g.body), "golden %zu (%.*s)", i, BYTES_ARG(g.message));
    }
}
END_TEST

START_TEST(there_and_back)
{
    for (size_t i = 0; i < goldens->count; i++) {
        struct golden g = golden_at(i);
        struct error err = ERROR_INIT;
        struct strbuf out = STRBUF_INIT;
        struct bytes body;
        ck_assert(json_write(pool, g.message, g.body, NULL, &out, &err));
        struct yaml_node *tree = json_parse(arena, "out", strbuf_bytes(&out), &err);
        ck_assert_msg(json_read(pool, tree, g.message, NULL, arena, &body, &err), "%s",
                      error_text(&err));
        ck_assert(bytes_eq(body, g.body));
        strbuf_fini(&out);
    }
}
END_TEST

/* A repeatable stream of numbers. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static struct bytes damage(struct arena *scratch, struct bytes original, uint32_t *state)
{
    struct bytes copy = arena_dup(scratch, original);
    char *data = (char *)copy.data;
    for (uint32_t i = next_random(state) % 4 + 1; copy.len > 0 && i > 0; i--)
        data[next_random(state) % copy.len] = (char)next_random(state);
    if (next_random(state) % 5 == 0)
        copy.len = next_random(state) % (copy.len + 1);
    return copy;
}

static void use_bytes(struct arena *scratch, struct validator *validator, struct bytes message,
                      struct bytes body, uint32_t *state)
{
    struct error err = ERROR_INIT, ignored = ERROR_INIT;
    struct strbuf out = STRBUF_INIT;
    struct field_report report = FIELD_REPORT_INIT;
    struct json_write_options options = {.redact = next_random(state) % 3 == 0,
                                         .defaults = next_random(state) % 7 == 0,
                                         .report = &report};
    if (json_write(pool, message, body, &options, &out, &err))
        ck_assert_msg(json_parse(scratch, "out", strbuf_bytes(&out), &err) != NULL, "%s: %s",
                      error_text(&err), strbuf_str(&out));
    ck_assert(validate_message(validator, message, body, &ignored) || error_is_set(&ignored));
    error_fini(&ignored);
    ck_assert(unsupported_scan(pool, message, body, &report, &ignored) || error_is_set(&ignored));
    error_fini(&ignored);
    ck_assert(field_mask_prune(pool, message, BYTES("name,metadata"), body, &out, &ignored) ||
              error_is_set(&ignored));
    error_fini(&ignored);
    error_fini(&err);
    field_report_fini(&report);
    strbuf_fini(&out);
}

START_TEST(damaged_bytes_never_crash)
{
    uint32_t state = 1;
    struct validator *validator = validator_new(pool);
    for (int round = 0; round < 3000; round++) {
        struct arena *scratch = arena_new(0);
        struct golden g = golden_at(next_random(&state) % goldens->count);
        use_bytes(scratch, validator, g.message, damage(scratch, g.body, &state), &state);
        arena_free(&scratch);
    }
    validator_free(&validator);
}
END_TEST

START_TEST(damaged_text_never_crashes)
{
    uint32_t state = 7;
    for (int round = 0; round < 3000; round++) {
        struct arena *scratch = arena_new(0);
        struct golden g = golden_at(next_random(&state) % goldens->count);
        struct error err = ERROR_INIT;
        struct strbuf out = STRBUF_INIT;
        struct bytes body;
        ck_assert(json_write(pool, g.message, g.body, NULL, &out, &err));
        struct bytes text = damage(scratch, strbuf_bytes(&out), &state);
        struct yaml_node *tree =
            round % 2 ? json_parse(scratch, "f", text, &err) : yaml_parse(scratch, "f", text, &err);
        ck_assert(tree || error_is_set(&err));
        if (tree)
            ck_assert(json_read(pool, tree, g.message, NULL, scratch, &body, &err) ||
                      error_is_set(&err));
        error_fini(&err);
        strbuf_fini(&out);
        arena_free(&scratch);
    }
}
END_TEST

static void setup(void)
{
    struct error err = ERROR_INIT;
    pool = descriptors_new();
    arena = arena_new(0);
    goldens = json_parse(arena, "messages.json", read_file(GOLDENS "/messages.json"), &err);
    ck_assert_msg(goldens != NULL, "%s", error_text(&err));
}

static void teardown(void)
{
    descriptors_free(&pool);
    arena_free(&arena);
}

int main(void)
{
    TCase *tc = tcase_create("goldens");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, bytes_to_json);
    tcase_add_test(tc, json_to_bytes);
    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, damaged_bytes_never_crash);
    tcase_add_test(tc, damaged_text_never_crashes);
    Suite *s = suite_create("goldens");
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
