#include "h2_origin.h"

void h2_origins_init(struct h2_origins *o, struct world *w)
{
    memset(o, 0, sizeof(*o));
    o->w = w;
    http2_options_init(&o->options);
}

void h2_origins_fini(struct h2_origins *o)
{
    for (unsigned i = 0; i < H2_ORIGINS; i++) {
        if (o->pairs[i].memory)
            h2_pair_fini(&o->pairs[i]);
    }
}

struct h2_side *h2_origin(struct h2_origins *o, unsigned i)
{
    struct h2_pair *p = &o->pairs[i];
    if (!p->memory) {
        h2_pair_init(p);
        p->h2 = o->options;
        h2_pair_open_server_in(p, o->w->worker.chunks);
    }
    return &p->server;
}

void h2_origin_serve(struct h2_origins *all, unsigned i)
{
    struct origin *o = world_origin(all->w, i);
    struct h2_side *s = h2_origin(all, i);
    world_run(all->w);
    for (bool moved = true; moved;) {
        struct bytes in = strbuf_bytes(&o->in);
        moved = in.len > 0;
        buffer_add_bytes(&s->in, in);
        strbuf_reset(&o->in);
        if (moved)
            s->codec->ops->input(s->codec, &s->in);
        s->codec->ops->flush(s->codec, SIZE_MAX);
        moved |= s->out.len > 0;
        if (o->connection)
            connection_write(o->connection, &s->out);
        else
            buffer_drain(&s->out, s->out.len);
        world_run(all->w);
    }
}

void h2_origin_head(struct h2_origins *o, unsigned i, unsigned stream, const char *lines, bool end)
{
    struct headers h;
    h2_headers(h2_origin(o, i), &h, lines);
    h2_origin(o, i)->codec->ops->send_headers(h2_origin(o, i)->seen[stream].stream, &h, end);
    h2_origin_serve(o, i);
}

void h2_origin_body(struct h2_origins *o, unsigned i, unsigned stream, struct bytes body, bool end)
{
    struct buffer data;
    buffer_init(&data, o->w->worker.chunks);
    buffer_add_bytes(&data, body);
    h2_origin(o, i)->codec->ops->send_data(h2_origin(o, i)->seen[stream].stream, &data, end);
    h2_origin_serve(o, i);
}

void h2_origin_trailers(struct h2_origins *o, unsigned i, unsigned stream, const char *lines)
{
    struct headers h;
    h2_headers(h2_origin(o, i), &h, lines);
    h2_origin(o, i)->codec->ops->send_trailers(h2_origin(o, i)->seen[stream].stream, &h);
    h2_origin_serve(o, i);
}
