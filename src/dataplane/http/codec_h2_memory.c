#include "base/memory.h"
#include "dataplane/http/codec_h2_internal.h"
#include "dataplane/http/codec_h2_pages.h"

/* Pieces of heap by size, kept for the next one who asks. nghttp2 allocates several for each stream
 * and frame; in the steady state the heap is not asked. A piece is aligned to 8 bytes, which is all
 * that its users' types need.
 *
 * Each session of nghttp2 has a buffer of 16 KiB in which it makes one frame. Sessions of a thread
 * make frames one at a time, and what has been made is copied before the next (codec_h2_send.c):
 * one buffer serves them all, and an idle connection holds none. But nghttp2 tells of a stream's
 * end before it hands out the frame that ends it, and who is told may close another connection or
 * open one: then what has been made is put aside. */
enum {
    LINEAR = 4,     /* classes of 16, 32, 48 and 64 bytes; then four for each doubling */
    N_CLASSES = 37, /* the last one is 16 KiB */
    CLASS_BYTES_MAX = 16384,
    KEPT_BYTES_MAX = 1 << 20, /* of all classes */
};

/* Before the bytes: of a kept piece the next one; of one in use its class, or if it is larger than
 * any, N_CLASSES and its size. */
union piece {
    union piece *next;
    uint64_t is;
};

struct h2_memory {
    unsigned refs, frame_users; /* frame_users: while a session opens */
    bool opening;
    size_t kept;
    void *frame;
    size_t frame_size;
    unsigned framing; /* how many sessions are at it, one inside of the other */
    union piece *free[N_CLASSES];
    struct h2_pages pages;
};

static unsigned class_of(size_t size)
{
    if (size <= (size_t)LINEAR * 16)
        return size ? (unsigned)((size - 1) / 16) : 0;
    if (size > CLASS_BYTES_MAX)
        return N_CLASSES;
    unsigned power = 63 - (unsigned)__builtin_clzll(size - 1);
    return LINEAR + (power - 6) * 4 + (unsigned)((size - 1) >> (power - 2) & 3);
}

static size_t class_size(unsigned c)
{
    if (c < LINEAR)
        return (size_t)(c + 1) * 16;
    c -= LINEAR;
    return (size_t)(5 + c % 4) << (4 + c / 4);
}

static size_t piece_size(const union piece *p)
{
    unsigned c = p->is & 63;
    return c < N_CLASSES ? class_size(c) : p->is >> 6;
}

struct h2_memory *h2_memory_new(struct loop *loop)
{
    struct h2_memory *m = NEW(struct h2_memory);
    m->refs = 1;
    h2_pages_init(&m->pages, loop);
    return m;
}

struct h2_memory *h2_memory_ref(struct h2_memory *m)
{
    m->refs++;
    return m;
}

void h2_memory_free(struct h2_memory **mp)
{
    struct h2_memory *m = *mp;
    *mp = NULL;
    if (!m || --m->refs)
        return;
    for (unsigned c = 0; c < N_CLASSES; c++) {
        while (m->free[c]) {
            union piece *p = m->free[c];
            m->free[c] = p->next;
            mem_free(p);
        }
    }
    h2_pages_fini(&m->pages);
    mem_free(m->frame);
    mem_free(m);
}

static void *take(struct h2_memory *m, size_t size)
{
    unsigned c = class_of(size);
    union piece *p = NULL;
    if (UNLIKELY(size == H2_PAGE_BYTES) && !HEAP_IS_WATCHED)
        return h2_page_take(&m->pages);
    if (c < N_CLASSES && m->free[c]) {
        p = m->free[c];
        m->free[c] = p->next;
        m->kept -= class_size(c);
    } else if (size <= SIZE_MAX >> 6) {
        p = mem_try(sizeof(*p) + (c < N_CLASSES ? class_size(c) : size));
    }
    if (!p)
        return NULL;
    p->is = c < N_CLASSES ? c : (uint64_t)size << 6 | N_CLASSES;
    return p + 1;
}

static bool keeps_pieces(void)
{
#ifdef __SANITIZE_ADDRESS__
    return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return false;
#endif
#endif
    return true;
}

void h2_release(struct h2_memory *m, void *ptr)
{
    if (!ptr || ptr == m->frame)
        return;
    if (UNLIKELY(h2_is_page(ptr))) {
        h2_page_give(&m->pages, ptr);
        return;
    }
    union piece *p = (union piece *)ptr - 1;
    unsigned c = p->is & 63;
    if (!keeps_pieces() || c == N_CLASSES || m->kept + class_size(c) > KEPT_BYTES_MAX) {
        mem_free(p);
        return;
    }
    p->next = m->free[c];
    m->free[c] = p;
    m->kept += class_size(c);
}

void *h2_alloc(struct h2_memory *m, size_t size)
{
    void *p = take(m, size);
    return p ? memset(p, 0, size) : NULL;
}

struct h2_pages *h2_memory_pages(struct h2_memory *m)
{
    return &m->pages;
}

void h2_memory_opening(struct h2_memory *m, bool opening)
{
    /* None, or two: another nghttp2 than this was written for. */
    CHECK(opening || m->frame_users == 1);
    m->opening = opening;
    if (opening)
        m->pages.newest = NULL;
    m->frame_users = 0;
}

static void *take_frame(struct h2_memory *m, size_t size)
{
    if (!m->frame) {
        m->frame = mem_try(size);
        m->frame_size = size;
    }
    CHECK(!m->frame || size == m->frame_size);
    m->frame_users++;
    return m->frame;
}

void *h2_memory_frame_begin(struct h2_memory *m)
{
    if (LIKELY(m->framing++ == 0))
        return NULL;
    return memcpy(mem_alloc(m->frame_size), m->frame, m->frame_size);
}

void h2_memory_frame_end(struct h2_memory *m, void *outer)
{
    m->framing--;
    if (LIKELY(!outer))
        return;
    memcpy(m->frame, outer, m->frame_size);
    mem_free(outer);
}

static void *on_malloc(size_t size, void *m)
{
    return take(m, size);
}

static void on_free(void *p, void *m)
{
    h2_release(m, p);
}

static void *on_calloc(size_t n, size_t size, void *m)
{
    return size && n > SIZE_MAX / size ? NULL : h2_alloc(m, n * size);
}

static void *on_realloc(void *old, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (!old)
        return m->opening && size > CLASS_BYTES_MAX ? take_frame(m, size) : take(m, size);
    CHECK(old != m->frame);
    size_t had = h2_is_page(old) ? H2_PAGE_BYTES : piece_size((union piece *)old - 1);
    if (size <= had && had <= CLASS_BYTES_MAX)
        return old;
    void *now = take(m, size);
    if (!now)
        return NULL;
    memcpy(now, old, had < size ? had : size);
    h2_release(m, old);
    return now;
}

nghttp2_mem h2_nghttp2_memory(struct h2_memory *m)
{
    return (nghttp2_mem){.mem_user_data = m,
                         .malloc = on_malloc,
                         .free = on_free,
                         .calloc = on_calloc,
                         .realloc = on_realloc};
}
