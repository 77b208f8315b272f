/* struct server: the process, wired together. Main thread. */
#pragma once

#include "base/error.h"
#include "main/options.h"

struct server;

/* Reads and checks the configuration, makes every part; opens static listeners' sockets. */
struct server *server_new(const struct options *o, struct error *err);
/* Enters the sandbox, starts the threads, and serves until a signal or /quitquitquit ends it.
 * False: the sandbox that was asked for cannot be had. */
MUST_CHECK bool server_run(struct server *s, struct error *err);
void server_free(struct server **s);
