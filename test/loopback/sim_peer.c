#include <check.h>
#include <stdio.h>

#include "base/memory.h"
#include "sim.h"
#include "sim_message.h"

enum { BLOCK = 8192, AFTER_PORT = 8001 };

struct sim_origin {
    struct list link;
    struct sim *sim;
    struct connection *connection; /* NULL: closed */
    struct strbuf in;              /* not understood yet */
    uint16_t port;
    unsigned piece, downloaded;
    bool answering, early; /* early: answering a request whose end has not come */
};

#define ORIGIN(l) LIST_ENTRY(l, struct sim_origin, link)

static void write_block(struct connection *c, char of, unsigned left)
{
    static char block[BLOCK];
    memset(block, of, sizeof(block));
    connection_write_bytes(c, bytes_from(block, left < BLOCK ? left : BLOCK));
}

/* --- origins --- */

static void origin_next(struct sim_origin *o)
{
    const struct sim_scenario *sc = o->sim->scenario;
    if (o->port == AFTER_PORT) {
        connection_write_bytes(o->connection, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
                                                    "after"));
        o->answering = false;
        return;
    }
    if (o->piece < SIM_PIECES && sc->answer[o->piece]) {
        connection_write_bytes(o->connection, bytes_of(sc->answer[o->piece++]));
    } else if (o->downloaded < sc->download) {
        write_block(o->connection, 'd', sc->download - o->downloaded);
        o->downloaded += BLOCK;
    } else {
        o->answering = false;
        if (sc->origin_closes)
            connection_close(o->connection, CLOSE_SHUTDOWN, CLOSE_FLUSH, 0);
    }
}

static void origin_answer(struct sim_origin *o, bool early)
{
    o->sim->requests_seen++;
    o->early = early;
    if (o->port != AFTER_PORT && o->sim->scenario->origin == SIM_ORIGIN_SILENT)
        return;
    o->answering = true;
    o->piece = o->downloaded = 0;
    origin_next(o);
}

static void origin_read(struct sim_origin *o)
{
    while (o->connection && !o->answering) {
        struct sim_message m;
        struct bytes rest = strbuf_bytes(&o->in);
        enum sim_parse p = sim_message_parse(&rest, false, false, false, &m);
        if (p == SIM_BAD)
            sim_wrong(o->sim, "the origin cannot read \"%s\"", strbuf_str(&o->in));
        if (p == SIM_PART && m.head_done && !o->early && o->port != AFTER_PORT &&
            o->sim->scenario->origin == SIM_ORIGIN_EARLY)
            origin_answer(o, true);
        if (p == SIM_WHOLE) {
            bool early = o->early;
            struct strbuf left = STRBUF_INIT;
            strbuf_add_bytes(&left, rest);
            strbuf_fini(&o->in);
            o->in = left;
            o->early = false;
            if (!early)
                origin_answer(o, false);
        }
        sim_message_fini(&m);
        if (p != SIM_WHOLE)
            return;
    }
}

static void origin_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct sim_origin *o = connection_owner(c);
    for (; in->len > 0; buffer_drain(in, buffer_front(in).len))
        strbuf_add_bytes(&o->in, buffer_front(in));
    origin_read(o);
}

static void origin_on_close(struct connection *c, enum close_reason reason)
{
    struct sim_origin *o = connection_owner(c);
    o->connection = NULL;
}

static const struct connection_ops origin_callbacks = {
    .on_data = origin_on_data,
    .on_close = origin_on_close,
};

struct connection *sim_connect(const struct connector *self, struct worker *worker,
                               const struct address *to, const struct connect_options *opt,
                               const struct connection_ops *ops, void *owner)
{
    struct sim *s = ((struct world *)(void *)(uintptr_t)self)->tag;
    struct transport *ends[2];
    transport_pair_new(worker->loop, worker->chunks, 16 * 1024, ends);
    struct sim_origin *o = NEW(struct sim_origin);
    o->sim = s;
    o->port = to->port;
    o->connection = connection_new(worker->loop, worker->chunks, ends[1], &origin_callbacks, o);
    list_push_back(&s->origins, &o->link);
    struct transport *tap = sim_tap_new(s, ends[0], false);
    sim_tap_connecting(tap, o->port == AFTER_PORT ? SIM_ORIGIN_ANSWERS : s->scenario->origin,
                       opt->timeout_ms);
    struct connection *c = connection_new(worker->loop, worker->chunks, tap, ops, owner);
    connection_set_buffer_limit(c, opt->buffer_limit);
    return c;
}

/* --- clients --- */

static void client_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct sim_client *k = connection_owner(c);
    for (; in->len > 0; buffer_drain(in, buffer_front(in).len))
        strbuf_add_bytes(&k->received, buffer_front(in));
    k->sink_ended |= end;
}

static void client_on_close(struct connection *c, enum close_reason reason)
{
    struct sim_client *k = connection_owner(c);
    k->connection = NULL;
    k->closed = true;
    k->told = reason == CLOSE_REMOTE_CLOSE;
}

static const struct connection_ops client_callbacks = {
    .on_data = client_on_data,
    .on_close = client_on_close,
};

void sim_client_connect(struct sim *s, unsigned i)
{
    struct worker *w = &s->world->worker;
    struct sim_client *k = &s->clients[i];
    struct transport *ends[2];
    transport_pair_new(s->world->loop, w->chunks, 16 * 1024, ends);
    k->sim = s;
    k->started = true;
    k->connection = connection_new(s->world->loop, w->chunks, ends[0], &client_callbacks, k);
    connection_set_half_close(k->connection, true);
    if (s->scenario->slow_client && i < s->n_clients)
        connection_read_pause(k->connection);
    struct connection *c = connection_new(s->world->loop, w->chunks, sim_tap_new(s, ends[1], true),
                                          &client_callbacks, NULL);
    http_conn_new(w, c, &s->proxy->entry, s->proxy->binding);
}

static bool client_step(struct sim_client *k, bool afterwards)
{
    if (!k->connection || !connection_is_open(k->connection))
        return false;
    const struct sim_scenario *sc = k->sim->scenario;
    if (k->sink_ended) {
        connection_close(k->connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
        return true;
    }
    if (afterwards) {
        if (k->sent++)
            return false;
        connection_write_bytes(k->connection, BYTES("GET /after HTTP/1.1\r\nhost: a\r\n\r\n"));
        return true;
    }
    if (k->sent < SIM_PIECES && sc->send[k->sent]) {
        connection_write_bytes(k->connection, bytes_of(sc->send[k->sent++]));
        return true;
    }
    if (k->uploaded < sc->upload && connection_output_len(k->connection) < 4 * BLOCK) {
        write_block(k->connection, 'u', sc->upload - k->uploaded);
        k->uploaded += BLOCK;
        return true;
    }
    return false;
}

static bool slow_clients_read(struct sim *s)
{
    bool any = false;
    for (unsigned i = 0; i < s->n_clients; i++) {
        struct connection *c = s->clients[i].connection;
        if (c && connection_read_paused(c)) {
            connection_read_resume(c);
            any = true;
        }
    }
    return any;
}

bool sim_peers_step(struct sim *s)
{
    for (unsigned i = 0; i <= s->n_clients; i++) {
        if (client_step(&s->clients[i], i == s->n_clients))
            return true;
    }
    if (sim_gate_step())
        return true;
    LIST_EACH(l, &s->origins)
    {
        struct sim_origin *o = ORIGIN(l);
        if (!o->answering || !o->connection || !connection_is_open(o->connection) ||
            connection_output_len(o->connection) >= 4 * BLOCK)
            continue;
        origin_next(o);
        if (!o->answering)
            origin_read(o);
        return true;
    }
    return slow_clients_read(s);
}

static unsigned expected(const struct sim_scenario *sc)
{
    unsigned n = 0;
    while (n < SIM_EXPECT && sc->expect[n].status)
        n++;
    return n;
}

/* A client wants no more once it is closed or has all its answers. */
static bool client_done(const struct sim_client *k, unsigned wanted)
{
    struct bytes rest = bytes_from(k->received.data, k->received.len);
    unsigned got = 0;
    if (!k->started || k->closed)
        return true;
    for (; got < wanted; got++) {
        struct sim_message m;
        bool no_body = wanted > 1 || k != &k->sim->clients[k->sim->n_clients]
                           ? k->sim->scenario->expect[got].no_body
                           : false;
        enum sim_parse p = sim_message_parse(&rest, true, no_body, false, &m);
        sim_message_fini(&m);
        if (p != SIM_WHOLE)
            return false;
    }
    return true;
}

bool sim_clients_done(struct sim *s)
{
    for (unsigned i = 0; i < s->n_clients; i++) {
        if (!client_done(&s->clients[i], expected(s->scenario)))
            return false;
    }
    return client_done(&s->clients[s->n_clients], 1);
}

/* --- faults --- */

static void strike_client(struct sim_client *k, enum sim_fault fault)
{
    if (!k->connection)
        return;
    if (fault == SIM_CLIENT_END)
        connection_shutdown_write(k->connection);
    else
        connection_close(k->connection, CLOSE_SHUTDOWN,
                         fault == SIM_CLIENT_RESET ? CLOSE_ABORT : CLOSE_NOW, 0);
}

static void strike_origin(struct sim_origin *o, enum sim_fault fault)
{
    if (!o->connection)
        return;
    o->answering = false;
    if (fault == SIM_ORIGIN_END)
        connection_shutdown_write(o->connection);
    else
        connection_close(o->connection, CLOSE_SHUTDOWN,
                         fault == SIM_ORIGIN_RESET ? CLOSE_ABORT : CLOSE_NOW, 0);
}

void sim_peers_strike(struct sim *s)
{
    bool client =
        s->fault == SIM_CLIENT_RESET || s->fault == SIM_CLIENT_CLOSE || s->fault == SIM_CLIENT_END;
    bool origin =
        s->fault == SIM_ORIGIN_RESET || s->fault == SIM_ORIGIN_CLOSE || s->fault == SIM_ORIGIN_END;
    for (unsigned i = 0; client && i < s->n_clients; i++)
        strike_client(&s->clients[i], s->fault);
    LIST_EACH(l, &s->origins)
    {
        if (origin)
            strike_origin(ORIGIN(l), s->fault);
    }
}

/* --- judgement --- */

static bool body_is(const struct sim_message *m, const struct sim_scenario *sc, const char *want)
{
    const struct strbuf *b = &m->body;
    if (want)
        return bytes_eq(bytes_from(b->data, b->len), bytes_of(want));
    if (!sc->download)
        return true;
    if (b->len != sc->download)
        return false;
    for (size_t i = 0; i < b->len; i++) {
        if (b->data[i] != 'd')
            return false;
    }
    return true;
}

/* An origin that says nothing of its length cannot be told from one that was cut by a close. */
static bool cut_unseen(const struct sim *s, const struct sim_message *m, const char *want)
{
    bool cut = s->fault == SIM_ORIGIN_CLOSE || s->fault == SIM_ORIGIN_END;
    return cut && s->scenario->origin_closes && want && m->body.len <= strlen(want) &&
           strncmp(strbuf_str((struct strbuf *)&m->body), want, m->body.len) == 0;
}

static bool answer_ok(const struct sim *s, const struct sim_answer *want, bool no_body,
                      const struct sim_message *m)
{
    const char *body = no_body ? NULL : want->body;
    if (m->status == want->status && (no_body || body_is(m, s->scenario, body)))
        return true;
    if (m->status == want->status && cut_unseen(s, m, body))
        return true;
    if (sim_fault_kinds[s->fault] == SIM_KIND_NOTHING || !s->struck)
        return false;
    if (s->fault == SIM_ROUTES_GONE && m->status == 200 &&
        (no_body || body_is(m, s->scenario, "new")))
        return true;
    return m->status >= 400;
}

/* Nobody knows that a request was HEAD that there was no memory to read: the error has a body. */
static bool head_was_not_read(const struct sim *s)
{
    return s->fault == SIM_MEMORY && s->scenario->expect[0].no_body;
}

static void judge_rest(struct sim *s, const struct sim_client *k, enum sim_parse p,
                       const struct sim_message *m, unsigned got, unsigned wanted)
{
    bool ended = k->closed || k->sink_ended;
    enum sim_fault_kind kind = sim_fault_kinds[s->fault];
    if (p == SIM_BAD)
        sim_wrong(s, "the client cannot read \"%s\"", strbuf_str((struct strbuf *)&k->received));
    else if (got < wanted && !ended)
        sim_wrong(s, "the client waits for ever for answer %u", got + 1);
    else if (got < wanted && kind == SIM_KIND_NOTHING && !s->scenario->cut)
        sim_wrong(s, "the client lacks answer %u", got + 1);
    else if (p == SIM_PART && kind == SIM_KIND_CONFIG && !s->scenario->cut)
        sim_wrong(s, "a change of configuration cut answer %u", got + 1);
    else if (p == SIM_PART && got == wanted && !head_was_not_read(s))
        sim_wrong(s, "the client got part of an answer too many");
}

static void judge_client(struct sim *s, const struct sim_client *k, unsigned wanted,
                         const struct sim_answer *expect)
{
    struct bytes rest = bytes_from(k->received.data, k->received.len);
    for (unsigned got = 0;; got++) {
        struct sim_message m;
        bool no_body = got < wanted && expect[got].no_body;
        enum sim_parse p = sim_message_parse(&rest, true, no_body, k->sink_ended || k->told, &m);
        if (p != SIM_WHOLE)
            judge_rest(s, k, p, &m, got, wanted);
        else if (got == wanted)
            sim_wrong(s, "the client got an answer too many");
        else if (!answer_ok(s, &expect[got], no_body, &m))
            sim_wrong(s, "answer %u is %u with %zu bytes \"%.40s\", not %u \"%s\"", got + 1,
                      m.status, m.body.len, strbuf_str(&m.body), expect[got].status,
                      expect[got].body ? expect[got].body : "");
        sim_message_fini(&m);
        if (p != SIM_WHOLE || got == wanted)
            return;
    }
}

void sim_judge_clients(struct sim *s)
{
    static const struct sim_answer after = {200, "after", false};
    for (unsigned i = 0; i < s->n_clients; i++)
        judge_client(s, &s->clients[i], expected(s->scenario), s->scenario->expect);
    if (s->clients[s->n_clients].started)
        judge_client(s, &s->clients[s->n_clients], 1, &after);
}

void sim_judge_origins(struct sim *s)
{
    unsigned sent = s->n_clients * expected(s->scenario) + s->clients[s->n_clients].started;
    if (s->requests_seen > sent)
        sim_wrong(s, "origins saw %u requests of %u", s->requests_seen, sent);
    LIST_EACH(l, &s->origins)
    {
        struct sim_origin *o = ORIGIN(l);
        if (o->connection && o->in.len)
            sim_wrong(s, "an origin waits for the rest of \"%s\"", strbuf_str(&o->in));
    }
}

void sim_peers_close(struct sim *s)
{
    for (unsigned i = 0; i <= s->n_clients; i++) {
        if (s->clients[i].connection)
            connection_close(s->clients[i].connection, CLOSE_SHUTDOWN, CLOSE_NOW, 0);
    }
}

void sim_peers_fini(struct sim *s)
{
    for (struct list *l; (l = list_pop_front(&s->origins)) != NULL;) {
        ck_assert_ptr_null(ORIGIN(l)->connection);
        strbuf_fini(&ORIGIN(l)->in);
        mem_free(ORIGIN(l));
    }
    for (unsigned i = 0; i <= s->n_clients; i++)
        strbuf_fini(&s->clients[i].received);
}
