#include "config/runtime_value.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
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

static bool is_blank(char c)
{
    return c && strchr(" \t\r\n\v\f", c);
}

/* As strtod() reads it, with blanks around it. */
static bool read_number(struct bytes text, double *out)
{
    char buf[64], *end;
    while (text.len && is_blank(text.data[text.len - 1]))
        text.len--;
    if (text.len == 0 || text.len >= sizeof(buf))
        return false;
    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    *out = strtod(buf, &end);
    return end == buf + text.len && isfinite(*out);
}

/* A scalar of YAML; also "010", which is eight, and "0x10". */
static bool read_integer(const struct yaml_node *n, double *out)
{
    char buf[64], *end;
    if (n->kind != YAML_SCALAR || n->quoted || n->text.len == 0 || n->text.len >= sizeof(buf))
        return false;
    memcpy(buf, n->text.data, n->text.len);
    buf[n->text.len] = '\0';
    errno = 0;
    *out = (double)strtoll(buf, &end, 0);
    return end == buf + n->text.len && errno == 0;
}

static bool take_denominator(const struct yaml_node *n, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t value;
    } rows[] = {{"HUNDRED", 100}, {"TEN_THOUSAND", 10000}, {"MILLION", 1000000}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows) && n->kind == YAML_SCALAR; i++) {
        if (bytes_eq_str(n->text, rows[i].name)) {
            *out = rows[i].value;
            return true;
        }
    }
    return false;
}

/* As Envoy: what is no number counts as 0, and in YAML what is none of 32 bits. */
static bool take_numerator(const struct yaml_node *n, bool yaml, uint32_t *out)
{
    double number = 0;
    bool ok = yaml ? read_integer(n, &number) && number >= INT32_MIN && number <= INT32_MAX
                   : n->kind == YAML_SCALAR && !n->quoted && read_number(n->text, &number);
    *out = !ok ? 0 : runtime_whole(number);
    return !ok || number > -1;
}

/* {numerator: 5, denominator: HUNDRED}, or {}; false: it is something else. */
static bool take_fraction(const struct yaml_node *n, bool yaml, struct fraction *out)
{
    const struct yaml_node *numerator = yaml_get(n, "numerator");
    const struct yaml_node *denominator = yaml_get(n, "denominator");
    *out = (struct fraction){0, 100};
    for (size_t i = 0; i < n->count; i++) {
        if (n->entries[i].value != numerator && n->entries[i].value != denominator)
            return false;
    }
    return (!denominator || take_denominator(denominator, &out->denominator)) &&
           (!numerator || take_numerator(numerator, yaml, &out->numerator));
}

static struct runtime_value *fraction_value(struct bytes text, struct fraction f)
{
    struct runtime_value *v = value_new(RUNTIME_FRACTION, text);
    v->fraction = f;
    return v;
}

/* n: what it is as YAML; NULL: it is none, or not asked. */
static struct runtime_value *scalar_value(struct bytes text, const struct yaml_node *n)
{
    double number = 0;
    enum runtime_value_kind kind =
        (n && read_integer(n, &number)) || read_number(text, &number) ? RUNTIME_NUMBER
        : bytes_eq_nocase(text, BYTES("true")) || bytes_eq_nocase(text, BYTES("false"))
            ? RUNTIME_BOOL
            : RUNTIME_TEXT;
    struct runtime_value *v = value_new(kind, text);
    v->number = kind == RUNTIME_NUMBER ? number : 0;
    return v;
}

struct runtime_value *runtime_value_of_text(struct bytes text)
{
    struct arena *a = arena_new(0);
    struct error err = ERROR_INIT;
    struct fraction f;
    struct yaml_node *n = yaml_parse(a, "value", text, &err);
    bool mapping = n && n->line && n->kind == YAML_MAPPING;
    struct runtime_value *v =
        mapping && take_fraction(n, true, &f) ? fraction_value(text, f) : scalar_value(text, n);
    error_fini(&err);
    arena_free(&a);
    return v;
}

/* ---- Struct ---- */

/* Envoy prints six digits. */
static struct runtime_value *number_value(struct bytes text)
{
    char printed[32];
    double number = 0;
    if (!read_number(text, &number))
        return value_new(RUNTIME_TEXT, text);
    snprintf(printed, sizeof(printed), "%g", number);
    struct runtime_value *v = value_new(RUNTIME_NUMBER, bytes_of(printed));
    v->number = number;
    return v;
}

static struct runtime_value *struct_fraction(const struct yaml_node *n, struct fraction f)
{
    char text[64] = "{}";
    if (n->count)
        snprintf(text, sizeof(text), "{\"numerator\":%u,\"denominator\":\"%s\"}", f.numerator,
                 f.denominator == 100     ? "HUNDRED"
                 : f.denominator == 10000 ? "TEN_THOUSAND"
                                          : "MILLION");
    return fraction_value(bytes_of(text), f);
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
    if (n->kind == YAML_MAPPING && take_fraction(n, false, &f))
        v = struct_fraction(n, f);
    else if (n->kind == YAML_MAPPING)
        return walk_fields(a, key, n, out, err);
    else if (n->kind == YAML_SCALAR && n->quoted)
        v = scalar_value(n->text, NULL);
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

/* Lines that begin with # are comments; those, empty ones and blanks at the end are none of the
 * value. */
static struct bytes file_value(struct arena *a, struct bytes text)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    while (text.len) {
        ptrdiff_t end = bytes_find_char(text, '\n');
        size_t len = end < 0 ? text.len : (size_t)end + 1;
        if (text.data[0] != '#' && text.data[0] != '\n') {
            memcpy(out + n, text.data, len);
            n += len;
        }
        text = bytes_skip(text, len);
    }
    while (n > 0 && is_blank(out[n - 1]))
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

bool runtime_values_of_folder(const char *path, struct map *out, bool *there, struct error *err)
{
    struct stat st;
    struct folder_walk w = {arena_new(0), out, err};
    *there = stat(path, &st) == 0;
    bool ok = walk_folder(&w, path, "", 0);
    arena_free(&w.arena);
    return ok;
}
