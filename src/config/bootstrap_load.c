#include "config/bootstrap_load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <upb/upb.h>

#include "config/json_read.h"
#include "config/unsupported.h"
#include "config/wire.h"

#define BOOTSTRAP "envoy.config.bootstrap.v3.Bootstrap"

enum { FILE_MAX = 256 << 20, STATIC_RESOURCES = 2 };

struct loading {
    struct descriptors *d;
    const struct bootstrap_source *source;
    struct arena *arena;
    struct field_report *report;
    struct source_text *text;
    struct strbuf body; /* of all parts so far: protobuf merges what is joined */
    struct error *err;
};

/* --- reading --- */

static bool read_all(int fd, size_t size, struct strbuf *out)
{
    strbuf_reserve(out, size + 1);
    for (;;) {
        char buf[16384];
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (out->len + (size_t)n > FILE_MAX) {
            errno = EFBIG;
            return false;
        }
        strbuf_add(out, buf, (size_t)n);
    }
}

static bool read_file(struct loading *l, const char *path, struct bytes *text)
{
    struct strbuf out = STRBUF_INIT;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    if (ok && st.st_size > FILE_MAX) {
        errno = EFBIG;
        ok = false;
    }
    ok = ok && read_all(fd, (size_t)st.st_size, &out);
    if (!ok)
        error_append(l->err, "\n", "%s: cannot be read: %s", path, strerror(errno));
    else
        *text = arena_dup(l->arena, strbuf_bytes(&out));
    if (fd >= 0)
        close(fd);
    strbuf_fini(&out);
    return ok;
}

/* --- extensions by name alone --- */

static bool holds_extensions(struct bytes key)
{
    static const char *const keys[] = {
        "access_log",
        "accessLog",
        "filters",
        "http_filters",
        "httpFilters",
        "listener_filters",
        "listenerFilters",
        "transport_socket",
        "transportSocket",
        "upstream_http_filters",
        "upstreamHttpFilters",
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (bytes_eq_str(key, keys[i]))
            return true;
    return false;
}

static void add_type(struct arena *a, struct yaml_node *extension)
{
    static const char *const others[] = {"typed_config", "typedConfig", "config_discovery",
                                         "configDiscovery", "config"};
    const struct yaml_node *name = yaml_get(extension, "name");
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (yaml_get(extension, others[i]))
            return;
    const char *type =
        name && name->kind == YAML_SCALAR ? extension_type_by_name(name->text) : NULL;
    if (!type)
        return;
    struct yaml_node *typed = yaml_mapping(a, name);
    const char *url = arena_printf(a, "type.googleapis.com/%s", type);
    yaml_add(a, typed, BYTES("@type"), yaml_scalar(a, name, bytes_of(url), true));
    yaml_add(a, extension, BYTES("typed_config"), typed);
}

static void add_types_below(struct arena *a, struct yaml_node *value)
{
    if (value->kind == YAML_MAPPING)
        add_type(a, value);
    for (size_t i = 0; value->kind == YAML_SEQUENCE && i < value->count; i++)
        if (value->items[i]->kind == YAML_MAPPING)
            add_type(a, value->items[i]);
}

void bootstrap_add_types(struct arena *a, struct yaml_node *node)
{
    if (node->kind == YAML_SEQUENCE) {
        for (size_t i = 0; i < node->count; i++)
            bootstrap_add_types(a, node->items[i]);
    } else if (node->kind == YAML_MAPPING) {
        for (size_t i = 0; i < node->count; i++) {
            if (holds_extensions(node->entries[i].key))
                add_types_below(a, node->entries[i].value);
            bootstrap_add_types(a, node->entries[i].value);
        }
    }
}

/* --- parts --- */

static bool add_tree(struct loading *l, struct yaml_node *tree)
{
    struct json_read_options options = {.allow_unknown = l->source->allow_unknown,
                                        .report = l->report};
    struct error err = ERROR_INIT;
    struct bytes body;
    bootstrap_add_types(l->arena, tree);
    l->text->trees[l->text->n++] = tree;
    bool ok = json_read(l->d, tree, BYTES(BOOTSTRAP), &options, l->arena, &body, &err);
    if (ok)
        strbuf_add_bytes(&l->body, body);
    else
        error_append(l->err, "\n", "%s", error_text(&err));
    error_fini(&err);
    return ok;
}

static bool add_text(struct loading *l, const char *name, struct bytes text, bool yaml)
{
    struct error err = ERROR_INIT;
    struct yaml_node *tree =
        yaml ? yaml_parse(l->arena, name, text, &err) : json_parse(l->arena, name, text, &err);
    if (tree && tree->line > 0)
        return add_tree(l, tree);
    if (tree)
        error_set(&err, "%s: nothing in it: expected a bootstrap, at least {}", name);
    error_append(l->err, "\n", "%s", error_text(&err));
    error_fini(&err);
    return false;
}

static bool add_file(struct loading *l, const char *path)
{
    struct bytes name = bytes_of(path), text;
    if (bytes_ends_with_nocase(name, BYTES(".pb_text")) ||
        bytes_ends_with_nocase(name, BYTES(".textproto"))) {
        error_append(l->err, "\n", "%s: protobuf text is not read; use YAML, JSON or .pb", path);
        return false;
    }
    if (!read_file(l, path, &text))
        return false;
    if (bytes_ends_with_nocase(name, BYTES(".pb"))) {
        strbuf_add_bytes(&l->body, text);
        return true;
    }
    bool yaml =
        bytes_ends_with_nocase(name, BYTES(".yaml")) || bytes_ends_with_nocase(name, BYTES(".yml"));
    return add_text(l, path, text, yaml);
}

/* --- the whole --- */

/* Joined parts become one message, each field once. */
static bool merge(struct loading *l, struct bytes *body)
{
    struct error err = ERROR_INIT;
    const struct upb_MessageDef *m = descriptors_message(l->d, BYTES(BOOTSTRAP));
    upb_Arena *messages = upb_Arena_New();
    struct bytes encoded;
    CHECK(m != NULL && messages != NULL);
    void *msg = descriptors_decode(m, strbuf_bytes(&l->body), messages, &err);
    bool ok = msg && descriptors_encode(m, msg, messages, &encoded, &err);
    if (ok)
        *body = arena_dup(l->arena, encoded);
    else
        error_append(l->err, "\n", "%s", error_text(&err));
    error_fini(&err);
    upb_Arena_Free(messages);
    return ok;
}

/* Static resources are left to their decoders, which report them like any other resource. */
static bool scan_rest(struct loading *l, struct bytes body)
{
    struct strbuf rest = STRBUF_INIT;
    struct field_report found = FIELD_REPORT_INIT;
    struct error err = ERROR_INIT;
    struct wire_field f;
    while (wire_next(&body, &f))
        if (f.number != STATIC_RESOURCES)
            strbuf_add_bytes(&rest, f.raw);
    bool ok = unsupported_scan(l->d, BYTES(BOOTSTRAP), strbuf_bytes(&rest), &found, &err) &&
              unsupported_check(&found, l->source->strict, &err) &&
              unknown_fields_check(&found,
                                   l->source->allow_unknown ? UNKNOWN_ALLOW : UNKNOWN_REJECT, &err);
    if (!ok) {
        source_text_locate(l->text, &err);
        error_append(l->err, "\n", "%s", error_text(&err));
    }
    field_report_take(l->report, &found, FIELD_DEPRECATED); /* the text has told of them */
    error_fini(&err);
    field_report_fini(&found);
    strbuf_fini(&rest);
    return ok;
}

static bool load_parts(struct loading *l)
{
    bool ok = true;
    if (!l->source->path && !l->source->yaml)
        return error_set(l->err, "no configuration: give one with -c FILE or --config-yaml TEXT");
    if (l->source->path)
        ok = add_file(l, l->source->path);
    if (l->source->yaml)
        ok = add_text(l, "--config-yaml", bytes_of(l->source->yaml), true) && ok;
    return ok;
}

bool bootstrap_load(struct descriptors *d, struct validator *v,
                    const struct bootstrap_source *source, struct arena *a, struct bytes *body,
                    struct source_text *text, struct field_report *report, struct error *err)
{
    struct error found = ERROR_INIT;
    struct loading l = {
        .d = d, .source = source, .arena = a, .report = report, .text = text, .err = &found};
    *text = (struct source_text){.n = 0};
    bool ok = load_parts(&l) && merge(&l, body);
    strbuf_fini(&l.body);
    if (ok) {
        struct error invalid = ERROR_INIT;
        ok = validate_text(v, BYTES(BOOTSTRAP), *body, text, &invalid);
        if (!ok)
            error_append(&found, "\n", "%s", error_text(&invalid));
        error_fini(&invalid);
        ok = scan_rest(&l, *body) && ok;
    }
    if (!ok)
        error_move(err, &found);
    return ok;
}

bool unknown_fields_check(const struct field_report *report, enum unknown_fields policy,
                          struct error *err)
{
    struct strbuf paths = STRBUF_INIT;
    if (policy == UNKNOWN_ALLOW || report->counts[FIELD_UNKNOWN] == 0)
        return true;
    field_report_join(report, FIELD_UNKNOWN, ", ", 20, &paths);
    error_set(err, "unknown fields: %s", strbuf_str(&paths));
    strbuf_fini(&paths);
    return false;
}
