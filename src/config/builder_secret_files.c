/* Secrets whose certificates and keys lie in files: the folders are watched, and what changed in a
 * file changes the contexts as a new secret would. What cannot be used is counted and told; what
 * was good last serves on. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/tls_decode.h"

struct secret_files {
    struct builder *b;
    struct resource_version *version;
    uint64_t hash; /* of what was read last, good or bad */
    void *due;     /* a reading; or NULL */
    unsigned n;
    void *watches[];
};

static void reload(void *arg)
{
    struct secret_files *f = arg;
    struct builder *b = f->b;
    struct resource *r = f->version->resource;
    struct error err = ERROR_INIT;
    f->due = NULL;
    if (f->version != r->active)
        return;
    if (builder_secret_reload(b, r, &f->hash, &err)) {
        builder_commit(b);
    } else {
        stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_SDS_KEY_ROTATION_FAILED);
        if (b->table.reload_failed)
            b->table.reload_failed(b->table.ctx, r->name, error_text(&err));
    }
    error_fini(&err);
}

static void on_change(void *arg)
{
    struct secret_files *f = arg;
    if (!f->due)
        f->due = f->b->table.timer_start(f->b->table.ctx, 0, reload, f);
}

static bool seen(const struct tls_reader *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (bytes_eq(r->files[k].directory, r->files[i].directory))
            return true;
    }
    return false;
}

/* A folder that cannot be watched is told like a failed reading: what was read serves. */
static void watch(struct secret_files *f, struct bytes folder)
{
    const struct builder_table *t = &f->b->table;
    struct error err = ERROR_INIT;
    void *w = t->watch(t->ctx, folder, on_change, f, &err);
    if (w)
        f->watches[f->n++] = w;
    else if (t->reload_failed)
        t->reload_failed(t->ctx, f->version->resource->name, error_text(&err));
    error_fini(&err);
}

void builder_secret_watch(struct builder *b, struct resource_version *v,
                          const struct tls_reader *reader)
{
    if (reader->n_files == 0 || !b->table.watch)
        return;
    struct secret_files *f = mem_zalloc(sizeof(*f) + reader->n_files * sizeof(f->watches[0]));
    f->b = b;
    f->version = v;
    f->hash = reader->files_hash;
    v->files = f;
    for (unsigned i = 0; i < reader->n_files; i++) {
        if (!seen(reader, i))
            watch(f, reader->files[i].directory);
    }
}

void builder_secret_unwatch(struct builder *b, struct resource_version *v)
{
    struct secret_files *f = v->files;
    v->files = NULL;
    if (!f)
        return;
    for (unsigned i = 0; i < f->n; i++)
        b->table.unwatch(b->table.ctx, f->watches[i]);
    if (f->due)
        b->table.timer_cancel(b->table.ctx, f->due);
    mem_free(f);
}
