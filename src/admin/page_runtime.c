/* /runtime and /runtime_modify: the values are the config thread's. */
#include "admin/admin.h"
#include "admin/json_out.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "config/builder.h"
#include "config/runtime.h"

struct runtime_page {
    struct text_page text; /* first */
    struct query changes;  /* of /runtime_modify; in the arena */
    struct arena *arena;
    bool abandoned;
};

static struct bytes text_of(const struct runtime_value *v)
{
    return v ? bytes_from(v->text, v->len) : BYTES("");
}

static void print_entry(struct json_out *j, const struct runtime *r, struct bytes key)
{
    json_begin_named(j, key, '{');
    json_string(j, "final_value", text_of(runtime_get(r, key)));
    json_begin(j, "layer_values", '[');
    for (unsigned i = 0; i < r->n_layers; i++) {
        if (!r->layers[i].absent)
            json_string(j, NULL, text_of(map_get(&r->layers[i].values, key)));
    }
    json_end(j, ']');
    json_end(j, '}');
}

static void build(struct builder *b, void *arg)
{
    static const struct runtime nothing;
    struct runtime_page *p = arg;
    const struct runtime *r = builder_decode_context(b)->runtime;
    struct json_out j = {.out = &p->text.text, .first = true};
    size_t n;
    r = r ? r : &nothing;
    struct bytes *keys = runtime_keys(r, &n);
    json_begin(&j, NULL, '{');
    json_begin(&j, "entries", '{');
    for (size_t i = 0; i < n; i++)
        print_entry(&j, r, keys[i]);
    json_end(&j, '}');
    json_begin(&j, "layers", '[');
    for (unsigned i = 0; i < r->n_layers; i++) {
        if (!r->layers[i].absent)
            json_string(&j, NULL, r->layers[i].name);
    }
    json_end(&j, ']');
    json_end(&j, '}');
    strbuf_add_char(&p->text.text, '\n');
    mem_free(keys);
}

static void modify(struct builder *b, void *arg)
{
    struct runtime_page *p = arg;
    struct runtime *r = builder_decode_context(b)->runtime;
    for (unsigned i = p->changes.n_params; i > 0; i--) /* of several, the first one stays */
        runtime_modify(r, p->changes.params[i - 1].name, p->changes.params[i - 1].value);
    strbuf_add_str(&p->text.text, "OK\n");
}

static void page_free(struct admin_page *page)
{
    struct runtime_page *p = (struct runtime_page *)page;
    if (page->waiting) {
        p->abandoned = true;
        return;
    }
    strbuf_fini(&p->text.text);
    arena_free(&p->arena);
    mem_free(p);
}

static void done(void *arg)
{
    struct runtime_page *p = arg;
    p->text.page.waiting = false;
    if (p->abandoned)
        page_free(&p->text.page);
    else
        p->text.page.on_ready(p->text.page.owner);
}

static struct runtime_page *page_new(const char *type)
{
    struct text_page *start = text_page_new(200, type);
    struct runtime_page *p = NEW(struct runtime_page);
    p->text = *start;
    mem_free(start);
    p->arena = arena_new(0);
    p->text.page.free = page_free;
    p->text.page.waiting = true;
    return p;
}

struct admin_page *page_runtime(struct admin *a, const struct query *q)
{
    struct runtime_page *p = page_new(TEXT_JSON);
    a->table.ask_config(a->table.ctx, build, done, p);
    return &p->text.page;
}

struct admin_page *page_runtime_modify(struct admin *a, const struct query *q)
{
    if (q->n_params == 0)
        return page_error(400, "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n"
                               "       or send the parameters as form values\n"
                               "use an empty value to remove a previously added override");
    if (!a->table.runtime || runtime_find_layer(a->table.runtime, RUNTIME_ADMIN, BYTES_NONE) < 0)
        return page_error(503, "No admin layer specified");
    struct runtime_page *p = page_new(TEXT_PLAIN);
    p->changes.n_params = q->n_params;
    p->changes.params = ARENA_ARRAY(p->arena, struct query_param, q->n_params);
    for (unsigned i = 0; i < q->n_params; i++)
        p->changes.params[i] = (struct query_param){arena_dup(p->arena, q->params[i].name),
                                                    arena_dup(p->arena, q->params[i].value)};
    a->table.ask_config(a->table.ctx, modify, done, p);
    return &p->text.page;
}
