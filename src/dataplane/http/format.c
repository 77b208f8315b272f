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
    if (!format_value(s, part, out)) {
        strbuf_cut(out, before);
        if (!f->omit_empty)
            strbuf_add_char(out, '-');
        return;
    }
    if (part->max_length && out->len - before > part->max_length)
        strbuf_cut(out, before + part->max_length);
}

void format_text(struct stream *s, const struct format *f, struct strbuf *out)
{
    for (unsigned i = 0; i < f->n_parts; i++)
        part_text(s, f, &f->parts[i], out);
}

/* Its text is JSON already. */
static bool is_json(const struct format_part *p)
{
    switch ((int)p->op) {
    case FORMAT_RESPONSE_CODE:
    case FORMAT_BYTES_RECEIVED:
    case FORMAT_BYTES_SENT:
    case FORMAT_DURATION:
    case FORMAT_REQUEST_DURATION:
    case FORMAT_REQUEST_TX_DURATION:
    case FORMAT_RESPONSE_DURATION:
    case FORMAT_RESPONSE_TX_DURATION:
    case FORMAT_UPSTREAM_REQUEST_ATTEMPT_COUNT:
    case FORMAT_CONNECTION_ID:
    case FORMAT_COMMON_DURATION:
    case FORMAT_UPSTREAM_LOCAL_PORT:
    case FORMAT_UPSTREAM_REMOTE_PORT:
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_PORT:
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_PORT:
    case FORMAT_DOWNSTREAM_LOCAL_PORT:
    case FORMAT_DOWNSTREAM_REMOTE_PORT:
    case FORMAT_REQUEST_HEADERS_BYTES:
    case FORMAT_RESPONSE_HEADERS_BYTES:
    case FORMAT_GRPC_STATUS_NUMBER:
        return true;
    case FORMAT_GRPC_STATUS:
        return p->grpc == GRPC_NUMBER;
    case FORMAT_FILTER_STATE:
        return p->state == STATE_TYPED && !p->max_length;
    default:
        return false;
    }
}

/* A format that is one operator keeps its type: numbers stay numbers, what is missing is null. */
static void json_value(struct stream *s, const struct format *f, struct strbuf *out)
{
    struct strbuf text = STRBUF_INIT;
    bool single = f->n_parts == 1 && f->parts[0].op != FORMAT_LITERAL;
    size_t start = out->len;
    if (single && !format_value(s, &f->parts[0], out)) {
        strbuf_cut(out, start);
        strbuf_add_str(out, f->omit_empty ? "\"\"" : "null");
        return;
    }
    if (single && is_json(&f->parts[0]))
        return;
    if (!single) {
        format_text(s, f, out);
    } else if (f->parts[0].max_length && out->len - start > f->parts[0].max_length) {
        strbuf_cut(out, start + f->parts[0].max_length);
    }
    strbuf_add(&text, out->data + start, out->len - start);
    strbuf_cut(out, start);
    strbuf_add_char(out, '"');
    strbuf_add_json_escaped(out, strbuf_bytes(&text));
    strbuf_add_char(out, '"');
    strbuf_fini(&text);
}

static void json_children(struct stream *s, const struct json_format_node *n, struct strbuf *out)
{
    for (unsigned i = 0; i < n->n_children; i++) {
        const struct json_format_node *child = &n->children[i];
        if (i)
            strbuf_add_char(out, ',');
        if (n->kind == JSON_NODE_OBJECT) {
            strbuf_add_char(out, '"');
            strbuf_add_json_escaped(out, child->key);
            strbuf_add_str(out, "\":");
        }
        format_json(s, child, out);
    }
}

void format_json(struct stream *s, const struct json_format_node *n, struct strbuf *out)
{
    switch (n->kind) {
    case JSON_NODE_FORMAT:
        json_value(s, &n->format, out);
        break;
    case JSON_NODE_NUMBER:
        strbuf_printf(out, "%.17g", n->number);
        break;
    case JSON_NODE_BOOL:
        strbuf_add_str(out, n->number != 0 ? "true" : "false");
        break;
    case JSON_NODE_NULL:
        strbuf_add_str(out, "null");
        break;
    case JSON_NODE_OBJECT:
        strbuf_add_char(out, '{');
        json_children(s, n, out);
        strbuf_add_char(out, '}');
        break;
    case JSON_NODE_LIST:
        strbuf_add_char(out, '[');
        json_children(s, n, out);
        strbuf_add_char(out, ']');
        break;
    }
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
