#include "vars.h"

#include "strmap.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    struct expansion *e;
    const char *file, *at, *end;
    int line, column, out_column;
    const struct strmap *vars;
    struct error *err;
};

static void shift(struct scan *s, int by)
{
    struct expansion *e = s->e;

    if (!by)
        return;
    ARRAY_ROOM(e->shifts, e->count, e->cap);
    e->shifts[e->count++] = (struct expansion_shift){s->line, s->out_column, by};
}

static size_t name_length(const char *p, const char *end)
{
    const char *q = p;

    while (q < end &&
           (isalpha((unsigned char)*q) || *q == '_' || (q > p && isdigit((unsigned char)*q))))
        q++;
    return (size_t)(q - p);
}

static bool put_value(struct scan *s, const char *name, const char *value, size_t value_len,
                      size_t source_len)
{
    if (memchr(value, '\n', value_len))
        return error_set(s->err, "%s:%d:%d: the value of ${%s} has more than one line", s->file,
                         s->line, s->column, name);
    text_add(&s->e->text, value, value_len);
    s->out_column += (int)value_len;
    s->column += (int)source_len;
    s->at += source_len;
    shift(s, (int)source_len - (int)value_len);
    return true;
}

/* `at` is on "${". Sets *used when it was a variable. */
static bool expand_variable(struct scan *s, bool *used)
{
    size_t n = name_length(s->at + 2, s->end);
    const char *after = s->at + 2 + n, *close, *value, *fallback = NULL;
    char *name;
    bool ok;

    *used = false;
    if (!n)
        return true;
    close = memchr(after, '}', (size_t)(s->end - after));
    if (!close || memchr(after, '\n', (size_t)(close - after)))
        return error_set(s->err, "%s:%d:%d: ${%.*s is not closed by } ($${ stands for ${)", s->file,
                         s->line, s->column, (int)n, s->at + 2);
    if (close && after + 1 < close && after[0] == ':' && after[1] == '-')
        fallback = after + 2;
    else if (close != after)
        return true;
    *used = true;
    name = mem_bytes(s->at + 2, n);
    value = strmap_get(s->vars, name);
    if (!value)
        value = getenv(name);
    if (value)
        ok = put_value(s, name, value, strlen(value), (size_t)(close + 1 - s->at));
    else if (fallback)
        ok = put_value(s, name, fallback, (size_t)(close - fallback), (size_t)(close + 1 - s->at));
    else
        ok = error_set(s->err, "%s:%d:%d: variable ${%s} has no value (--var %s=VALUE)", s->file,
                       s->line, s->column, name, name);
    free(name);
    return ok;
}

static bool hex4(const char *p, const char *end, unsigned *out)
{
    char digits[5] = {0}, *stop;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return false;
    memcpy(digits, p + 2, 4);
    *out = (unsigned)strtoul(digits, &stop, 16);
    return stop == digits + 4;
}

/* `at` is on a backslash: copy the escape whole, a surrogate pair as one. */
static void copy_escape(struct scan *s)
{
    unsigned high, low;

    if (hex4(s->at, s->end, &high) && high >= 0xd800 && high < 0xdc00 &&
        hex4(s->at + 6, s->end, &low) && low >= 0xdc00 && low < 0xe000) {
        text_printf(&s->e->text, "\\U%08x", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
        s->at += 12;
        s->column += 12;
        s->out_column += 10;
        shift(s, 2);
        return;
    }
    for (int i = 0; i < 2 && s->at < s->end && (i == 0 || *s->at != '\n'); i++) {
        text_putc(&s->e->text, *s->at++);
        s->column++;
        s->out_column++;
    }
}

static void copy_byte(struct scan *s)
{
    char c = *s->at++;

    text_putc(&s->e->text, c);
    if (c == '\n') {
        s->line++;
        s->column = s->out_column = 1;
    } else if ((c & 0xc0) != 0x80) {
        s->column++;
        s->out_column++;
    }
}

bool expansion_make(struct expansion *e, const char *file, const char *text, size_t len,
                    const struct strmap *vars, struct error *err)
{
    struct scan s = {.e = e,
                     .file = file,
                     .at = text,
                     .end = text + len,
                     .line = 1,
                     .column = 1,
                     .out_column = 1,
                     .vars = vars,
                     .err = err};

    while (s.at < s.end) {
        bool used = false;

        if (*s.at == '\\') {
            copy_escape(&s);
            continue;
        }
        if (vars && s.end - s.at > 2 && !memcmp(s.at, "$${", 3)) {
            s.at++;
            s.column++;
            shift(&s, 1);
            copy_byte(&s);
            copy_byte(&s);
            continue;
        }
        if (vars && s.end - s.at > 2 && !memcmp(s.at, "${", 2) && !expand_variable(&s, &used))
            return false;
        if (!used)
            copy_byte(&s);
    }
    return true;
}

void expansion_fini(struct expansion *e)
{
    text_fini(&e->text);
    free(e->shifts);
    *e = (struct expansion){0};
}

int expansion_column(const struct expansion *e, int line, int column)
{
    size_t low = 0, high = e->count;
    int moved = 0;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (e->shifts[middle].line < line)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < e->count && e->shifts[low].line == line; low++)
        if (e->shifts[low].column <= column)
            moved += e->shifts[low].by;
    return column + moved;
}
