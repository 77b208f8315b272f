/* `${NAME}` in resource files, and where each column was before it was filled in.
 *
 * Pure; used by the YAML reader only. */
#pragma once

#include "text.h"

struct strmap;

struct expansion_shift {
    int line, column; /* columns from here on (after expansion) ... */
    int by;           /* ... were this much further right in the file */
};

struct expansion {
    struct text text;
    struct expansion_shift *shifts;
    size_t count, cap;
};

/* Fill in ${NAME} and ${NAME:-default} from `vars` and then the environment; `$${` gives `${`.
 * `${NAME` without its `}` on the line is an error. Other text stays, and with `vars` NULL all.
 * JSON's surrogate pairs (\ud83d\ude00), which YAML does not know, become one escape that it
 * knows. */
MUST_CHECK bool expansion_make(struct expansion *e, const char *file, const char *text, size_t len,
                               const struct strmap *vars, struct error *err);
void expansion_fini(struct expansion *e);
/* The column in the file as written. */
int expansion_column(const struct expansion *e, int line, int column);
