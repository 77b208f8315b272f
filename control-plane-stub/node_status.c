#include "node_status.h"

#include "json.h"

#include <stdlib.h>
#include <string.h>

static void type_status_free(struct type_status *t)
{
    for (size_t i = 0; i < VERDICTS; i++)
        free(t->verdicts[i].version);
    free(t->version_sent);
    free(t->version_acked);
    free(t->version_nacked);
    free(t->nack_reason);
    free(t->nonce);
    free(t);
}

void node_table_fini(struct node_table *t)
{
    for (size_t i = 0; i < t->nodes.count; i++) {
        struct node_status *n = t->nodes.entries[i].value;

        for (size_t j = 0; j < n->types.count; j++)
            type_status_free(n->types.entries[j].value);
        strmap_fini(&n->types);
        free(n->id);
        free(n->cluster);
        free(n);
    }
    strmap_fini(&t->nodes);
}

struct node_status *node_get_or_make(struct node_table *t, const char *id)
{
    struct node_status **n = (struct node_status **)strmap_put(&t->nodes, id);

    if (!*n) {
        *n = mem_zero(sizeof(**n));
        (*n)->id = mem_string(id);
    }
    return *n;
}

struct type_status *node_type(struct node_status *n, const char *type_url)
{
    struct type_status **t = (struct type_status **)strmap_put(&n->types, type_url);

    if (!*t)
        *t = mem_zero(sizeof(**t));
    return *t;
}

static void set(char **place, const char *value)
{
    char *copy = mem_string(value);

    free(*place);
    *place = copy;
}

void status_sent(struct type_status *t, const char *version, const char *nonce)
{
    struct verdict *v = &t->verdicts[t->next_verdict++ % VERDICTS];

    set(&v->version, version);
    v->outcome = OUTCOME_SENT;
    set(&t->version_sent, version);
    set(&t->nonce, nonce);
    t->outcome = OUTCOME_SENT;
    t->any = true;
    t->sent++;
}

void status_answered(struct type_status *t, enum meaning m, const struct xds_request *req)
{
    struct verdict *v;

    if ((m != MEANING_ACK && m != MEANING_NACK) || !t->any)
        return;
    v = &t->verdicts[(t->next_verdict - 1) % VERDICTS];
    t->outcome = v->outcome = m == MEANING_ACK ? OUTCOME_ACKED : OUTCOME_NACKED;
    if (m == MEANING_ACK) {
        set(&t->version_acked, t->version_sent);
        t->acked++;
        return;
    }
    set(&t->version_nacked, t->version_sent);
    set(&t->nack_reason, req->error_message);
    t->nack_code = req->error_code;
    t->nacked++;
}

bool status_matches(const struct type_status *t, const char *version, enum outcome outcome,
                    bool newest)
{
    if (!t->any)
        return false;
    if (newest)
        return t->outcome == outcome && !strcmp(t->version_sent, version);
    for (size_t i = 0; i < VERDICTS; i++)
        if (t->verdicts[i].version && t->verdicts[i].outcome == outcome &&
            !strcmp(t->verdicts[i].version, version))
            return true;
    return false;
}

static void subscription_json(const struct subscription *sub, struct text *out)
{
    json_member_bool(out, "wildcard", sub->wildcard);
    json_key(out, "subscribed");
    json_open(out, '[');
    for (size_t i = 0; i < sub->names.count; i++)
        json_string(out, sub->names.entries[i].key);
    json_close(out, ']');
}

static void type_json(const char *type_url, const struct type_status *t, struct text *out)
{
    static const char *const outcomes[] = {"SENT", "ACKED", "NACKED"};

    json_open(out, '{');
    json_member(out, "type", type_url);
    json_member(out, "status", t->any ? outcomes[t->outcome] : "REQUESTED");
    json_member(out, "version_sent", t->version_sent);
    json_member(out, "version_acked", t->version_acked);
    json_member(out, "version_nacked", t->version_nacked);
    if (t->nack_reason) {
        json_member_int(out, "nack_code", t->nack_code);
        json_member(out, "nack_reason", t->nack_reason);
    }
    json_member(out, "nonce", t->nonce);
    json_member_int(out, "responses", (long long)t->sent);
    json_member_int(out, "acks", (long long)t->acked);
    json_member_int(out, "nacks", (long long)t->nacked);
    if (t->sub) {
        json_member_int(out, "stream", (long long)t->stream);
        subscription_json(t->sub, out);
    }
    json_close(out, '}');
}

void node_table_json(const struct node_table *t, struct text *out)
{
    json_open(out, '{');
    json_key(out, "nodes");
    json_open(out, '[');
    for (size_t i = 0; i < t->nodes.count; i++) {
        const struct node_status *n = t->nodes.entries[i].value;

        json_open(out, '{');
        json_member(out, "id", n->id);
        json_member(out, "cluster", n->cluster);
        json_member_int(out, "streams", (long long)n->streams);
        json_key(out, "types");
        json_open(out, '[');
        for (size_t j = 0; j < n->types.count; j++)
            type_json(n->types.entries[j].key, n->types.entries[j].value, out);
        json_close(out, ']');
        json_close(out, '}');
    }
    json_close(out, ']');
    json_close(out, '}');
}
