#include "dataplane/net/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum {
    COALESCE_MAX = 2048, /* pieces up to this are copied behind the last slice */
    RESERVE_MIN = 2048,  /* less space than this behind the last slice is not worth a read */
};

void buffer_clear(struct buffer *b)
{
    while (b->head) {
        struct slice *s = b->head;
        b->head = s->next;
        slice_free(b->pool, s);
    }
    b->tail = NULL;
    b->len = 0;
}

static void push_slice(struct buffer *b, struct slice *s)
{
    s->next = NULL;
    if (b->tail)
        b->tail->next = s;
    else
        b->head = s;
    b->tail = s;
    b->len += s->len;
}

/* Bytes that may be written behind the last slice, or 0. */
static size_t tail_room(const struct buffer *b)
{
    const struct slice *t = b->tail;

    if (!t || !t->chunk || t->data + t->len != t->chunk->data + t->chunk->used)
        return 0;
    return CHUNK_SIZE - t->chunk->used;
}

static void fill_tail(struct buffer *b, const char *data, size_t len)
{
    struct slice *t = b->tail;

    memcpy(t->chunk->data + t->chunk->used, data, len);
    t->chunk->used += (uint32_t)len;
    t->len += len;
    b->len += len;
}

static struct slice *new_chunk_slice(struct buffer *b)
{
    struct chunk *c = chunk_new(b->pool);

    if (!c)
        return NULL;
    struct slice *s = slice_new(b->pool);
    s->chunk = c;
    s->data = c->data;
    return s;
}

/* For bytes of our own: what a peer can size was bounded before. */
static struct slice *must_chunk_slice(struct buffer *b)
{
    struct slice *s = new_chunk_slice(b);

    if (!s)
        mem_exhausted(sizeof(struct chunk));
    return s;
}

/* False: no memory; what was added so far is in b. */
static bool try_add(struct buffer *b, const char *data, size_t len)
{
    while (len > 0) {
        size_t room = tail_room(b);
        if (room == 0) {
            struct slice *fresh = new_chunk_slice(b);
            if (!fresh)
                return false;
            push_slice(b, fresh);
            room = CHUNK_SIZE;
        }
        size_t n = len < room ? len : room;
        fill_tail(b, data, n);
        data += n;
        len -= n;
    }
    return true;
}

void buffer_add(struct buffer *b, const void *data, size_t len)
{
    if (!try_add(b, data, len))
        mem_exhausted(sizeof(struct chunk));
}

void buffer_add_str(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    buffer_add(b, text, (size_t)n);
}

void buffer_add_static(struct buffer *b, struct bytes x)
{
    if (x.len <= tail_room(b)) {
        buffer_add(b, x.data, x.len);
        return;
    }
    struct slice *s = slice_new(b->pool);
    s->data = x.data;
    s->len = x.len;
    push_slice(b, s);
}

void buffer_prepend(struct buffer *b, const void *data, size_t len)
{
    struct buffer front;

    buffer_init(&front, b->pool);
    buffer_add(&front, data, len);
    if (!front.head)
        return;
    front.tail->next = b->head;
    if (!b->tail)
        b->tail = front.tail;
    b->head = front.head;
    b->len += len;
}

/* Behind others a small piece is copied, if need be into a chunk of its own, where the next ones
 * find room: what is shared with another buffer leaves none. */
static bool coalesce(struct buffer *dst, const char *data, size_t len)
{
    if (len > COALESCE_MAX || !dst->tail)
        return false;
    if (len > tail_room(dst)) {
        struct slice *fresh = new_chunk_slice(dst);
        if (!fresh)
            return false;
        push_slice(dst, fresh);
    }
    if (len > 0)
        fill_tail(dst, data, len);
    return true;
}

void buffer_move_behind(struct buffer *dst, struct buffer *src)
{
    while (src->head && coalesce(dst, src->head->data, src->head->len)) {
        struct slice *s = src->head;
        src->head = s->next;
        src->len -= s->len;
        slice_free(src->pool, s);
    }
    if (src->head) {
        dst->tail->next = src->head;
        dst->tail = src->tail;
        dst->len += src->len;
    }
    src->head = src->tail = NULL;
    src->len = 0;
}

static void drop_empty_tail(struct buffer *b)
{
    struct slice *gone = b->tail, *before = NULL;

    if (!gone || gone->len > 0)
        return;
    for (struct slice *s = b->head; s != gone; s = s->next)
        before = s;
    if (before)
        before->next = NULL;
    else
        b->head = NULL;
    b->tail = before;
    slice_free(b->pool, gone);
}

static bool is_dense(const struct slice *s)
{
    return !s->chunk || s->len == CHUNK_SIZE;
}

static struct slice *pop_slice(struct buffer *b)
{
    struct slice *s = b->head;
    b->head = s->next;
    if (!b->head)
        b->tail = NULL;
    b->len -= s->len;
    return s;
}

void buffer_move_copied(struct buffer *dst, struct buffer *src)
{
    CHECK(dst->pool == src->pool && dst != src);
    while (src->head) {
        struct slice *s = src->head;
        size_t before = dst->len;
        if (!is_dense(s) && !try_add(dst, s->data, s->len)) {
            buffer_drain(src, dst->len - before);
            drop_empty_tail(dst);
            buffer_move(dst, src);
            return;
        }
        s = pop_slice(src);
        if (is_dense(s))
            push_slice(dst, s);
        else
            slice_free(src->pool, s);
    }
}

void buffer_tighten(struct buffer *b)
{
    const struct chunk *last = NULL;
    size_t pinned = 0;
    for (const struct slice *s = b->head; s; s = s->next) {
        if (s->chunk && s->chunk != last)
            pinned += CHUNK_SIZE;
        last = s->chunk;
    }
    if (pinned <= b->len + b->len / 2 + CHUNK_SIZE)
        return;
    struct buffer tight;
    buffer_init(&tight, b->pool);
    buffer_move_copied(&tight, b);
    buffer_move(b, &tight);
}

static void share_slice(struct buffer *dst, const struct slice *s, size_t offset, size_t len)
{
    if (coalesce(dst, s->data + offset, len))
        return;
    struct slice *copy = slice_new(dst->pool);
    copy->chunk = s->chunk ? chunk_ref(s->chunk) : NULL;
    copy->data = s->data + offset;
    copy->len = len;
    push_slice(dst, copy);
}

void buffer_share(struct buffer *dst, const struct buffer *src, size_t offset, size_t len)
{
    CHECK(dst->pool == src->pool && dst != src && offset <= src->len && len <= src->len - offset);
    for (const struct slice *s = src->head; s && len > 0; s = s->next) {
        if (offset >= s->len) {
            offset -= s->len;
            continue;
        }
        size_t n = s->len - offset < len ? s->len - offset : len;
        share_slice(dst, s, offset, n);
        offset = 0;
        len -= n;
    }
}

void buffer_move_n(struct buffer *dst, struct buffer *src, size_t n)
{
    CHECK(n <= src->len);
    if (n == src->len) {
        buffer_move(dst, src);
        return;
    }
    buffer_share(dst, src, 0, n);
    buffer_drain(src, n);
}

void buffer_drain(struct buffer *b, size_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    while (n > 0) {
        struct slice *s = b->head;
        if (n < s->len) {
            s->data += n;
            s->len -= n;
            return;
        }
        n -= s->len;
        b->head = s->next;
        slice_free(b->pool, s);
    }
    while (b->head && b->head->len == 0) {
        struct slice *s = b->head;
        b->head = s->next;
        slice_free(b->pool, s);
    }
    if (!b->head)
        b->tail = NULL;
}

char *buffer_reserve(struct buffer *b, size_t *room)
{
    *room = tail_room(b);
    if (*room < RESERVE_MIN) {
        struct slice *s = new_chunk_slice(b);
        if (!s)
            return NULL;
        push_slice(b, s);
        *room = CHUNK_SIZE;
    }
    return b->tail->chunk->data + b->tail->chunk->used;
}

void buffer_commit(struct buffer *b, size_t n)
{
    CHECK(b->tail && b->tail->chunk && n <= CHUNK_SIZE - b->tail->chunk->used);
    b->tail->chunk->used += (uint32_t)n;
    b->tail->len += n;
    b->len += n;
    if (UNLIKELY(n == 0))
        drop_empty_tail(b);
}

struct bytes buffer_peek(struct buffer *b, size_t n)
{
    CHECK(n <= b->len && n <= CHUNK_SIZE);
    if (n == 0)
        return bytes_from("", 0);
    if (b->head->len >= n)
        return bytes_from(b->head->data, n);
    struct slice *s = must_chunk_slice(b);
    buffer_copy(b, 0, s->chunk->data, n);
    buffer_drain(b, n);
    s->chunk->used = (uint32_t)n;
    s->len = n;
    s->next = b->head;
    b->head = s;
    if (!b->tail)
        b->tail = s;
    b->len += n;
    return bytes_from(s->data, n);
}

size_t buffer_copy(const struct buffer *b, size_t offset, void *dst, size_t n)
{
    char *to = dst;
    size_t done = 0;

    for (const struct slice *s = b->head; s && done < n; s = s->next) {
        if (offset >= s->len) {
            offset -= s->len;
            continue;
        }
        size_t part = s->len - offset < n - done ? s->len - offset : n - done;
        memcpy(to + done, s->data + offset, part);
        offset = 0;
        done += part;
    }
    return done;
}

int buffer_iov(const struct buffer *b, struct iovec *iov, int max)
{
    int n = 0;

    for (const struct slice *s = b->head; s && n < max; s = s->next)
        iov[n++] = (struct iovec){.iov_base = (char *)(uintptr_t)s->data, .iov_len = s->len};
    return n;
}
