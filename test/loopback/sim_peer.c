#include <check.h>
#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "sim.h"
#include "sim_h2.h"
#include "sim_message.h"

enum { BLOCK = 8192, AFTER_PORT = 8001, TUNNEL_MAX = 64 };

struct sim_origin {
    struct list link;
    struct sim *sim;
    struct connection *connection; /* NULL: closed */
    struct strbuf in;              /* not understood yet */
    uint16_t port;
    unsigned piece, downloaded;
    bool answering, ended, early; /* early: answering a request whose end has not come */
    size_t tunnelled;             /* bytes of a tunnel that have come */
    /* HTTP/2: one of these is the connection, others its streams. */
    struct sim_h2 *h2;
    struct sim_origin *of;
    struct sim_h2_stream *stream;
};

#define ORIGIN(l) LIST_ENTRY(l, struct sim_origin, link)

static struct bytes block_of(char of, unsigned left)
{
    static char block[BLOCK];
    memset(block, of, sizeof(block));
    return bytes_from(block, left < BLOCK ? left : BLOCK);
}

/* --- origins --- */

static struct connection *origin_connection(const struct sim_origin *o)
{
    struct connection *c = o->of ? o->of->connection : o->connection;
    bool dead = o->stream && (!o->stream->codec || o->stream->reset);
    return c && connection_is_open(c) && !dead ? c : NULL;
}

static bool is_tunnel(const struct sim_origin *o)
{
    enum sim_origin_mode mode = o->sim->scenario->origin;
    return o->port != AFTER_PORT && (mode == SIM_ORIGIN_TUNNEL || mode == SIM_ORIGIN_TCP);
}

/* What the client's script puts into its tunnel, but for what it uploads; returns how much it is.
 * Allocates nothing: this is no part of what is judged. */
static size_t tunnel_text(const struct sim_scenario *sc, char out[TUNNEL_MAX])
{
    bool begun = false;
    size_t len = 0;
    for (unsigned i = 0; i < SIM_PIECES && sc->send[i]; i++) {
        const char *head = begun ? NULL : strstr(sc->send[i], "\r\n\r\n");
        const char *text = begun ? sc->send[i] : head ? head + 4 : "";
        begun |= head != NULL;
        CHECK(len + strlen(text) <= TUNNEL_MAX);
        memcpy(out + len, text, strlen(text));
        len += strlen(text);
    }
    return len;
}

/* Of the tunnel so far: what the client says, in its order. */
static void judge_tunnel(struct sim_origin *o, struct bytes came)
{
    char text[TUNNEL_MAX];
    size_t len = tunnel_text(o->sim->scenario, text);
    size_t same = came.len < len ? came.len : len;
    bool good = came.len <= len + o->sim->scenario->upload &&
                memcmp(came.data ? came.data : "", text, same) == 0;
    for (size_t i = same; good && i < came.len; i++)
        good = came.data[i] == 'u';
    if (!good)
        sim_wrong(o->sim, "the origin got \"%.40s\" of the tunnel", came.data);
    o->tunnelled = came.len;
}

/* It answers when it has heard all. */
static bool listens(const struct sim_origin *o)
{
    char text[TUNNEL_MAX];
    return is_tunnel(o) && o->piece > 0 && !o->ended &&
           o->tunnelled < tunnel_text(o->sim->scenario, text) + o->sim->scenario->upload;
}

static bool origin_full(const struct sim_origin *o)
{
    return connection_output_len(origin_connection(o)) >= 4 * BLOCK ||
           (o->stream && o->stream->full);
}

static void origin_write(struct sim_origin *o, struct bytes text)
{
    if (o->stream)
        sim_h2_answer(o->stream, text);
    else
        connection_write_bytes(o->connection, text);
}

static void origin_end(struct sim_origin *o)
{
    if (o->stream)
        sim_h2_answer_end(o->stream);
    if (origin_connection(o))
        connection_close(origin_connection(o), CLOSE_SHUTDOWN, CLOSE_FLUSH, 0);
}

static void origin_next(struct sim_origin *o)
{
    const struct sim_scenario *sc = o->sim->scenario;
    if (o->port == AFTER_PORT) {
        o->answering = false;
        origin_write(o, BYTES("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nafter"));
        return;
    }
    if (sc->fails && o->sim->requests_seen <= sc->fails) {
        o->answering = false;
        origin_write(o, BYTES("HTTP/1.1 503 Broken\r\ncontent-length: 6\r\n\r\nbroken"));
    } else if (o->piece < SIM_PIECES && sc->answer[o->piece]) {
        origin_write(o, bytes_of(sc->answer[o->piece++]));
    } else if (o->downloaded < sc->download) {
        origin_write(o, block_of('d', sc->download - o->downloaded));
        o->downloaded += BLOCK;
    } else {
        o->answering = false;
        if (sc->origin_closes)
            origin_end(o);
    }
}

static void origin_answer(struct sim_origin *o, bool early)
{
    o->sim->requests_seen++;
    o->early = early;
    const struct sim_scenario *sc = o->sim->scenario;
    if (o->port != AFTER_PORT &&
        (sc->origin == SIM_ORIGIN_SILENT || o->sim->requests_seen <= sc->silent))
        return;
    o->answering = true;
    o->piece = o->downloaded = 0;
    origin_next(o);
}

/* A request that looks whole has all of its body. */
static void judge_body(struct sim_origin *o, const struct sim_message *m)
{
    struct bytes body = bytes_from(m->body.data, m->body.len);
    unsigned upload = o->sim->scenario->upload;
    if (!bytes_starts_with(m->line, BYTES("POST ")))
        return;
    if (upload ? body.len != upload : !bytes_starts_with(body, BYTES("hello")))
        sim_wrong(o->sim, "the origin got a body of %zu bytes: \"%.20s\"", body.len,
                  body.len ? body.data : "");
}

static void tunnel_read(struct sim_origin *o)
{
    struct sim_message m = {.head_done = true};
    struct bytes rest = strbuf_bytes(&o->in);
    bool tcp = o->sim->scenario->origin == SIM_ORIGIN_TCP;
    if (tcp) {
        judge_tunnel(o, rest);
        return;
    }
    enum sim_parse p = sim_message_parse(&rest, false, false, false, &m);
    if (p == SIM_BAD || p == SIM_WHOLE)
        sim_wrong(o->sim, "the origin got \"%s\", no tunnel", strbuf_str(&o->in));
    if (p == SIM_PART && m.head_done && !o->early && m.body.len)
        sim_wrong(o->sim, "the origin got \"%s\" before it opened the tunnel", strbuf_str(&m.body));
    if (p == SIM_PART && m.head_done)
        judge_tunnel(o, strbuf_bytes(&m.body));
    if (p == SIM_PART && m.head_done && !o->early)
        origin_answer(o, true);
    sim_message_fini(&m);
}

static void origin_read(struct sim_origin *o)
{
    if (is_tunnel(o)) {
        tunnel_read(o);
        return;
    }
    while (origin_connection(o) && !o->answering) {
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
            judge_body(o, &m);
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

static void *origin_on_stream(void *owner, struct sim_h2_stream *stream)
{
    struct sim_origin *of = owner, *o = NEW(struct sim_origin);
    o->sim = of->sim;
    o->port = of->port;
    o->of = of;
    o->stream = stream;
    list_push_back(&o->sim->origins, &o->link);
    return o;
}

static void origin_on_text(void *owner, struct sim_h2_stream *stream)
{
    struct sim_origin *o = stream->user;
    strbuf_add_bytes(&o->in, strbuf_bytes(&stream->text));
    strbuf_reset(&stream->text);
    if (stream->reset)
        strbuf_reset(&o->in); /* nobody waits for the rest */
    else
        origin_read(o);
}

static const struct sim_h2_ops origin_h2 = {origin_on_stream, origin_on_text};

static void origin_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct sim_origin *o = connection_owner(c);
    if (o->h2) {
        sim_h2_input(o->h2, in);
        if (o->h2->over)
            connection_close(c, CLOSE_SHUTDOWN, CLOSE_FLUSH, 0);
        return;
    }
    for (; in->len > 0; buffer_drain(in, buffer_front(in).len))
        strbuf_add_bytes(&o->in, buffer_front(in));
    o->ended |= end;
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
    if (sim_origin_h2(s->pair))
        o->h2 = sim_h2_new(o->connection, true, &origin_h2, o);
    list_push_back(&s->origins, &o->link);
    if (is_tunnel(o) && s->scenario->origin == SIM_ORIGIN_TCP) {
        connection_set_half_close(o->connection, true);
        o->answering = true;
        o->piece = 1;
    }
    struct transport *tap = sim_tap_new(s, ends[0], false);
    sim_tap_connecting(tap, o->port == AFTER_PORT ? SIM_ORIGIN_ANSWERS : s->scenario->origin,
                       opt->timeout_ms);
    struct connection *c = connection_new(worker->loop, worker->chunks, tap, ops, owner);
    connection_set_buffer_limit(c, opt->buffer_limit);
    return c;
}

/* --- clients --- */

/* Answers come in the order of the requests; one that was reset is an error, or cut. */
static void client_on_text(void *owner, struct sim_h2_stream *ignored)
{
    struct sim_client *k = owner;
    LIST_EACH(l, &k->h2->streams)
    {
        struct sim_h2_stream *s = LIST_ENTRY(l, struct sim_h2_stream, link);
        if (s->reset && !s->head_came)
            strbuf_add_str(&s->text, "HTTP/1.1 599 Reset\r\ncontent-length: 0\r\n\r\n");
        k->sink_ended |= s->reset && s->head_came;
        s->ended |= s->reset && !s->head_came;
        strbuf_add_bytes(&k->received, strbuf_bytes(&s->text));
        strbuf_reset(&s->text);
        s->reset = s->reset && s->head_came;
        if (!s->ended)
            return;
    }
}

static const struct sim_h2_ops client_h2 = {.on_text = client_on_text};

static void client_on_data(struct connection *c, struct buffer *in, bool end)
{
    struct sim_client *k = connection_owner(c);
    if (k && k->h2) {
        sim_h2_input(k->h2, in);
        k->sink_ended |= end || k->h2->over;
        return;
    }
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
    if (sim_client_h2(s->pair))
        k->h2 = sim_h2_new(k->connection, false, &client_h2, k);
}

static void client_write(struct sim_client *k, struct bytes text)
{
    if (k->h2)
        sim_h2_ask(k->h2, text);
    else
        connection_write_bytes(k->connection, text);
}

static bool client_full(const struct sim_client *k)
{
    return connection_output_len(k->connection) >= 4 * BLOCK ||
           (k->h2 && k->h2->current && k->h2->current->full);
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
        client_write(k, BYTES("GET /after HTTP/1.1\r\nhost: a\r\n\r\n"));
        return true;
    }
    if (k->goes && (!k->h2->current || k->h2->current->sends == SIM_SEND_HEAD))
        return false;
    if (k->sent < SIM_PIECES && sc->send[k->sent]) {
        client_write(k, bytes_of(sc->send[k->sent++]));
        return true;
    }
    if (k->uploaded < sc->upload && !client_full(k)) {
        client_write(k, block_of('u', sc->upload - k->uploaded));
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
        if (!o->answering || !origin_connection(o) || origin_full(o) || listens(o))
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

/* Who has said GOAWAY has asked for less. */
static unsigned wanted_by(const struct sim_client *k, unsigned all)
{
    unsigned n = 0;
    if (!k->goes)
        return all;
    LIST_EACH(l, &k->h2->streams)
    n += LIST_ENTRY(l, struct sim_h2_stream, link)->sends != SIM_SEND_HEAD;
    return n < all ? n : all;
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
        if (!client_done(&s->clients[i], wanted_by(&s->clients[i], expected(s->scenario))))
            return false;
    }
    return client_done(&s->clients[s->n_clients], 1);
}

/* --- faults --- */

static void strike_streams(struct sim_h2 *h2, uint32_t code)
{
    LIST_EACH(l, &h2->streams)
    sim_h2_stream_reset(LIST_ENTRY(l, struct sim_h2_stream, link), code);
}

static void goaway(struct sim_h2 *h2)
{
    h2->codec->ops->goaway(h2->codec);
    sim_h2_flush(h2);
}

static void strike_client(struct sim_client *k, enum sim_fault fault)
{
    if (!k->connection)
        return;
    if (fault == SIM_CLIENT_CANCEL) {
        strike_streams(k->h2, H2_CANCEL);
        client_on_text(k, NULL);
    } else if (fault == SIM_CLIENT_GOAWAY) {
        goaway(k->h2);
        k->goes = true;
    } else if (fault == SIM_CLIENT_END)
        connection_shutdown_write(k->connection);
    else
        connection_close(k->connection, CLOSE_SHUTDOWN,
                         fault == SIM_CLIENT_RESET ? CLOSE_ABORT : CLOSE_NOW, 0);
}

static void strike_origin(struct sim_origin *o, enum sim_fault fault)
{
    if (!o->connection)
        return;
    if (fault == SIM_ORIGIN_DRAIN)
        o->h2->codec->ops->drain(o->h2->codec);
    if (fault == SIM_ORIGIN_GOAWAY)
        goaway(o->h2);
    if (fault == SIM_ORIGIN_GOAWAY || fault == SIM_ORIGIN_DRAIN) {
        sim_h2_flush(o->h2);
        return;
    }
    o->answering = false;
    if (fault == SIM_ORIGIN_CANCEL || fault == SIM_ORIGIN_REFUSE)
        strike_streams(o->h2, fault == SIM_ORIGIN_CANCEL ? H2_CANCEL : H2_REFUSED_STREAM);
    else if (fault == SIM_ORIGIN_END)
        connection_shutdown_write(o->connection);
    else
        connection_close(o->connection, CLOSE_SHUTDOWN,
                         fault == SIM_ORIGIN_RESET ? CLOSE_ABORT : CLOSE_NOW, 0);
}

void sim_peers_strike(struct sim *s)
{
    bool client = s->fault == SIM_CLIENT_RESET || s->fault == SIM_CLIENT_CLOSE ||
                  s->fault == SIM_CLIENT_END || s->fault == SIM_CLIENT_CANCEL ||
                  s->fault == SIM_CLIENT_GOAWAY;
    bool origin = s->fault == SIM_ORIGIN_RESET || s->fault == SIM_ORIGIN_CLOSE ||
                  s->fault == SIM_ORIGIN_END || s->fault == SIM_ORIGIN_CANCEL ||
                  s->fault == SIM_ORIGIN_REFUSE || s->fault == SIM_ORIGIN_GOAWAY ||
                  s->fault == SIM_ORIGIN_DRAIN;
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

static bool body_begins(const struct sim_message *m, const struct sim_scenario *sc,
                        const char *want)
{
    const struct strbuf *b = &m->body;
    if (want)
        return b->len <= strlen(want) && memcmp(b->data ? b->data : "", want, b->len) == 0;
    for (size_t i = 0; i < b->len; i++) {
        if (b->data[i] != 'd')
            return false;
    }
    return b->len <= sc->download;
}

/* An origin that tells no length cannot be told from one that was cut by a close; nor can
 * a client of HTTP/1 tell how a peer has ended its tunnel. A change of configuration ends none. */
static bool cut_unseen(const struct sim *s, const struct sim_message *m, const char *want)
{
    const struct sim_scenario *sc = s->scenario;
    bool tunnel = sc->origin == SIM_ORIGIN_TUNNEL || sc->origin == SIM_ORIGIN_TCP;
    enum sim_fault_kind kind = sim_fault_kinds[s->fault];
    bool cut =
        !sim_origin_h2(s->pair) && (s->fault == SIM_ORIGIN_CLOSE || s->fault == SIM_ORIGIN_END);
    if (tunnel && !sim_client_h2(s->pair))
        cut |= kind == SIM_KIND_CLIENT || kind == SIM_KIND_ORIGIN;
    return cut && sc->origin_closes && (want || tunnel) && body_begins(m, sc, want);
}

/* What a GOAWAY left untouched goes to another connection, unless a body is gone already. */
static bool lost_by_goaway(const struct sim *s, const struct sim_message *m)
{
    bool body = false;
    for (unsigned i = 0; i < SIM_PIECES && s->scenario->send[i]; i++)
        body |= strstr(s->scenario->send[i], "POST") != NULL;
    return s->fault == SIM_ORIGIN_GOAWAY && s->struck && body && m->status == 503;
}

static bool answer_ok(const struct sim *s, const struct sim_answer *want, bool no_body,
                      const struct sim_message *m)
{
    const char *body = no_body ? NULL : want->body;
    if (m->status == want->status && (no_body || body_is(m, s->scenario, body)))
        return true;
    if ((m->status == want->status && cut_unseen(s, m, body)) || lost_by_goaway(s, m))
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
        judge_client(s, &s->clients[i], wanted_by(&s->clients[i], expected(s->scenario)),
                     s->scenario->expect);
    if (s->clients[s->n_clients].started)
        judge_client(s, &s->clients[s->n_clients], 1, &after);
}

void sim_judge_origins(struct sim *s)
{
    unsigned sent = s->n_clients * expected(s->scenario) * (1 + s->scenario->retries) +
                    s->clients[s->n_clients].started;
    if (s->requests_seen > sent && s->fault != SIM_ORIGIN_REFUSE) /* that one it may have seen */
        sim_wrong(s, "origins saw %u requests of %u", s->requests_seen, sent);
    LIST_EACH(l, &s->origins)
    {
        struct sim_origin *o = ORIGIN(l);
        if (origin_connection(o) && o->in.len && !is_tunnel(o))
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
        sim_h2_free(&ORIGIN(l)->h2);
        mem_free(ORIGIN(l));
    }
    for (unsigned i = 0; i <= s->n_clients; i++) {
        strbuf_fini(&s->clients[i].received);
        sim_h2_free(&s->clients[i].h2);
    }
}
