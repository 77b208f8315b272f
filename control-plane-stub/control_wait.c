/* Requests that wait for something to happen: a version ACKed or NACKed, an event logged. */
#include "control_internal.h"
#include "json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct wait {
    struct wait *next;
    struct http_conn *conn;
    uint64_t deadline;
    bool events; /* else: a version's fate */
    char *node, *type_url;
    /* a version's fate */
    char *version; /* NULL: the newest published */
    enum outcome outcome;
    /* events */
    unsigned long long since;
    size_t wanted, limit;
    char *kind, *meaning;
    bool full;
};

static void wait_free(struct wait *w)
{
    free(w->node);
    free(w->type_url);
    free(w->version);
    free(w->kind);
    free(w->meaning);
    free(w);
}

/* --- versions --- */

static const char *outcome_name(enum outcome o)
{
    return o == OUTCOME_ACKED ? "ACKED" : o == OUTCOME_NACKED ? "NACKED" : "SENT";
}

static bool node_matches(const struct hub *h, const struct wait *w, const struct node_status *n)
{
    const struct type_status *t = strmap_get(&n->types, w->type_url);
    const char *newest = snapshot_version(world_for(h->world, n->id), w->type_url);
    bool is_newest = !w->version || !strcmp(w->version, newest);

    return t && status_matches(t, is_newest ? newest : w->version, w->outcome, is_newest);
}

/* Is it so? Without a node: on every connected node that asked for the type, and one at least. */
static bool version_matches(const struct hub *h, const struct wait *w)
{
    size_t asked = 0;

    if (w->node) {
        const struct node_status *n = strmap_get(&h->nodes.nodes, w->node);

        return n && node_matches(h, w, n);
    }
    for (size_t i = 0; i < h->nodes.nodes.count; i++) {
        const struct node_status *n = h->nodes.nodes.entries[i].value;
        const struct type_status *t = strmap_get(&n->types, w->type_url);

        if (!n->streams || !t || !t->sub)
            continue;
        if (!node_matches(h, w, n))
            return false;
        asked++;
    }
    return asked > 0;
}

static void put_answer(const struct hub *h, const struct wait *w, bool reached, struct text *body)
{
    const struct node_status *n = w->node ? strmap_get(&h->nodes.nodes, w->node) : NULL;
    const struct type_status *t = n ? strmap_get(&n->types, w->type_url) : NULL;

    json_open(body, '{');
    json_member_bool(body, "reached", reached);
    json_member(body, "status", outcome_name(w->outcome));
    json_member(body, "node", w->node);
    json_member(body, "type", w->type_url);
    json_member(body, "version",
                w->version ? w->version
                           : snapshot_version(world_for(h->world, w->node), w->type_url));
    if (!reached)
        json_member(body, "error", !w->node || n ? "the time is over" : "this node never came");
    if (t) {
        json_member(body, "version_sent", t->version_sent);
        json_member(body, "version_acked", t->version_acked);
        json_member(body, "version_nacked", t->version_nacked);
        json_member(body, "nack_reason", t->nack_reason);
    }
    json_close(body, '}');
}

static bool try_version(struct control *ctl, const struct wait *w, bool last)
{
    struct text body = {0};
    bool reached;

    hub_lock(ctl->hub);
    reached = version_matches(ctl->hub, w);
    if (reached || last)
        put_answer(ctl->hub, w, reached, &body);
    hub_unlock(ctl->hub);
    if (!reached && !last)
        return false;
    reply_json(w->conn, reached ? 200 : 408, &body);
    return true;
}

/* --- events --- */

static bool event_matches(const struct wait *w, const struct event *e)
{
    struct text meaning = {0};
    bool ok = (!w->node || (e->node && !strcmp(e->node, w->node))) &&
              (!w->type_url || (e->type_url && !strcmp(e->type_url, w->type_url))) &&
              (!w->kind || !strcmp(e->kind, w->kind));

    if (ok && w->meaning) {
        text_printf(&meaning, "\"meaning\":\"%s\"", w->meaning);
        ok = strstr(e->line, text_str(&meaning)) != NULL;
        text_fini(&meaning);
    }
    return ok;
}

static void put_event(const struct wait *w, const struct event *e, struct text *body)
{
    if (w->full && e->message) {
        text_add(body, e->line, strlen(e->line) - 1);
        text_printf(body, ",\"message\":%s}\n", e->message);
    } else {
        text_printf(body, "%s\n", e->line);
    }
}

/* Where to begin looking: sequence numbers have no gaps. */
static size_t first_event(const struct event_log *log, unsigned long long since)
{
    unsigned long long oldest = log->next_seq - log->count;

    return since < oldest ? 0 : (size_t)(since + 1 - oldest);
}

static bool try_events(struct control *ctl, const struct wait *w, bool last)
{
    const struct event_log *log = &ctl->hub->events;
    struct text body = {0};
    size_t found = 0;

    hub_lock(ctl->hub);
    for (size_t i = first_event(log, w->since); i < log->count && found < w->limit; i++) {
        if (!event_matches(w, event_at(log, i)))
            continue;
        put_event(w, event_at(log, i), &body);
        found++;
    }
    hub_unlock(ctl->hub);
    if (found >= w->wanted || last)
        http_reply(w->conn, found >= w->wanted ? 200 : 408, "application/x-ndjson", text_str(&body),
                   body.len);
    text_fini(&body);
    return found >= w->wanted || last;
}

/* --- both --- */

static bool try_wait(struct control *ctl, const struct wait *w, bool last)
{
    return w->events ? try_events(ctl, w, last) : try_version(ctl, w, last);
}

static void answer_or_park(struct control *ctl, struct wait *w)
{
    if (try_wait(ctl, w, w->deadline <= now_us())) {
        wait_free(w);
        return;
    }
    w->next = ctl->waits;
    ctl->waits = w;
    w->conn->wait = w;
}

void waits_run(struct control *ctl)
{
    struct wait **at = &ctl->waits;
    uint64_t now = now_us();

    while (*at) {
        struct wait *w = *at;

        if (!try_wait(ctl, w, w->deadline <= now)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->conn->wait = NULL;
        wait_free(w);
    }
}

uint64_t control_deadline(const struct control *c)
{
    uint64_t first = UINT64_MAX;

    for (const struct wait *w = c->waits; w; w = w->next)
        first = w->deadline < first ? w->deadline : first;
    return first;
}

void waits_forget(struct control *ctl, struct http_conn *c)
{
    struct wait **at = &ctl->waits;

    while (*at && (*at)->conn != c)
        at = &(*at)->next;
    if (*at) {
        struct wait *w = *at;

        *at = w->next;
        wait_free(w);
    }
}

static bool set_deadline(struct wait *w, const struct http_request *r, uint64_t otherwise)
{
    const char *timeout = http_query(r, "timeout");
    uint64_t us = otherwise;

    if (timeout && *timeout && !read_timeout(timeout, &us))
        return false;
    w->deadline = now_us() + us;
    return true;
}

/* What the query says of a key; an empty value is none. */
static const char *given(const struct http_request *r, const char *key)
{
    const char *v = http_query(r, key);

    return v ? v : "";
}

static char *param(const struct http_request *r, const char *key)
{
    const char *v = given(r, key);

    return *v ? mem_string(v) : NULL;
}

static struct wait *make_wait(struct control *ctl, struct http_conn *c,
                              const struct http_request *r, bool type_needed, uint64_t timeout)
{
    struct wait *w = mem_zero(sizeof(*w));
    const char *type = http_query(r, "type");

    w->conn = c;
    w->node = param(r, "node");
    if (!set_deadline(w, r, timeout)) {
        reply_error(c, 400, "timeout: a number of seconds (5, 0.5, 5s) or 500ms");
        wait_free(w);
        return NULL;
    }
    if (type_needed || (type && *type)) {
        w->type_url = type_param(ctl, c, type);
        if (!w->type_url) {
            wait_free(w);
            return NULL;
        }
    }
    return w;
}

void handle_wait(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const char *status = given(r, "status");
    struct wait *w;

    if (*status && strcmp(status, "ACKED") && strcmp(status, "NACKED") && strcmp(status, "SENT")) {
        reply_error(c, 400, "status is ACKED, NACKED or SENT, not \"%s\"", status);
        return;
    }
    w = make_wait(ctl, c, r, true, 10000000);
    if (!w)
        return;
    w->version = param(r, "version");
    w->outcome = !*status || *status == 'A' ? OUTCOME_ACKED
                 : *status == 'N'           ? OUTCOME_NACKED
                                            : OUTCOME_SENT;
    answer_or_park(ctl, w);
}

static unsigned long long number(const struct http_request *r, const char *key,
                                 unsigned long long otherwise)
{
    unsigned long long v = otherwise;

    return number_read(given(r, key), 0, ULLONG_MAX, &v) ? v : otherwise;
}

/* Is every value one that something can match? Else it is answered with 400. */
static bool valid_events(struct http_conn *c, const struct http_request *r)
{
    static const char *const numbers[] = {"since", "limit", "count"};
    static const char kinds[] =
        "open request response dropped late literal publish close poll handshake";
    static const char meanings[] = "first ack nack change stale refused";
    const char *kind = given(r, "kind"), *meaning = given(r, "meaning");
    unsigned long long v;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        const char *text = given(r, numbers[i]);

        if (*text && !number_read(text, 0, ULLONG_MAX, &v)) {
            reply_error(c, 400, "%s: a number is needed, not \"%s\"", numbers[i], text);
            return false;
        }
    }
    if (*kind && !word_in(kinds, kind))
        reply_error(c, 400, "kind: there is no \"%s\"; known: %s", kind, kinds);
    else if (*meaning && !word_in(meanings, meaning))
        reply_error(c, 400, "meaning: there is no \"%s\"; known: %s", meaning, meanings);
    else if (*meaning && *kind && strcmp(kind, "request"))
        reply_error(c, 400, "meaning: only a request has one, no %s", kind);
    else if (number(r, "count", 0) > number(r, "limit", UINT32_MAX))
        reply_error(c, 400, "count: it is larger than limit, so never reached");
    else
        return true;
    return false;
}

void handle_events(struct control *ctl, struct http_conn *c, const struct http_request *r,
                   bool full)
{
    struct wait *w = valid_events(c, r) ? make_wait(ctl, c, r, false, 0) : NULL;

    if (!w)
        return;
    w->events = true;
    w->full = full;
    w->since = number(r, "since", 0);
    w->limit = (size_t)number(r, "limit", UINT32_MAX);
    w->wanted = (size_t)number(r, "count", *given(r, "timeout") ? 1 : 0);
    w->kind = full ? mem_string("request") : param(r, "kind");
    w->meaning = param(r, "meaning");
    answer_or_park(ctl, w);
}
