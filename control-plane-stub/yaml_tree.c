#include "yaml_tree.h"

#include "strmap.h"
#include "vars.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct tree_chunk {
    struct tree_chunk *next;
    max_align_t bytes[];
};

/* One document on its way from libyaml's nodes to ours. */
struct load {
    struct tree *tree;
    yaml_document_t *doc;
    const struct expansion *expansion;
    struct node **done; /* by libyaml's index: an alias gives the same node again */
    struct error *err;
};

static void *tree_alloc(struct tree *t, size_t size)
{
    struct tree_chunk *c = mem_zero(sizeof(*c) + size);

    c->next = t->chunks;
    t->chunks = c;
    return c->bytes;
}

static struct node *load_node(struct load *l, int index, int depth);

static bool is_merge_key(const struct node *key)
{
    return key->kind == NODE_SCALAR && key->plain && !strcmp(key->text, "<<");
}

static bool has_key(const struct node *map, size_t pairs, const char *key)
{
    for (size_t i = 0; i < pairs; i++)
        if (!strcmp(map->items[2 * i]->text, key))
            return true;
    return false;
}

/* Put the pairs of `from` into `to` unless they are there already. */
static bool merge(struct load *l, struct node *to, size_t *room, const struct node *from)
{
    if (from->kind == NODE_LIST) {
        for (size_t i = 0; i < from->count; i++)
            if (!merge(l, to, room, from->items[i]))
                return false;
        return true;
    }
    if (from->kind != NODE_MAP)
        return error_set(l->err, "%s:%d:%d: `<<` needs a mapping", l->tree->file, from->line,
                         from->column);
    for (size_t i = 0; i < from->count; i++) {
        if (has_key(to, to->count, from->items[2 * i]->text))
            continue;
        if (to->count == *room) {
            struct node **wider = tree_alloc(l->tree, *room * 4 * sizeof(*wider));

            memcpy(wider, to->items, to->count * 2 * sizeof(*wider));
            to->items = wider;
            *room *= 2;
        }
        to->items[2 * to->count] = from->items[2 * i];
        to->items[2 * to->count + 1] = from->items[2 * i + 1];
        to->count++;
    }
    return true;
}

static bool load_pair(struct load *l, struct node *n, struct node *key, struct node *value)
{
    if (key->kind != NODE_SCALAR)
        return error_set(l->err, "%s:%d:%d: a key must be a scalar", l->tree->file, key->line,
                         key->column);
    if (has_key(n, n->count, key->text))
        return error_set(l->err, "%s:%d:%d: key \"%s\" stands here twice", l->tree->file, key->line,
                         key->column, key->text);
    n->items[2 * n->count] = key;
    n->items[2 * n->count + 1] = value;
    n->count++;
    return true;
}

static bool load_map(struct load *l, struct node *n, const yaml_node_t *y, int depth)
{
    const yaml_node_pair_t *p = y->data.mapping.pairs.start;
    size_t room = (size_t)(y->data.mapping.pairs.top - p);
    struct node *merges[8];
    size_t merge_count = 0;

    n->items = tree_alloc(l->tree, (room ? room : 1) * 2 * sizeof(*n->items));
    for (; p < y->data.mapping.pairs.top; p++) {
        struct node *key = load_node(l, p->key, depth + 1);
        struct node *value = key ? load_node(l, p->value, depth + 1) : NULL;

        if (!value)
            return false;
        if (is_merge_key(key) && merge_count < 8)
            merges[merge_count++] = value;
        else if (!load_pair(l, n, key, value))
            return false;
    }
    for (size_t i = 0; i < merge_count; i++)
        if (!merge(l, n, &room, merges[i]))
            return false;
    return true;
}

static bool load_list(struct load *l, struct node *n, const yaml_node_t *y, int depth)
{
    const yaml_node_item_t *p = y->data.sequence.items.start;
    size_t count = (size_t)(y->data.sequence.items.top - p);

    n->items = tree_alloc(l->tree, (count ? count : 1) * sizeof(*n->items));
    for (; n->count < count; n->count++) {
        struct node *item = load_node(l, p[n->count], depth + 1);

        if (!item)
            return false;
        n->items[n->count] = item;
    }
    return true;
}

static void load_scalar(struct load *l, struct node *n, const yaml_node_t *y)
{
    char *copy;

    n->plain = y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->len = y->data.scalar.length;
    copy = tree_alloc(l->tree, n->len + 1);
    memcpy(copy, y->data.scalar.value, n->len);
    n->text = copy;
}

static struct node *load_node(struct load *l, int index, int depth)
{
    const yaml_node_t *y = yaml_document_get_node(l->doc, index);
    struct node *n = l->done[index];
    bool ok = true;

    if (n)
        return n;
    n = tree_alloc(l->tree, sizeof(*n));
    n->line = (int)y->start_mark.line + 1;
    n->column = expansion_column(l->expansion, n->line, (int)y->start_mark.column + 1);
    l->done[index] = n;
    if (depth > 200) {
        error_set(l->err, "%s:%d:%d: nested too deeply", l->tree->file, n->line, n->column);
        return NULL;
    }
    switch (y->type) {
    case YAML_SEQUENCE_NODE:
        n->kind = NODE_LIST;
        ok = load_list(l, n, y, depth);
        break;
    case YAML_MAPPING_NODE:
        n->kind = NODE_MAP;
        ok = load_map(l, n, y, depth);
        break;
    case YAML_NO_NODE:
    case YAML_SCALAR_NODE:
        n->kind = NODE_SCALAR;
        load_scalar(l, n, y);
        break;
    }
    return ok ? n : NULL;
}

static bool load_document(struct tree *t, yaml_document_t *doc, const struct expansion *expansion,
                          struct error *err)
{
    size_t nodes = (size_t)(doc->nodes.top - doc->nodes.start);
    struct load l = {.tree = t, .doc = doc, .expansion = expansion, .err = err};
    struct node *root;

    l.done = mem_zero((nodes + 1) * sizeof(*l.done));
    root = load_node(&l, 1, 0);
    free(l.done);
    if (!root)
        return false;
    t->documents = mem_resize(t->documents, (t->document_count + 1) * sizeof(*t->documents));
    t->documents[t->document_count++] = root;
    return true;
}

static bool parser_error(const yaml_parser_t *p, const char *file,
                         const struct expansion *expansion, struct error *err)
{
    int line = (int)p->problem_mark.line + 1;
    int column = (int)p->problem_mark.column + 1;

    if (p->error == YAML_READER_ERROR)
        return error_set(err, "%s: byte %zu: %s", file, p->problem_offset, p->problem);
    return error_set(err, "%s:%d:%d: %s%s%s", file, line, expansion_column(expansion, line, column),
                     p->problem ? p->problem : "bad YAML", p->context ? " " : "",
                     p->context ? p->context : "");
}

static bool load_all(struct tree *t, const struct expansion *expansion, struct error *err)
{
    yaml_parser_t parser;
    bool ok = true, more = true;

    if (!yaml_parser_initialize(&parser))
        return error_set(err, "%s: no memory for a YAML parser", t->file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text_str(&expansion->text),
                                 expansion->text.len);
    while (ok && more) {
        yaml_document_t doc;

        if (!yaml_parser_load(&parser, &doc)) {
            ok = parser_error(&parser, t->file, expansion, err);
            break;
        }
        more = yaml_document_get_root_node(&doc) != NULL;
        if (more)
            ok = load_document(t, &doc, expansion, err);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return ok;
}

bool tree_parse(struct tree **out, const char *file, const char *text, size_t len,
                const struct strmap *vars, struct error *err)
{
    struct tree *t = mem_zero(sizeof(*t));
    struct expansion expansion = {0};
    bool ok;

    t->file = mem_string(file);
    ok = expansion_make(&expansion, file, text, len, vars, err) && load_all(t, &expansion, err);
    expansion_fini(&expansion);
    if (!ok)
        tree_free(&t);
    *out = t;
    return ok;
}

void tree_free(struct tree **tree)
{
    struct tree *t = *tree;

    if (!t)
        return;
    while (t->chunks) {
        struct tree_chunk *next = t->chunks->next;

        free(t->chunks);
        t->chunks = next;
    }
    free(t->documents);
    free(t->file);
    free(t);
    *tree = NULL;
}

const struct node *node_get(const struct node *map, const char *key)
{
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (!strcmp(map->items[2 * i]->text, key))
            return map->items[2 * i + 1];
    return NULL;
}

bool node_is_null(const struct node *n)
{
    return n->kind == NODE_SCALAR && n->plain &&
           (!n->len || !strcmp(n->text, "~") || !strcmp(n->text, "null"));
}

const char *node_kind_name(const struct node *n)
{
    switch (n->kind) {
    case NODE_SCALAR:
        return "a scalar";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    }
    return "?";
}
