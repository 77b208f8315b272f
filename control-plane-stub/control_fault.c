/* POST /fault: rules, and things done to streams at once. */
#include "control_internal.h"
#include "encode.h"
#include "json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define RESPONSE "envoy.service.discovery.v3.DiscoveryResponse"
enum { PAD_MAX = 256 << 20, AGAIN_MAX = 1000 };
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

static const char *const known_keys[] = {"node",
                                         "type",
                                         "stream",
                                         "hold",
                                         "delay_ms",
                                         "empty",
                                         "omit",
                                         "duplicate",
                                         "extra",
                                         "type_url",
                                         "resource_type_url",
                                         "version_info",
                                         "nonce",
                                         "control_plane",
                                         "drop",
                                         "late",
                                         "again",
                                         "unknown_field",
                                         "pad_bytes",
                                         "garble",
                                         "readd",
                                         "end_after",
                                         "times",
                                         "end",
                                         "freeze",
                                         "send"};

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
        const char *key = r->query.entries[i].key, *value = r->query.entries[i].value;

        json_key(out, key);
        if (!strcmp(key, "omit") || !strcmp(key, "duplicate") || !strcmp(key, "extra") ||
            !strcmp(key, "garble") || !strcmp(key, "readd"))
            put_list(out, value);
        else
            json_string(out, value);
    }
    json_close(out, '}');
}

static bool check_keys(struct order *o)
{
    if (o->body->kind != NODE_MAP)
        return error_set(&o->err, "body: a mapping is needed");
    for (size_t i = 0; i < o->body->count; i++) {
        const char *key = o->body->items[2 * i]->text;
        bool known = false;

        for (size_t j = 0; j < sizeof(known_keys) / sizeof(*known_keys); j++)
            known = known || !strcmp(key, known_keys[j]);
        if (!known)
            return error_set(&o->err, "body: there is no fault \"%s\"", key);
    }
    return true;
}

static const char *text_of(const struct order *o, const char *key)
{
    const struct node *n = node_get(o->body, key);

    return n && n->kind == NODE_SCALAR && !node_is_null(n) ? n->text : NULL;
}

static bool flag_of(const struct order *o, const char *key)
{
    const char *v = text_of(o, key);

    return v && strcmp(v, "false") && strcmp(v, "0");
}

static bool number_of(struct order *o, const char *key, unsigned long *out)
{
    const char *v = text_of(o, key);
    char *end;

    if (!v)
        return true;
    *out = strtoul(v, &end, 10);
    return *v && !*end ? true : error_set(&o->err, "body: %s: a number is needed", key);
}

static bool names_of(struct order *o, const char *key, char ***out, size_t *count)
{
    const struct node *n = node_get(o->body, key);

    if (!n)
        return true;
    if (n->kind == NODE_MAP)
        return error_set(&o->err, "body: %s: a list of names is needed", key);
    *count = n->kind == NODE_LIST ? n->count : 1;
    *out = mem_zero((*count + 1) * sizeof(**out));
    for (size_t i = 0; i < *count; i++) {
        const struct node *item = n->kind == NODE_LIST ? n->items[i] : n;

        if (item->kind != NODE_SCALAR)
            return error_set(&o->err, "body: %s: a list of names is needed", key);
        (*out)[i] = mem_string(item->text);
    }
    return true;
}

static bool is_rule(const struct order *o)
{
    return !node_get(o->body, "end") && !node_get(o->body, "freeze") && !node_get(o->body, "send");
}

static bool fill_rule(struct order *o, struct fault *f)
{
    unsigned long delay = 0, status = 0;

    f->node = mem_string(o->node);
    f->type_url = mem_string(o->type_url);
    f->hold = flag_of(o, "hold");
    f->empty = flag_of(o, "empty");
    f->drop = flag_of(o, "drop");
    f->late = flag_of(o, "late");
    f->unknown_field = flag_of(o, "unknown_field");
    f->ends = text_of(o, "end_after") != NULL;
    f->set_type_url = mem_string(text_of(o, "type_url"));
    f->set_resource_type = mem_string(text_of(o, "resource_type_url"));
    f->set_version = mem_string(text_of(o, "version_info"));
    f->set_nonce = mem_string(text_of(o, "nonce"));
    f->set_control_plane = mem_string(text_of(o, "control_plane"));
    if (!number_of(o, "delay_ms", &delay) || !number_of(o, "times", &f->times) ||
        !names_of(o, "omit", &f->omit, &f->omit_count) ||
        !names_of(o, "duplicate", &f->duplicate, &f->duplicate_count) ||
        !names_of(o, "extra", &f->extra, &f->extra_count))
        return false;
    if (!number_of(o, "again", &f->again) || !number_of(o, "pad_bytes", &f->pad) ||
        !number_of(o, "end_after", &status) ||
        !names_of(o, "garble", &f->garble, &f->garble_count) ||
        !names_of(o, "readd", &f->readd, &f->readd_count))
        return false;
    if (status > 16 || f->pad > PAD_MAX || f->again > AGAIN_MAX)
        return error_set(&o->err, "body: end_after, pad_bytes or again is too large");
    f->delay_us = delay * 1000ull;
    f->end_status = (int)status;
    return true;
}

static bool selected(const struct order *o, const struct stream *st)
{
    return (!o->stream || st->session->id == o->stream) &&
           (!o->node || !strcmp(o->node, st->session->node_id));
}

/* end: {status: 14, message: text}, or just the status. */
static bool end_streams(struct order *o, size_t *count)
{
    const struct node *end = node_get(o->body, "end");
    const struct node *code = end->kind == NODE_MAP ? node_get(end, "status") : end;
    const struct node *message = node_get(end, "message");
    int status = code && code->kind == NODE_SCALAR ? atoi(code->text) : 0;

    if (end->kind == NODE_LIST || status < 0 || status > 16)
        return error_set(&o->err, "body: end: {status: 0 to 16, message: text} is needed");
    for (struct stream *st = o->ctl->hub->streams, *next; st; st = next) {
        next = st->next;
        if (!selected(o, st))
            continue;
        o->ctl->hub->transport->end(st, status,
                                    message && message->kind == NODE_SCALAR ? message->text : "");
        ++*count;
    }
    return true;
}

static bool freeze_streams(struct order *o, size_t *count)
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
    return true;
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

static bool send_literals(struct order *o, size_t *count)
{
    const struct node *send = node_get(o->body, "send");

    for (struct stream *st = o->ctl->hub->streams; st; st = st->next) {
        struct literal *l, **end = &st->literals;

        if (!selected(o, st) || (o->type_url && !session_find(st->session, o->type_url)))
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
    return true;
}

static bool add_rule(struct order *o, unsigned long *id)
{
    struct fault *f = fault_add(&o->ctl->hub->faults);

    if (!fill_rule(o, f)) {
        fault_remove(&o->ctl->hub->faults, f->id);
        return false;
    }
    *id = f->id;
    hub_kick_all(o->ctl->hub);
    return true;
}

static bool carry_out(struct order *o, struct text *body)
{
    unsigned long id = 0;
    size_t streams = 0;
    bool ok = true;

    if (is_rule(o))
        ok = add_rule(o, &id);
    if (ok && node_get(o->body, "send"))
        ok = send_literals(o, &streams);
    if (ok && node_get(o->body, "freeze"))
        ok = freeze_streams(o, &streams);
    if (ok && node_get(o->body, "end"))
        ok = end_streams(o, &streams);
    json_open(body, '{');
    if (id)
        json_member_int(body, "id", (long long)id);
    else
        json_member_int(body, "streams", (long long)streams);
    json_close(body, '}');
    return ok;
}

static void post(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct order o = {.ctl = ctl};
    struct text source = {0}, body = {0};
    bool ok;

    if (r->body_len)
        text_add(&source, r->body, r->body_len);
    else
        body_of_query(r, &source);
    ok = tree_parse(&o.tree, "body", text_str(&source), source.len, &ctl->publisher->folder.vars,
                    &o.err);
    if (ok && o.tree->document_count != 1)
        ok = error_set(&o.err, "body: say what is to go wrong");
    if (ok) {
        o.body = o.tree->documents[0];
        ok = check_keys(&o) && number_of(&o, "stream", &o.stream);
    }
    if (ok) {
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
    text_fini(&source);
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
    } else {
        hub_lock(ctl->hub);
        fault_list_json(&ctl->hub->faults, &body);
        hub_unlock(ctl->hub);
        reply_json(c, 200, &body);
    }
}
