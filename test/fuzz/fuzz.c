#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

size_t (*fuzz_mutate_bytes)(uint8_t *data, size_t len, size_t max);

void fuzz_failed(const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: %s: ", file, line, what);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    fflush(stderr);
    abort();
}

void fuzz_same(const char *what, struct bytes a, struct bytes b)
{
    FUZZ_CHECK(bytes_eq(a, b), "%s differs:\n--- one (%zu)\n%.*s\n--- other (%zu)\n%.*s", what,
               a.len, BYTES_ARG(a), b.len, BYTES_ARG(b));
}

uint8_t fuzz_u8(struct fuzz_in *in)
{
    uint8_t v = in->rest.len ? (uint8_t)in->rest.data[0] : 0;
    in->rest = bytes_skip(in->rest, 1);
    return v;
}

uint64_t fuzz_u64(struct fuzz_in *in)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | fuzz_u8(in);
    return v;
}

unsigned fuzz_below(struct fuzz_in *in, unsigned n)
{
    return fuzz_u8(in) % n;
}

bool fuzz_bool(struct fuzz_in *in)
{
    return fuzz_u8(in) & 1;
}

struct bytes fuzz_take(struct fuzz_in *in, size_t n)
{
    struct bytes part = bytes_first(in->rest, n);
    in->rest = bytes_skip(in->rest, n);
    return part;
}
