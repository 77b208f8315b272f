/* A worker with one listener and one connection manager, and clients that talk to it over memory
 * pairs. Everything runs when the test says so: loopback_run(), loopback_advance(). */
#pragma once

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/snapshot.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/http/stream.h"
#include "dataplane/net/loop_fake.h"
#include "dataplane/net/transport_pair.h"

enum { LOOPBACK_FILTERS_MAX = 8 };

struct loopback {
    struct clock_fake clock;
    struct loop *loop;
    struct worker worker;
    struct stat_store *stats;
    struct snapshot snapshot;
    struct http_manager *manager; /* change it before clients connect, or replace it */
    struct listener_entry *entry;
    struct chain_binding *binding;
    struct access_log_writer *log_writer;
    struct access_log log;
    struct access_log *logs[1];
};

struct client {
    struct loopback *lb;
    struct connection *connection;
    struct http_conn *server;
    struct strbuf received;
    bool ended, closed;
};

/* Filters in request order; the last is terminal. */
void loopback_init(struct loopback *lb, const struct http_filter_ops *const *filters, unsigned n);
void loopback_fini(struct loopback *lb);
void loopback_run(struct loopback *lb);
void loopback_advance(struct loopback *lb, uint64_t ms);
/* A new snapshot whose listener has a chain with this key (NULL: no listener at all). */
void loopback_swap(struct loopback *lb, const char *chain_key);
/* Writes a line for each request into the file; format: a command string. */
void loopback_log_to(struct loopback *lb, const char *path, const char *format);
uint64_t loopback_stat(struct loopback *lb, enum http_stat stat);

void client_connect(struct client *c, struct loopback *lb);
void client_send(struct client *c, const char *text); /* and runs */
void client_close(struct client *c);                  /* and runs */
void client_fini(struct client *c);
/* What has come since the last call; "date" lines are left out. */
const char *client_take(struct client *c);
