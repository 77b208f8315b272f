/* The parts of struct server, for the files that wire them (server.c, server_admin.c). */
#pragma once

#include "base/stats.h"
#include "config/bootstrap_load.h"
#include "config/static_load.h"
#include "dataplane/net/conn_limit.h"
#include "dataplane/net/loop.h"
#include "dataplane/net/worker.h"
#include "main/config_thread.h"
#include "main/dial.h"
#include "main/dns_driver.h"
#include "main/fetch.h"
#include "main/listener_registry.h"
#include "main/options.h"
#include "main/snapshot_slot.h"
#include "main/watchdog.h"
#include "main/worker_thread.h"

enum server_state { SERVER_LIVE, SERVER_DRAINING, SERVER_PRE_INITIALIZING, SERVER_INITIALIZING };

struct server_admin;

struct server {
    const struct options *options;
    struct loop *loop;
    struct stat_store *stats;
    struct descriptors *descriptors;
    struct validator *validator;
    struct arena *arena;        /* bootstrap bytes */
    struct field_report report; /* of the bootstrap */
    struct config_thread *config;
    struct listener_registry *registry;
    struct access_log_writer *access_log;
    struct worker_thread **workers;
    unsigned n_workers;
    struct worker main_worker;     /* slot 0: admin, control channels */
    struct snapshot_slot slot;     /* main's own copy of the snapshot */
    int64_t n_failed;              /* listeners that should listen and do not */
    struct conn_limit connections; /* downstream, of all workers */
    struct dialer dialer;
    struct fetcher fetcher;
    struct dns_driver *dns;
    struct signal_watch term, interrupt, usr1, hup;
    enum server_state state;
    bool health_failed;
    bool ending; /* server_free(): the workers have nothing left that could be counted */
    struct stat_scope *listener_manager, *thread_clusters, *sandbox;
    struct timer second; /* statistics that main keeps up to date */
    uint64_t start_wall_ns;
    struct server_admin *admin;
    struct watchdog *watchdog;
};

/* server_admin.c: the admin listener; *err when its address cannot be bound. */
MUST_CHECK bool server_admin_start(struct server *s, struct error *err);
/* Writes the address down where the command line says so; if it cannot, a line of the log. */
void server_admin_tell(const struct server *s);
/* Closes the listener and all connections; pages may still ask the config thread something. */
void server_admin_close(struct server *s);
void server_admin_free(struct server *s); /* nothing runs any more */
void server_admin_tick(struct server *s);
