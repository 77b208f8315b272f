#include "dataplane/net/relay.h"

#include "base/memory.h"

enum { RELAY_MAGIC = 0x72656c79, LIMIT_DEFAULT = 256 * 1024 };

struct relay;

struct relay_side {
    struct relay *relay;
    struct connection *connection; /* NULL once it is gone */
};

struct relay {
    uint32_t magic;
    struct relay_side sides[2];
    const struct relay_ops *ops;
    void *owner;
    bool ended;
    unsigned who;
    enum close_reason reason;
};

static struct relay_side *side_of(struct connection *c)
{
    struct relay_side *s = connection_owner(c);

    CHECK_MAGIC(s->relay, RELAY_MAGIC);
    return s;
}

static struct connection *opposite(const struct relay_side *s)
{
    return s->relay->sides[s == &s->relay->sides[0] ? 1 : 0].connection;
}

static void on_data(struct connection *c, struct buffer *in, bool end)
{
    struct relay_side *s = side_of(c);
    struct connection *to = opposite(s);

    if (s->relay->ops && s->relay->ops->on_bytes)
        s->relay->ops->on_bytes(s->relay->owner, s == &s->relay->sides[1], in->len);
    if (!to) {
        buffer_drain(in, in->len);
        return;
    }
    connection_write(to, in);
    if (end)
        connection_shutdown_write(to);
}

static void on_high_watermark(struct connection *c)
{
    struct connection *from = opposite(side_of(c));

    if (from)
        connection_read_pause(from);
}

static void on_low_watermark(struct connection *c)
{
    struct connection *from = opposite(side_of(c));

    if (from)
        connection_read_resume(from);
}

static void on_close(struct connection *c, enum close_reason reason)
{
    struct relay_side *s = side_of(c);
    struct relay *r = s->relay;
    struct connection *to = opposite(s);

    s->connection = NULL;
    if (!r->ended) {
        r->ended = true;
        r->who = s == &r->sides[1];
        r->reason = reason;
    }
    if (to) {
        /* What this side sent is still delivered; a broken side breaks the other */
        bool orderly = reason == CLOSE_REMOTE_CLOSE;
        connection_close(to, CLOSE_RELAY_END, orderly ? CLOSE_FLUSH : CLOSE_NOW, 0);
        return;
    }
    r->magic = 0;
    if (r->ops && r->ops->on_end)
        r->ops->on_end(r->owner, r->who, r->reason);
    mem_free(r);
}

static const struct connection_ops relay_connection_ops = {
    .on_data = on_data,
    .on_high_watermark = on_high_watermark,
    .on_low_watermark = on_low_watermark,
    .on_close = on_close,
};

struct relay *relay_new(struct connection *a, struct connection *b, uint32_t limit,
                        const struct relay_ops *ops, void *owner)
{
    struct relay *r = NEW(struct relay);

    r->magic = RELAY_MAGIC;
    r->ops = ops;
    r->owner = owner;
    r->sides[0] = (struct relay_side){.relay = r, .connection = a};
    r->sides[1] = (struct relay_side){.relay = r, .connection = b};
    for (unsigned i = 0; i < 2; i++) {
        struct connection *c = r->sides[i].connection;
        connection_set_half_close(c, true);
        connection_set_buffer_limit(c, limit ? limit : LIMIT_DEFAULT);
        connection_set_owner(c, &relay_connection_ops, &r->sides[i]);
    }
    return r;
}

void relay_close(struct relay *r, enum close_reason reason)
{
    CHECK_MAGIC(r, RELAY_MAGIC);
    for (unsigned i = 0; i < 2; i++)
        if (r->sides[i].connection)
            connection_close(r->sides[i].connection, reason, CLOSE_NOW, 0);
}
