#include "config/discovery_file.h"

#include "config/decode.h"
#include "config/field_report.h"
#include "config/file_read.h"
#include "config/json_read.h"
#include "config/yaml.h"

enum { DISCOVERY_FILE_MAX = 256 << 20 };

static bool is_yaml(struct bytes path)
{
    return bytes_ends_with_nocase(path, BYTES(".yaml")) ||
           bytes_ends_with_nocase(path, BYTES(".yml"));
}

static bool read_tree(struct decode_context *ctx, const char *name, struct yaml_node *tree,
                      struct arena *a, struct bytes *response, struct error *err)
{
    struct field_report found = FIELD_REPORT_INIT;
    struct json_read_options o = {.allow_unknown = !ctx->reject_unknown, .report = &found};
    if (!tree)
        return false;
    if (tree->line == 0)
        return error_set(err, "%s: nothing in it: expected a DiscoveryResponse", name);
    bool ok =
        json_read(ctx->descriptors, tree, BYTES("envoy.service.discovery.v3.DiscoveryResponse"), &o,
                  a, response, err);
    if (found.counts[FIELD_UNKNOWN])
        field_report_add(&found, FIELD_UNKNOWN_SET, bytes_of(name), "");
    if (ctx->report) /* of what is deprecated the decoders tell, as of any resource */
        field_report_take(ctx->report, &found, FIELD_DEPRECATED);
    field_report_fini(&found);
    return ok;
}

bool discovery_text_read(struct decode_context *ctx, const char *name, struct bytes text,
                         struct arena *a, struct bytes *response, struct error *err)
{
    return read_tree(ctx, name, json_parse(a, name, text, err), a, response, err);
}

static bool read_text(struct decode_context *ctx, struct bytes path, struct bytes text,
                      struct arena *a, struct bytes *response, struct error *err)
{
    const char *name = arena_str(a, path);
    if (!is_yaml(path))
        return discovery_text_read(ctx, name, text, a, response, err);
    return read_tree(ctx, name, yaml_parse(a, name, text, err), a, response, err);
}

bool discovery_file_read(struct decode_context *ctx, struct bytes path, struct arena *a,
                         struct bytes *response, struct error *err)
{
    struct bytes text;
    if (bytes_ends_with_nocase(path, BYTES(".pb_text")) ||
        bytes_ends_with_nocase(path, BYTES(".textproto")))
        return error_set(err, "%.*s: protobuf text is not read; use YAML, JSON or .pb",
                         BYTES_ARG(path));
    if (!file_read(path, DISCOVERY_FILE_MAX, a, &text, err))
        return false;
    if (!bytes_ends_with_nocase(path, BYTES(".pb")))
        return read_text(ctx, path, text, a, response, err);
    *response = text;
    return true;
}
