#include "config/source_text.h"

#include "config/descriptors.h"
#include "config/json_scalar.h"
#include "config/typed.h"

/* One field, in all trees that have it. */
struct place {
    const struct yaml_node *nodes[SOURCE_TEXT_TREES];
    unsigned n;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Keys may be written in lowerCamelCase; paths never are. */
static bool names(struct bytes key, struct bytes field)
{
    struct strbuf snake = STRBUF_INIT;
    json_scalar_snake(key, &snake);
    bool same = bytes_eq(key, field) || bytes_eq(strbuf_bytes(&snake), field);
    strbuf_fini(&snake);
    return same;
}

static const struct yaml_node *child(const struct yaml_node *n, struct bytes name, bool field)
{
    for (size_t i = 0; n->kind == YAML_MAPPING && i < n->count; i++) {
        struct bytes key = n->entries[i].key;
        if (field ? names(key, name) : bytes_eq(key, name))
            return n->entries[i].value;
    }
    return NULL;
}

/* The message that a TypedStruct stands for. */
static const struct yaml_node *meant(const struct yaml_node *n)
{
    const struct yaml_node *type = yaml_get(n, "@type"), *value;
    if (!type || type->kind != YAML_SCALAR || !typed_is_typed_struct(type->text))
        return n;
    value = yaml_get(n, "value");
    return value ? value : n;
}

static bool enter_name(struct place *p, struct bytes name, bool field)
{
    struct place next = {.n = 0};
    for (unsigned i = 0; i < p->n; i++) {
        const struct yaml_node *c = child(meant(p->nodes[i]), name, field);
        if (!c)
            continue;
        /* Values of maps and what is in an Any replace each other, they do not merge. */
        if (!field || yaml_get(c, "@type"))
            next.n = 0;
        next.nodes[next.n++] = c;
    }
    if (next.n > 0)
        *p = next;
    return next.n > 0;
}

static bool enter_index(struct place *p, size_t index)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct yaml_node *n = p->nodes[i];
        if (n->kind != YAML_SEQUENCE)
            continue;
        if (index < n->count) {
            *p = (struct place){.nodes = {n->items[index]}, .n = 1};
            return true;
        }
        index -= n->count;
    }
    return false;
}

/* A field; decoders do not name the typed_config between an extension and its fields. */
static bool enter_field(struct place *p, struct bytes name)
{
    struct place inner = *p;
    if (enter_name(p, name, true))
        return true;
    if (!enter_name(&inner, BYTES("typed_config"), true) || !enter_name(&inner, name, true))
        return false;
    *p = inner;
    return true;
}

/* [3] or ["key"]: takes it from *rest. */
static bool enter_bracket(struct place *p, struct bytes *rest)
{
    ptrdiff_t end;
    if (bytes_starts_with(*rest, BYTES("[\""))) {
        struct bytes key = bytes_skip(*rest, 2);
        end = bytes_find(key, BYTES("\"]"));
        if (end < 0 || !enter_name(p, bytes_first(key, (size_t)end), false))
            return false;
        *rest = bytes_skip(key, (size_t)end + 2);
        return true;
    }
    size_t index = 0, i = 1;
    for (; i < rest->len && i < 10 && rest->data[i] >= '0' && rest->data[i] <= '9'; i++)
        index = index * 10 + (size_t)(rest->data[i] - '0');
    if (i == 1 || i >= rest->len || rest->data[i] != ']' || !enter_index(p, index))
        return false;
    *rest = bytes_skip(*rest, i + 1);
    return true;
}

/* A word alone is a field's name only where the sentence goes on as after one. */
static bool ends_a_path(struct bytes rest)
{
    return rest.len == 0 || rest.data[0] == ':' || rest.data[0] == ',' || rest.data[0] == '[' ||
           bytes_starts_with(rest, BYTES(" ("));
}

/* Goes as deep as the path at the start of the sentence leads. */
static void enter_path(struct place *p, struct bytes rest)
{
    struct place deepest = *p;
    unsigned steps = 0;
    for (;; steps++) {
        size_t n = 0;
        if (rest.len > 0 && rest.data[0] == '[') {
            if (steps == 0 || !enter_bracket(&deepest, &rest))
                break;
            continue;
        }
        if (steps > 0 && rest.len > 0 && rest.data[0] == '.')
            rest = bytes_skip(rest, 1);
        else if (steps > 0)
            break;
        while (n < rest.len && is_name_char(rest.data[n]))
            n++;
        if (n == 0 || !enter_field(&deepest, bytes_first(rest, n)))
            break;
        rest = bytes_skip(rest, n);
    }
    if (steps > 1 || (steps == 1 && ends_a_path(rest)))
        *p = deepest;
}

const struct yaml_node *source_text_find(const struct source_text *t, struct bytes sentence)
{
    struct place p = {.n = 0};
    for (unsigned i = 0; i < t->n; i++)
        p.nodes[p.n++] = t->trees[i];
    while (p.n > 0 && sentence.len > 0) {
        ptrdiff_t next = bytes_find(sentence, BYTES(": "));
        enter_path(&p, sentence);
        sentence = bytes_skip(sentence, next < 0 ? sentence.len : (size_t)next + 2);
    }
    return p.n > 0 ? p.nodes[p.n - 1] : NULL;
}

bool source_text_locate(const struct source_text *t, struct error *err)
{
    const struct yaml_node *n = source_text_find(t, bytes_of(error_text(err)));
    if (n && n->line > 0)
        return error_prefix(err, "%s:%u:%u: ", n->file, n->line, n->column);
    return false;
}
