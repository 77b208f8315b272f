#include "nack.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || strchr("_-.~|/:*", c);
}

/* Where the name stands as a word of its own in the line. */
static const char *find_word(const char *line, const char *end, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = line; len && p + len <= end; p++) {
        bool free_before = p == line || !is_name_char(p[-1]);
        bool free_after = p + len == end || !is_name_char(p[len]) ||
                          (strchr(":.", p[len]) && (p + len + 1 == end || p[len + 1] == ' '));

        if (free_before && free_after && !memcmp(p, word, len))
            return p;
    }
    return NULL;
}

/* The end of a field path such as virtual_hosts[0].routes[2].match or Cluster.Name, or NULL. */
static const char *path_end(const char *p, const char *end)
{
    bool structured = false;

    if (p >= end || !isalpha((unsigned char)*p))
        return NULL;
    while (p < end) {
        if (isalnum((unsigned char)*p) || *p == '_') {
            p++;
        } else if (*p == '.' && p + 1 < end && isalpha((unsigned char)p[1])) {
            structured = true;
            p++;
        } else if (*p == '[') {
            const char *close = memchr(p, ']', (size_t)(end - p));

            if (!close)
                break;
            structured = true;
            p = close + 1;
        } else {
            break;
        }
    }
    return structured ? p : NULL;
}

/* The longest field path of the line that is not (in) the resource's name. */
static char *find_path(const char *line, const char *end, const char *name, size_t name_len)
{
    const char *best = NULL;
    size_t best_len = 0;

    for (const char *p = line; p < end; p++) {
        const char *stop;

        if (name && p >= name && p < name + name_len)
            continue;
        if (p > line && (is_name_char(p[-1]) || p[-1] == '\\'))
            continue;
        stop = path_end(p, end);
        if (stop && (size_t)(stop - p) > best_len) {
            best = p;
            best_len = (size_t)(stop - p);
        }
    }
    return best ? mem_bytes(best, best_len) : NULL;
}

/* Envoy's chain "(AValidationError.Foo[0]: ... | caused by BValidationError.BarBaz: ..." is the
 * path foo[0].bar_baz. NULL where the line has no such chain. */
static char *find_chain(const char *line, const char *end)
{
    static const char mark[] = "ValidationError.";
    struct text path = {0};

    while ((line = memmem(line, (size_t)(end - line), mark, strlen(mark)))) {
        line += strlen(mark);
        text_puts(&path, path.len ? "." : "");
        for (const char *first = line;
             line < end && (isalnum((unsigned char)*line) || *line == '[' || *line == ']');
             line++) {
            if (isupper((unsigned char)*line) && line > first)
                text_putc(&path, '_');
            text_putc(&path, (char)tolower((unsigned char)*line));
        }
    }
    return path.len ? text_take(&path) : NULL;
}

/* Where the complaint that begins at p ends; *reason is where its sentence begins. */
static const char *complaint_end(const char *p, const char **reason)
{
    size_t len = strcspn(p, "\n");

    *reason = p;
    if (!memmem(p, len, "goo.gle/debug", 13))
        return p + len;
    for (const char *q = p + len; *q; q += strcspn(q, "\n")) {
        q++;
        if (*q != ':')
            continue;
        *reason = q + strspn(q, ": ");
        return q + strcspn(q, "\n");
    }
    return p + strlen(p);
}

static void find_parts(struct nack_part *out, const char *p, const char *end,
                       const char *const *names, size_t name_count)
{
    const char *at = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < name_count; i++) {
        const char *hit = find_word(p, end, names[i]);

        if (!hit || strlen(names[i]) <= longest)
            continue;
        at = hit;
        longest = strlen(names[i]);
        free(out->resource);
        out->resource = mem_string(names[i]);
    }
    if (!out->resource && name_count == 1)
        out->resource = mem_string(names[0]);
    out->field = find_chain(p, end);
    if (!out->field)
        out->field = find_path(p, end, at, longest);
}

bool nack_next(const char **message, struct nack_part *out, const char *const *names,
               size_t name_count)
{
    const char *p = *message + strspn(*message, "\n"), *reason, *end;

    *out = (struct nack_part){0};
    if (!*p)
        return false;
    end = complaint_end(p, &reason);
    out->reason = mem_bytes(reason, (size_t)(end - reason));
    find_parts(out, p, end, names, name_count);
    *message = end;
    return true;
}

void nack_part_fini(struct nack_part *p)
{
    free(p->resource);
    free(p->field);
    free(p->reason);
    *p = (struct nack_part){0};
}
