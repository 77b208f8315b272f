/* struct strbuf: a growing byte string on the heap. data is always NUL-terminated and never NULL
 * once something was added (an empty one points to ""). The owner calls strbuf_fini(). One thread
 * at a time. Sizes are the caller's business: bound what a peer can make you add. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "base/bytes.h"

struct strbuf {
    char *data;
    size_t len, cap;
};

#define STRBUF_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void strbuf_fini(struct strbuf *s);
void strbuf_reset(struct strbuf *s); /* keeps the memory */
void strbuf_reserve(struct strbuf *s, size_t extra);
static inline void strbuf_add(struct strbuf *s, const void *data, size_t len)
{
    if (UNLIKELY(s->cap - s->len <= len))
        strbuf_reserve(s, len);
    if (len)
        memcpy(s->data + s->len, data, len);
    s->len += len;
    s->data[s->len] = '\0';
}
static inline void strbuf_add_bytes(struct strbuf *s, struct bytes b)
{
    strbuf_add(s, b.data, b.len);
}
static inline void strbuf_add_char(struct strbuf *s, char c)
{
    strbuf_add(s, &c, 1);
}
void strbuf_add_str(struct strbuf *s, const char *text);
void strbuf_add_u64(struct strbuf *s, uint64_t value); /* in decimal */
void strbuf_printf(struct strbuf *s, const char *fmt, ...) PRINTF(2, 3);
void strbuf_vprintf(struct strbuf *s, const char *fmt, va_list ap);
void strbuf_insert(struct strbuf *s, size_t at, const void *data, size_t len);
void strbuf_cut(struct strbuf *s, size_t len);     /* shortens to len */
struct bytes strbuf_bytes(const struct strbuf *s); /* valid until the next change */
const char *strbuf_str(const struct strbuf *s);    /* "" when empty */
char *strbuf_detach(struct strbuf *s);             /* the caller frees with mem_free() */
/* Adds b as the inside of a JSON string: quotes not included, control characters escaped,
 * bytes that are not UTF-8 replaced. */
void strbuf_add_json_escaped(struct strbuf *s, struct bytes b);
