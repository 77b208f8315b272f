#include "dataplane/http/wire_bytes.h"

uint64_t wire_bytes_of_fields(struct bytes lines)
{
    uint64_t sum = 0;
    while (lines.len) {
        struct bytes value = bytes_split(&lines, '\n');
        if (bytes_ends_with(value, BYTES("\r")))
            value.len--;
        if (!value.len)
            break;
        struct bytes name = bytes_split(&value, ':');
        sum += name.len + bytes_trim(value).len + strlen(":\r\n");
    }
    return sum;
}

uint64_t wire_bytes_fields_received(const struct wire_bytes *w)
{
    struct bytes fields = w->head;
    if (fields.len)
        bytes_split(&fields, '\n');
    return w->fields_received + wire_bytes_of_fields(fields);
}

void wire_bytes_settle(struct wire_bytes *w)
{
    w->fields_received = wire_bytes_fields_received(w);
    w->head = BYTES_NONE;
}
