/* Slices of a message in the wire format: the bytes of one field without decoding the rest, to
 * compare parts of resources and to hand them on. Pure functions; any bytes are safe. */
#pragma once

#include "base/arena.h"
#include "config/wire.h"

/* The bytes of a message field; data NULL when absent. Several occurrences are joined in the arena,
 * which is how they merge. */
struct bytes wire_message(struct arena *a, struct bytes in, uint32_t number);
/* How often a field of bytes (a message, a string) occurs. */
size_t wire_count(struct bytes in, uint32_t number);
/* All fields but these, as they stand. */
struct bytes wire_without(struct arena *a, struct bytes in, const uint32_t *numbers, unsigned n);
