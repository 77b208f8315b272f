/* Text of a human: a bootstrap or a resource in YAML or JSON. Refused with file, line and column,
 * or read to bytes that written as JSON are read to the same bytes; a bootstrap is loaded whole.
 *
 *     how, text (or, of a file, bytes) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../config_world.h"
#include "config/bootstrap_load.h"
#include "config/json_read.h"
#include "config/json_write.h"
#include "config/static_load.h"
#include "config/yaml.h"

#define BOOTSTRAP "envoy.config.bootstrap.v3.Bootstrap"

static const char *const messages[] = {
    BOOTSTRAP,
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "google.protobuf.Struct",
    "google.protobuf.Any",
    "envoy.service.discovery.v3.DiscoveryResponse",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
};

/* "fuzz:12:3: what" or, where the bytes are no text, "fuzz: byte 12: what". */
static bool has_position(struct bytes line)
{
    struct bytes rest = line;
    uint64_t n;
    if (!bytes_eq(bytes_split(&rest, ':'), BYTES("fuzz")))
        return false;
    if (bytes_starts_with(rest, BYTES(" byte ")))
        return true;
    bool row = bytes_to_u64(bytes_split(&rest, ':'), &n) && n > 0;
    bool column = row && bytes_to_u64(bytes_split(&rest, ':'), &n) && n > 0;
    return column && rest.len > 1;
}

static void check_error(const struct error *err)
{
    struct bytes rest = bytes_of(error_text(err));
    FUZZ_CHECK(rest.len, "refused without a word");
    /* A line end inside a quoted text is part of the sentence: only the first line is looked at. */
    struct bytes first = bytes_split(&rest, '\n');
    FUZZ_CHECK(has_position(first), "no line and column: %s", error_text(err));
}

static void check_same_again(struct arena *a, struct bytes message, struct bytes wire)
{
    struct json_write_options compact = {.compact = true};
    struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct bytes again;
    bool ok = json_write(world_descriptors, message, wire, &compact, &text, &err);
    FUZZ_CHECK(ok, "cannot be written: %s", error_text(&err));
    struct yaml_node *n = json_parse(a, "again", strbuf_bytes(&text), &err);
    FUZZ_CHECK(n, "no JSON: %s\n%s", error_text(&err), strbuf_str(&text));
    ok = json_read(world_descriptors, n, message, NULL, a, &again, &err);
    FUZZ_CHECK(ok, "cannot be read again: %s\n%s", error_text(&err), strbuf_str(&text));
    fuzz_same("bytes", wire, again);
    strbuf_fini(&text);
}

static void load(struct arena *a, struct bytes wire, const struct source_text *places)
{
    static struct config_world w;
    struct error err = ERROR_INIT;
    config_world_init(&w, false);
    struct bytes copy = arena_dup(a, wire);
    struct bootstrap_config *c =
        bootstrap_config_decode(builder_decode_context(w.builder), copy, &err);
    if (c && static_load(w.builder, c, &err)) {
        builder_start(w.builder, &c->cds, &c->lds);
        builder_commit(w.builder);
        config_world_look(&w);
        while (config_world_expire(&w))
            ;
        builder_commit(w.builder);
        config_world_look(&w);
    } else {
        FUZZ_CHECK(*error_text(&err), "refused without a word");
        source_text_locate(places, &err);
    }
    error_fini(&err);
    config_world_fini(&w);
    bootstrap_config_free(&c);
}

static void read_one(struct arena *a, const struct yaml_node *n, struct bytes message)
{
    struct error err = ERROR_INIT;
    struct bytes wire;
    if (json_read(world_descriptors, n, message, NULL, a, &wire, &err)) {
        check_same_again(a, message, wire);
        if (bytes_eq_str(message, BOOTSTRAP))
            load(a, wire, &(struct source_text){{n}, 1});
    } else {
        check_error(&err);
    }
    error_fini(&err);
}

static void read_yaml(struct arena *a, struct bytes text, struct bytes message)
{
    struct error err = ERROR_INIT;
    size_t n = 0;
    struct yaml_node **docs = yaml_parse_all(a, "fuzz", text, &n, &err);
    FUZZ_CHECK(!docs == error_is_set(&err), "an error or none");
    if (!docs)
        check_error(&err);
    for (size_t i = 0; docs && i < n; i++)
        read_one(a, docs[i], message);
    error_fini(&err);
}

static void read_json(struct arena *a, struct bytes text, struct bytes message)
{
    struct error err = ERROR_INIT;
    struct yaml_node *n = json_parse(a, "fuzz", text, &err);
    FUZZ_CHECK(!n == error_is_set(&err), "an error or none");
    if (n)
        read_one(a, n, message);
    else
        check_error(&err);
    error_fini(&err);
}

static bool load_source(struct arena *a, const struct bootstrap_source *source, struct bytes *wire,
                        bool whole)
{
    struct error err = ERROR_INIT;
    struct field_report report = FIELD_REPORT_INIT;
    struct source_text places = {{NULL}, 0};
    bool ok =
        bootstrap_load(world_descriptors, world_validator, source, a, wire, &places, &report, &err);
    if (ok && whole)
        load(a, *wire, &places);
    FUZZ_CHECK(ok == !error_is_set(&err), "an error or none");
    field_report_fini(&report);
    error_fini(&err);
    return ok;
}

/* As --config-yaml does. */
static void load_text(struct arena *a, struct bytes text)
{
    struct bootstrap_source source = {.yaml = arena_str(a, text), .allow_unknown = text.len & 1};
    struct bytes wire;
    load_source(a, &source, &wire, true);
}

static char folder[] = "/tmp/xylem-fuzz-XXXXXX";

static void remove_folder(void)
{
    rmdir(folder);
}

static void write_file(const char *path, struct bytes text)
{
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f, "%s cannot be written", path);
    fwrite(text.data, 1, text.len, f);
    fclose(f);
}

/* As -c does, and both together: a file says what its text says. */
static void load_file(struct arena *a, unsigned kind, struct bytes text)
{
    static const char *const names[] = {"a.yaml",    "a.yml",       "a.json", "a.pb",
                                        "a.pb_text", "a.TEXTPROTO", "a",      NULL};
    const char *name = names[kind % ARRAY_SIZE(names)];
    const char *path = name ? arena_printf(a, "%s/%s", folder, name) : folder; /* no file */
    struct bootstrap_source file = {.path = path, .allow_unknown = text.len & 1};
    struct bootstrap_source plain = {.yaml = arena_str(a, text), .allow_unknown = text.len & 1};
    struct bootstrap_source both = {.path = path, .yaml = "{stats_flush_interval: 7s}"};
    struct bytes wire, other;
    if (name)
        write_file(path, text);
    bool ok = load_source(a, &file, &wire, true);
    FUZZ_CHECK(!ok || kind % 8 < 4 || kind % 8 == 6, "%s was read", path);
    if (kind % 8 < 2 && !memchr(text.data, 0, text.len)) {
        FUZZ_CHECK(ok == load_source(a, &plain, &other, false), "the file or the text is refused");
        if (ok)
            fuzz_same("the file and the text", wire, other);
    }
    bool joined = load_source(a, &both, &other, false);
    FUZZ_CHECK(!joined || kind % 8 < 4 || kind % 8 == 6, "%s was read", path);
    if (name)
        unlink(path);
}

static void setup(void)
{
    config_world_setup();
    FUZZ_CHECK(mkdtemp(folder), "no folder");
    atexit(remove_folder);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    uint8_t how = fuzz_u8(&in);
    struct bytes message = bytes_of(messages[(how >> 2 & 15) % ARRAY_SIZE(messages)]);
    struct arena *a = arena_new(0);
    switch (how & 3) {
    case 0:
        if (how & 64)
            load_file(a, how >> 2 & 7, in.rest.len ? in.rest : BYTES(""));
        else
            load_text(a, in.rest);
        break;
    case 1:
        read_json(a, in.rest, message);
        break;
    default:
        read_yaml(a, in.rest, message);
    }
    arena_free(&a);
}

/* A template in place of the text, or libFuzzer's mutation of it. */
static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    if (input.len > 1 && random_below(random, 60)) {
        size_t cap = input.len + 64;
        strbuf_reserve(out, cap);
        memcpy(out->data, input.data, input.len);
        size_t n = fuzz_mutate_bytes((uint8_t *)out->data + 1, input.len - 1, cap - 1);
        out->len = n + 1;
        return;
    }
    unsigned at, message;
    do { /* some are of parts alone */
        at = (unsigned)random_below(random, n_templates);
        for (message = 0; message < ARRAY_SIZE(messages); message++)
            if (strcmp(messages[message], templates[at].message) == 0)
                break;
    } while (message == ARRAY_SIZE(messages));
    unsigned how =
        message ? 1 + (unsigned)random_below(random, 2) : (unsigned)random_below(random, 3);
    if (how == 0 && random_below(random, 2)) {
        unsigned kind = (unsigned)random_below(random, 8);
        strbuf_add_char(out, (char)(64 | kind << 2));
        if (kind == 3)
            strbuf_add_bytes(out, template_wire(at));
        else
            strbuf_add_str(out, templates[at].yaml);
        return;
    }
    strbuf_add_char(out, (char)(how | message << 2));
    struct json_write_options o = {.compact = random_below(random, 2)};
    struct error err = ERROR_INIT;
    if (how != 1)
        strbuf_add_str(out, templates[at].yaml);
    else if (!json_write(world_descriptors, bytes_of(templates[at].message), template_wire(at), &o,
                         out, &err))
        error_fini(&err);
}

const struct fuzz_target fuzz_target = {.run = run, .setup = setup, .mutate = mutate};
