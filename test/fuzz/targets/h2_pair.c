/* Two codecs of our own, a client and a server, that talk for a while: many streams, small windows,
 * users that pause, give up and send more than they should, connections that drain. What one user
 * has said the other is told, in order; to the end, unless one of them gave up. Nobody is told of
 * an error, since nobody made one.
 *
 *     options (2), steps: what, which side and talk, how much; at most 1000 bytes */
#include <stdio.h>

#include "dataplane/http/codec_h2.h"
#include "dataplane/http/tunnel.h"
#include "fuzz.h"

enum { TALKS = 16, STEPS_MAX = 330, ROUNDS_MAX = 20000 };
enum { CLIENT, SERVER };

struct talk;

/* One user's end of a talk. */
struct end {
    struct side *side;
    struct talk *talk; /* server: NULL until the head is there */
    struct codec_stream *stream;
    struct headers headers, trailers;
    size_t sent, got; /* of bodies */
    unsigned early_sent, early_got;
    bool head_sent, end_sent, trailers_sent, got_head, got_end;
    bool was_reset, gave_up, above;
};

struct talk {
    struct end *at[2];
    bool tunnel, refusable; /* refusable: asked before it was known how many there may be */
};

struct side {
    struct codec *codec;
    struct buffer in, out;
    struct side *other;
    struct end ends[TALKS];
    unsigned n, which;
    bool open, settings_seen, no_more, leaves, swept;
    unsigned pings, pongs;
    int64_t gauges[HTTP2_STAT_COUNT];
};

static struct side sides[2];
static struct talk talks[TALKS];
static unsigned n_talks;
static struct chunk_pool *chunks;
static struct h2_memory *memory;
static struct arena *arena;

/* May the user still do something with it, and be told? */
static bool live(const struct end *e)
{
    return e && e->stream && !e->was_reset && !e->gave_up && !(e->end_sent && e->got_end);
}

static struct end *peer(const struct end *e)
{
    return e->talk->at[!e->side->which];
}

/* What the byte at this place of a body is. */
static uint8_t byte_at(const struct end *sender, size_t at)
{
    size_t number = (size_t)(sender->talk - talks);
    return (uint8_t)(number * 31 + at * 7 + sender->side->which);
}

static struct end *end_new(struct side *s)
{
    FUZZ_CHECK(s->n < TALKS, "more streams than were asked for");
    struct end *e = &s->ends[s->n++];
    *e = (struct end){.side = s};
    headers_init(&e->headers, arena);
    headers_init(&e->trailers, arena);
    return e;
}

/* ---- what is told ---- */

static void *on_stream_begin(void *owner, struct codec_stream *cs, struct headers **headers)
{
    struct end *e = end_new(owner);
    e->stream = cs;
    *headers = &e->headers;
    e->side->codec->ops->set_trailers(cs, &e->trailers);
    return e;
}

/* The server: of which talk is it? */
static void recognise(struct end *e)
{
    struct bytes id = headers_get_name(&e->headers, BYTES("x-talk"));
    uint64_t n = 0;
    FUZZ_CHECK(bytes_to_u64(id, &n) && n < n_talks && !talks[n].at[SERVER], "which talk is it?");
    e->talk = &talks[n];
    e->talk->at[SERVER] = e;
}

/* Fields that speak of a connection stay on it, and no line end gets into a value. */
static void check_fields(const struct headers *h)
{
    struct bytes te = headers_get(h, HEADER_TE), odd = headers_get_name(h, BYTES("x-odd"));
    FUZZ_CHECK(!headers_has(h, HEADER_KEEP_ALIVE) && !headers_has(h, HEADER_TRANSFER_ENCODING),
               "a hop's field went on");
    FUZZ_CHECK(!te.data || bytes_eq(te, BYTES("trailers")), "te of a hop went on");
    FUZZ_CHECK(!odd.data || bytes_eq(odd, BYTES("a  b")), "a line end in a value");
}

static void on_headers(void *owner, void *user, bool end)
{
    struct side *s = owner;
    struct end *e = user;
    s->codec->ops->flush(s->codec, SIZE_MAX); /* not from here: it does nothing */
    FUZZ_CHECK(!e->got_end && !e->gave_up && !e->was_reset, "told too much");
    if (!e->talk)
        recognise(e);
    check_fields(&e->headers);
    const struct end *p = peer(e);
    unsigned status = headers_status(&e->headers);
    FUZZ_CHECK(!end || p->end_sent, "an end that nobody sent");
    if (s->which == CLIENT && status < 200 && status != 101) {
        FUZZ_CHECK(++e->early_got <= p->early_sent && !e->got_head, "one too many, or too late");
        return;
    }
    FUZZ_CHECK(!e->got_head && p->head_sent, "two heads, or one that nobody sent");
    e->got_head = true;
    e->got_end = end;
}

static void on_data(void *owner, void *user, struct buffer *data, bool end)
{
    struct end *e = user;
    const struct end *p = peer(e);
    FUZZ_CHECK(e->got_head && !e->got_end && !e->gave_up && !e->was_reset, "told too much");
    for (const struct slice *l = data->head; l; l = l->next)
        for (size_t i = 0; i < l->len; i++, e->got++)
            FUZZ_CHECK((uint8_t)l->data[i] == byte_at(p, e->got), "another byte at %zu", e->got);
    FUZZ_CHECK(e->got <= p->sent, "more than was sent");
    FUZZ_CHECK(!end || (p->end_sent && e->got == p->sent), "an end before the end");
    e->got_end = end;
}

static void on_trailers(void *owner, void *user)
{
    struct end *e = user;
    const struct end *p = peer(e);
    FUZZ_CHECK(p->trailers_sent && e->got == p->sent && !e->got_end, "trailers before the end");
    fuzz_same("a trailer", headers_get_name(&e->trailers, BYTES("x-last")), BYTES("1"));
    FUZZ_CHECK(!headers_has(&e->trailers, HEADER_STATUS), "a pseudo header in trailers");
    e->got_end = true;
}

/* A reason that is not the codec's: the other user, or that the connection takes no more. */
static bool may_be_reset(const struct end *e)
{
    const struct side *other = e->side->other;
    const struct end *p = e->talk ? peer(e) : NULL;
    return (p && p->gave_up) || other->leaves || other->swept || !e->talk || e->talk->refusable;
}

static void on_reset(void *owner, void *user, const char *reason)
{
    struct end *e = user;
    FUZZ_CHECK(!e->was_reset && !e->gave_up, "told too much");
    FUZZ_CHECK(may_be_reset(e), "reset for nothing: %s", reason);
    e->was_reset = true;
}

static void on_error(void *owner, void *user, const struct codec_error *e)
{
    FUZZ_CHECK(false, "an error that nobody made: %s", e->details);
}

static void on_stream_watermark(void *owner, void *user, bool above)
{
    struct end *e = user;
    FUZZ_CHECK(e->above != above, "the same mark twice");
    e->above = above;
}

static void on_ping(void *owner)
{
    struct side *s = owner;
    FUZZ_CHECK(++s->pongs <= s->pings, "an answer to no ping");
}

static void on_settings(void *owner)
{
    ((struct side *)owner)->settings_seen = true;
}

static void on_gauge(void *owner, unsigned stat, int64_t change)
{
    struct side *s = owner;
    s->gauges[stat] += change;
    FUZZ_CHECK(s->gauges[stat] >= 0, "gauge %u is below nothing", stat);
}

static void on_no_more_streams(void *owner)
{
    struct side *s = owner;
    FUZZ_CHECK(!s->no_more && s->other->leaves, "twice, or for nothing");
    s->no_more = true;
}

static const struct codec_callbacks callbacks = {
    .on_stream_begin = on_stream_begin,
    .on_headers = on_headers,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_error = on_error,
    .on_stream_watermark = on_stream_watermark,
    .on_ping = on_ping,
    .on_settings = on_settings,
    .on_gauge = on_gauge,
    .on_no_more_streams = on_no_more_streams,
};

/* ---- what is done ---- */

static void flush(struct side *s, size_t room)
{
    s->codec->ops->flush(s->codec, room);
    FUZZ_CHECK(!codec_mux(s->codec)->blocked || s->out.len >= room, "it waits, with room left");
}

/* Gives the other side at most n bytes of what lies here. */
static void pass(struct side *s, size_t n)
{
    struct side *to = s->other;
    if (!s->out.len)
        return;
    buffer_move_n(&to->in, &s->out, n < s->out.len ? n : s->out.len);
    if (!to->open) {
        buffer_drain(&to->in, to->in.len);
        return;
    }
    to->open = to->codec->ops->input(to->codec, &to->in);
    FUZZ_CHECK(to->open || s->leaves || to->leaves, "closed for nothing");
    FUZZ_CHECK(!to->open || to->in.len == 0, "%zu bytes were left", to->in.len);
}

static void run_both(void)
{
    unsigned rounds = 0;
    do {
        FUZZ_CHECK(rounds++ < ROUNDS_MAX, "they never come to an end");
        flush(&sides[CLIENT], SIZE_MAX);
        pass(&sides[CLIENT], SIZE_MAX);
        flush(&sides[SERVER], SIZE_MAX);
        pass(&sides[SERVER], SIZE_MAX);
        flush(&sides[CLIENT], SIZE_MAX);
    } while (sides[CLIENT].out.len || sides[SERVER].out.len);
}

static void add_odd_fields(struct headers *h, uint8_t much)
{
    if (much & 1) {
        headers_add_id(h, HEADER_TE, much & 2 ? BYTES("trailers") : BYTES("gzip"));
        headers_add_id(h, HEADER_KEEP_ALIVE, BYTES("1"));
        headers_add_id(h, HEADER_TRANSFER_ENCODING, BYTES("x"));
    }
    if (much & 4)
        headers_add(h, BYTES("x-odd"), BYTES("a\r\nb"));
    for (unsigned i = 0; (much & 8) && i < 70; i++) /* more than fit on the stack */
        headers_add(h, BYTES("x-many"), BYTES("1"));
}

static void add_target(struct headers *h, bool upgrade, bool connect)
{
    headers_add_id(h, HEADER_METHOD, connect ? BYTES("CONNECT") : BYTES("GET"));
    headers_add_id(h, HEADER_SCHEME, BYTES("http"));
    headers_add_id(h, HEADER_AUTHORITY, BYTES("a.test"));
    headers_add_id(h, HEADER_PATH, BYTES("/"));
    headers_add_id(h, HEADER_HOST, BYTES("b.test"));
    if (!upgrade)
        return;
    headers_add_id(h, HEADER_CONNECTION, BYTES("upgrade"));
    headers_add_id(h, HEADER_UPGRADE, BYTES("a"));
}

static void ask(uint8_t much, bool takes_connect)
{
    struct side *s = &sides[CLIENT];
    struct headers h;
    bool connect = much >> 5 == 1, upgrade = much >> 5 == 2, end = much & 16;
    /* who asks before it is known whether it may, and may not, has made an error */
    if (n_talks == TALKS || !s->open || !s->codec->ops->reusable(s->codec) ||
        (upgrade && !takes_connect && !s->settings_seen))
        return;
    struct talk *t = &talks[n_talks++];
    struct end *e = end_new(s);
    *t = (struct talk){.at = {e}, .tunnel = connect || upgrade};
    t->refusable = !s->settings_seen || (upgrade && !takes_connect);
    e->talk = t;
    headers_init(&h, arena);
    add_target(&h, upgrade, connect);
    headers_add(&h, BYTES("x-talk"), bytes_of(arena_printf(arena, "%zu", (size_t)(t - talks))));
    add_odd_fields(&h, much);
    if (t->tunnel)
        headers_add_id(&h, HEADER_CONTENT_LENGTH, BYTES("5"));
    e->end_sent = end && !t->tunnel;
    e->head_sent = true;
    e->stream = s->codec->ops->stream_new(s->codec, e, &e->headers);
    s->codec->ops->set_trailers(e->stream, &e->trailers);
    s->codec->ops->send_headers(e->stream, &h, e->end_sent);
}

static void answer(struct end *e, uint8_t much)
{
    struct headers h;
    if (!live(e) || e->side->which == CLIENT || e->head_sent || !e->got_head)
        return;
    enum tunnel t = tunnel_asked(&e->headers);
    bool opens = t != TUNNEL_NONE && (much & 32);
    headers_init(&h, arena);
    headers_add_id(&h, HEADER_STATUS,
                   opens ? t == TUNNEL_UPGRADE ? BYTES("101") : BYTES("200") : BYTES("403"));
    if (opens && t == TUNNEL_UPGRADE) {
        headers_add_id(&h, HEADER_CONNECTION, BYTES("upgrade"));
        headers_add_id(&h, HEADER_UPGRADE, BYTES("a"));
    }
    if (opens)
        headers_add_id(&h, HEADER_CONTENT_LENGTH, BYTES("7"));
    add_odd_fields(&h, much);
    e->head_sent = true;
    e->end_sent = !opens && (much & 16);
    e->side->codec->ops->send_headers(e->stream, &h, e->end_sent);
}

static void inform(struct end *e)
{
    struct headers h;
    if (!live(e) || e->side->which == CLIENT || !e->got_head || e->talk->tunnel)
        return;
    headers_init(&h, arena);
    headers_add_id(&h, HEADER_STATUS, BYTES("103"));
    e->early_sent += !e->head_sent; /* afterwards it is dropped */
    e->side->codec->ops->send_informational(e->stream, &h);
}

static void say(struct end *e, size_t n, bool end)
{
    struct buffer b;
    if (!live(e) || !e->head_sent || e->end_sent)
        return;
    buffer_init(&b, chunks);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = byte_at(e, e->sent + i);
        buffer_add(&b, &byte, 1);
    }
    e->sent += n;
    e->end_sent = end;
    e->side->codec->ops->send_data(e->stream, &b, end);
    FUZZ_CHECK(b.len == 0, "it was not taken");
    buffer_fini(&b);
}

static void end_with_trailers(struct end *e, uint8_t much)
{
    struct headers h;
    if (!live(e) || !e->head_sent || e->end_sent || e->talk->tunnel)
        return;
    headers_init(&h, arena);
    if (!(much & 1)) /* else there is nothing in them, and the body has an end */
        headers_add(&h, BYTES("x-last"), BYTES("1"));
    headers_add_id(&h, HEADER_STATUS, BYTES("200"));
    e->trailers_sent = !(much & 1);
    e->end_sent = true;
    e->side->codec->ops->send_trailers(e->stream, &h);
}

static void give_up(struct end *e, uint8_t much)
{
    if (!live(e))
        return;
    e->gave_up = true;
    e->side->codec->ops->stream_reset(e->stream, much & 15);
}

static void pause(struct end *e, bool on)
{
    if (live(e))
        e->side->codec->ops->stream_pause(e->stream, on);
}

static void leave(struct side *s, uint8_t much)
{
    if (s->which == CLIENT)
        return; /* nobody asks that of one */
    s->leaves = true;
    if (much & 1)
        s->codec->ops->goaway(s->codec);
    else
        s->codec->ops->drain(s->codec);
}

static void sweep(struct side *s)
{
    unsigned left;
    s->swept |= s->codec->ops->reset_stuck(s->codec, &left) > 0;
    FUZZ_CHECK(left <= codec_mux(s->codec)->open_streams, "%u streams are stuck", left);
}

static void step(uint8_t what, uint8_t which, uint8_t much, bool takes_connect)
{
    static const size_t rooms[] = {1, 40, 500, SIZE_MAX};
    struct side *s = &sides[which & 1];
    struct talk *t = &talks[(which >> 1) % TALKS];
    struct end *e = t < talks + n_talks ? t->at[which & 1] : NULL;
    switch (what % 14) {
    case 0:
        ask(much, takes_connect);
        break;
    case 1:
        answer(e, much);
        break;
    case 2:
        inform(e);
        break;
    case 3:
    case 4:
        say(e, (size_t)much * 16, what % 14 == 4);
        break;
    case 5:
        end_with_trailers(e, much);
        break;
    case 6:
        give_up(e, much);
        break;
    case 7:
        pause(e, much & 1);
        break;
    case 8:
        flush(s, rooms[much & 3]);
        break;
    case 9:
        pass(s, (size_t)1 + much);
        break;
    case 10:
        run_both();
        break;
    case 11:
        s->codec->ops->ping(s->codec);
        s->pings++;
        break;
    case 12:
        leave(s, much);
        break;
    default:
        sweep(s);
    }
}

/* ---- a whole connection ---- */

static void side_init(struct side *s, unsigned which, uint8_t options, uint8_t more)
{
    static const uint32_t windows[] = {65535, 1000, 100, 16}, limits[] = {0, 100, 3000, 20};
    struct codec_options o = {.downstream = which == SERVER,
                              .max_headers_bytes = 16384,
                              .max_headers_count = 100,
                              .enable_trailers = true};
    struct http2_options h2;
    http2_options_init(&h2);
    h2.stream_window = windows[options & 3];
    h2.connection_window = options & 4 ? 65535 : 1 << 20;
    h2.hpack_table_size = options & 8 ? 64 : 4096;
    h2.max_concurrent_streams = options & 16 ? 2 : 100;
    h2.allow_connect = options >> 5 & 1;
    h2.n_custom = options >> 6 & 1;
    h2.custom[0] = (struct http2_setting){1234, 5};
    *s = (struct side){.which = which, .other = &sides[!which], .open = true};
    buffer_init(&s->in, chunks);
    buffer_init(&s->out, chunks);
    s->codec = codec_h2_new(&o, &h2, &callbacks, s, &s->out, memory);
    codec_mux(s->codec)->stream_limit = limits[more & 3];
}

/* Every user says what is left to say, and reads. */
static void wrap_up(void)
{
    run_both();
    for (unsigned i = 0; i < n_talks; i++)
        for (unsigned w = 0; w < 2; w++)
            pause(talks[i].at[w], false);
    run_both();
    for (unsigned i = 0; i < n_talks; i++) {
        answer(talks[i].at[SERVER], 0);
        say(talks[i].at[CLIENT], 0, true);
        say(talks[i].at[SERVER], 0, true);
        run_both(); /* with a place free, the next may begin */
    }
    for (unsigned i = 0; i < n_talks; i++) {
        answer(talks[i].at[SERVER], 0);
        say(talks[i].at[SERVER], 0, true);
        run_both();
    }
}

static void check_end(const struct end *e)
{
    if (!e || e->was_reset || e->gave_up)
        return;
    const struct end *p = peer(e);
    FUZZ_CHECK(e->end_sent && e->got_end, "talk %td, side %u, has no end", e->talk - talks,
               e->side->which);
    FUZZ_CHECK(p && e->got == p->sent && e->early_got == p->early_sent, "%zu of %zu bytes", e->got,
               p->sent);
}

static void side_fini(struct side *s)
{
    unsigned open = codec_mux(s->codec)->open_streams;
    FUZZ_CHECK(open == 0, "%u streams are open", open);
    FUZZ_CHECK(s->pongs == s->pings || !s->open || !s->other->open, "a ping without an answer");
    FUZZ_CHECK(!s->codec->ops->input_eof(s->codec) && codec_mux(s->codec)->over, "not over");
    s->codec->ops->free(&s->codec);
    for (unsigned i = 0; i < HTTP2_STAT_COUNT; i++)
        FUZZ_CHECK(s->gauges[i] == 0, "gauge %u is left", i);
    buffer_fini(&s->in);
    buffer_fini(&s->out);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    uint8_t options = fuzz_u8(&in), more = fuzz_u8(&in);
    chunks = chunk_pool_new(NULL, 0);
    memory = h2_memory_new(NULL);
    arena = arena_new(0);
    n_talks = 0;
    side_init(&sides[CLIENT], CLIENT, options, more);
    side_init(&sides[SERVER], SERVER, options, more >> 2);
    if (more & 128)
        run_both();
    for (unsigned i = 0; i < STEPS_MAX && in.rest.len; i++) {
        uint8_t what = fuzz_u8(&in), which = fuzz_u8(&in);
        step(what, which, fuzz_u8(&in), options & 32);
    }
    wrap_up();
    for (unsigned i = 0; i < n_talks; i++) {
        check_end(talks[i].at[CLIENT]);
        check_end(talks[i].at[SERVER]);
    }
    side_fini(&sides[CLIENT]);
    side_fini(&sides[SERVER]);
    h2_memory_free(&memory);
    FUZZ_CHECK(chunks->live_chunks == 0, "%zu chunks are left", chunks->live_chunks);
    chunk_pool_free(&chunks);
    arena_free(&arena);
}

const struct fuzz_target fuzz_target = {.run = run};
