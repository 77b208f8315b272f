/* Values of the runtime from what says them: text, a google.protobuf.Struct, a folder of files.
 * Config thread; values are on the heap, maps are the caller's. */
#pragma once

#include "config/runtime.h"

/* A number, a bool, {numerator, denominator} in YAML, or else text. */
struct runtime_value *runtime_value_of_text(struct bytes text);
/* False and *err: "Invalid runtime entry value for KEY". */
MUST_CHECK bool runtime_values_of_struct(struct bytes wire, struct map *out, struct error *err);
/* One file a value, folders are parts of the key; what begins with a dot is passed over. */
MUST_CHECK bool runtime_values_of_folder(const char *path, struct map *out, struct error *err);
