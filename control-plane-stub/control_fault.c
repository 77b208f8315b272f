/* POST /fault: rules, and things done to streams at once. */
#include "control_internal.h"
#include "encode.h"
#include "json.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESPONSE "envoy.service.discovery.v3.DiscoveryResponse"
#define STATUS_MAX 16
#define DELTA_RESPONSE "envoy.service.discovery.v3.DeltaDiscoveryResponse"

/* One POST /fault on its way. */
struct order {
    struct control *ctl;
    struct tree *tree;
    const struct node *body;
    const char *node;     /* NULL: every node */
    char *type_url;       /* NULL: every type */
    unsigned long stream; /* 0: every stream */
    struct error err;
};

enum role { SELECTS, LIMITS, CHANGES, AT_ONCE };
enum says { TEXT, FLAG, NUMBER, NAMES, END, SEND };

static const struct key {
    const char *name;
    enum role role;
    enum says says;
    unsigned long long low, high; /* of a number */
} keys[] = {
    {"node", SELECTS, TEXT, 0, 0},
    {"type", SELECTS, TEXT, 0, 0},
    {"stream", SELECTS, NUMBER, 1, ULONG_MAX},
    {"times", LIMITS, NUMBER, 1, 1000000000},
    {"hold", CHANGES, FLAG, 0, 0},
    {"delay_ms", CHANGES, NUMBER, 0, 86400000},
    {"empty", CHANGES, FLAG, 0, 0},
    {"omit", CHANGES, NAMES, 0, 0},
    {"duplicate", CHANGES, NAMES, 0, 0},
    {"extra", CHANGES, NAMES, 0, 0},
    {"type_url", CHANGES, TEXT, 0, 0},
    {"resource_type_url", CHANGES, TEXT, 0, 0},
    {"version_info", CHANGES, TEXT, 0, 0},
    {"nonce", CHANGES, TEXT, 0, 0},
    {"control_plane", CHANGES, TEXT, 0, 0},
    {"drop", CHANGES, FLAG, 0, 0},
    {"late", CHANGES, FLAG, 0, 0},
    {"again", CHANGES, NUMBER, 0, 1000},
    {"unknown_field", CHANGES, FLAG, 0, 0},
    {"pad_bytes", CHANGES, NUMBER, 0, 256 << 20},
    {"garble", CHANGES, NAMES, 0, 0},
    {"readd", CHANGES, NAMES, 0, 0},
    {"end_after", CHANGES, NUMBER, 0, STATUS_MAX},
    {"end", AT_ONCE, END, 0, 0},
    {"freeze", AT_ONCE, FLAG, 0, 0},
    {"send", AT_ONCE, SEND, 0, 0},
};

static const struct key *key_named(const char *name)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (!strcmp(keys[i].name, name))
            return &keys[i];
    return NULL;
}

static void put_list(struct text *out, const char *value)
{
    json_open(out, '[');
    while (*value) {
        size_t len = strcspn(value, ",");

        json_string_n(out, value, len);
        value += len + (value[len] == ',');
    }
    json_close(out, ']');
}

/* A query string says the same as a body: build the JSON of it. */
static void body_of_query(const struct http_request *r, struct text *out)
{
    json_open(out, '{');
    for (size_t i = 0; i < r->query.count; i++) {
        const char *name = r->query.entries[i].key, *value = r->query.entries[i].value;
        const struct key *key = key_named(name);

        json_key(out, name);
        if (key && key->says == NAMES)
            put_list(out, value);
        else
            json_string(out, value);
    }
    json_close(out, '}');
}

static const char *text_of(const struct order *o, const char *key)
{
    const struct node *n = node_get(o->body, key);

    return n ? n->text : NULL;
}

static bool flag_of(const struct order *o, const char *key)
{
    const char *v = text_of(o, key);

    return v && !strcmp(v, "true");
}

static unsigned long number_of(const struct order *o, const char *key)
{
    const char *v = text_of(o, key);

    return v ? strtoul(v, NULL, 10) : 0;
}

static void names_of(const struct order *o, const char *key, char ***out, size_t *count)
{
    const struct node *n = node_get(o->body, key);

    if (!n)
        return;
    *count = n->kind == NODE_LIST ? n->count : 1;
    *out = mem_zero((*count + 1) * sizeof(**out));
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = mem_string(n->kind == NODE_LIST ? n->items[i]->text : n->text);
}

/* Says what was needed at a key and what stands there; returns false. */
static bool refuse(struct order *o, const char *key, const char *needed, const struct node *n)
{
    bool text = n && n->kind == NODE_SCALAR && !node_is_null(n);

    return error_set(&o->err, "body: %s: %s is needed, not %s%s%s", key, needed, text ? "\"" : "",
                     text                     ? n->text
                     : !n                     ? "nothing"
                     : n->kind == NODE_SCALAR ? "null"
                                              : node_kind_name(n),
                     text ? "\"" : "");
}

static bool is_text(const struct node *n)
{
    return n->kind == NODE_SCALAR && !node_is_null(n);
}

static bool check_number(struct order *o, const char *name, unsigned long long low,
                         unsigned long long high, const struct node *n)
{
    char needed[80];
    unsigned long long v;

    if (n && is_text(n) && number_read(n->text, low, high, &v))
        return true;
    snprintf(needed, sizeof(needed), "a number of %llu to %llu", low, high);
    return refuse(o, name, needed, n);
}

static bool check_names(struct order *o, const char *name, const struct node *n)
{
    bool ok = n->kind == NODE_LIST ? n->count > 0 : is_text(n);

    for (size_t i = 0; ok && n->kind == NODE_LIST && i < n->count; i++)
        ok = is_text(n->items[i]);
    return ok || refuse(o, name, "a list of names, one at least,", n);
}

/* end: {status: 14, message: text}, or just the status. */
static bool check_end(struct order *o, const struct node *n)
{
    if (n->kind != NODE_MAP)
        return check_number(o, "end", 0, STATUS_MAX, n);
    for (size_t i = 0; i < n->count; i++) {
        const char *key = n->items[2 * i]->text;
        const struct node *value = n->items[2 * i + 1];

        if (!strcmp(key, "message") && !is_text(value))
            return refuse(o, "end.message", "a text", value);
        if (strcmp(key, "message") && strcmp(key, "status"))
            return error_set(&o->err, "body: end: there are status and message, no \"%s\"", key);
    }
    return check_number(o, "end.status", 0, STATUS_MAX, node_get(n, "status"));
}

static bool check_value(struct order *o, const struct key *key, const struct node *n)
{
    switch (key->says) {
    case TEXT:
        return is_text(n) || refuse(o, key->name, "a text", n);
    case FLAG:
        return (is_text(n) && (!strcmp(n->text, "true") || !strcmp(n->text, "false"))) ||
               refuse(o, key->name, "true or false", n);
    case NUMBER:
        return check_number(o, key->name, key->low, key->high, n);
    case NAMES:
        return check_names(o, key->name, n);
    case END:
        return check_end(o, n);
    case SEND:
        return n->kind == NODE_MAP || refuse(o, key->name, "a mapping", n);
    }
    return false;
}

/* Does it say what is to go wrong? A flag that is false says nothing. */
static bool says_something(struct order *o)
{
    struct text all = {0};

    for (size_t i = 0; i < o->body->count; i++) {
        const struct key *key = key_named(o->body->items[2 * i]->text);

        if (key->role == AT_ONCE ||
            (key->role == CHANGES && (key->says != FLAG || flag_of(o, key->name))))
            return true;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (keys[i].role == CHANGES || keys[i].role == AT_ONCE)
            text_printf(&all, "%s%s", all.len ? ", " : "", keys[i].name);
    error_set(&o->err, "body: say what is to go wrong: %s", text_str(&all));
    text_fini(&all);
    return false;
}

static bool check_keys(struct order *o)
{
    const char *rule = NULL, *at_once = NULL;

    if (o->body->kind != NODE_MAP)
        return error_set(&o->err, "body: a mapping is needed");
    for (size_t i = 0; i < o->body->count; i++) {
        const struct key *key = key_named(o->body->items[2 * i]->text);

        if (!key)
            return error_set(&o->err, "body: there is no fault \"%s\"",
                             o->body->items[2 * i]->text);
        if (!check_value(o, key, o->body->items[2 * i + 1]))
            return false;
        rule = key->role == CHANGES || key->role == LIMITS ? key->name : rule;
        at_once = key->role == AT_ONCE ? key->name : at_once;
    }
    if (rule && at_once)
        return error_set(&o->err, "body: %s is for a rule, and %s acts at once: ask for each alone",
                         rule, at_once);
    return says_something(o);
}

static bool is_rule(const struct order *o)
{
    return !node_get(o->body, "end") && !node_get(o->body, "freeze") && !node_get(o->body, "send");
}

static void fill_rule(const struct order *o, struct fault *f)
{
    f->node = mem_string(o->node);
    f->type_url = mem_string(o->type_url);
    f->stream = o->stream;
    f->hold = flag_of(o, "hold");
    f->empty = flag_of(o, "empty");
    f->drop = flag_of(o, "drop");
    f->late = flag_of(o, "late");
    f->unknown_field = flag_of(o, "unknown_field");
    f->ends = text_of(o, "end_after") != NULL;
    f->end_status = (int)number_of(o, "end_after");
    f->set_type_url = mem_string(text_of(o, "type_url"));
    f->set_resource_type = mem_string(text_of(o, "resource_type_url"));
    f->set_version = mem_string(text_of(o, "version_info"));
    f->set_nonce = mem_string(text_of(o, "nonce"));
    f->set_control_plane = mem_string(text_of(o, "control_plane"));
    f->delay_us = number_of(o, "delay_ms") * 1000ull;
    f->times = number_of(o, "times");
    f->again = number_of(o, "again");
    f->pad = number_of(o, "pad_bytes");
    names_of(o, "omit", &f->omit, &f->omit_count);
    names_of(o, "duplicate", &f->duplicate, &f->duplicate_count);
    names_of(o, "extra", &f->extra, &f->extra_count);
    names_of(o, "garble", &f->garble, &f->garble_count);
    names_of(o, "readd", &f->readd, &f->readd_count);
}

static bool selected(const struct order *o, const struct stream *st)
{
    return (!o->stream || st->session->id == o->stream) &&
           (!o->node || !strcmp(o->node, st->session->node_id)) &&
           (!o->type_url || session_find(st->session, o->type_url));
}

static void end_streams(struct order *o, size_t *count)
{
    const struct node *end = node_get(o->body, "end");
    const struct node *code = end->kind == NODE_MAP ? node_get(end, "status") : end;
    const struct node *message = node_get(end, "message");

    for (struct stream *st = o->ctl->hub->streams, *next; st; st = next) {
        next = st->next;
        if (!selected(o, st))
            continue;
        o->ctl->hub->transport->end(st, atoi(code->text), message ? message->text : "");
        ++*count;
    }
}

static void freeze_streams(struct order *o, size_t *count)
{
    bool freeze = flag_of(o, "freeze");

    for (struct stream *st = o->ctl->hub->streams; st; st = st->next) {
        if (!selected(o, st))
            continue;
        st->frozen = freeze;
        if (!freeze)
            o->ctl->hub->transport->resume(st);
        ++*count;
    }
}

static const char *string_in(const struct node *n, const char *key, const char *camel)
{
    const struct node *v = node_get(n, key);

    v = v ? v : node_get(n, camel);
    return v && v->kind == NODE_SCALAR ? v->text : NULL;
}

static void put_field(struct text *out, unsigned number, const char *value)
{
    if (value && *value)
        wire_bytes(out, number, value, strlen(value));
}

/* The response's bytes: `raw`, or its fields; type_url and nonce are filled in where not given. */
static bool make_literal(struct order *o, const struct node *send, struct stream *st,
                         struct literal *l)
{
    bool sotw = st->session->dialect == DIALECT_SOTW;
    struct encoder e = {.pool = o->ctl->hub->pool, .file = "body", .err = &o->err};
    const struct node *raw = node_get(send, "raw");
    const char *type_url = string_in(send, "type_url", "typeUrl");
    const char *nonce = string_in(send, "nonce", "nonce");
    const char *version = sotw ? string_in(send, "version_info", "versionInfo")
                               : string_in(send, "system_version_info", "systemVersionInfo");
    struct text bytes = {0}, made = {0};
    bool ok;

    text_printf(&made, "%lu-script-%lu", st->session->id, ++st->session->nonces);
    l->type_url = mem_string(type_url ? type_url : o->type_url ? o->type_url : "");
    l->version = mem_string(version ? version : "");
    l->nonce = nonce ? mem_string(nonce) : text_take(&made);
    text_fini(&made);
    if (raw) {
        ok = (raw->kind == NODE_SCALAR && base64_decode(raw->text, raw->len, &bytes)) ||
             error_set(&o->err, "body: send.raw: bytes in base64 are needed");
    } else {
        ok = encode_message(&e, desc_find(e.pool, sotw ? RESPONSE : DELTA_RESPONSE), send, NULL,
                            &bytes);
        if (!type_url)
            put_field(&bytes, 4, l->type_url);
        if (!nonce)
            put_field(&bytes, 5, l->nonce);
    }
    l->len = bytes.len;
    l->bytes = text_take(&bytes);
    return ok;
}

/* Without a stream to send it on: is it a response of either dialect? */
static bool check_literal(struct order *o, const struct node *send)
{
    struct session session = {.dialect = DIALECT_SOTW};
    struct stream st = {.session = &session};
    struct error first = {0};
    bool ok = false;

    for (int i = 0; i < 2 && !ok; i++) {
        struct literal *l = mem_zero(sizeof(*l));

        session.dialect = i ? DIALECT_DELTA : DIALECT_SOTW;
        ok = make_literal(o, send, &st, l);
        literal_free(&l);
        if (!i) {
            first = o->err;
            o->err = (struct error){0};
        }
    }
    error_fini(&o->err);
    if (ok)
        error_fini(&first);
    o->err = first;
    return ok;
}

static bool send_literals(struct order *o, size_t *count)
{
    const struct node *send = node_get(o->body, "send");

    for (struct stream *st = o->ctl->hub->streams; st; st = st->next) {
        struct literal *l, **end = &st->literals;

        if (!selected(o, st))
            continue;
        l = mem_zero(sizeof(*l));
        if (!make_literal(o, send, st, l)) {
            literal_free(&l);
            return false;
        }
        while (*end)
            end = &(*end)->next;
        *end = l;
        o->ctl->hub->transport->kick(st);
        ++*count;
    }
    return *count || check_literal(o, send);
}

static unsigned long add_rule(struct order *o)
{
    struct fault *f = fault_add(&o->ctl->hub->faults);

    fill_rule(o, f);
    hub_kick_all(o->ctl->hub);
    return f->id;
}

static bool carry_out(struct order *o, struct text *body)
{
    unsigned long id = is_rule(o) ? add_rule(o) : 0;
    size_t streams = 0;

    if (node_get(o->body, "send") && !send_literals(o, &streams))
        return false;
    if (node_get(o->body, "freeze"))
        freeze_streams(o, &streams);
    if (node_get(o->body, "end"))
        end_streams(o, &streams);
    json_open(body, '{');
    if (id)
        json_member_int(body, "id", (long long)id);
    else
        json_member_int(body, "streams", (long long)streams);
    json_close(body, '}');
    return true;
}

/* The body, or the query that says the same. */
static bool read_order(struct order *o, const struct http_request *r)
{
    struct text source = {0};
    bool ok;

    if (r->body_len && r->query.count)
        return error_set(&o->err, "a body or a query is needed, not both");
    if (r->body_len)
        text_add(&source, r->body, r->body_len);
    else
        body_of_query(r, &source);
    ok = tree_parse(&o->tree, "body", text_str(&source), source.len,
                    &o->ctl->publisher->folder.vars, &o->err);
    text_fini(&source);
    if (ok && o->tree->document_count != 1)
        return error_set(&o->err, "body: one mapping is needed");
    if (!ok)
        return false;
    o->body = o->tree->documents[0];
    return check_keys(o);
}

static void post(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct order o = {.ctl = ctl};
    struct text body = {0};
    bool ok = read_order(&o, r);

    if (ok) {
        o.stream = number_of(&o, "stream");
        o.node = text_of(&o, "node");
        if (text_of(&o, "type"))
            o.type_url = type_param(ctl, c, text_of(&o, "type"));
    }
    if (ok && c->parked) { /* not answered by type_param */
        hub_lock(ctl->hub);
        ok = carry_out(&o, &body);
        hub_unlock(ctl->hub);
        if (ok)
            reply_json(c, 200, &body);
    }
    if (!ok)
        reply_error(c, 400, "%s", o.err.text);
    error_fini(&o.err);
    free(o.type_url);
    text_fini(&body);
    tree_free(&o.tree);
}

static void remove_rules(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const char *id = http_query(r, "id");
    unsigned long long number = 0; /* all */
    struct text body = {0};
    size_t gone;

    if (r->query.count > (id != NULL) || r->body_len) {
        reply_error(c, 400, "DELETE /fault takes ?id=N, or nothing for all rules");
        return;
    }
    if (id && !number_read(id, 1, ULONG_MAX, &number)) {
        reply_error(c, 400, "id: the number of a rule is needed, not \"%s\"", id);
        return;
    }
    hub_lock(ctl->hub);
    gone = fault_remove(&ctl->hub->faults, (unsigned long)number);
    hub_kick_all(ctl->hub);
    hub_unlock(ctl->hub);
    json_open(&body, '{');
    json_member_int(&body, "removed", (long long)gone);
    json_close(&body, '}');
    reply_json(c, 200, &body);
}

void handle_fault(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct text body = {0};

    if (!strcmp(r->method, "POST")) {
        post(ctl, c, r);
    } else if (!strcmp(r->method, "DELETE")) {
        remove_rules(ctl, c, r);
    } else if (query_known(c, r, "")) {
        hub_lock(ctl->hub);
        fault_list_json(&ctl->hub->faults, &body);
        hub_unlock(ctl->hub);
        reply_json(c, 200, &body);
    }
}
