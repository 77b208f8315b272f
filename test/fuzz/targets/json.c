/* Messages as JSON and back: what is written is JSON that our reader takes, and read and written
 * again it is the same text and the same bytes; the bytes hold what they held before.
 *
 *     which message, bytes of it */

#include "../config_world.h"
#include "config/json_read.h"
#include "config/json_write.h"
#include "config/yaml.h"

static const char *const messages[] = {
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.bootstrap.v3.Bootstrap",
    "google.protobuf.Struct",
    "google.protobuf.Any",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.service.discovery.v3.DiscoveryRequest",
};

static bool read_again(struct arena *a, struct bytes message, struct bytes text, struct bytes *wire,
                       struct error *err)
{
    struct yaml_node *n = json_parse(a, "fuzz", text, err);
    FUZZ_CHECK(n, "what was written is no JSON: %s\n%.*s", error_text(err), BYTES_ARG(text));
    return json_read(world_descriptors, n, message, NULL, a, wire, err);
}

/* Has the message anything that JSON has no word for? Unknown fields, an Any that cannot be opened,
 * a time that is out of range: these are written for the reader's eyes only. */
static bool only_for_the_eyes(const struct error *err)
{
    static const char *const words[] = {
        "no message type",  "expected a type URL", "expected a duration", "expected a time such as",
        "has only `value`", "unknown field",       "value: expected",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (strstr(error_text(err), words[i]))
            return true;
    }
    return false;
}

static void check(struct arena *a, struct bytes message, struct bytes text)
{
    struct error err = ERROR_INIT;
    struct strbuf second = STRBUF_INIT;
    struct bytes wire, again;
    struct json_write_options compact = {.compact = true};
    if (!read_again(a, message, text, &wire, &err)) {
        FUZZ_CHECK(only_for_the_eyes(&err), "%s in\n%.*s", error_text(&err), BYTES_ARG(text));
        error_fini(&err);
        return;
    }
    bool ok = json_write(world_descriptors, message, wire, &compact, &second, &err);
    FUZZ_CHECK(ok, "cannot be written again: %s", error_text(&err));
    fuzz_same("JSON", text, strbuf_bytes(&second));
    ok = read_again(a, message, strbuf_bytes(&second), &again, &err);
    FUZZ_CHECK(ok, "cannot be read again: %s", error_text(&err));
    fuzz_same("bytes", wire, again);
    strbuf_fini(&second);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct bytes message = bytes_of(messages[fuzz_below(&in, ARRAY_SIZE(messages))]);
    struct arena *a = arena_new(0);
    struct strbuf text = STRBUF_INIT, pretty = STRBUF_INIT, hidden = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct field_report report = FIELD_REPORT_INIT;
    struct json_write_options compact = {.compact = true, .report = &report},
                              defaults = {.defaults = true, .depth = 2}, redact = {.redact = true};
    if (json_write(world_descriptors, message, in.rest, &compact, &text, &err)) {
        struct error other = ERROR_INIT;
        check(a, message, strbuf_bytes(&text));
        bool ok = json_write(world_descriptors, message, in.rest, &defaults, &pretty, &other) &&
                  json_write(world_descriptors, message, in.rest, &redact, &hidden, &other);
        FUZZ_CHECK(ok, "cannot be written otherwise: %s", error_text(&other));
        ok = json_parse(a, "fuzz", strbuf_bytes(&pretty), &other) &&
             json_parse(a, "fuzz", strbuf_bytes(&hidden), &other);
        FUZZ_CHECK(ok, "what was written is no JSON: %s", error_text(&other));
    } else {
        FUZZ_CHECK(*error_text(&err), "refused without a word");
    }
    strbuf_reset(&text);
    json_write_any(world_descriptors, message, in.rest, &compact, &text);
    FUZZ_CHECK(json_parse(a, "fuzz", strbuf_bytes(&text), &(struct error)ERROR_INIT), "no JSON: %s",
               strbuf_str(&text));
    error_fini(&err);
    field_report_fini(&report);
    strbuf_fini(&text);
    strbuf_fini(&pretty);
    strbuf_fini(&hidden);
    arena_free(&a);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    template_mutate(random, messages, ARRAY_SIZE(messages), input, out);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = config_world_setup, .mutate = mutate};
