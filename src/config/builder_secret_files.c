/* Secrets whose certificates and keys lie in files: the folders are watched, and what changed in a
 * file changes the contexts as a new secret would. What cannot be used is counted and told; what
 * was good last serves on. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/tls_decode.h"

struct folder {
    struct bytes path; /* owned */
    void *watch;       /* NULL: it cannot be watched */
};

struct secret_files {
    struct builder *b;
    struct resource_version *version;
    uint64_t hash; /* of what was read last, good or bad */
    void *due;     /* a reading; or NULL */
    struct folder *folders;
    size_t n, cap;
};

static void told_wrong(const struct secret_files *f, const struct error *err)
{
    const struct builder_table *t = &f->b->table;
    if (t->reload_failed)
        t->reload_failed(t->ctx, f->version->resource->name, error_text(err));
}

/* What fails as it failed before is not told again. */
static void reload(void *arg)
{
    struct secret_files *f = arg;
    struct builder *b = f->b;
    const struct resource *r = f->version->resource;
    struct error err = ERROR_INIT;
    uint64_t before = f->hash;
    f->due = NULL;
    if (f->version != r->active && f->version != r->refused)
        return;
    if (builder_secret_reload(b, f->version, &f->hash, &err)) {
        builder_commit(b);
    } else if (error_is_set(&err) && f->hash != before) {
        stat_inc(r->stats, STAT_SLOT_CONFIG, STAT_SDS_KEY_ROTATION_FAILED);
        told_wrong(f, &err);
    }
    error_fini(&err);
}

static void read_later(void *arg)
{
    struct secret_files *f = arg;
    if (!f->due)
        f->due = f->b->table.timer_start(f->b->table.ctx, 0, reload, f);
}

/* A folder that cannot be watched is told like a failed reading: what was read serves. */
static void watch_folder(struct secret_files *f, struct folder *folder, bool told)
{
    const struct builder_table *t = &f->b->table;
    struct error err = ERROR_INIT;
    folder->watch = t->watch(t->ctx, folder->path, read_later, f, &err);
    if (folder->watch)
        read_later(f); /* what came between the reading and now was not seen */
    else if (!told)
        told_wrong(f, &err);
    error_fini(&err);
}

/* One that was not there is tried again with each reading. */
static void watch(struct secret_files *f, struct bytes path)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!bytes_eq(f->folders[i].path, path))
            continue;
        if (!f->folders[i].watch)
            watch_folder(f, &f->folders[i], true);
        return;
    }
    char *copy = mem_alloc(path.len + 1);
    memcpy(copy, path.len ? path.data : "", path.len);
    GROW(f->folders, f->cap, f->n + 1);
    struct folder *folder = &f->folders[f->n++];
    *folder = (struct folder){.path = bytes_from(copy, path.len)};
    watch_folder(f, folder, false);
}

void builder_secret_watch(struct builder *b, struct resource_version *v,
                          const struct tls_reader *reader)
{
    if (reader->n_files == 0 || !b->table.watch)
        return;
    if (!v->files) {
        v->files = NEW(struct secret_files);
        *v->files = (struct secret_files){.b = b, .version = v, .hash = reader->files_hash};
    }
    for (unsigned i = 0; i < reader->n_files; i++)
        watch(v->files, reader->files[i].directory);
}

void builder_secret_unwatch(struct builder *b, struct resource_version *v)
{
    struct secret_files *f = v->files;
    v->files = NULL;
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        if (f->folders[i].watch)
            b->table.unwatch(b->table.ctx, f->folders[i].watch);
        mem_free((void *)f->folders[i].path.data);
    }
    if (f->due)
        b->table.timer_cancel(b->table.ctx, f->due);
    mem_free(f->folders);
    mem_free(f);
}
