#include "config/tls_live.h"

#include "base/memory.h"
#include "config/builder_private.h"
#include "config/tls_decode.h"

struct tls_live {
    struct builder *b; /* NULL: it is gone */
    struct tls_socket *socket;
    struct list link;
    uint64_t hash; /* of what was read last, good or bad */
    void *due;     /* a reading; or NULL */
    unsigned n;
    void *watches[];
};

static void told_wrong(const struct tls_live *l, const struct error *err)
{
    if (l->b->table.reload_failed)
        l->b->table.reload_failed(l->b->table.ctx, BYTES("trust_bundles"), error_text(err));
}

static void reload(void *arg)
{
    struct tls_live *l = arg;
    struct builder *b = l->b;
    struct error err = ERROR_INIT;
    l->due = NULL;
    if (builder_socket_reload(b, l->socket, &l->hash, &err))
        builder_commit(b);
    else if (error_is_set(&err))
        told_wrong(l, &err);
    error_fini(&err);
}

static void on_change(void *arg)
{
    struct tls_live *l = arg;
    if (!l->due)
        l->due = l->b->table.timer_start(l->b->table.ctx, 0, reload, l);
}

static void watch(struct tls_live *l, struct bytes folder)
{
    struct error err = ERROR_INIT;
    void *w = l->b->table.watch(l->b->table.ctx, folder, on_change, l, &err);
    if (w)
        l->watches[l->n++] = w;
    else
        told_wrong(l, &err);
    error_fini(&err);
}

void builder_live_note(struct builder *b, struct tls_socket *s, const struct tls_reader *reader)
{
    if (s->live)
        s->live->hash = reader->live_hash;
    if (s->live || !reader->live_hash || !b->table.watch)
        return;
    struct tls_live *l = mem_zalloc(sizeof(*l) + reader->n_files * sizeof(l->watches[0]));
    l->b = b;
    l->socket = s;
    l->hash = reader->live_hash;
    list_push_back(&b->live_sockets, &l->link);
    s->live = l;
    for (unsigned i = 0; i < reader->n_files; i++) {
        if (reader->files[i].live)
            watch(l, reader->files[i].directory);
    }
}

static void unwatch(struct tls_live *l)
{
    if (!l->b)
        return;
    for (unsigned i = 0; i < l->n; i++)
        l->b->table.unwatch(l->b->table.ctx, l->watches[i]);
    if (l->due)
        l->b->table.timer_cancel(l->b->table.ctx, l->due);
    list_remove(&l->link);
    l->b = NULL;
}

void builder_live_free(struct tls_live **lp)
{
    struct tls_live *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    unwatch(l);
    mem_free(l);
}

void builder_live_fini(struct builder *b)
{
    while (!list_empty(&b->live_sockets))
        unwatch(CONTAINER_OF(list_first(&b->live_sockets), struct tls_live, link));
}
