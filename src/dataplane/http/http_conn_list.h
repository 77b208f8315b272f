/* struct http_conn_list: the live downstream HTTP connections of one worker, and those whose memory
 * goes at the end of this turn. Worker thread only. */
#pragma once

#include "base/list.h"
#include "base/strbuf.h"
#include "dataplane/net/loop.h"

struct access_log_buffer;
struct h2_memory;
struct http_conn;
struct worker;

struct http_conn_list {
    struct list conns, dead;
    struct defer reap, go_on;
    struct list next;       /* those whose next request has come and waits for a turn */
    struct list held;       /* those whose next request waits for the end of this one */
    struct timer next_turn; /* runs while there are some */
    uint64_t turn;          /* of the loop, in which `begun` of at most `most` have begun */
    uint64_t begun, most;
    uint64_t requests, seen; /* that have begun in all; at the beginning of `turn` */
    _Atomic unsigned n;      /* one writer; main reads it for server.total_connections */
    struct h2_memory *h2_memory;
    struct stat_scope *http2_stats; /* NULL until somebody speaks it */
    struct access_log_buffer *log;  /* NULL: nobody writes logs */
    struct strbuf log_line;         /* the line being made */
};

struct http_conn_list *http_conn_list_new(struct worker *w);
void http_conn_list_free(struct http_conn_list **l); /* all must be closed */
void http_conn_list_bury(struct http_conn_list *l, struct http_conn *c);
/* What a connection has sent ahead is looked at again once the streams that ended in this turn are
 * gone. */
void http_conn_list_go_on(struct http_conn_list *l, struct http_conn *c);
/* The request that a connection has sent ahead begins, in this turn or, behind those of others, in
 * a later one: what has come meanwhile goes first, so that who sends many at once keeps nobody else
 * waiting for long. */
void http_conn_list_next(struct http_conn_list *l, struct http_conn *c);
