/* A worker thread: its loop, its worker object, its listening sockets, and the swap of snapshots.
 * Made and ended by main; in between only the thread itself touches it. */
#pragma once

#include <pthread.h>

#include "dataplane/net/worker.h"
#include "main/accept.h"
#include "main/listener_registry.h"
#include "main/snapshot_slot.h"

struct config_thread;

struct worker_thread_options {
    unsigned index;
    struct listener_registry *registry;
    struct config_thread *config;
    struct stat_store *stats;
    struct access_log_writer *access_log;
    struct stat_scope *clusters;    /* thread_local_cluster_manager */
    struct conn_limit *connections; /* of all workers; its max is set before they run */
    struct worker_drain drain;      /* --drain-time-s and --drain-strategy */
};

struct worker_thread {
    struct worker worker; /* the object that the rooms below see */
    struct worker_thread_options o;
    struct snapshot_slot slot;
    pthread_t thread;
    bool started, accepting;
    struct list acceptors; /* struct worker_listener */
    struct accept_list accepted;
    struct grpc_logs *grpc_logs;
    struct timer drain; /* connections of chains that are gone */
    struct timer retry; /* listeners whose socket could not be had */
    bool late;          /* there are some */
};

struct worker_thread *worker_thread_new(const struct worker_thread_options *o, struct error *err);
/* node: the bytes of core.v3.Node that access log services are told; for the process's life. */
void worker_thread_run(struct worker_thread *t, struct bytes node);
/* Any thread. */
void worker_thread_accept(struct worker_thread *t); /* from now on (rule M14) */
void worker_thread_fail_health(struct worker_thread *t, bool fail);
void worker_thread_drain(struct worker_thread *t, bool inbound_only); /* for good */
/* cluster_demand_settled() */
void worker_thread_demand_settled(struct worker_thread *t, struct bytes key);
/* Closes the listening sockets: all, or those of inbound listeners. */
void worker_thread_stop_accepting(struct worker_thread *t, bool inbound_only);
/* Main: ends the loop, joins, closes every connection and gives the snapshot back. */
void worker_thread_stop(struct worker_thread *t);
void worker_thread_free(struct worker_thread **t);
