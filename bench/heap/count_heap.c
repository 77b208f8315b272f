/* Counts heap allocations of each thread, and their bytes, for a program that is linked with it or
 * started with
 *     LD_PRELOAD=libcount_heap.so COUNT_HEAP_FILE=file
 * The file is mapped and holds SLOTS rows of four 64-bit numbers: thread id, allocations so far
 * (malloc, calloc, realloc and the aligned ones), bytes allocated, bytes freed. The reader needs no
 * stop of the program: a row has one writer. Bytes are those of malloc_usable_size(), which depend
 * on the sizes asked for and on nothing else but rare remainders: what is live is allocated less
 * freed, over all rows. */
#include "heap/count_heap.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum { SLOTS = 256 };

struct slot {
    _Atomic uint64_t thread, calls, allocated, freed;
};

/* glibc's own allocator: no need to look anything up, which would allocate. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static struct slot own[SLOTS];
static struct slot *slots = own;
static _Atomic unsigned used;
static _Thread_local struct slot *mine __attribute__((tls_model("initial-exec")));

/* Libraries allocate before this runs; their counts move along. */
__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("COUNT_HEAP_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || ftruncate(fd, (off_t)sizeof(own)) < 0)
        return;
    void *p = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return;
    slots = p;
    for (unsigned i = 0; i < used; i++) {
        slots[i].thread = own[i].thread;
        slots[i].calls = own[i].calls;
        slots[i].allocated = own[i].allocated;
        slots[i].freed = own[i].freed;
    }
    if (mine)
        mine = slots + (mine - own);
}

static struct slot *slot(void)
{
    if (!mine) {
        unsigned n = atomic_fetch_add(&used, 1);
        if (n >= SLOTS)
            abort();
        mine = &slots[n];
        mine->thread = (uint64_t)syscall(SYS_gettid);
    }
    return mine;
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void *given(void *p)
{
    struct slot *s = slot();
    add(&s->calls, 1);
    add(&s->allocated, p ? malloc_usable_size(p) : 0);
    return p;
}

static void taken(void *p)
{
    if (p)
        add(&slot()->freed, malloc_usable_size(p));
}

struct heap_counts heap_counts(void)
{
    struct heap_counts sum = {0};
    for (unsigned i = 0; i < SLOTS && i < used; i++) {
        sum.calls += slots[i].calls;
        sum.allocated += slots[i].allocated;
        sum.freed += slots[i].freed;
    }
    return sum;
}

PUBLIC void *malloc(size_t size)
{
    return given(__libc_malloc(size));
}

PUBLIC void *calloc(size_t n, size_t size)
{
    return given(__libc_calloc(n, size));
}

PUBLIC void *realloc(void *p, size_t size)
{
    size_t before = p ? malloc_usable_size(p) : 0;
    void *made = __libc_realloc(p, size);
    if (made || size == 0)
        add(&slot()->freed, before);
    if (size == 0)
        return made;
    return made ? given(made) : NULL;
}

PUBLIC void free(void *p)
{
    taken(p);
    __libc_free(p);
}

PUBLIC void *memalign(size_t alignment, size_t size)
{
    return given(__libc_memalign(alignment, size));
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

PUBLIC int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = memalign(alignment, size);
    return *out ? 0 : 12 /* ENOMEM */;
}
