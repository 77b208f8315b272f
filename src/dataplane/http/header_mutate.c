#include "dataplane/http/header_mutate.h"

#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"

/* A request that is written for its first attempt counts it already. */
static struct bytes value_of(const struct header_addition *add, struct stream *s, bool request)
{
    if (add->literal)
        return add->text;
    s->info.attempts += request;
    struct bytes value = format_stream(&add->value, s);
    s->info.attempts -= request;
    return value;
}

/* What becomes of one addition; name NULL: nothing. Names of a configuration are no pseudo headers
 * and not "host": it would have been refused. */
struct decided {
    struct header_key key;
    struct bytes value;
    bool overwrites;
};

static struct decided decide(const struct header_addition *add, struct stream *s,
                             const struct headers *h)
{
    struct bytes value = value_of(add, s, h == &s->request_headers);
    struct decided d = {add->key, value, false}, nothing = {.overwrites = false};
    if (d.value.len == 0 && !add->keep_empty_value)
        return nothing;
    switch (add->action) {
    case APPEND_IF_EXISTS_OR_ADD:
        return d;
    case ADD_IF_ABSENT:
        return headers_get_key(h, d.key).data ? nothing : d;
    case OVERWRITE_IF_EXISTS_OR_ADD:
        d.overwrites = true;
        return d;
    case OVERWRITE_IF_EXISTS:
        d.overwrites = true;
        return headers_get_key(h, d.key).data ? d : nothing;
    }
    return nothing;
}

static void apply(const struct decided *d, struct headers *h, bool overwriting)
{
    if (!d->key.name.data || d->overwrites != overwriting)
        return;
    if (overwriting)
        headers_set_key(h, d->key, d->value);
    else
        headers_append_key(h, d->key, d->value);
}

/* All values and conditions see the headers as they were after the removals; then those that
 * overwrite come first. */
static void mutate(const struct header_mutations *m, struct stream *s, struct headers *h)
{
    struct decided few[4], *all = few;
    for (unsigned i = 0; i < m->n_remove; i++)
        headers_remove_key(h, m->remove[i]);
    if (m->n_add > ARRAY_SIZE(few))
        all = ARENA_ARRAY(s->arena, struct decided, m->n_add);
    for (unsigned i = 0; i < m->n_add; i++)
        all[i] = decide(&m->add[i], s, h);
    for (unsigned i = 0; i < m->n_add; i++)
        apply(&all[i], h, true);
    for (unsigned i = 0; i < m->n_add; i++)
        apply(&all[i], h, false);
}

/* The cluster weight's come first; the other three from the most specific on, so that the least
 * specific wins, or the other way round. */
static void mutate_all(struct stream *s, struct headers *h, bool response)
{
    const struct route_match_result *m = &s->route;
    if (!s->route_matched || !m->vhost || !m->route || m->tls_redirect)
        return;
    const struct header_mutations *levels[3] = {
        response ? &m->route->extras->response : &m->route->extras->request,
        response ? &m->vhost->response : &m->vhost->request,
        response ? &m->config->response : &m->config->request,
    };
    if (UNLIKELY(m->weight != NULL))
        mutate(response ? &m->weight->response : &m->weight->request, s, h);
    bool reverse = m->config->most_specific_header_mutations_wins;
    for (unsigned i = 0; i < 3; i++) {
        const struct header_mutations *level = levels[reverse ? 2 - i : i];
        if (level->n_remove || level->n_add)
            mutate(level, s, h);
    }
}

void header_mutate_request(struct stream *s)
{
    mutate_all(s, &s->request_headers, false);
}

void header_mutate_response(struct stream *s)
{
    mutate_all(s, &s->response_headers, true);
}

void header_mutate_reply(struct stream *s, unsigned status)
{
    s->priv->local_reply = true; /* %RESPONSE_CODE% is not known yet */
    headers_set_id(&s->response_headers, HEADER_STATUS,
                   bytes_of(arena_printf(s->arena, "%u", status)));
    header_mutate_response(s);
}
