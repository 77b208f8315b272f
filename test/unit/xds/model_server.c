#include "model_server.h"

#include <check.h>
#include <stdio.h>

#include "config/wire.h"

static const char letters[MODEL_TYPES] = {
    [RESOURCE_CLUSTER] = 'c',      [RESOURCE_ENDPOINT] = 'c',     [RESOURCE_LISTENER] = 'l',
    [RESOURCE_ROUTE] = 'r',        [RESOURCE_SECRET] = 's',       [RESOURCE_EXTENSION] = 'f',
    [RESOURCE_SCOPED_ROUTE] = 'o', [RESOURCE_VIRTUAL_HOST] = 'r',
};

const char *model_name(enum resource_type type, unsigned name)
{
    static char text[8];
    snprintf(text, sizeof(text), type == RESOURCE_VIRTUAL_HOST ? "%c%u/h%u" : "%c%u", letters[type],
             name % MODEL_NAMES, name % MODEL_NAMES);
    return text;
}

bool model_push(struct model_queue *q, struct bytes message)
{
    if (q->n == MODEL_QUEUE)
        return false;
    struct strbuf *slot = &q->messages[(q->first + q->n++) % MODEL_QUEUE];
    strbuf_reset(slot);
    strbuf_add_bytes(slot, message);
    return true;
}

struct strbuf *model_pop(struct model_queue *q)
{
    if (q->n == 0)
        return NULL;
    struct strbuf *slot = &q->messages[q->first];
    q->first = (q->first + 1) % MODEL_QUEUE;
    q->n--;
    return slot;
}

static void queue_fini(struct model_queue *q)
{
    for (unsigned i = 0; i < MODEL_QUEUE; i++)
        strbuf_fini(&q->messages[i]);
}

void model_init(struct model_server *s, const struct model_bytes *bytes, bool delta)
{
    *s = (struct model_server){.delta = delta, .bytes = bytes};
    model_restart(s, 1);
}

void model_fini(struct model_server *s)
{
    queue_fini(&s->to_client);
    queue_fini(&s->to_server);
}

void model_set(struct model_server *s, enum resource_type type, unsigned name, uint8_t variant)
{
    if (s->world.variant[type][name] != variant)
        s->version[type]++;
    s->world.variant[type][name] = variant;
}

void model_cut(struct model_server *s)
{
    memset(s->sessions, 0, sizeof(s->sessions));
    s->to_client.n = s->to_server.n = 0;
}

void model_restart(struct model_server *s, uint64_t first_version)
{
    model_cut(s);
    for (unsigned t = 0; t < MODEL_TYPES; t++)
        s->version[t] = first_version;
}

/* ---- requests ---- */

static uint64_t number_of(struct bytes text)
{
    uint64_t n = 0;
    return bytes_to_u64(text, &n) ? n : 0;
}

static int name_of(enum resource_type type, struct bytes name)
{
    ck_assert_msg(name.len >= 2 && name.data[0] == letters[type], "'%.*s'", BYTES_ARG(name));
    int i = name.data[1] - '0';
    ck_assert_msg(bytes_eq_str(name, model_name(type, (unsigned)i)), "'%.*s'", BYTES_ARG(name));
    return i;
}

static void take_world(struct model_server *s, struct model_session *m, enum resource_type type,
                       struct bytes request)
{
    uint64_t nonce = number_of(wire_find_bytes(request, 5));
    bool first = !m->subscribed, named[MODEL_NAMES] = {false}, any = false, all = false;
    struct wire_field f;
    ck_assert_msg(!first || nonce == 0, "a first request has a nonce");
    ck_assert_msg(nonce <= m->nonce, "a nonce that was never sent");
    m->subscribed = true;
    if (nonce != m->nonce && !s->forgets_nothing)
        return; /* stale: the next one says all again */
    while (wire_next(&request, &f)) {
        if (f.number != 3)
            continue;
        any = true;
        if (bytes_eq_str(f.bytes, "*"))
            all = true;
        else
            named[name_of(type, f.bytes)] = true;
    }
    m->wildcard = all || (!any && resource_type_is_wildcard(type));
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        m->owed[i] |= named[i] && !m->wanted[i];
        m->wanted[i] = named[i];
    }
}

static void take_delta(struct model_server *s, struct model_session *m, enum resource_type type,
                       struct bytes request)
{
    struct bytes nonce = wire_find_bytes(request, 6);
    bool first = !m->subscribed, any = false;
    struct wire_field f;
    ck_assert_msg(!first || !nonce.data, "a first request has a nonce");
    ck_assert_msg(number_of(nonce) <= m->nonce, "a nonce that was never sent");
    m->subscribed = true;
    while (wire_next(&request, &f)) {
        if (f.number < 3 || f.number > 5)
            continue;
        ck_assert_msg(!nonce.data, "an answer says something else");
        any |= f.number == 3;
        if (f.number < 5 && bytes_eq_str(f.bytes, "*")) {
            m->wildcard = f.number == 3;
            for (unsigned i = 0; i < MODEL_NAMES && !m->wildcard; i++)
                m->has[i] = m->wanted[i] ? m->has[i] : 0;
            continue;
        }
        int i = name_of(type, f.number == 5 ? wire_find_bytes(f.bytes, 1) : f.bytes);
        if (f.number == 3 || f.number == 4)
            m->wanted[i] = m->owed[i] = f.number == 3;
        if (f.number == 4)
            m->has[i] = 0;
        if (f.number == 5) {
            ck_assert_msg(first, "what is held is told later");
            m->has[i] = (uint8_t)number_of(wire_find_bytes(f.bytes, 2));
        }
    }
    ck_assert_msg(any || !first || resource_type_is_wildcard(type), "nothing is asked for");
    m->wildcard |= first && !any;
}

bool model_read(struct model_server *s)
{
    struct strbuf *message = model_pop(&s->to_server);
    if (!message)
        return false;
    struct bytes request = strbuf_bytes(message);
    enum resource_type type = resource_type_of_url(wire_find_bytes(request, s->delta ? 2 : 4));
    ck_assert_int_ne(type, MODEL_TYPES);
    if (s->delta)
        take_delta(s, &s->sessions[type], type, request);
    else
        take_world(s, &s->sessions[type], type, request);
    return true;
}

/* ---- responses ---- */

static void put_number(struct strbuf *out, uint32_t field, uint64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    wire_put_bytes(out, field, bytes_of(text));
}

static void put_type(struct strbuf *out, uint32_t field, enum resource_type type)
{
    struct strbuf url = STRBUF_INIT;
    strbuf_printf(&url, "type.googleapis.com/%s", resource_type_name(type));
    wire_put_bytes(out, field, strbuf_bytes(&url));
    strbuf_fini(&url);
}

static void put_any(struct strbuf *out, enum resource_type type, struct bytes value)
{
    struct strbuf any = STRBUF_INIT;
    put_type(&any, 1, type);
    wire_put_bytes(&any, 2, value);
    wire_put_bytes(out, 2, strbuf_bytes(&any));
    strbuf_fini(&any);
}

static void put_name(struct strbuf *out, uint32_t field, enum resource_type type, unsigned i)
{
    wire_put_bytes(out, field, bytes_of(model_name(type, i)));
}

static void put_resource(const struct model_server *s, struct strbuf *out, enum resource_type type,
                         unsigned i)
{
    uint8_t variant = s->world.variant[type][i];
    struct bytes wire = s->bytes->wire[type][i][variant];
    struct strbuf wrapper = STRBUF_INIT;
    if (!s->delta) {
        put_any(out, type, wire);
        return;
    }
    put_number(&wrapper, 1, variant);
    put_any(&wrapper, type, wire);
    put_name(&wrapper, 3, type, i);
    wire_put_bytes(out, 2, strbuf_bytes(&wrapper));
    strbuf_fini(&wrapper);
}

/* All, or of routes and endpoints only what is new: both are allowed, but of what is global all. */
static bool fill_world(struct model_server *s, struct model_session *m, enum resource_type type,
                       bool again, struct strbuf *out)
{
    bool changed = m->sent_version != s->version[type], any = changed || again;
    for (unsigned i = 0; i < MODEL_NAMES; i++)
        any |= m->owed[i] && s->world.variant[type][i];
    if (!any)
        return false;
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        bool all = resource_type_is_wildcard(type) || changed || again;
        if (s->world.variant[type][i] && (m->wildcard || m->wanted[i]) && (all || m->owed[i]))
            put_resource(s, out, type, i);
        m->owed[i] = false;
    }
    m->sent_version = s->version[type];
    put_number(out, 1, s->version[type]);
    return true;
}

static bool fill_delta(struct model_server *s, struct model_session *m, enum resource_type type,
                       bool again, struct strbuf *out)
{
    bool any = false;
    for (unsigned i = 0; i < MODEL_NAMES; i++) {
        uint8_t now = s->world.variant[type][i];
        bool interested = m->wildcard || m->wanted[i];
        if (now && interested && (m->owed[i] || again || m->has[i] != now)) {
            put_resource(s, out, type, i);
            any = true;
        } else if (!now && (m->has[i] || m->owed[i])) {
            put_name(out, 6, type, i);
            any = true;
        } else {
            continue;
        }
        m->has[i] = now;
        m->owed[i] = false;
    }
    any |= m->wildcard && m->nonce == 0; /* "there is none" is news, too */
    return any;
}

bool model_answer(struct model_server *s, enum resource_type type, bool again)
{
    struct model_session *m = &s->sessions[type];
    struct strbuf out = STRBUF_INIT;
    bool any = m->subscribed && s->to_client.n < MODEL_QUEUE;
    if (any && s->delta)
        any = fill_delta(s, m, type, again && m->nonce, &out);
    else if (any)
        any = fill_world(s, m, type, again && m->nonce, &out);
    if (any) {
        m->nonce = ++s->nonce;
        put_type(&out, 4, type);
        put_number(&out, 5, m->nonce);
        model_push(&s->to_client, strbuf_bytes(&out));
    }
    strbuf_fini(&out);
    return any;
}
