/* struct failover: to which of a source's servers the next stream goes (rules T11, T12). Pure;
 * embedded in its mux.
 *
 * The first server until it has failed twice in a row without ever having answered; then the
 * second, as long as its stream lives, and after that both in turn. A first server that has
 * answered once is never left again. With one server there is nothing to choose. */
#pragma once

#include <stdbool.h>

enum { FAILOVER_AFTER = 2, FAILOVER_PAUSE_MS = 500, FAILOVER_MAX = 2 };

/* When to connect again after a failure: as the back-off says (T02), at once, or after a pause. */
enum failover_retry { FAILOVER_BACK_OFF, FAILOVER_AT_ONCE, FAILOVER_PAUSE };

struct failover {
    unsigned n, at; /* servers, and the one in use */
    unsigned first_failures;
    bool first_answered; /* ever */
    int told_by;         /* the server whose versions are held; -1: none has answered */
};

void failover_init(struct failover *f, unsigned n_servers);
/* A response came. */
void failover_answered(struct failover *f);
/* The stream, or the attempt to open it, is over: `at` may be another server now. */
enum failover_retry failover_failed(struct failover *f);
/* Versions that are held are those of the server in use: they may be told to it. */
bool failover_knows(const struct failover *f);
