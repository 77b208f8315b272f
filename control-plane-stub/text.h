/* Growing byte buffers and the one error type of the stub control plane.
 *
 * Plain values without locks: whoever holds one owns it. Small allocations end the process with a
 * message when memory is gone. `data` is always NUL-terminated once anything was added, so that a
 * buffer doubles as a C string; it may hold any bytes. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))

struct text {
    char *data;
    size_t len, cap;
};

/* Release the bytes; the buffer is empty and usable again. */
void text_fini(struct text *t);
void text_add(struct text *t, const void *data, size_t len);
void text_puts(struct text *t, const char *s);
void text_putc(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_vprintf(struct text *t, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* The contents, never NULL. */
const char *text_str(const struct text *t);
/* Hand over the bytes as a malloc'ed string (never NULL) and empty the buffer. */
char *text_take(struct text *t);

/* A human sentence, or nothing. `false` from a function that takes one means that it is set. */
struct error {
    char *text;
};

/* Set the sentence (replacing any) and return false, so that `return error_set(...)` reads well. */
bool error_set(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Put context in front of the sentence; returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_fini(struct error *err);

/* malloc, calloc, realloc and strdup that cannot fail. */
void *mem_alloc(size_t size);
void *mem_zero(size_t size);
void *mem_resize(void *p, size_t size);
char *mem_string(const char *s);
char *mem_bytes(const void *data, size_t len);

/* Make room for one more element in an array that grows by doubling. */
#define ARRAY_ROOM(array, count, cap)                                                              \
    do {                                                                                           \
        if ((count) == (cap)) {                                                                    \
            (cap) = (cap) ? (cap)*2 : 8;                                                           \
            (array) = mem_resize((array), (cap) * sizeof(*(array)));                               \
        }                                                                                          \
    } while (0)

/* Decimal digits, and nothing else, as a number of `low` to `high`. */
MUST_CHECK bool number_read(const char *text, unsigned long long low, unsigned long long high,
                            unsigned long long *out);

/* A 64-bit content hash that can be continued: start with HASH_START. */
#define HASH_START 0xcbf29ce484222325ull
uint64_t hash_bytes(uint64_t h, const void *data, size_t len);
