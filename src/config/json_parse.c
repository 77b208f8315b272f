/* JSON text as the same tree that YAML gives. Strict (RFC 8259), but for a comma before a closing
 * bracket. */
#include "config/yaml.h"

#include "base/map.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "config/utf8.h"

struct json_reader {
    struct arena *arena;
    const char *file;
    const char *at, *end, *line_start;
    uint32_t line;
    struct strbuf scratch;
    struct error *err;
};

static bool fail(struct json_reader *r, const char *at, const char *text)
{
    return error_set(r->err, "%s:%u:%zu: %s", r->file, r->line, (size_t)(at - r->line_start) + 1,
                     text);
}

static void skip_space(struct json_reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n') {
            r->line++;
            r->line_start = r->at + 1;
        } else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r') {
            return;
        }
    }
}

static bool next_is(struct json_reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static struct yaml_node *new_node(struct json_reader *r, enum yaml_kind kind)
{
    struct yaml_node *n = ARENA_NEW(r->arena, struct yaml_node);
    n->kind = kind;
    n->json = true;
    n->file = r->file;
    n->line = r->line;
    n->column = (uint32_t)(r->at - r->line_start) + 1;
    n->weight = 1;
    return n;
}

static bool read_hex4(struct json_reader *r, uint32_t *code)
{
    *code = 0;
    if (r->end - r->at < 4)
        return fail(r, r->at, "expected four hexadecimal digits after \\u");
    for (int i = 0; i < 4; i++) {
        char c = ascii_lower(*r->at++);
        if (c >= '0' && c <= '9')
            *code = *code * 16 + (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *code = *code * 16 + (uint32_t)(c - 'a') + 10;
        else
            return fail(r, r->at - 1, "expected four hexadecimal digits after \\u");
    }
    return true;
}

static bool read_unicode(struct json_reader *r)
{
    const char *at = r->at;
    uint32_t code, low;
    if (!read_hex4(r, &code))
        return false;
    if (code >= 0xdc00 && code < 0xe000)
        return fail(r, at, "half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->end - r->at < 6 || r->at[0] != '\\' || r->at[1] != 'u')
            return fail(r, at, "half of a surrogate pair");
        r->at += 2;
        if (!read_hex4(r, &low))
            return false;
        if (low < 0xdc00 || low >= 0xe000)
            return fail(r, at, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    char out[4];
    strbuf_add(&r->scratch, out, utf8_encode(code, out));
    return true;
}

static bool read_escape(struct json_reader *r)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return fail(r, r->at, "the string has no end");
    char c = *r->at++;
    if (c == 'u')
        return read_unicode(r);
    const char *p = c ? strchr(from, c) : NULL;
    if (!p)
        return fail(r, r->at - 1, "no such escape in JSON");
    strbuf_add_char(&r->scratch, to[p - from]);
    return true;
}

static bool read_string(struct json_reader *r, struct yaml_node **out)
{
    struct yaml_node *n = *out = new_node(r, YAML_SCALAR);
    const char *begin = r->at++;
    n->quoted = true;
    strbuf_reset(&r->scratch);
    for (;;) {
        const char *run = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
            r->at++;
        strbuf_add(&r->scratch, run, (size_t)(r->at - run));
        if (r->at == r->end)
            return fail(r, begin, "the string has no end");
        char c = *r->at++;
        if (c == '"')
            break;
        if (c != '\\')
            return fail(r, r->at - 1, "a control character inside a string");
        if (!read_escape(r))
            return false;
    }
    n->text = arena_dup(r->arena, strbuf_bytes(&r->scratch));
    return true;
}

static size_t digits(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && p[n] >= '0' && p[n] <= '9')
        n++;
    return n;
}

/* The length of the JSON number at p; 0: none. */
static size_t number_length(const char *p, const char *end)
{
    const char *q = p;
    if (q < end && *q == '-')
        q++;
    size_t n = digits(q, end);
    if (n == 0 || (n > 1 && *q == '0'))
        return 0;
    q += n;
    if (q < end && *q == '.') {
        n = digits(q + 1, end);
        if (n == 0)
            return 0;
        q += n + 1;
    }
    if (q < end && (*q == 'e' || *q == 'E')) {
        q++;
        if (q < end && (*q == '+' || *q == '-'))
            q++;
        n = digits(q, end);
        if (n == 0)
            return 0;
        q += n;
    }
    return (size_t)(q - p);
}

static bool read_plain(struct json_reader *r, struct yaml_node **out)
{
    static const char *const words[] = {"true", "false", "null"};
    struct bytes rest = bytes_from(r->at, (size_t)(r->end - r->at));
    size_t len = number_length(r->at, r->end);
    for (size_t i = 0; len == 0 && i < ARRAY_SIZE(words); i++)
        if (bytes_starts_with(rest, bytes_of(words[i])))
            len = strlen(words[i]);
    if (len < rest.len && len > 0) {
        char c = rest.data[len];
        if ((ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
            c == '.' || c == '_')
            len = 0;
    }
    if (len == 0)
        return fail(r, r->at, "expected a JSON value");
    *out = new_node(r, YAML_SCALAR);
    (*out)->text = arena_dup(r->arena, bytes_first(rest, len));
    r->at += len;
    return true;
}

static bool read_value(struct json_reader *r, unsigned depth, struct yaml_node **out);

static bool read_member(struct json_reader *r, unsigned depth, struct map *seen,
                        struct yaml_entry *entry)
{
    struct yaml_node *key;
    skip_space(r);
    const char *at = r->at;
    if (r->at == r->end || *r->at != '"')
        return fail(r, r->at, "expected a name in quotes or '}'");
    if (!read_string(r, &key))
        return false;
    const struct yaml_node *before = map_set(seen, key->text, key);
    if (before)
        return error_set(r->err, "%s:%u:%zu: '%.*s' stands twice: first on line %u", r->file,
                         r->line, (size_t)(at - r->line_start) + 1, BYTES_ARG(key->text),
                         before->line);
    if (!next_is(r, ':'))
        return fail(r, r->at, "expected ':'");
    entry->key = key->text;
    entry->key_node = key;
    return read_value(r, depth + 1, &entry->value);
}

static bool read_object(struct json_reader *r, unsigned depth, struct yaml_node **out)
{
    struct yaml_node *n = *out = new_node(r, YAML_MAPPING);
    struct yaml_entry *entries = NULL;
    struct map seen = MAP_INIT;
    size_t cap = 0;
    bool ok = true;
    r->at++;
    while (ok && !next_is(r, '}')) {
        GROW(entries, cap, n->count + 1);
        ok = read_member(r, depth, &seen, &entries[n->count]);
        if (!ok)
            break;
        n->weight += entries[n->count++].value->weight;
        if (next_is(r, ','))
            continue;
        if (r->at == r->end || *r->at != '}')
            ok = fail(r, r->at, "expected ',' or '}'");
    }
    if (ok && n->count > 0) {
        n->entries = ARENA_ARRAY(r->arena, struct yaml_entry, n->count);
        memcpy(n->entries, entries, n->count * sizeof(*entries));
    }
    map_fini(&seen);
    mem_free(entries);
    return ok;
}

static bool read_array(struct json_reader *r, unsigned depth, struct yaml_node **out)
{
    struct yaml_node *n = *out = new_node(r, YAML_SEQUENCE), **items = NULL;
    size_t cap = 0;
    bool ok = true;
    r->at++;
    while (ok && !next_is(r, ']')) {
        GROW(items, cap, n->count + 1);
        ok = read_value(r, depth + 1, &items[n->count]);
        if (!ok)
            break;
        n->weight += items[n->count++]->weight;
        if (next_is(r, ','))
            continue;
        if (r->at == r->end || *r->at != ']')
            ok = fail(r, r->at, "expected ',' or ']'");
    }
    if (ok && n->count > 0) {
        n->items = ARENA_ARRAY(r->arena, struct yaml_node *, n->count);
        memcpy(n->items, items, n->count * sizeof(*items));
    }
    mem_free(items);
    return ok;
}

static bool read_value(struct json_reader *r, unsigned depth, struct yaml_node **out)
{
    skip_space(r);
    if (depth > YAML_MAX_DEPTH)
        return fail(r, r->at, "nested too deeply");
    if (r->at == r->end)
        return fail(r, r->at, "expected a JSON value, got the end of the text");
    switch (*r->at) {
    case '{':
        return read_object(r, depth, out);
    case '[':
        return read_array(r, depth, out);
    case '"':
        return read_string(r, out);
    default:
        return read_plain(r, out);
    }
}

struct yaml_node *json_parse(struct arena *a, const char *file, struct bytes text,
                             struct error *err)
{
    struct json_reader r = {.arena = a, .line = 1, .err = err};
    struct yaml_node *n = NULL;
    r.file = arena_str(a, bytes_of(file));
    r.at = r.line_start = text.data ? text.data : "";
    r.end = r.at + text.len;
    size_t bad = utf8_check(text);
    if (bad < text.len) {
        yaml_fail_byte(file, text, bad, "not UTF-8", err);
        return NULL;
    }
    bool ok = read_value(&r, 1, &n);
    if (ok) {
        skip_space(&r);
        if (r.at < r.end)
            ok = fail(&r, r.at, "text after the JSON value");
    }
    strbuf_fini(&r.scratch);
    return ok ? n : NULL;
}
