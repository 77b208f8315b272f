#include "publisher.h"

#include "references.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void publisher_init(struct publisher *p, struct hub *hub, const char *path)
{
    *p = (struct publisher){.hub = hub};
    folder_init(&p->folder, path, hub->pool);
}

void publisher_fini(struct publisher *p)
{
    folder_fini(&p->folder);
    resource_array_fini(&p->overlay);
    strmap_fini(&p->gone);
    free(p->problem);
}

static struct world *build(const struct publisher *p)
{
    struct world *w = mem_zero(sizeof(*w));
    const struct resource_array none = {0};
    const struct resource_array *parts[3] = {&none, &p->overlay, NULL};

    if (p->folder.scope_count)
        parts[0] = &p->folder.scopes[0].resources;
    snapshot_build(&w->shared, parts, 2, &p->gone);
    for (size_t i = 1; i < p->folder.scope_count; i++) {
        struct snapshot *s = mem_zero(sizeof(*s));

        parts[1] = &p->folder.scopes[i].resources;
        parts[2] = &p->overlay;
        snapshot_build(s, parts, 3, &p->gone);
        *strmap_put(&w->nodes, p->folder.scopes[i].node_id) = s;
    }
    return w;
}

/* Warnings of every snapshot of the world, each line once. */
static void check_world(const struct publisher *p, const struct world *w, struct text *out)
{
    struct strmap seen = {0};

    references_check(p->hub->pool, &w->shared, p->known_clusters, &seen);
    for (size_t i = 0; i < w->nodes.count; i++)
        references_check(p->hub->pool, w->nodes.entries[i].value, p->known_clusters, &seen);
    for (size_t i = 0; i < seen.count; i++)
        text_printf(out, "%s%s", i ? "\n" : "", seen.entries[i].key);
    strmap_fini(&seen);
}

static void print_lines(const char *label, const char *lines)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n");

        fprintf(stderr, "xylem-stub: %s: %.*s\n", label, (int)len, lines);
        lines += len + (lines[len] == '\n');
    }
}

bool publisher_publish(struct publisher *p, struct error *err)
{
    struct world *w = build(p);
    struct text warnings = {0};

    check_world(p, w, &warnings);
    print_lines(p->strict ? "error" : "warning", text_str(&warnings));
    if (warnings.len && p->strict) {
        error_set(err, "not published: %s", text_str(&warnings));
        text_fini(&warnings);
        world_free(&w);
        return false;
    }
    text_fini(&warnings);
    hub_lock(p->hub);
    hub_publish(p->hub, &w);
    hub_unlock(p->hub);
    return true;
}

bool publisher_reload(struct publisher *p)
{
    struct error err = {0};
    bool good = folder_read(&p->folder, &err);

    if (!p->folder.changed && p->read_once) {
        error_fini(&err);
        return !p->problem;
    }
    p->read_once = true;
    free(p->problem);
    p->problem = NULL;
    if (!good) {
        print_lines("error", err.text);
        fprintf(stderr, "xylem-stub: not published, the last good set stays\n");
        p->problem = err.text;
        return false;
    }
    if (!publisher_publish(p, &err)) {
        fprintf(stderr, "xylem-stub: not published (--strict), the last good set stays\n");
        p->problem = err.text;
        return false;
    }
    return true;
}

static void drop_overlay(struct publisher *p, const char *type_url, const char *name)
{
    struct resource_array *a = &p->overlay;
    size_t kept = 0;

    for (size_t i = 0; i < a->count; i++) {
        struct resource *r = a->items[i];

        if (!strcmp(r->type_url, type_url) && !strcmp(r->name, name))
            resource_unref(&r);
        else
            a->items[kept++] = r;
    }
    a->count = kept;
}

static char *gone_key(const char *type_url, const char *name)
{
    struct text t = {0};

    text_printf(&t, "%s\n%s", type_url, name);
    return text_take(&t);
}

/* The overlay as it was, to go back to when a change cannot be published. */
struct saved {
    struct resource_array overlay;
    struct strmap gone;
};

static void save(const struct publisher *p, struct saved *s)
{
    *s = (struct saved){0};
    for (size_t i = 0; i < p->overlay.count; i++)
        resource_array_add(&s->overlay, resource_ref(p->overlay.items[i]));
    for (size_t i = 0; i < p->gone.count; i++)
        strmap_put(&s->gone, p->gone.entries[i].key);
}

static bool publish_or_restore(struct publisher *p, struct saved *s, struct error *err)
{
    bool ok = publisher_publish(p, err);

    if (!ok) {
        struct resource_array overlay = p->overlay;
        struct strmap gone = p->gone;

        p->overlay = s->overlay;
        p->gone = s->gone;
        *s = (struct saved){overlay, gone};
    }
    resource_array_fini(&s->overlay);
    strmap_fini(&s->gone);
    return ok;
}

bool publisher_put(struct publisher *p, struct resource *r, struct error *err)
{
    char *key = gone_key(r->type_url, r->name);
    struct saved before;

    save(p, &before);
    drop_overlay(p, r->type_url, r->name);
    strmap_remove(&p->gone, key);
    free(key);
    resource_array_add(&p->overlay, r);
    return publish_or_restore(p, &before, err);
}

bool publisher_delete(struct publisher *p, const char *type_url, const char *name,
                      struct error *err)
{
    char *key = gone_key(type_url, name);
    struct saved before;

    save(p, &before);
    drop_overlay(p, type_url, name);
    strmap_put(&p->gone, key);
    free(key);
    return publish_or_restore(p, &before, err);
}

bool publisher_reset(struct publisher *p, struct error *err)
{
    resource_array_fini(&p->overlay);
    strmap_fini(&p->gone);
    return publisher_publish(p, err);
}
