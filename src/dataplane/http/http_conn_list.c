#include "dataplane/http/http_conn_list.h"

#include "base/memory.h"
#include "dataplane/http/access_log_writer.h"
#include "dataplane/http/codec_h2.h"
#include "dataplane/http/http_conn.h"
#include "dataplane/http/http_conn_mux.h"
#include "dataplane/http/stream_pool.h"
#include "dataplane/net/transport_tls.h"

#define CONN(l) LIST_ENTRY(l, struct http_conn, link)

enum { NEXT_MIN = 4 }; /* connections whose next request may begin in one turn, at the least */

static void reap(struct defer *d)
{
    struct http_conn_list *list = d->owner;
    struct list *l;
    while ((l = list_pop_front(&list->dead)) != NULL) {
        struct http_conn *c = CONN(l);
        c->magic = 0;
        tls_connection_unref(&c->tls);
        mem_free(c);
    }
}

/* As many in a turn as requests of others began in the turn before: where all are busy, who sends
 * ahead has half of the worker. */
static bool may_begin(struct http_conn_list *list)
{
    uint64_t turn = loop_turns(list->next_turn.loop);
    if (list->turn != turn) {
        uint64_t begun = list->requests - list->seen;
        uint64_t of_others = begun > list->begun ? begun - list->begun : 0;
        bool just_before = turn == list->turn + 1;
        list->most = just_before && of_others > NEXT_MIN ? of_others : NEXT_MIN;
        list->turn = turn;
        list->seen = list->requests;
        list->begun = 0;
    }
    if (list->begun >= list->most)
        return false;
    list->begun++;
    return true;
}

static void begin_next(struct http_conn *c)
{
    if (c->input_held) {
        c->input_held = false;
        connection_read_resume(c->connection);
    } else if (c->input_left && !c->stream && !c->closing) {
        connection_reread(c->connection);
    }
}

static void go_on(struct defer *d)
{
    struct http_conn_list *list = d->owner;
    struct list *l;
    while ((l = list_pop_front(&list->held)) != NULL) /* what is read again is read later */
        begin_next(LIST_ENTRY(l, struct http_conn, next));
}

void http_conn_list_go_on(struct http_conn_list *list, struct http_conn *c)
{
    if (list_empty(&c->next))
        list_push_back(&list->held, &c->next);
    defer_schedule(&list->go_on); /* after that of the streams: one has ended, or nobody waits */
}

void http_conn_list_next(struct http_conn_list *list, struct http_conn *c)
{
    if (list_empty(&list->next) && may_begin(list)) {
        begin_next(c);
        return;
    }
    if (list_empty(&list->next))
        timer_start(&list->next_turn, 0);
    if (list_empty(&c->next))
        list_push_back(&list->next, &c->next);
}

/* After what has arrived in this turn. */
static void on_next_turn(struct timer *t)
{
    struct http_conn_list *list = t->owner;
    while (!list_empty(&list->next) && may_begin(list))
        begin_next(LIST_ENTRY(list_pop_front(&list->next), struct http_conn, next));
    if (!list_empty(&list->next))
        timer_start(&list->next_turn, 0);
}

struct http_conn_list *http_conn_list_new(struct worker *w)
{
    struct http_conn_list *list = NEW(struct http_conn_list);
    list_init(&list->conns);
    list_init(&list->dead);
    list_init(&list->next);
    list_init(&list->held);
    timer_init(&list->next_turn, w->loop, on_next_turn, list);
    list->h2_memory = h2_memory_new(w->loop);
    defer_init(&list->reap, w->loop, DEFER_REAP, reap, list);
    defer_init(&list->go_on, w->loop, DEFER_REAP, go_on, list);
    return list;
}

void http_conn_list_free(struct http_conn_list **list)
{
    if (!*list)
        return;
    CHECK(list_empty(&(*list)->conns));
    defer_cancel(&(*list)->reap);
    defer_cancel(&(*list)->go_on);
    timer_stop(&(*list)->next_turn);
    reap(&(*list)->reap);
    strbuf_fini(&(*list)->log_line);
    h2_memory_free(&(*list)->h2_memory);
    if ((*list)->http2_stats)
        stat_scope_unref(&(*list)->http2_stats);
    mem_free(*list);
    *list = NULL;
}

void http_conn_list_bury(struct http_conn_list *list, struct http_conn *c)
{
    list_remove(&c->next);
    list_push_back(&list->dead, &c->link);
    defer_schedule(&list->reap);
}

void http_worker_init(struct worker *w)
{
    w->streams = stream_pool_new(w);
    w->http_conns = http_conn_list_new(w);
    if (w->access_log)
        w->http_conns->log = access_log_buffer_new(w->access_log, w->loop);
}

/* Who does not read what is left for him has had his time. */
static void close_now(struct worker *w)
{
    LIST_EACH(l, &w->http_conns->conns)
    {
        CONN(l)->closing = true;
        connection_close(CONN(l)->connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    }
    if (w->http_conns->n)
        loop_turn(w->loop, false);
}

void http_worker_fini(struct worker *w)
{
    close_now(w);
    stream_pool_free(&w->streams);
    access_log_buffer_free(&w->http_conns->log);
    http_conn_list_free(&w->http_conns);
}

unsigned http_conn_list_drain_gone(struct worker *w)
{
    unsigned gone = 0;
    LIST_EACH(l, &w->http_conns->conns)
    {
        http_conn_refresh(CONN(l));
        gone += CONN(l)->chain_gone;
    }
    return gone;
}

uint64_t http_conn_list_close_gone(struct worker *w)
{
    uint64_t now = loop_now_ns(w->loop), next_ms = 0;
    LIST_EACH(l, &w->http_conns->conns)
    {
        struct http_conn *c = CONN(l);
        uint64_t passed_ms = (now - c->gone_ns) / NS_PER_MS;
        if (!c->chain_gone || c->closing)
            continue;
        if (passed_ms >= w->drain.time_ms)
            http_conn_close(c, CLOSE_DRAIN);
        else if (next_ms == 0 || w->drain.time_ms - passed_ms < next_ms)
            next_ms = w->drain.time_ms - passed_ms;
    }
    return next_ms;
}

void http_conn_list_close_all(struct worker *w)
{
    LIST_EACH(l, &w->http_conns->conns)
    {
        struct http_conn *c = CONN(l);
        if (c->mux)
            http_conn_mux_goaway(c);
        http_conn_flush_now(c);
        c->closing = true;
        connection_close(c->connection, CLOSE_SHUTDOWN, http_conn_close_how(c, CLOSE_FLUSH), 1);
    }
}

unsigned http_conn_list_count(const struct worker *w)
{
    return w->http_conns->n;
}

unsigned http_conn_list_active_requests(const struct worker *w)
{
    unsigned n = 0;
    const struct list *head = &w->http_conns->conns;
    for (const struct list *l = head->next; l != head; l = l->next)
        n += CONN(l)->mux ? CONN(l)->mux->n_streams : CONN(l)->stream != NULL;
    return n;
}
