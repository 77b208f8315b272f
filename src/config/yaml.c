#include "config/yaml.h"

#include <yaml.h>

#include "base/map.h"
#include "base/memory.h"

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    const char *file;
    struct bytes input;
    struct map anchors; /* name -> yaml_node */
    struct error *err;
};

static bool fail_at(struct reader *r, yaml_mark_t at, const char *text)
{
    return error_set(r->err, "%s:%zu:%zu: %s", r->file, at.line + 1, at.column + 1, text);
}

static bool fail_parser(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return error_set(r->err, "%s: not enough memory", r->file);
    if (p->error == YAML_READER_ERROR)
        return yaml_fail_byte(r->file, r->input, p->problem_offset, problem, r->err);
    if (p->context)
        return error_set(r->err, "%s:%zu:%zu: %s (%s, line %zu)", r->file, p->problem_mark.line + 1,
                         p->problem_mark.column + 1, problem, p->context, p->context_mark.line + 1);
    return fail_at(r, p->problem_mark, problem);
}

static bool next_event(struct reader *r, yaml_event_t *e)
{
    return yaml_parser_parse(&r->parser, e) ? true : fail_parser(r);
}

static struct yaml_node *new_node(struct reader *r, enum yaml_kind kind, yaml_mark_t at)
{
    struct yaml_node *n = ARENA_NEW(r->arena, struct yaml_node);
    n->kind = kind;
    n->file = r->file;
    n->line = (uint32_t)at.line + 1;
    n->column = (uint32_t)at.column + 1;
    n->weight = 1;
    return n;
}

static bool add_weight(struct reader *r, struct yaml_node *parent, const struct yaml_node *child,
                       yaml_mark_t at)
{
    if ((uint64_t)parent->weight + child->weight > YAML_MAX_NODES)
        return fail_at(r, at, "too many nodes once aliases are expanded");
    parent->weight += child->weight;
    return true;
}

static struct bytes event_text(const unsigned char *text)
{
    return bytes_of((const char *)text);
}

/* An anchor counts once its node is complete: an alias inside it is then unknown, so that no tree
 * can contain itself. */
static void remember(struct reader *r, struct bytes anchor, struct yaml_node *n)
{
    if (anchor.data)
        map_set(&r->anchors, anchor, n);
}

static bool read_node(struct reader *r, yaml_event_t *e, unsigned depth, struct yaml_node **out);

static bool read_scalar(struct reader *r, const yaml_event_t *e, struct yaml_node **out)
{
    const yaml_char_t *tag = e->data.scalar.tag;
    struct yaml_node *n = new_node(r, YAML_SCALAR, e->start_mark);
    n->text =
        arena_dup(r->arena, bytes_from((const char *)e->data.scalar.value, e->data.scalar.length));
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (tag) {
        struct bytes t = event_text(tag);
        if (bytes_eq_str(t, YAML_STR_TAG) || bytes_eq_str(t, "!"))
            n->quoted = true;
        else if (!bytes_starts_with(t, BYTES("tag:yaml.org,2002:")) ||
                 bytes_ends_with(t, BYTES(":binary")))
            return fail_at(r, e->start_mark, "a tag that has no meaning here");
    }
    *out = n;
    return true;
}

static bool read_sequence(struct reader *r, yaml_mark_t at, unsigned depth, struct yaml_node **out)
{
    struct yaml_node *n = new_node(r, YAML_SEQUENCE, at), **items = NULL;
    size_t cap = 0;
    bool ok;
    for (;;) {
        yaml_event_t e;
        struct yaml_node *child = NULL;
        if (!next_event(r, &e)) {
            ok = false;
            break;
        }
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            ok = true;
            break;
        }
        yaml_mark_t mark = e.start_mark;
        ok = read_node(r, &e, depth + 1, &child) && add_weight(r, n, child, mark);
        if (!ok)
            break;
        GROW(items, cap, n->count + 1);
        items[n->count++] = child;
    }
    if (ok && n->count > 0) {
        n->items = ARENA_ARRAY(r->arena, struct yaml_node *, n->count);
        memcpy(n->items, items, n->count * sizeof(*items));
    }
    mem_free(items);
    *out = n;
    return ok;
}

static bool read_entry(struct reader *r, yaml_event_t *e, unsigned depth, struct yaml_node *parent,
                       struct map *seen, struct yaml_entry *entry)
{
    yaml_mark_t mark = e->start_mark;
    struct yaml_node *key;
    yaml_event_t value;
    if (!read_node(r, e, depth + 1, &key))
        return false;
    if (key->kind != YAML_SCALAR)
        return fail_at(r, mark, "expected a name before ':'");
    const struct yaml_node *before = map_set(seen, key->text, key);
    if (before)
        return error_set(r->err, "%s:%zu:%zu: '%.*s' stands twice: first on line %u", r->file,
                         mark.line + 1, mark.column + 1, BYTES_ARG(key->text), before->line);
    if (!next_event(r, &value))
        return false;
    entry->key = key->text;
    entry->key_node = key;
    return read_node(r, &value, depth + 1, &entry->value) &&
           add_weight(r, parent, entry->value, mark);
}

static bool read_mapping(struct reader *r, yaml_mark_t at, unsigned depth, struct yaml_node **out)
{
    struct yaml_node *n = new_node(r, YAML_MAPPING, at);
    struct yaml_entry *entries = NULL;
    struct map seen = MAP_INIT;
    size_t cap = 0;
    bool ok;
    for (;;) {
        yaml_event_t e;
        if (!next_event(r, &e)) {
            ok = false;
            break;
        }
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            ok = true;
            break;
        }
        GROW(entries, cap, n->count + 1);
        ok = read_entry(r, &e, depth, n, &seen, &entries[n->count]);
        if (!ok)
            break;
        n->count++;
    }
    if (ok && n->count > 0) {
        n->entries = ARENA_ARRAY(r->arena, struct yaml_entry, n->count);
        memcpy(n->entries, entries, n->count * sizeof(*entries));
    }
    map_fini(&seen);
    mem_free(entries);
    *out = n;
    return ok;
}

static bool read_alias(struct reader *r, const yaml_event_t *e, struct yaml_node **out)
{
    struct bytes name = event_text(e->data.alias.anchor);
    *out = map_get(&r->anchors, name);
    if (*out)
        return true;
    return error_set(r->err, "%s:%zu:%zu: alias '*%.*s' has no anchor before it", r->file,
                     e->start_mark.line + 1, e->start_mark.column + 1, BYTES_ARG(name));
}

/* Consumes the event. */
static bool read_node(struct reader *r, yaml_event_t *e, unsigned depth, struct yaml_node **out)
{
    yaml_mark_t at = e->start_mark;
    struct bytes anchor = BYTES_NONE;
    bool ok;
    if (depth > YAML_MAX_DEPTH) {
        yaml_event_delete(e);
        return fail_at(r, at, "nested too deeply");
    }
    switch ((int)e->type) {
    case YAML_SCALAR_EVENT:
        anchor = event_text(e->data.scalar.anchor);
        ok = read_scalar(r, e, out);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event_text(e->data.sequence_start.anchor);
        ok = read_sequence(r, at, depth, out);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event_text(e->data.mapping_start.anchor);
        ok = read_mapping(r, at, depth, out);
        break;
    case YAML_ALIAS_EVENT:
        ok = read_alias(r, e, out);
        break;
    default:
        ok = fail_at(r, at, "expected a value");
        break;
    }
    if (ok)
        remember(r, anchor, *out);
    yaml_event_delete(e);
    return ok;
}

/* *out NULL: no further document. */
static bool read_document(struct reader *r, struct yaml_node **out)
{
    yaml_event_t e;
    *out = NULL;
    for (;;) {
        if (!next_event(r, &e))
            return false;
        int type = (int)e.type;
        if (type == YAML_DOCUMENT_START_EVENT || type == YAML_STREAM_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT) {
            if (type == YAML_DOCUMENT_START_EVENT) {
                map_fini(&r->anchors);
                r->anchors = (struct map)MAP_INIT;
            }
            yaml_event_delete(&e);
            continue;
        }
        if (type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&e);
            return true;
        }
        return read_node(r, &e, 1, out);
    }
}

static bool reader_init(struct reader *r, struct arena *a, const char *file, struct bytes text,
                        struct error *err)
{
    *r = (struct reader){.arena = a, .input = text, .err = err};
    r->file = arena_str(a, bytes_of(file));
    if (!yaml_parser_initialize(&r->parser))
        return error_set(err, "%s: not enough memory", file);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)(text.data ? text.data : ""),
                                 text.len);
    return true;
}

static void reader_fini(struct reader *r)
{
    map_fini(&r->anchors);
    yaml_parser_delete(&r->parser);
}

struct yaml_node *yaml_parse(struct arena *a, const char *file, struct bytes text,
                             struct error *err)
{
    struct reader r;
    struct yaml_node *n = NULL;
    if (!reader_init(&r, a, file, text, err))
        return NULL;
    if (!read_document(&r, &n))
        n = NULL;
    else if (!n)
        n = yaml_mapping(a, &(struct yaml_node){.file = file});
    reader_fini(&r);
    return n;
}

struct yaml_node **yaml_parse_all(struct arena *a, const char *file, struct bytes text,
                                  size_t *count, struct error *err)
{
    struct reader r;
    struct yaml_node **docs = NULL, **result = NULL, *n = NULL;
    size_t cap = 0;
    *count = 0;
    if (!reader_init(&r, a, file, text, err))
        return NULL;
    bool ok;
    while ((ok = read_document(&r, &n)) && n) {
        GROW(docs, cap, *count + 1);
        docs[(*count)++] = n;
    }
    if (ok) {
        result = ARENA_ARRAY(a, struct yaml_node *, *count + 1);
        if (*count)
            memcpy(result, docs, *count * sizeof(*docs));
    }
    mem_free(docs);
    reader_fini(&r);
    return result;
}
