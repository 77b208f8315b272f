/* struct bytes_set: which of many names have come already. Names are borrowed, and how many may
 * come is said before. One thread. */
#pragma once

#include "base/bytes.h"

struct bytes_set {
    struct bytes *slots; /* open addressing; data NULL: free */
    size_t mask;
};

/* false: there is no memory for so many. */
MUST_CHECK bool bytes_set_init(struct bytes_set *s, size_t most);
void bytes_set_fini(struct bytes_set *s);
/* false: it is there already. */
bool bytes_set_add(struct bytes_set *s, struct bytes name);
