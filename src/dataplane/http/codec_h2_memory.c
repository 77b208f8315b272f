#include "base/memory.h"
#include "dataplane/http/codec_h2_internal.h"

/* Pieces of heap by powers of two, kept for the next one who asks. nghttp2 allocates several for
 * each stream and frame; in the steady state the heap is not asked. */
enum {
    CLASS_MIN_SHIFT = 5,
    N_CLASSES = 10,           /* 32 bytes to 16 KiB */
    KEPT_BYTES_MAX = 1 << 20, /* of all classes */
    NO_CLASS = N_CLASSES,
};

struct piece {
    union {
        struct piece *next;
        size_t size_class;
    };
    size_t size; /* asked for */
};

struct h2_memory {
    unsigned refs;
    size_t kept;
    struct piece *free[N_CLASSES];
};

static size_t class_size(size_t c)
{
    return (size_t)1 << (c + CLASS_MIN_SHIFT);
}

static size_t class_of(size_t size)
{
    size_t c = 0;
    while (c < N_CLASSES && class_size(c) < size)
        c++;
    return c;
}

struct h2_memory *h2_memory_new(void)
{
    struct h2_memory *m = NEW(struct h2_memory);
    m->refs = 1;
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
    for (size_t c = 0; c < N_CLASSES; c++) {
        while (m->free[c]) {
            struct piece *p = m->free[c];
            m->free[c] = p->next;
            mem_free(p);
        }
    }
    mem_free(m);
}

static void *take(struct h2_memory *m, size_t size)
{
    size_t c = class_of(size);
    struct piece *p = NULL;
    if (c < N_CLASSES && m->free[c]) {
        p = m->free[c];
        m->free[c] = p->next;
        m->kept -= class_size(c);
    } else if (size <= SIZE_MAX - sizeof(*p)) {
        p = mem_try(sizeof(*p) + (c < N_CLASSES ? class_size(c) : size));
    }
    if (!p)
        return NULL;
    p->size_class = c;
    p->size = size;
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
    if (!ptr)
        return;
    struct piece *p = (struct piece *)ptr - 1;
    size_t c = p->size_class;
    if (!keeps_pieces() || c == NO_CLASS || m->kept + class_size(c) > KEPT_BYTES_MAX) {
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

static void *on_realloc(void *old, size_t size, void *m)
{
    if (!old)
        return take(m, size);
    struct piece *p = (struct piece *)old - 1;
    if (p->size_class < N_CLASSES && size <= class_size(p->size_class)) {
        p->size = size;
        return old;
    }
    void *now = take(m, size);
    if (!now)
        return NULL;
    memcpy(now, old, p->size < size ? p->size : size);
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
