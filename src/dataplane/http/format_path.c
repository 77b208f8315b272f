/* PATH(...), QUERY_PARAM(...), QUERY_PARAMS(...) and FILTER_STATE(...) of command strings. */
#include <inttypes.h>

#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"

/* %XX as the byte that it means; what is no such sequence stays. */
static void add_decoded(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len && text.data[i] == '%' ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
        strbuf_add_char(out, low >= 0 ? (char)(high << 4 | low) : text.data[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* What is decoded is what may stand in a URL; a '%' that begins nothing goes, but at the end. */
static void add_visible(struct strbuf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c != '%' || i + 2 >= text.len) {
            strbuf_add_char(out, c);
            continue;
        }
        int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);
        if (high < 0 || low < 0)
            continue;
        int byte = high << 4 | low;
        if (byte > ' ' && byte < 0x7f && !strchr("\"<>\\^{|}", byte))
            strbuf_add_char(out, (char)byte);
        else
            strbuf_add(out, text.data + i, 3);
        i += 2;
    }
}

bool format_path(const struct stream *s, const struct format_part *part, struct strbuf *out)
{
    struct bytes original = headers_get(&s->request_headers, HEADER_X_ENVOY_ORIGINAL_PATH);
    struct bytes path = headers_get(&s->request_headers, HEADER_PATH);
    if (part->path.which == PATH_ORIGINAL ||
        (part->path.which == PATH_ORIGINAL_OR_CURRENT && original.data))
        path = original;
    ptrdiff_t query = part->path.without_query ? bytes_find_char(path, '?') : -1;
    strbuf_add_bytes(out, query < 0 ? path : bytes_first(path, (size_t)query));
    return path.len > 0;
}

/* Without its "?"; data NULL: the path has none. */
static struct bytes query_of(const struct stream *s)
{
    struct bytes rest = headers_get(&s->request_headers, HEADER_PATH);
    bytes_split(&rest, '?');
    ptrdiff_t fragment = rest.data ? bytes_find_char(rest, '#') : -1;
    return fragment < 0 ? rest : bytes_first(rest, (size_t)fragment);
}

/* The first parameter of that name. */
bool format_query_param(const struct stream *s, const struct format_part *part, struct strbuf *out)
{
    struct bytes rest = query_of(s);
    size_t before = out->len;
    while (rest.data) {
        struct bytes value = bytes_split(&rest, '&'), name = bytes_split(&value, '=');
        add_decoded(out, name);
        bool found = bytes_eq(bytes_skip(strbuf_bytes(out), before), part->text);
        strbuf_cut(out, before);
        if (found) {
            add_decoded(out, value);
            return true;
        }
    }
    return false;
}

bool format_query_params(const struct stream *s, const struct format_part *part, struct strbuf *out)
{
    struct bytes query = query_of(s);
    if (part->decoded)
        add_visible(out, query);
    else
        strbuf_add_bytes(out, query);
    return query.data != NULL;
}

/* The one state that is kept: what the filter grpc_stats has counted. It has no fields by name.
 * Upstream there is none. */
bool format_filter_state(const struct stream *s, const struct format_part *part, struct strbuf *out)
{
    const uint64_t *n = s->info.grpc_messages;
    if (part->op != FORMAT_FILTER_STATE || !s->info.has_grpc_messages ||
        part->state == STATE_FIELD || !bytes_eq_str(part->text, "envoy.filters.http.grpc_stats"))
        return false;
    if (part->state == STATE_PLAIN) {
        strbuf_printf(out, "%" PRIu64 ",%" PRIu64, n[0], n[1]);
        return true;
    }
    strbuf_add_char(out, '{');
    if (n[0])
        strbuf_printf(out, "\"requestMessageCount\":\"%" PRIu64 "\"", n[0]);
    if (n[1])
        strbuf_printf(out, "%s\"responseMessageCount\":\"%" PRIu64 "\"", n[0] ? "," : "", n[1]);
    strbuf_add_char(out, '}');
    return true;
}
