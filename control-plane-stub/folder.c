#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* A file younger than this when it is read may change once more and look as before: clocks of file
 * systems are coarse. */
#define YOUNG_S 2

/* A file as last read: same stat, same content. */
struct folder_file {
    struct timespec mtime, ctime;
    off_t size;
    ino_t inode;
    dev_t device;
    bool young;
    bool good;
    uint64_t hash; /* of its text; 0: it could not be read */
    bool seen;     /* in the reading that is going on */
    char *problem;
    char *node_id;
    struct resource_array resources;
};

/* One reading of the folder. */
struct reading {
    struct folder *folder;
    struct text problems;
};

void folder_init(struct folder *f, const char *path, const struct desc_pool *pool)
{
    *f = (struct folder){.path = mem_string(path), .pool = pool};
}

static void file_free(struct folder_file *file)
{
    resource_array_fini(&file->resources);
    free(file->problem);
    free(file->node_id);
    free(file);
}

static void scopes_fini(struct folder_scope *scopes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        resource_array_fini(&scopes[i].resources);
        free(scopes[i].node_id);
    }
    free(scopes);
}

void folder_fini(struct folder *f)
{
    for (size_t i = 0; i < f->files.count; i++)
        file_free(f->files.entries[i].value);
    for (size_t i = 0; i < f->vars.count; i++)
        free(f->vars.entries[i].value);
    strmap_fini(&f->files);
    strmap_fini(&f->vars);
    strmap_fini(&f->directories);
    scopes_fini(f->scopes, f->scope_count);
    free(f->path);
}

static void problem(struct reading *r, const char *text)
{
    text_printf(&r->problems, "%s%s", r->problems.len ? "\n" : "", text);
}

static bool read_file(const char *path, struct text *out, struct error *err)
{
    FILE *in = fopen(path, "re");
    char buffer[65536];
    size_t n;
    bool ok;

    if (!in)
        return error_set(err, "%s: %s", path, strerror(errno));
    while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0)
        text_add(out, buffer, n);
    ok = !ferror(in);
    fclose(in);
    return ok ? true : error_set(err, "%s: cannot be read", path);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Is it, by its stat, what was read last? Else it is noted. */
static bool same_stat(struct folder_file *file, const struct stat *st)
{
    struct folder_file before = *file;

    file->mtime = st->st_mtim;
    file->ctime = st->st_ctim;
    file->size = st->st_size;
    file->inode = st->st_ino;
    file->device = st->st_dev;
    file->young = time(NULL) - st->st_ctim.tv_sec < YOUNG_S;
    return before.hash && !before.young && before.inode == file->inode &&
           before.device == file->device && before.size == file->size &&
           same_time(before.mtime, file->mtime) && same_time(before.ctime, file->ctime);
}

static void parse_file(struct folder *f, const char *path, const struct text *text,
                       struct folder_file *file)
{
    struct error err = {0};
    struct tree *tree = NULL;

    file->good = tree_parse(&tree, path, text_str(text), text->len, &f->vars, &err) &&
                 resources_from_tree(&file->resources, f->pool, tree, &err);
    if (!file->good) {
        file->problem = err.text;
        resource_array_fini(&file->resources);
    }
    tree_free(&tree);
}

/* Read it, and parse it if its text is another one. */
static void refresh_file(struct folder *f, const char *path, struct folder_file *file)
{
    struct error err = {0};
    struct text text = {0};
    bool ok = read_file(path, &text, &err);
    uint64_t hash = ok ? hash_bytes(HASH_START, text_str(&text), text.len) | 1 : 0;

    if (!ok || hash != file->hash) {
        f->changed = true;
        resource_array_fini(&file->resources);
        free(file->problem);
        file->problem = err.text;
        file->good = false;
        file->hash = hash;
        if (ok)
            parse_file(f, path, &text, file);
    }
    text_fini(&text);
}

static void visit_file(struct reading *r, const char *path, const struct stat *st,
                       const char *node_id)
{
    struct folder_file **place = (struct folder_file **)strmap_put(&r->folder->files, path);
    struct folder_file *file = *place;

    if (!file) {
        file = *place = mem_zero(sizeof(*file));
        file->node_id = mem_string(node_id);
    }
    file->seen = true;
    if (!same_stat(file, st))
        refresh_file(r->folder, path, file);
    if (!file->good)
        problem(r, file->problem);
}

static bool is_resource_file(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

static void visit_directory(struct reading *r, const char *path, const char *node_id, int depth,
                            bool holds_nodes);

static void visit_entry(struct reading *r, const char *path, const char *name, const char *node_id,
                        int depth, bool holds_nodes)
{
    struct stat st;

    if (stat(path, &st))
        return; /* gone between listing and looking, or a dangling link */
    if (S_ISREG(st.st_mode) && is_resource_file(name))
        visit_file(r, path, &st, node_id);
    if (!S_ISDIR(st.st_mode))
        return;
    if (holds_nodes)
        visit_directory(r, path, name, depth + 1, false);
    else if (depth == 0 && !strcmp(name, "nodes"))
        visit_directory(r, path, NULL, depth + 1, true);
    else if (depth == 0 && !strncmp(name, "node-", 5) && name[5])
        visit_directory(r, path, name + 5, depth + 1, false);
    else if (depth < 16)
        visit_directory(r, path, node_id, depth + 1, false);
}

static int not_hidden(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void visit_directory(struct reading *r, const char *path, const char *node_id, int depth,
                            bool holds_nodes)
{
    struct dirent **names;
    int count = scandir(path, &names, not_hidden, alphasort);

    if (depth == 0) {
        r->folder->changed |= r->folder->missing != (count < 0);
        r->folder->missing = count < 0;
    }
    if (count < 0) {
        if (depth == 0) {
            struct text t = {0};

            text_printf(&t, "%s: %s", path, strerror(errno));
            problem(r, text_str(&t));
            text_fini(&t);
        }
        return;
    }
    strmap_put(&r->folder->directories, path);
    for (int i = 0; i < count; i++) {
        struct text child = {0};

        text_printf(&child, "%s/%s", path, names[i]->d_name);
        visit_entry(r, text_str(&child), names[i]->d_name, node_id, depth, holds_nodes);
        text_fini(&child);
        free(names[i]);
    }
    free(names);
}

static struct folder_scope *scope_for(struct folder_scope **scopes, size_t *count, const char *id)
{
    for (size_t i = 0; i < *count; i++)
        if (id ? (*scopes)[i].node_id && !strcmp((*scopes)[i].node_id, id) : !(*scopes)[i].node_id)
            return &(*scopes)[i];
    *scopes = mem_resize(*scopes, (*count + 1) * sizeof(**scopes));
    (*scopes)[*count] = (struct folder_scope){.node_id = mem_string(id)};
    return &(*scopes)[(*count)++];
}

static int by_identity(const void *a, const void *b)
{
    const struct resource *x = *(struct resource *const *)a, *y = *(struct resource *const *)b;
    int c = strcmp(x->type_url, y->type_url);

    return c ? c : strcmp(x->name, y->name);
}

/* The same type and name twice for the same nodes. */
static void find_duplicates(struct reading *r, struct resource_array *a)
{
    if (a->count)
        qsort(a->items, a->count, sizeof(*a->items), by_identity);
    for (size_t i = 1; i < a->count; i++) {
        struct text t = {0};

        if (by_identity(&a->items[i - 1], &a->items[i]))
            continue;
        text_printf(&t, "%s: %s \"%s\" stands in %s as well", a->items[i]->origin,
                    desc_url_name(a->items[i]->type_url), a->items[i]->name,
                    a->items[i - 1]->origin);
        problem(r, text_str(&t));
        text_fini(&t);
    }
}

/* Forget files that are gone, sort the resources of the others by the nodes they are for. */
static void gather(struct reading *r, struct folder_scope **scopes, size_t *count)
{
    struct strmap kept = {0};

    scope_for(scopes, count, NULL);
    for (size_t i = 0; i < r->folder->files.count; i++) {
        struct folder_file *file = r->folder->files.entries[i].value;
        struct folder_scope *scope;

        if (!file->seen) {
            r->folder->changed = true;
            file_free(file);
            continue;
        }
        file->seen = false;
        *strmap_put(&kept, r->folder->files.entries[i].key) = file;
        scope = scope_for(scopes, count, file->node_id);
        for (size_t j = 0; j < file->resources.count; j++)
            resource_array_add(&scope->resources, resource_ref(file->resources.items[j]));
    }
    strmap_fini(&r->folder->files);
    r->folder->files = kept;
    for (size_t i = 0; i < *count; i++)
        find_duplicates(r, &(*scopes)[i].resources);
}

bool folder_read(struct folder *f, struct error *err)
{
    struct reading r = {.folder = f};
    struct folder_scope *scopes = NULL;
    size_t count = 0;

    f->changed = false;
    strmap_fini(&f->directories);
    visit_directory(&r, f->path, NULL, 0, false);
    gather(&r, &scopes, &count);
    if (r.problems.len) {
        error_set(err, "%s", text_str(&r.problems));
        text_fini(&r.problems);
        scopes_fini(scopes, count);
        return false;
    }
    scopes_fini(f->scopes, f->scope_count);
    f->scopes = scopes;
    f->scope_count = count;
    return true;
}
