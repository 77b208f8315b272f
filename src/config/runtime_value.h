/* Values of the runtime from what says them: text, a google.protobuf.Struct, a folder of files.
 * Config thread; values are on the heap, maps are the caller's. */
#pragma once

#include "config/runtime.h"

/* The whole number that counts: what follows the point does not, and the last is 2^32 - 1. */
static inline uint32_t runtime_whole(double number)
{
    return number >= UINT32_MAX ? UINT32_MAX : number > 0 ? (uint32_t)number : 0;
}

/* YAML: a number, {numerator, denominator}, or else a bool or text. */
struct runtime_value *runtime_value_of_text(struct bytes text);
/* False and *err: "Invalid runtime entry value for KEY". */
MUST_CHECK bool runtime_values_of_struct(struct bytes wire, struct map *out, struct error *err);
/* One file a value, folders are parts of the key; what begins with a dot is passed over. *there:
 * whether there is such a folder. */
MUST_CHECK bool runtime_values_of_folder(const char *path, struct map *out, bool *there,
                                         struct error *err);
