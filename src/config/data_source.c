#include "config/data_source.h"

#include <stdlib.h>

#include "config/file_read.h"
#include "config/upb_util.h"
#include "envoy/config/core/v3/base.upb.h"

#define SOURCE(f) envoy_config_core_v3_DataSource_##f

static bool take_file(struct bytes path, struct arena *a, size_t max, struct data_source *out,
                      struct error *err)
{
    out->is_file = true;
    out->path = arena_dup(a, path);
    if (memchr(path.data ? path.data : "", '\0', path.len))
        return error_set(err, "a path with a NUL");
    return file_read(path, max, a, &out->data, err);
}

static bool take_variable(struct bytes name, struct arena *a, size_t max, struct data_source *out,
                          struct error *err)
{
    const char *value = getenv(arena_str(a, name));
    out->variable = arena_dup(a, name);
    if (!value)
        return error_set(err, "Environment variable doesn't exist: %.*s", BYTES_ARG(name));
    if (strlen(value) > max)
        return error_set(err, "environment variable %.*s: more than %zu bytes", BYTES_ARG(name),
                         max);
    out->data = arena_dup(a, bytes_of(value));
    return true;
}

bool data_source_read(const envoy_config_core_v3_DataSource *m, struct arena *a, size_t max,
                      struct data_source *out, struct error *err)
{
    *out = (struct data_source){
        .present = m != NULL, .data = BYTES(""), .path = BYTES(""), .variable = BYTES("")};
    if (!m)
        return true;
    switch (SOURCE(specifier_case)(m)) {
    case SOURCE(specifier_filename):
        return take_file(upb_bytes(SOURCE(filename)(m)), a, max, out, err);
    case SOURCE(specifier_environment_variable):
        return take_variable(upb_bytes(SOURCE(environment_variable)(m)), a, max, out, err);
    case SOURCE(specifier_inline_bytes):
        out->data = upb_bytes(SOURCE(inline_bytes)(m));
        break;
    case SOURCE(specifier_inline_string):
        out->data = upb_bytes(SOURCE(inline_string)(m));
        break;
    case SOURCE(specifier_NOT_SET):
        return error_set(err, "specifier: expected one of filename, inline_bytes, inline_string, "
                              "environment_variable");
    }
    out->path = BYTES("<inline>");
    if (out->data.len > max)
        return error_set(err, "more than %zu bytes", max);
    return true;
}
