/* Field paths in messages: clusters[0].metadata["x"].name. A path grows with a step and is cut
 * back to the length that the step returned. Pure, any thread. */
#pragma once

#include "base/strbuf.h"

static inline size_t field_path_enter(struct strbuf *path, struct bytes field)
{
    size_t before = path->len;
    if (before > 0)
        strbuf_add_char(path, '.');
    strbuf_add_bytes(path, field);
    return before;
}

static inline size_t field_path_index(struct strbuf *path, size_t index)
{
    size_t before = path->len;
    strbuf_printf(path, "[%zu]", index);
    return before;
}

static inline size_t field_path_key(struct strbuf *path, struct bytes key)
{
    size_t before = path->len;
    strbuf_add_str(path, "[\"");
    strbuf_add_json_escaped(path, key);
    strbuf_add_str(path, "\"]");
    return before;
}
