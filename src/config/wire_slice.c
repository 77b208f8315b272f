#include "config/wire_slice.h"

static struct bytes present(struct bytes b)
{
    return bytes_from(b.data ? b.data : "", b.len);
}

struct bytes wire_message(struct arena *a, struct bytes in, uint32_t number)
{
    struct bytes found = BYTES_NONE;
    struct wire_field f;
    while (wire_next(&in, &f)) {
        if (f.number != number || f.type != WIRE_BYTES)
            continue;
        if (!found.data) {
            found = present(f.bytes);
            continue;
        }
        char *joined = arena_alloc(a, found.len + f.bytes.len + 1);
        memcpy(joined, found.data, found.len);
        if (f.bytes.len)
            memcpy(joined + found.len, f.bytes.data, f.bytes.len);
        found = bytes_from(joined, found.len + f.bytes.len);
    }
    return found;
}

size_t wire_count(struct bytes in, uint32_t number)
{
    struct wire_field f;
    size_t n = 0;
    while (wire_next(&in, &f))
        n += f.number == number && f.type == WIRE_BYTES;
    return n;
}

struct bytes wire_without(struct arena *a, struct bytes in, const uint32_t *numbers, unsigned n)
{
    char *out = arena_alloc(a, in.len + 1);
    size_t len = 0;
    struct wire_field f;
    while (wire_next(&in, &f)) {
        bool skip = false;
        for (unsigned i = 0; i < n; i++)
            skip |= f.number == numbers[i];
        if (skip)
            continue;
        memcpy(out + len, f.raw.data, f.raw.len);
        len += f.raw.len;
    }
    return bytes_from(out, len);
}
