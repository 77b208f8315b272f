/* struct server: the process, wired together. Main thread. */
#pragma once

#include "base/error.h"
#include "main/options.h"

struct server;

/* Reads and checks the configuration, makes every part; opens static listeners' sockets. */
struct server *server_new(const struct options *o, struct error *err);
/* Until a signal or /quitquitquit ends it. */
void server_run(struct server *s);
void server_free(struct server **s);
