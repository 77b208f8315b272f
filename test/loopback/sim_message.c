#include "sim_message.h"

#include <stdlib.h>

void sim_message_fini(struct sim_message *m)
{
    strbuf_fini(&m->body);
}

static ptrdiff_t find(struct bytes in, const char *text)
{
    const char *at = in.len ? memmem(in.data, in.len, text, strlen(text)) : NULL;
    return at ? at - in.data : -1;
}

/* The value of a header of a head, or BYTES_NONE. name: lower case, with ": ". */
static struct bytes value_of(struct bytes head, const char *name)
{
    struct bytes rest = head;
    while (rest.len) {
        struct bytes line = bytes_split(&rest, '\n');
        if (line.len > strlen(name) && strncasecmp(line.data, name, strlen(name)) == 0) {
            struct bytes v = bytes_skip(line, strlen(name));
            v.len -= v.len && v.data[v.len - 1] == '\r';
            return v;
        }
    }
    return BYTES_NONE;
}

static enum sim_parse parse_chunked(struct bytes *rest, struct sim_message *m)
{
    for (;;) {
        ptrdiff_t eol = find(*rest, "\r\n");
        if (eol < 0)
            return rest->len > 20 ? SIM_BAD : SIM_PART;
        char *end;
        unsigned long n = strtoul(rest->data, &end, 16);
        if (end == rest->data || end != rest->data + eol)
            return SIM_BAD;
        struct bytes after = bytes_skip(*rest, (size_t)eol + 2);
        if (n == 0) { /* trailers */
            *rest = after;
            if (bytes_starts_with(after, BYTES("\r\n"))) {
                *rest = bytes_skip(after, 2);
                return SIM_WHOLE;
            }
            ptrdiff_t last = find(after, "\r\n\r\n");
            if (last < 0)
                return SIM_PART;
            *rest = bytes_skip(after, (size_t)last + 4);
            return SIM_WHOLE;
        }
        if (after.len < n + 2)
            return SIM_PART;
        if (memcmp(after.data + n, "\r\n", 2) != 0)
            return SIM_BAD;
        strbuf_add(&m->body, after.data, n);
        *rest = bytes_skip(after, n + 2);
    }
}

static enum sim_parse parse_body(struct bytes *rest, bool answer, bool no_body, bool ended,
                                 struct bytes head, struct sim_message *m)
{
    struct bytes length = value_of(head, "content-length: ");
    struct bytes coding = value_of(head, "transfer-encoding: ");
    uint64_t n = 0;
    m->tunnel =
        answer ? m->status == 101
               : bytes_starts_with(m->line, BYTES("CONNECT ")) || value_of(head, "upgrade: ").data;
    if (no_body || m->status == 204 || m->status == 304)
        return SIM_WHOLE;
    if (coding.data)
        return length.data || !bytes_eq(coding, BYTES("chunked")) ? SIM_BAD
                                                                  : parse_chunked(rest, m);
    if (length.data && !bytes_to_u64(length, &n))
        return SIM_BAD;
    if (!length.data && (answer || m->tunnel)) {
        m->to_eof = true;
        n = rest->len;
        strbuf_add(&m->body, rest->data, n);
        *rest = bytes_skip(*rest, n);
        return ended ? SIM_WHOLE : SIM_PART;
    }
    if (rest->len < n)
        return SIM_PART;
    strbuf_add(&m->body, rest->data, n);
    *rest = bytes_skip(*rest, n);
    return SIM_WHOLE;
}

static bool first_line_ok(struct bytes line, bool answer, struct sim_message *m)
{
    if (!answer)
        return find(line, " HTTP/1.1") > 0;
    if (line.len < 12 || strncmp(line.data, "HTTP/1.", 7) != 0)
        return false;
    m->status = (unsigned)strtoul(line.data + 9, NULL, 10);
    return m->status >= 100 && m->status < 600;
}

enum sim_parse sim_message_parse(struct bytes *rest, bool answer, bool no_body, bool ended,
                                 struct sim_message *m)
{
    for (;;) {
        *m = (struct sim_message){0};
        if (rest->len == 0)
            return SIM_NOTHING;
        ptrdiff_t eoh = find(*rest, "\r\n\r\n");
        if (eoh < 0)
            return SIM_PART;
        struct bytes head = bytes_first(*rest, (size_t)eoh + 2), lines = head;
        m->line = bytes_split(&lines, '\r');
        if (!first_line_ok(m->line, answer, m))
            return SIM_BAD;
        m->head_done = true;
        *rest = bytes_skip(*rest, (size_t)eoh + 4);
        if (!answer || m->status >= 200 || m->status == 101)
            return parse_body(rest, answer, no_body, ended, lines, m);
    }
}
