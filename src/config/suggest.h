/* "did you mean": the name nearest to one that was not found. Pure, any thread.
 *     struct suggest s = {.wanted = name};
 *     for each candidate: suggest_offer(&s, candidate);
 *     if (s.best.data) ... */
#pragma once

#include "base/bytes.h"

struct suggest {
    struct bytes wanted;
    struct bytes best; /* data NULL: nothing is near */
    unsigned distance; /* of best */
};

void suggest_offer(struct suggest *s, struct bytes candidate);
