#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t size)
{
    fprintf(stderr, "xylem-stub: out of memory (%zu bytes)\n", size);
    abort();
}

void *mem_resize(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);

    if (!q)
        out_of_memory(size);
    return q;
}

void *mem_alloc(size_t size)
{
    return mem_resize(NULL, size);
}

void *mem_zero(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        out_of_memory(size);
    return p;
}

char *mem_bytes(const void *data, size_t len)
{
    char *p = mem_alloc(len + 1);

    if (len)
        memcpy(p, data, len);
    p[len] = '\0';
    return p;
}

char *mem_string(const char *s)
{
    return s ? mem_bytes(s, strlen(s)) : NULL;
}

static void text_room(struct text *t, size_t more)
{
    size_t need = t->len + more + 1;

    if (need <= t->cap)
        return;
    t->cap = t->cap * 2 > need ? t->cap * 2 : need + 32;
    t->data = mem_resize(t->data, t->cap);
}

void text_fini(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

void text_add(struct text *t, const void *data, size_t len)
{
    text_room(t, len);
    if (len)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_putc(struct text *t, char c)
{
    text_add(t, &c, 1);
}

void text_vprintf(struct text *t, const char *fmt, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    if (n > 0) {
        text_room(t, (size_t)n);
        vsnprintf(t->data + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    text_vprintf(t, fmt, args);
    va_end(args);
}

const char *text_str(const struct text *t)
{
    return t->len ? t->data : "";
}

char *text_take(struct text *t)
{
    char *s = t->len ? t->data : mem_bytes("", 0);

    if (!t->len)
        free(t->data);
    *t = (struct text){0};
    return s;
}

bool error_set(struct error *err, const char *fmt, ...)
{
    struct text t = {0};
    va_list args;

    va_start(args, fmt);
    text_vprintf(&t, fmt, args);
    va_end(args);
    free(err->text);
    err->text = text_take(&t);
    return false;
}

bool error_prefix(struct error *err, const char *fmt, ...)
{
    struct text t = {0};
    va_list args;

    va_start(args, fmt);
    text_vprintf(&t, fmt, args);
    va_end(args);
    if (err->text)
        text_puts(&t, err->text);
    free(err->text);
    err->text = text_take(&t);
    return false;
}

void error_fini(struct error *err)
{
    free(err->text);
    err->text = NULL;
}

bool number_read(const char *text, unsigned long long low, unsigned long long high,
                 unsigned long long *out)
{
    size_t len = strlen(text);

    if (!len || strspn(text, "0123456789") != len)
        return false;
    errno = 0;
    *out = strtoull(text, NULL, 10);
    return !errno && *out >= low && *out <= high;
}

uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h;
}
