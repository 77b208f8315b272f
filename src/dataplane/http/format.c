#include "dataplane/http/format.h"

#include "dataplane/http/stream_internal.h"

static void part_text(struct stream *s, const struct format *f, const struct format_part *part,
                      struct strbuf *out)
{
    if (part->op == FORMAT_LITERAL) {
        strbuf_add_bytes(out, part->text);
        return;
    }
    size_t before = out->len;
    bool whole = part->max_length == FORMAT_NO_LIMIT && part->op != FORMAT_COALESCE; /* most are */
    if (whole ? format_whole(s, part, out) : format_value(s, part, out))
        return;
    strbuf_cut(out, before);
    if (!f->omit_empty)
        strbuf_add_char(out, '-');
}

void format_text(struct stream *s, const struct format *f, struct strbuf *out)
{
    for (unsigned i = 0; i < f->n_parts; i++)
        part_text(s, f, &f->parts[i], out);
}

static bool json_among(struct stream *s, const struct format_part *part, struct strbuf *out);

/* Its text is JSON already. */
static bool is_json(const struct format_part *p)
{
    switch (format_syntax(p->op)) {
    case SYNTAX_COUNT:
    case SYNTAX_POINTS:
        return true;
    case SYNTAX_GRPC:
        return p->grpc == GRPC_NUMBER;
    case SYNTAX_STATE:
        return p->state == STATE_TYPED;
    default:
        return false;
    }
}

/* Most of what is logged stands in JSON as it is. */
static bool is_plain(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)b.data[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* What was added since start becomes the inside of a JSON string. */
static void escape(struct strbuf *out, size_t start)
{
    struct bytes added = bytes_skip(strbuf_bytes(out), start);
    if (is_plain(added))
        return;
    struct strbuf text = STRBUF_INIT;
    strbuf_add_bytes(&text, added);
    strbuf_cut(out, start);
    strbuf_add_json_escaped(out, strbuf_bytes(&text));
    strbuf_fini(&text);
}

static void quote(struct strbuf *out, size_t start)
{
    escape(out, start);
    strbuf_insert(out, start, "\"", 1);
    strbuf_add_char(out, '"');
}

/* Each part by itself: what is no text in one is none of the others' business. */
static void json_mixed(struct stream *s, const struct format *f, struct strbuf *out)
{
    strbuf_add_char(out, '"');
    for (unsigned i = 0; i < f->n_parts; i++) {
        size_t start = out->len;
        part_text(s, f, &f->parts[i], out);
        escape(out, start);
    }
    strbuf_add_char(out, '"');
}

/* An operator that stands alone keeps its type, whole: lengths are for strings. False: null. */
static bool json_part(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    size_t start = out->len;
    if (part->op == FORMAT_COALESCE)
        return json_among(s, part, out);
    if (is_json(part))
        return format_whole(s, part, out);
    if (format_syntax(part->op) == SYNTAX_METADATA) {
        if (!format_metadata(s, part, true, out))
            return false;
        if (out->data[start] != '"')
            return true;
        strbuf_cut(out, start);
    }
    if (!format_value(s, part, out))
        return false;
    quote(out, start);
    return true;
}

/* The first that is not null. "" is something, though Envoy's documentation has it otherwise. */
static bool json_among(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    size_t start = out->len;
    for (unsigned i = 0; i < part->among.n_parts; i++) {
        const struct format_part *one = &part->among.parts[i];
        strbuf_cut(out, start);
        if (!json_part(s, one, out))
            continue;
        if (out->data[start] == '"' && part->max_length != FORMAT_NO_LIMIT) {
            strbuf_cut(out, start);
            if (!format_value(s, part, out))
                return false;
            quote(out, start);
        }
        return true;
    }
    strbuf_cut(out, start);
    return false;
}

/* False, and nothing added: null, which omit_empty_values leaves out. */
static bool json_value(struct stream *s, const struct format *f, struct strbuf *out)
{
    size_t start = out->len;
    if (f->n_parts != 1 || f->parts[0].op == FORMAT_LITERAL) {
        json_mixed(s, f, out);
        return true;
    }
    if (json_part(s, &f->parts[0], out))
        return true;
    strbuf_cut(out, start);
    if (!f->omit_empty)
        strbuf_add_str(out, "null");
    return !f->omit_empty;
}

static bool json_node(struct stream *s, const struct json_format_node *n, bool omit,
                      struct strbuf *out);

/* Returns how many there are. */
static unsigned json_children(struct stream *s, const struct json_format_node *n, bool omit,
                              struct strbuf *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < n->n_children; i++) {
        const struct json_format_node *child = &n->children[i];
        size_t start = out->len;
        if (count)
            strbuf_add_char(out, ',');
        if (n->kind == JSON_NODE_OBJECT) {
            strbuf_add_char(out, '"');
            strbuf_add_json_escaped(out, child->key);
            strbuf_add_str(out, "\":");
        }
        if (json_node(s, child, omit, out))
            count++;
        else
            strbuf_cut(out, start);
    }
    return count;
}

/* False: it is to be left out, as an object is whose members all are. A list stays. */
static bool json_node(struct stream *s, const struct json_format_node *n, bool omit,
                      struct strbuf *out)
{
    unsigned count;
    switch (n->kind) {
    case JSON_NODE_FORMAT:
        return json_value(s, &n->format, out);
    case JSON_NODE_LITERAL:
        strbuf_add_bytes(out, n->literal);
        return true;
    case JSON_NODE_NULL:
        strbuf_add_str(out, "null");
        return !omit;
    case JSON_NODE_OBJECT:
        strbuf_add_char(out, '{');
        count = json_children(s, n, omit, out);
        strbuf_add_char(out, '}');
        return count > 0 || !omit;
    case JSON_NODE_LIST:
        strbuf_add_char(out, '[');
        json_children(s, n, omit, out);
        strbuf_add_char(out, ']');
        return true;
    }
    return true;
}

void format_json(struct stream *s, const struct json_format_node *n, bool omit_empty,
                 struct strbuf *out)
{
    (void)json_node(s, n, omit_empty, out); /* of all, {} stays */
}

struct bytes format_stream(const struct format *f, struct stream *s)
{
    static _Thread_local struct strbuf text;
    struct format header = *f;
    header.omit_empty = true;
    strbuf_cut(&text, 0);
    format_text(s, &header, &text);
    return arena_dup(s->arena, strbuf_bytes(&text));
}
