#include "admin/json_out.h"

#include "config/json_scalar.h"

static void line(struct json_out *j)
{
    if (j->compact)
        return;
    strbuf_add_char(j->out, '\n');
    for (unsigned i = 0; i < j->depth; i++)
        strbuf_add_char(j->out, ' ');
}

/* What Envoy prints as messages is escaped as messages are; /stats is not. */
static void quoted(struct json_out *j, struct bytes text)
{
    if (!j->compact) {
        json_scalar_add_string(j->out, text);
        return;
    }
    strbuf_add_char(j->out, '"');
    strbuf_add_json_escaped(j->out, text);
    strbuf_add_char(j->out, '"');
}

static void item(struct json_out *j, struct bytes key)
{
    if (!j->first)
        strbuf_add_char(j->out, ',');
    if (j->depth)
        line(j);
    j->first = false;
    if (!key.data)
        return;
    quoted(j, key);
    strbuf_add_str(j->out, j->compact ? ":" : ": ");
}

static struct bytes name_of(const char *key)
{
    return key ? bytes_of(key) : BYTES_NONE;
}

void json_begin(struct json_out *j, const char *key, char open)
{
    json_begin_named(j, name_of(key), open);
}

void json_begin_named(struct json_out *j, struct bytes key, char open)
{
    item(j, key);
    strbuf_add_char(j->out, open);
    j->depth++;
    j->first = true;
}

void json_end(struct json_out *j, char close)
{
    j->depth--;
    if (!j->first)
        line(j);
    strbuf_add_char(j->out, close);
    j->first = false;
}

void json_string(struct json_out *j, const char *key, struct bytes value)
{
    item(j, name_of(key));
    quoted(j, value);
}

void json_raw(struct json_out *j, const char *key, const char *value)
{
    item(j, name_of(key));
    strbuf_add_str(j->out, value);
}

void json_number(struct json_out *j, const char *key, int64_t value)
{
    item(j, name_of(key));
    strbuf_printf(j->out, "%lld", (long long)value);
}

void json_unsigned(struct json_out *j, const char *key, uint64_t value)
{
    item(j, name_of(key));
    strbuf_add_u64(j->out, value);
}
