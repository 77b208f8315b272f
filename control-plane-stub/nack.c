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

void nack_parse(struct nack_part *out, const char *line, size_t len, const char *const *names,
                size_t name_count)
{
    const char *end = line + len, *at = NULL;
    size_t longest = 0;

    *out = (struct nack_part){.reason = mem_bytes(line, len)};
    for (size_t i = 0; i < name_count; i++) {
        const char *hit = find_word(line, end, names[i]);

        if (hit && strlen(names[i]) > longest) {
            at = hit;
            longest = strlen(names[i]);
            free(out->resource);
            out->resource = mem_string(names[i]);
        }
    }
    out->field = find_path(line, end, at, longest);
}

void nack_part_fini(struct nack_part *p)
{
    free(p->resource);
    free(p->field);
    free(p->reason);
    *p = (struct nack_part){0};
}
