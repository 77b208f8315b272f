/* Errors of set-up and configuration: one human sentence that grows context as it rises, because it
 * becomes the NACK text or the start-up message. A function that can fail returns bool and fills
 * *err; err is never NULL. On the stack: `struct error err = {0};` and error_fini(). One thread. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#include "base/check.h"

struct error {
    char *text; /* NULL: no error */
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        0                                                                                          \
    }

/* Sets the sentence (the first one wins: a later call is dropped). Returns false, so that a
 * function can `return error_set(err, ...)`. */
bool error_set(struct error *err, const char *fmt, ...) PRINTF(2, 3);
bool error_vset(struct error *err, const char *fmt, va_list ap);
/* Puts context before the sentence: "listener 'a': " + text. Returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) PRINTF(2, 3);
/* Joins a further sentence with "; " or "\n" (sep); sets it when there is none. Returns false. */
bool error_append(struct error *err, const char *sep, const char *fmt, ...) PRINTF(3, 4);
static inline bool error_is_set(const struct error *err)
{
    return err->text != NULL;
}
const char *error_text(const struct error *err); /* "" when there is none */
void error_fini(struct error *err);
/* Moves from into *err (which must have none), leaving from empty. */
void error_move(struct error *err, struct error *from);
