/* Command strings: "%REQ(:METHOD)% %START_TIME(%s)%" into parts, once, when configuration comes. */
#include "config/access_log.h"
#include "config/format_command.h"

const char access_log_default_format[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

static bool name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The parameter ends at the first ')' that ends the command: ")%" or "):DIGITS%", on the line. */
static bool parameter_end(struct bytes s, size_t from, size_t *end)
{
    for (size_t i = from; i < s.len && s.data[i] != '\n'; i++) {
        if (s.data[i] != ')')
            continue;
        size_t k = i + 1;
        if (k < s.len && s.data[k] == ':') {
            while (++k < s.len && s.data[k] >= '0' && s.data[k] <= '9')
                ;
        }
        if (k < s.len && s.data[k] == '%') {
            *end = i;
            return true;
        }
    }
    return false;
}

/* s begins after the '%'. Returns the bytes taken, with the closing '%'; 0: no command. */
static size_t scan_command(struct bytes s, struct command *c)
{
    size_t i = 0;
    while (i < s.len && name_char(s.data[i]))
        i++;
    c->name = bytes_first(s, i);
    if (i < s.len && s.data[i] == '(') {
        size_t end;
        if (!parameter_end(s, i + 1, &end))
            return 0;
        c->parameter = bytes_from(s.data + i + 1, end - i - 1);
        i = end + 1;
    }
    if (i < s.len && s.data[i] == ':') {
        size_t from = ++i;
        while (i < s.len && s.data[i] >= '0' && s.data[i] <= '9')
            i++;
        c->has_length = true;
        if (!bytes_to_u64(bytes_from(s.data + from, i - from), &c->length))
            return 0;
    }
    return c->name.len && i < s.len && s.data[i] == '%' ? i + 1 : 0;
}

static bool of_upstream(const struct format_part *p)
{
    if (format_syntax(p->op) == SYNTAX_METADATA)
        return p->metadata.of == METADATA_OF_CLUSTER || p->metadata.of == METADATA_OF_HOST;
    for (unsigned i = 0; p->op == FORMAT_COALESCE && i < p->among.n_parts; i++) {
        if (of_upstream(&p->among.parts[i]))
            return true;
    }
    return false;
}

/* "%%" stands for one '%'. */
static struct bytes unescape(struct arena *a, struct bytes text)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        out[n++] = text.data[i];
        if (text.data[i] == '%')
            i++;
    }
    return bytes_from(out, n);
}

static void add_literal(struct arena *a, struct format *out, struct bytes text)
{
    if (text.len == 0)
        return;
    out->parts[out->n_parts++] =
        (struct format_part){.op = FORMAT_LITERAL, .text = unescape(a, text)};
}

bool format_compile(struct arena *a, struct bytes text, struct format *out, struct error *err)
{
    size_t literal = 0, i = 0;
    out->parts = ARENA_ARRAY(a, struct format_part, bytes_count_char(text, '%') + 2);
    out->n_parts = 0;
    while (i < text.len) {
        if (text.data[i] != '%') {
            i++;
            continue;
        }
        if (i + 1 < text.len && text.data[i + 1] == '%') {
            i += 2;
            continue;
        }
        struct command c = {.without_query = out->has_without_query};
        size_t taken = scan_command(bytes_skip(text, i + 1), &c);
        if (!taken)
            return error_set(err,
                             "Incorrect configuration: %.*s. Couldn't find valid command at "
                             "position %zu",
                             BYTES_ARG(text), i);
        add_literal(a, out, bytes_from(text.data + literal, i - literal));
        struct format_part *p = &out->parts[out->n_parts++];
        if (!format_command(a, &c, p, err))
            return false;
        out->has_upstream_metadata |= of_upstream(p);
        i += 1 + taken;
        literal = i;
    }
    add_literal(a, out, bytes_skip(text, literal));
    return true;
}
