#include "dataplane/http/header_mutate.h"

#include "dataplane/http/format.h"
#include "dataplane/http/stream.h"

static struct bytes value_of(const struct header_addition *add, struct stream *s)
{
    return add->literal ? add->text : format_stream(&add->value, s);
}

/* "host" is what HTTP/1 calls the authority. */
static struct bytes name_of(struct bytes name)
{
    return bytes_eq(name, BYTES("host")) ? BYTES(":authority") : name;
}

static void add_header(const struct header_addition *add, struct stream *s, struct headers *h)
{
    struct bytes value = value_of(add, s), name = name_of(add->name);
    if (value.len == 0 && !add->keep_empty_value)
        return;
    switch (add->action) {
    case APPEND_IF_EXISTS_OR_ADD:
        if (name.data[0] == ':')
            headers_set(h, name, value); /* there is only one */
        else
            headers_append(h, name, value);
        return;
    case ADD_IF_ABSENT:
        if (!headers_get_name(h, name).data)
            headers_add(h, name, value);
        return;
    case OVERWRITE_IF_EXISTS_OR_ADD:
        headers_set(h, name, value);
        return;
    case OVERWRITE_IF_EXISTS:
        if (headers_get_name(h, name).data)
            headers_set(h, name, value);
        return;
    }
}

static void mutate(const struct header_mutations *m, struct stream *s, struct headers *h)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->n_remove; i++)
        headers_remove(h, m->remove[i]);
    for (unsigned i = 0; i < m->n_add; i++)
        add_header(&m->add[i], s, h);
}

/* The cluster weight's come first; the other three from the most specific on, so that the least
 * specific wins, or the other way round. */
static void mutate_all(struct stream *s, struct headers *h, bool response)
{
    const struct route_match_result *m = &s->route;
    if (!s->route_matched || !m->vhost || !m->route)
        return;
    const struct header_mutations *levels[3] = {
        response ? &m->route->extras->response : &m->route->extras->request,
        response ? &m->vhost->response : &m->vhost->request,
        response ? &m->config->response : &m->config->request,
    };
    if (m->weight)
        mutate(response ? &m->weight->response : &m->weight->request, s, h);
    bool reverse = m->config->most_specific_header_mutations_wins;
    for (unsigned i = 0; i < 3; i++)
        mutate(levels[reverse ? 2 - i : i], s, h);
}

void header_mutate_request(struct stream *s)
{
    mutate_all(s, &s->request_headers, false);
}

void header_mutate_response(struct stream *s)
{
    mutate_all(s, &s->response_headers, true);
}
