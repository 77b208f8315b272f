#include "admin/query.h"

/* In a form "+" is a space; in a target it is what it is, since regular expressions come
 * unescaped. */
static struct bytes decode(struct arena *a, struct bytes b, bool form)
{
    char *out = arena_alloc(a, b.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++) {
        int hi = b.data[i] == '%' && i + 2 < b.len ? hex_digit(b.data[i + 1]) : -1;
        int lo = hi >= 0 ? hex_digit(b.data[i + 2]) : -1;
        if (lo >= 0) {
            out[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = form && b.data[i] == '+' ? ' ' : b.data[i];
        }
    }
    out[n] = '\0';
    return bytes_from(out, n);
}

static struct bytes merge_slashes(struct arena *a, struct bytes path)
{
    char *out = arena_alloc(a, path.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '/' || n == 0 || out[n - 1] != '/')
            out[n++] = path.data[i];
    }
    return bytes_from(out, n);
}

static void parse_params(struct arena *a, struct bytes rest, bool form, struct query *out)
{
    size_t n = 1;
    for (size_t i = 0; i < rest.len; i++)
        n += rest.data[i] == '&';
    out->params = ARENA_ARRAY(a, struct query_param, n);
    while (rest.data) {
        struct bytes value = bytes_split(&rest, '&'), name = bytes_split(&value, '=');
        if (name.len || value.data) /* "=x" names the empty text */
            out->params[out->n_params++] = (struct query_param){
                decode(a, name, form), value.data ? decode(a, value, form) : BYTES("")};
    }
}

void query_parse(struct arena *a, struct bytes target, struct bytes form, struct query *out)
{
    struct bytes rest = target;
    out->path = merge_slashes(a, bytes_split(&rest, '?'));
    out->n_params = 0;
    parse_params(a, rest, false, out);
    if (out->n_params == 0 && form.len)
        parse_params(a, form, true, out);
}

struct bytes query_get(const struct query *q, const char *name)
{
    for (unsigned i = 0; i < q->n_params; i++) {
        if (bytes_eq_str(q->params[i].name, name))
            return q->params[i].value;
    }
    return BYTES_NONE;
}

bool query_has(const struct query *q, const char *name)
{
    return query_get(q, name).data != NULL;
}

const char *query_regex_error(const struct error *err, struct bytes pattern)
{
    const char *text = error_text(err);
    size_t head = strlen("Invalid regex '") + pattern.len + strlen("': ");
    return strncmp(text, "Invalid regex '", 15) == 0 && strlen(text) > head ? text + head : text;
}
