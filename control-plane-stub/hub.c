#include "hub.h"

#include "json.h"
#include "nack.h"
#include "print.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX 100000
#define EVENT_BYTES_MAX (64u << 20)

void hub_init(struct hub *h, const struct desc_pool *pool)
{
    *h = (struct hub){.pool = pool, .wake_at = UINT64_MAX};
    pthread_mutex_init(&h->lock, NULL);
    event_log_init(&h->events, EVENTS_MAX, EVENT_BYTES_MAX);
    h->world = mem_zero(sizeof(*h->world));
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void hub_fini(struct hub *h)
{
    strmap_fini(&h->opened);
    if (h->record)
        fclose(h->record);
    world_free(&h->world);
    node_table_fini(&h->nodes);
    event_log_fini(&h->events);
    fault_remove(&h->faults, 0);
    close(h->wake_fd);
    pthread_mutex_destroy(&h->lock);
}

void hub_lock(struct hub *h)
{
    pthread_mutex_lock(&h->lock);
}

void hub_unlock(struct hub *h)
{
    pthread_mutex_unlock(&h->lock);
}

void hub_wake(struct hub *h)
{
    uint64_t one = 1;

    if (write(h->wake_fd, &one, sizeof(one)) < 0)
        return; /* full: the main thread is awake already */
}

static void begin_replay(struct hub *h, struct stream *st)
{
    void **opened = strmap_put(&h->opened, st->method);
    size_t n = (size_t)(uintptr_t)*opened;

    *opened = (void *)(uintptr_t)(n + 1);
    st->replays = transcript_stream(h->replay, st->method, n);
    st->replay_next = transcript_next(h->replay, st->replays, &st->replay_at);
}

struct stream *hub_open(struct hub *h, enum dialect dialect, const char *fixed_type,
                        const char *method, const char *peer, void *transport)
{
    struct stream *st = mem_zero(sizeof(*st));
    struct text line = {0};

    st->session = session_new(dialect, ++h->next_stream, fixed_type);
    st->session->heartbeats = h->heartbeats;
    st->method = mem_string(method);
    st->peer = mem_string(peer);
    st->transport = transport;
    st->next = h->streams;
    h->streams = st;
    if (h->replay)
        begin_replay(h, st);
    event_begin(&h->events, &line, "open", st->session->id, NULL, NULL);
    json_member(&line, "method", method);
    json_member(&line, "peer", peer);
    event_log_add(&h->events, "open", NULL, NULL, &line, NULL);
    hub_wake(h);
    return st;
}

/* The node's table must not point into a session that goes away. */
static void forget_subscriptions(struct stream *st)
{
    for (size_t i = 0; st->node && i < st->node->types.count; i++) {
        struct type_status *t = st->node->types.entries[i].value;

        if (t->stream == st->session->id)
            t->sub = NULL;
    }
    if (st->node)
        st->node->streams--;
}

void hub_close(struct hub *h, struct stream *st, const char *why)
{
    struct stream **at = &h->streams;
    struct text line = {0};

    while (*at && *at != st)
        at = &(*at)->next;
    if (*at)
        *at = st->next;
    forget_subscriptions(st);
    event_begin(&h->events, &line, "close", st->session->id, st->session->node_id, NULL);
    json_member(&line, "reason", why);
    event_log_add(&h->events, "close", st->session->node_id, NULL, &line, NULL);
    while (st->literals) {
        struct literal *next = st->literals->next;

        literal_free(&st->literals);
        st->literals = next;
    }
    while (st->late) {
        struct literal *next = st->late->next;

        literal_free(&st->late);
        st->late = next;
    }
    session_free(&st->session);
    free(st->method);
    free(st->peer);
    free(st);
    hub_wake(h);
}

static void put_names(struct text *line, const char *key, char *const *names, size_t count)
{
    json_key(line, key);
    json_open(line, '[');
    for (size_t i = 0; i < count; i++)
        json_string(line, names[i]);
    json_close(line, ']');
}

static void put_initial(struct text *line, const struct xds_request *req)
{
    json_key(line, "initial_resource_versions");
    json_open(line, '{');
    for (size_t i = 0; i < req->initial_count; i++)
        json_member(line, req->initial_names[i], req->initial_versions[i]);
    json_close(line, '}');
}

static void put_error(struct text *line, const struct xds_request *req)
{
    json_key(line, "error_detail");
    json_open(line, '{');
    json_member_int(line, "code", req->error_code);
    json_member(line, "message", req->error_message);
    json_close(line, '}');
}

/* The proto3 JSON of the whole request, for the transcript. */
static char *transcribe(const struct hub *h, const struct stream *st, const void *data, size_t len)
{
    const char *name = st->session->dialect == DIALECT_SOTW
                           ? "envoy.service.discovery.v3.DiscoveryRequest"
                           : "envoy.service.discovery.v3.DeltaDiscoveryRequest";
    const struct desc_message *m = h->pool ? desc_find(h->pool, name) : NULL;
    struct text out = {0};

    if (!m)
        return NULL;
    print_message(h->pool, m, data, len, &out);
    return text_take(&out);
}

static void log_request(struct hub *h, struct stream *st, const struct xds_request *req,
                        const char *type_url, const char *meaning, char *message)
{
    struct text line = {0};
    bool delta = st->session->dialect == DIALECT_DELTA;

    event_begin(&h->events, &line, "request", st->session->id, st->session->node_id, type_url);
    json_member(&line, "meaning", meaning);
    json_member(&line, "dialect", delta ? "delta" : "sotw");
    json_member_bool(&line, "has_node", req->has_node);
    if (!delta)
        json_member(&line, "version_info", req->version_info);
    json_member(&line, "response_nonce", req->nonce);
    put_names(&line, delta ? "resource_names_subscribe" : "resource_names", req->names,
              req->name_count);
    if (delta) {
        put_names(&line, "resource_names_unsubscribe", req->unsubscribe, req->unsubscribe_count);
        put_initial(&line, req);
    }
    if (req->has_error)
        put_error(&line, req);
    event_log_add(&h->events, "request", st->session->node_id, type_url, &line, message);
}

/* Bind the stream to its node's entry, and the entry to the subscription. */
static struct type_status *bind(struct hub *h, struct stream *st, const struct xds_request *req,
                                const struct subscription *sub)
{
    struct type_status *t;

    if (!st->node) {
        st->node = node_get_or_make(&h->nodes, st->session->node_id);
        st->node->streams++;
        if (req->has_node && *req->node_cluster) {
            free(st->node->cluster);
            st->node->cluster = mem_string(req->node_cluster);
        }
    }
    t = node_type(st->node, sub->type_url);
    t->sub = sub;
    t->stream = st->session->id;
    return t;
}

static void say_nack(const struct hub *h, const struct stream *st, const struct subscription *sub,
                     const struct xds_request *req)
{
    const struct type_set *set;
    const char **names;
    const char *p = req->error_message;
    size_t count;

    set = snapshot_type(world_for(h->world, st->session->node_id), sub->type_url);
    count = set ? set->count : 0;
    names = mem_alloc(count * sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = set->items[i]->name;
    printf("NACK node=%s type=%s version=%s nonce=%s code=%d\n", st->session->node_id,
           desc_url_name(sub->type_url), sub->version_sent, sub->nonce, req->error_code);
    for (struct nack_part part; nack_next(&p, &part, names, count); nack_part_fini(&part))
        printf("  resource: %s\n  field:    %s\n  reason:   %s\n",
               part.resource ? part.resource : "(not named)",
               part.field ? part.field : "(not named)", part.reason);
    fflush(stdout);
    free(names);
}

static void say(const struct hub *h, const struct stream *st, const struct subscription *sub,
                enum meaning meaning, const struct xds_request *req)
{
    if (meaning == MEANING_NACK) {
        say_nack(h, st, sub, req);
    } else if (h->verbose && meaning == MEANING_ACK) {
        printf("ACK node=%s type=%s version=%s nonce=%s\n", st->session->node_id,
               desc_url_name(sub->type_url), sub->version_sent, sub->nonce);
        fflush(stdout);
    }
}

bool hub_message(struct hub *h, struct stream *st, const void *data, size_t len, struct error *err)
{
    struct wire_request wr;
    struct subscription *sub;
    enum meaning meaning;
    bool ok;

    if (!wire_read(&wr, st->session->dialect, data, len))
        return error_set(err, "the request is not readable");
    ok = session_request(st->session, &wr.req, h->world, now_us(), &meaning, &sub, err);
    log_request(h, st, &wr.req, ok ? sub->type_url : wr.req.type_url,
                ok ? meaning_name(meaning) : "refused", transcribe(h, st, data, len));
    if (ok) {
        status_answered(bind(h, st, &wr.req, sub), meaning, &wr.req);
        say(h, st, sub, meaning, &wr.req);
    }
    wire_request_fini(&wr);
    hub_wake(h);
    return ok;
}

static void log_response(struct hub *h, const struct stream *st, const struct xds_response *r,
                         size_t bytes, const char *kind)
{
    struct text line = {0};

    event_begin(&h->events, &line, kind, st->session->id, st->session->node_id, r->type_url);
    json_member(&line, "version_info", r->version);
    json_member(&line, "nonce", r->nonce);
    json_member_int(&line, "count", (long long)r->count);
    json_member_int(&line, "bytes", (long long)bytes);
    json_key(&line, "resources");
    json_open(&line, '[');
    for (size_t i = 0; i < r->count; i++)
        json_string(&line, r->items[i]->name);
    json_close(&line, ']');
    if (st->session->dialect == DIALECT_DELTA)
        put_names(&line, "removed_resources", r->removed, r->removed_count);
    event_log_add(&h->events, kind, st->session->node_id, r->type_url, &line, NULL);
}

/* A scripted response: sent as it is; its ACK is told if it belongs to a subscribed type. */
static void next_literal(struct hub *h, struct stream *st, struct text *out)
{
    struct literal *l = st->literals;
    struct xds_response r = {.type_url = l->type_url, .version = l->version, .nonce = l->nonce};

    st->literals = l->next;
    text_add(out, l->bytes, l->len);
    if (h->record)
        transcript_write(h->record, st->method, st->session->id, l);
    r.sub = session_find(st->session, l->type_url);
    if (r.sub) {
        session_commit_literal(r.sub, l->version, l->nonce);
        if (st->node)
            status_sent(node_type(st->node, r.sub->type_url), l->version, l->nonce);
    }
    log_response(h, st, &r, l->len, "literal");
    literal_free(&l);
}

static uint64_t gate(void *user, const struct session *s, const struct subscription *sub)
{
    const struct hub *h = user;

    return fault_gate(&h->faults, s, sub);
}

static void queue_literal(struct literal **queue, const struct xds_response *r,
                          const struct text *bytes)
{
    struct literal *l = mem_zero(sizeof(*l));
    struct text copy = {0};

    text_add(&copy, bytes->data, bytes->len);
    l->type_url = mem_string(r->type_url);
    l->version = mem_string(r->version);
    l->nonce = mem_string(r->nonce);
    l->len = copy.len;
    l->bytes = text_take(&copy);
    while (*queue)
        queue = &(*queue)->next;
    *queue = l;
}

static void let_late_go(struct stream *st)
{
    struct literal **end = &st->literals;

    while (*end)
        end = &(*end)->next;
    *end = st->late;
    st->late = NULL;
}

static void sent(struct hub *h, struct stream *st, const struct xds_response *r, size_t bytes,
                 const char *kind)
{
    session_commit(st->session, r, h->world);
    status_sent(node_type(st->node, r->sub->type_url), r->version, r->nonce);
    log_response(h, st, r, bytes, kind);
    if (!h->verbose)
        return;
    printf("SEND node=%s type=%s version=%s nonce=%s resources=%zu\n", st->session->node_id,
           desc_url_name(r->type_url), r->version, r->nonce, r->count);
    fflush(stdout);
}

static void record(const struct hub *h, const struct stream *st, const struct xds_response *r,
                   const struct text *bytes)
{
    const struct literal l = {.type_url = r->type_url,
                              .version = r->version,
                              .nonce = r->nonce,
                              .bytes = bytes->data,
                              .len = bytes->len};

    if (h->record)
        transcript_write(h->record, st->method, st->session->id, &l);
}

/* False: it does not go out now, or not at all. */
static bool goes(struct hub *h, struct stream *st, const struct xds_response *r,
                 const struct wire_extra *extra, struct text *out)
{
    const char *kind = extra->drop ? "dropped" : extra->late ? "late" : "response";

    sent(h, st, r, out->len, kind);
    if (extra->late && !extra->drop)
        queue_literal(&st->late, r, out);
    if (extra->drop || extra->late) {
        text_fini(out);
        return false;
    }
    record(h, st, r, out);
    let_late_go(st);
    for (unsigned long i = 0; i < extra->again; i++)
        queue_literal(&st->literals, r, out);
    st->ends = extra->ends;
    st->end_status = extra->end_status;
    return true;
}

static bool next_response(struct hub *h, struct stream *st, struct text *out)
{
    struct xds_response r;
    bool gone = false;

    while (!gone && session_next(st->session, h->world, gate, h, now_us(), &r, &h->wake_at)) {
        struct wire_extra extra = {.control_plane = h->identifier};

        fault_apply(&h->faults, st->session, world_for(h->world, st->session->node_id), &r, &extra);
        wire_write(st->session->dialect, &r, &extra, out);
        gone = goes(h, st, &r, &extra, out);
        response_fini(&r);
    }
    return gone;
}

/* The recorded order; each once its type was asked for and the one before it was answered. */
static void queue_replayed(struct stream *st, const struct transcript *t)
{
    const struct transcript_line *l = st->replay_next;
    const struct subscription *sub = l ? session_find(st->session, l->type_url) : NULL;
    struct xds_response r;
    struct text bytes = {0};

    if (!sub || (st->replay_last && !st->replay_last->answered))
        return;
    r = (struct xds_response){.type_url = l->type_url, .version = l->version, .nonce = l->nonce};
    text_add(&bytes, l->bytes, l->len);
    queue_literal(&st->literals, &r, &bytes);
    text_fini(&bytes);
    st->replay_last = sub;
    st->replay_next = transcript_next(t, st->replays, &st->replay_at);
}

bool hub_next(struct hub *h, struct stream *st, struct text *out)
{
    bool any = true;

    if (st->frozen)
        return false;
    if (st->late && !fault_any_late(&h->faults))
        let_late_go(st);
    if (h->replay && !st->literals)
        queue_replayed(st, h->replay);
    if (st->literals)
        next_literal(h, st, out);
    else
        any = !h->replay && next_response(h, st, out);
    hub_wake(h);
    return any;
}

void hub_kick_all(struct hub *h)
{
    h->wake_at = UINT64_MAX;
    for (struct stream *st = h->streams; st; st = st->next)
        h->transport->kick(st);
}

static void log_publish(struct hub *h, const struct world *w)
{
    struct text line = {0};

    event_begin(&h->events, &line, "publish", 0, NULL, NULL);
    json_key(&line, "versions");
    json_open(&line, '{');
    for (size_t i = 0; i < w->shared.count; i++)
        json_member(&line, w->shared.types[i].type_url, w->shared.types[i].version);
    json_close(&line, '}');
    event_log_add(&h->events, "publish", NULL, NULL, &line, NULL);
}

void hub_publish(struct hub *h, struct world **w)
{
    struct world *old = h->world;
    uint64_t now = now_us();

    h->world = *w;
    *w = NULL;
    log_publish(h, h->world);
    for (struct stream *st = h->streams; st; st = st->next)
        session_publish(st->session, h->world, now);
    world_free(&old);
    if (h->transport)
        hub_kick_all(h);
    hub_wake(h);
}
