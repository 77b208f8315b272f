#include "config/runtime_value.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "config/file_read.h"
#include "config/struct_tree.h"
#include "config/yaml.h"

enum { FOLDER_DEPTH_MAX = 16, FILE_SIZE_MAX = 64 * 1024, FOLDER_FILES_MAX = 10000 };

static struct runtime_value *value_new(enum runtime_value_kind kind, struct bytes text)
{
    struct runtime_value *v = mem_zalloc(sizeof(*v) + text.len + 1);
    v->kind = kind;
    v->len = text.len;
    if (text.len)
        memcpy(v->text, text.data, text.len);
    return v;
}

static bool is_number(struct bytes text, double *out)
{
    char buf[64], *end;
    if (text.len == 0 || text.len >= sizeof(buf))
        return false;
    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    *out = strtod(buf, &end);
    bool starts_well = strchr("+-.0123456789", buf[0]) != NULL;
    return end == buf + text.len && starts_well && buf[1] != 'x' && buf[1] != 'X';
}

static bool take_denominator(struct bytes name, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t value;
    } rows[] = {{"HUNDRED", 100}, {"TEN_THOUSAND", 10000}, {"MILLION", 1000000}, {"0", 100},
                {"1", 10000},     {"2", 1000000}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (bytes_eq_str(name, rows[i].name)) {
            *out = rows[i].value;
            return true;
        }
    }
    return false;
}

/* {numerator: 5, denominator: HUNDRED}; false: it is something else. */
static bool take_fraction(const struct yaml_node *n, struct fraction *out)
{
    const struct yaml_node *numerator = yaml_get(n, "numerator");
    const struct yaml_node *denominator = yaml_get(n, "denominator");
    uint64_t value = 0;
    *out = (struct fraction){0, 100};
    for (size_t i = 0; i < n->count; i++) {
        if (n->entries[i].value != numerator && n->entries[i].value != denominator)
            return false;
    }
    if (denominator && (denominator->kind != YAML_SCALAR ||
                        !take_denominator(denominator->text, &out->denominator)))
        return false;
    if (numerator && (numerator->kind != YAML_SCALAR || !bytes_to_u64(numerator->text, &value) ||
                      value > UINT32_MAX))
        return false;
    out->numerator = (uint32_t)value;
    return numerator || denominator;
}

static struct runtime_value *fraction_value(struct fraction f)
{
    char text[64];
    snprintf(text, sizeof(text), "{\"numerator\":%u,\"denominator\":\"%s\"}", f.numerator,
             f.denominator == 100     ? "HUNDRED"
             : f.denominator == 10000 ? "TEN_THOUSAND"
                                      : "MILLION");
    struct runtime_value *v = value_new(RUNTIME_FRACTION, bytes_of(text));
    v->fraction = f;
    return v;
}

/* NULL: no fraction. */
static struct runtime_value *fraction_of_text(struct bytes text)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct fraction f;
    bool may_be = bytes_find_char(text, ':') >= 0;
    struct yaml_node *n = may_be ? yaml_parse(a, "value", text, &err) : NULL;
    bool ok = n && n->kind == YAML_MAPPING && take_fraction(n, &f);
    error_fini(&err);
    arena_free(&a);
    return ok ? fraction_value(f) : NULL;
}

struct runtime_value *runtime_value_of_text(struct bytes text)
{
    double number = 0;
    struct runtime_value *v = fraction_of_text(text);
    if (v)
        return v;
    enum runtime_value_kind kind =
        is_number(text, &number) ? RUNTIME_NUMBER
        : bytes_eq_nocase(text, BYTES("true")) || bytes_eq_nocase(text, BYTES("false"))
            ? RUNTIME_BOOL
            : RUNTIME_TEXT;
    v = value_new(kind, text);
    v->number = number;
    return v;
}

/* ---- Struct ---- */

/* Envoy prints six digits. */
static struct runtime_value *number_value(struct bytes text)
{
    char printed[32];
    double number = 0;
    if (!is_number(text, &number))
        return value_new(RUNTIME_TEXT, text);
    snprintf(printed, sizeof(printed), "%g", number);
    struct runtime_value *v = value_new(RUNTIME_NUMBER, bytes_of(printed));
    v->number = number;
    return v;
}

static bool walk_struct(struct arena *a, struct bytes key, const struct yaml_node *n,
                        struct map *out, struct error *err);

static bool walk_fields(struct arena *a, struct bytes prefix, const struct yaml_node *n,
                        struct map *out, struct error *err)
{
    for (size_t i = 0; i < n->count; i++) {
        struct bytes key = n->entries[i].key;
        if (prefix.len)
            key = bytes_of(arena_printf(a, "%.*s.%.*s", BYTES_ARG(prefix), BYTES_ARG(key)));
        if (!walk_struct(a, key, n->entries[i].value, out, err))
            return false;
    }
    return true;
}

static bool walk_struct(struct arena *a, struct bytes key, const struct yaml_node *n,
                        struct map *out, struct error *err)
{
    struct runtime_value *v = NULL;
    struct fraction f;
    if (n->kind == YAML_MAPPING && take_fraction(n, &f))
        v = fraction_value(f);
    else if (n->kind == YAML_MAPPING && n->count)
        return walk_fields(a, key, n, out, err);
    else if (n->kind == YAML_MAPPING)
        v = value_new(RUNTIME_TEXT, BYTES("{}"));
    else if (n->kind == YAML_SCALAR && n->quoted)
        v = runtime_value_of_text(n->text);
    else if (n->kind == YAML_SCALAR && bytes_eq_str(n->text, "null"))
        return error_set(err, "Invalid runtime entry value for %.*s", BYTES_ARG(key));
    else if (n->kind == YAML_SCALAR &&
             (bytes_eq_str(n->text, "true") || bytes_eq_str(n->text, "false")))
        v = value_new(RUNTIME_BOOL, n->text);
    else if (n->kind == YAML_SCALAR)
        v = number_value(n->text);
    if (!v)
        return error_set(err, "Invalid runtime entry value for %.*s", BYTES_ARG(key));
    mem_free(map_set(out, key, v));
    return true;
}

bool runtime_values_of_struct(struct bytes wire, struct map *out, struct error *err)
{
    struct arena *a = arena_new(0);
    struct yaml_node *tree = struct_tree(a, wire, err);
    bool ok = tree && walk_fields(a, BYTES(""), tree, out, err);
    arena_free(&a);
    return ok;
}

/* ---- folders ---- */

struct folder_walk {
    struct arena *arena;
    struct map *out;
    struct error *err;
};

/* Lines that begin with # are comments; blanks at the end are none of the value. */
static struct bytes file_value(struct arena *a, struct bytes text)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    while (text.len) {
        ptrdiff_t end = bytes_find_char(text, '\n');
        size_t len = end < 0 ? text.len : (size_t)end + 1;
        if (text.data[0] != '#') {
            memcpy(out + n, text.data, len);
            n += len;
        }
        text = bytes_skip(text, len);
    }
    while (n > 0 && strchr(" \t\r\n\v\f", out[n - 1]))
        n--;
    return bytes_from(out, n);
}

static bool walk_folder(struct folder_walk *w, const char *path, const char *prefix,
                        unsigned depth);

static bool walk_entry(struct folder_walk *w, const char *path, const char *key, unsigned depth)
{
    struct stat st;
    struct bytes text;
    if (stat(path, &st) != 0)
        return true; /* it went meanwhile */
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, path, key, depth + 1);
    if (map_count(w->out) >= FOLDER_FILES_MAX)
        return error_set(w->err, "'%s': more than %d files", path, FOLDER_FILES_MAX);
    if (!file_read(bytes_of(path), FILE_SIZE_MAX, w->arena, &text, w->err))
        return false;
    struct runtime_value *v = runtime_value_of_text(file_value(w->arena, text));
    mem_free(map_set(w->out, bytes_of(key), v));
    return true;
}

static bool walk_folder(struct folder_walk *w, const char *path, const char *prefix, unsigned depth)
{
    bool ok = true;
    if (depth > FOLDER_DEPTH_MAX)
        return error_set(w->err, "'%s': deeper than %d folders", path, FOLDER_DEPTH_MAX);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || error_set(w->err, "cannot read '%s': %s", path, strerror(errno));
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        const char *key = *prefix ? arena_printf(w->arena, "%s.%s", prefix, e->d_name)
                                  : arena_printf(w->arena, "%s", e->d_name);
        ok = walk_entry(w, arena_printf(w->arena, "%s/%s", path, e->d_name), key, depth);
    }
    closedir(dir);
    return ok;
}

bool runtime_values_of_folder(const char *path, struct map *out, struct error *err)
{
    struct folder_walk w = {arena_new(0), out, err};
    bool ok = walk_folder(&w, path, "", 0);
    arena_free(&w.arena);
    return ok;
}
