#include "base/memory.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

NORETURN void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "xylem: internal error at %s:%d: %s\n", file, line, what);
    abort();
}

NORETURN void mem_exhausted(size_t size)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "xylem: out of memory (%zu bytes)\n", size);
    ssize_t written = write(STDERR_FILENO, text, (size_t)n);
    (void)written;
    _exit(EXIT_OUT_OF_MEMORY);
}

/* Mapped, not allocated: the heap keeps its shape, and a map that is given up is free at once. */
static _Thread_local struct {
    void *room;
    size_t size;
} reserve;

enum { RESERVE_LEAST = 256 * 1024 };

bool mem_reserve_spend(void)
{
    if (!reserve.room)
        return false;
    munmap(reserve.room, reserve.size);
    reserve.room = NULL;
    reserve.size = 0;
    return true;
}

static bool reserve_map(size_t size)
{
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return false;
    reserve.room = room;
    reserve.size = size;
    return true;
}

bool mem_reserve(size_t size)
{
    size_t n = RESERVE_LEAST;
    while (n < size && n <= SIZE_MAX / 2) /* few sizes: most often it is there already */
        n *= 2;
    if (reserve.size >= n)
        return true;
    mem_reserve_end();
    if (reserve_map(n))
        return true;
    if (n > RESERVE_LEAST)
        reserve_map(RESERVE_LEAST);
    return false;
}

void mem_reserve_end(void)
{
    bool UNUSED had = mem_reserve_spend();
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    while (UNLIKELY(!p)) {
        if (!mem_reserve_spend())
            mem_exhausted(size);
        p = malloc(size ? size : 1);
    }
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    while (UNLIKELY(!p)) {
        if (!mem_reserve_spend())
            mem_exhausted(size);
        p = calloc(1, size ? size : 1);
    }
    return p;
}

void *mem_realloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    while (UNLIKELY(!p)) {
        if (!mem_reserve_spend())
            mem_exhausted(size);
        p = realloc(old, size ? size : 1);
    }
    return p;
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}

void *mem_try(size_t size)
{
    return malloc(size ? size : 1);
}

void *mem_try_aligned(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

void *mem_try_realloc(void *p, size_t size)
{
    return realloc(p, size ? size : 1);
}

bool mem_try_grow(void *ptr_to_array, size_t *cap, size_t need, size_t item_size)
{
    void *old;
    if (need <= *cap)
        return true;
    size_t n = *cap ? *cap * 2 : 8;
    if (n < need)
        n = need;
    memcpy(&old, ptr_to_array, sizeof(old));
    void *grown = mem_try_realloc(old, n * item_size);
    if (!grown)
        return false;
    memcpy(ptr_to_array, &grown, sizeof(grown));
    *cap = n;
    return true;
}

void mem_free(void *p)
{
    free(p);
}

/* Opened once: the sandbox may keep it from being opened later. */
static int statm(void)
{
    static _Atomic int kept = -1;
    int none = -1, fd = atomic_load(&kept);
    if (fd >= 0)
        return fd;
    fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || atomic_compare_exchange_strong(&kept, &none, fd))
        return fd;
    close(fd); /* another thread was faster */
    return none;
}

size_t mem_resident(bool anonymous)
{
    char text[128];
    unsigned long size, resident, shared;
    int fd = statm();
    ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3 || resident < shared)
        return 0;
    return (resident - (anonymous ? shared : 0)) * (size_t)sysconf(_SC_PAGESIZE);
}
