/* struct buffer: a queue of bytes made of slices of counted chunks. Moving between buffers copies
 * no bytes, except small pieces behind others (so that many tiny reads cannot pin a chunk each). An
 * empty buffer holds no memory. One thread; all buffers that exchange bytes share one pool. Limits
 * and watermarks live with the user.
 *
 *   head ─► slice ─► slice ─► slice ◄─ tail
 *           bytes in chunks; `len` is the sum */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "dataplane/net/chunk.h"

enum { BUFFER_IOV_MAX = 64 };

struct buffer {
    struct chunk_pool *pool;
    struct slice *head, *tail;
    size_t len;
};

static inline void buffer_init(struct buffer *b, struct chunk_pool *pool)
{
    *b = (struct buffer){.pool = pool};
}
void buffer_clear(struct buffer *b);             /* buffer_fini()'s rare case */
static inline void buffer_fini(struct buffer *b) /* lets go of all bytes; may be used again */
{
    if (b->head)
        buffer_clear(b);
}
static inline bool buffer_empty(const struct buffer *b)
{
    return b->len == 0;
}

void buffer_add(struct buffer *b, const void *data, size_t len); /* copies */
static inline void buffer_add_bytes(struct buffer *b, struct bytes x)
{
    buffer_add(b, x.data, x.len);
}
void buffer_add_str(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF(2, 3); /* at most 1 KiB */
/* No copy: the bytes must live for ever (string literals). */
void buffer_add_static(struct buffer *b, struct bytes x);
/* Puts copied bytes before all others. */
void buffer_prepend(struct buffer *b, const void *data, size_t len);

/* All, or the first n bytes (n <= src->len), from src to the end of dst. */
void buffer_move_behind(struct buffer *dst, struct buffer *src); /* dst holds bytes */
static inline void buffer_move(struct buffer *dst, struct buffer *src)
{
    CHECK(dst->pool == src->pool && dst != src);
    if (UNLIKELY(dst->head != NULL)) {
        buffer_move_behind(dst, src);
        return;
    }
    *dst = *src;
    src->head = src->tail = NULL;
    src->len = 0;
}
void buffer_move_n(struct buffer *dst, struct buffer *src, size_t n);
/* For what waits for a peer who does not read: of shared chunks a part would keep the whole. The
 * first moves by copying, the second copies what pins much more than it is. */
void buffer_move_copied(struct buffer *dst, struct buffer *src);
void buffer_tighten(struct buffer *b);
/* For what collects: after each addition to `before` bytes, it tightens when the length has about
 * doubled. */
static inline void buffer_tighten_grown(struct buffer *b, size_t before)
{
    enum { WORTH_IT = 65536 };

    if (UNLIKELY((before ^ b->len) > before && b->len >= WORTH_IT))
        buffer_tighten(b);
}
/* Appends to dst a reference to len bytes of src from offset; src keeps them. */
void buffer_share(struct buffer *dst, const struct buffer *src, size_t offset, size_t len);

void buffer_drain(struct buffer *b, size_t n); /* n <= len */

/* Reading in: space to write into (the tail of the last chunk, or a new chunk), then how much of it
 * was filled. buffer_commit(b, 0) gives an unused chunk back. NULL: no memory. */
MUST_CHECK char *buffer_reserve(struct buffer *b, size_t *room);
void buffer_commit(struct buffer *b, size_t n);

/* The first run of contiguous bytes; empty when the buffer is. */
static inline struct bytes buffer_front(const struct buffer *b)
{
    return b->head ? bytes_from(b->head->data, b->head->len) : BYTES_NONE;
}
/* The first n bytes (<= CHUNK_SIZE and <= len) made contiguous, copying only if they are not. */
struct bytes buffer_peek(struct buffer *b, size_t n);
/* Copies out without consuming; returns how many (less when the buffer ends). */
size_t buffer_copy(const struct buffer *b, size_t offset, void *dst, size_t n);
/* Fills at most max entries with the front of the buffer; returns how many. */
int buffer_iov(const struct buffer *b, struct iovec *iov, int max);
/* Walks the slices: for (s = b->head; s; s = s->next) ... is allowed for reading. */
