#include "config/metadata_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Plain or with an exponent, whichever takes less room. */
void metadata_add_number(struct strbuf *out, double v)
{
    char exact[40], plain[40];
    if (!isfinite(v)) {
        strbuf_add_str(out, "null");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(exact, sizeof(exact), "%.*e", digits - 1, v);
        if (!(strtod(exact, NULL) < v) && !(strtod(exact, NULL) > v))
            break;
    }
    strbuf_add_str(out, exact);
    size_t len = strlen(exact);
    for (int places = 0; places < 20 && fabs(v) < 1e17; places++) {
        int n = snprintf(plain, sizeof(plain), "%.*f", places, v);
        if ((size_t)n > len)
            return;
        if (strtod(plain, NULL) < v || strtod(plain, NULL) > v)
            continue;
        strbuf_cut(out, out->len - len);
        strbuf_add_str(out, plain);
        return;
    }
}

static void add_string(struct strbuf *out, struct bytes text)
{
    strbuf_add_char(out, '"');
    strbuf_add_json_escaped(out, text);
    strbuf_add_char(out, '"');
}

static void add_value(struct strbuf *out, struct bytes value, struct arena *scratch,
                      unsigned depth);

struct entry {
    struct bytes key, value;
    size_t place;
};

/* Of equal keys the last counts: it comes first here. */
static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = bytes_cmp(x->key, y->key);
    return order ? order : (x->place < y->place) - (x->place > y->place);
}

static void add_struct(struct strbuf *out, struct bytes body, struct arena *scratch, unsigned depth)
{
    struct bytes rest = body, entry;
    size_t n = 0;
    while (metadata_next(&rest, STRUCT_FIELDS, &entry))
        n++;
    struct entry *entries = ARENA_ARRAY(scratch, struct entry, n + 1);
    n = 0;
    while (metadata_next(&body, STRUCT_FIELDS, &entry)) {
        entries[n] = (struct entry){metadata_entry_key(entry), metadata_entry_value(entry), n};
        n++;
    }
    qsort(entries, n, sizeof(entries[0]), by_key);
    strbuf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i && bytes_eq(entries[i].key, entries[i - 1].key))
            continue;
        if (i)
            strbuf_add_char(out, ',');
        add_string(out, entries[i].key);
        strbuf_add_char(out, ':');
        add_value(out, entries[i].value, scratch, depth + 1);
    }
    strbuf_add_char(out, '}');
}

static void add_list(struct strbuf *out, struct bytes body, struct arena *scratch, unsigned depth)
{
    struct bytes item;
    const char *between = "[";
    while (metadata_next(&body, LIST_VALUES, &item)) {
        strbuf_add_str(out, between);
        add_value(out, item, scratch, depth + 1);
        between = ",";
    }
    strbuf_add_str(out, *between == '[' ? "[]" : "]");
}

/* Decoders of the API read a hundred messages deep, two of which are a list in a list. */
enum { TEXT_DEPTH_MAX = 50 };

static void add_value(struct strbuf *out, struct bytes value, struct arena *scratch, unsigned depth)
{
    struct wire_field f = {.number = VALUE_NULL};
    if (depth > TEXT_DEPTH_MAX || !metadata_kind(value, &f))
        f.number = VALUE_NULL;
    switch (f.number) {
    case VALUE_NUMBER:
        metadata_add_number(out, wire_double(f.value));
        break;
    case VALUE_STRING:
        add_string(out, f.bytes);
        break;
    case VALUE_BOOL:
        strbuf_add_str(out, f.value ? "true" : "false");
        break;
    case VALUE_STRUCT:
        add_struct(out, f.bytes, scratch, depth);
        break;
    case VALUE_LIST:
        add_list(out, f.bytes, scratch, depth);
        break;
    default:
        strbuf_add_str(out, "null");
    }
}

bool metadata_add(struct strbuf *out, struct bytes metadata, const struct bytes *path,
                  unsigned n_path, bool json, struct arena *scratch)
{
    struct bytes body = metadata_filter(metadata, path[0]), value = BYTES_NONE;
    struct wire_field f;
    if (!body.data)
        return false;
    if (n_path == 1) {
        add_struct(out, body, scratch, 0);
        return true;
    }
    for (unsigned i = 1; i < n_path; i++) {
        if (i > 1 && (!metadata_kind(value, &f) || f.number != VALUE_STRUCT))
            return false;
        value = metadata_field(i > 1 ? f.bytes : body, path[i]);
        if (!value.data)
            return false;
    }
    if (!metadata_kind(value, &f) || f.number == VALUE_NULL)
        return false;
    if (f.number == VALUE_STRING && !json)
        strbuf_add_bytes(out, f.bytes);
    else
        add_value(out, value, scratch, 0);
    return true;
}
