#include "admin/pages.h"
#include "base/memory.h"

/* Why something is not ready yet: which listeners and clusters wait, and for what. */
struct init_dump {
    struct text_page text;
    struct admin *admin;
    struct json_out json;
    bool any, listeners_only, abandoned;
};

static void add_target(struct json_out *j, struct bytes target)
{
    struct strbuf text = STRBUF_INIT;
    struct bytes type = bytes_split(&target, ' ');
    if (bytes_eq_str(type, "rds"))
        strbuf_add_str(&text, "shared target RdsRouteConfigSubscription RDS init ");
    else if (bytes_eq_str(type, "sds"))
        strbuf_add_str(&text, "shared target SdsApi ");
    else if (bytes_eq_str(type, "srds"))
        target = BYTES("target ConfigSubscriptionCommonBase init target 'SRDS'"); /* of all names */
    else if (bytes_eq_str(type, "ecds"))
        strbuf_add_str(&text, "shared target FilterConfigSubscription init ");
    else
        strbuf_printf(&text, "%.*s ", BYTES_ARG(type));
    strbuf_add_bytes(&text, target);
    json_string(j, NULL, strbuf_bytes(&text));
    strbuf_fini(&text);
}

static bool add_waiting(void *ctx, const struct resource_view *v)
{
    struct init_dump *d = ctx;
    struct bytes rest = bytes_of(v->waiting_for);
    struct strbuf name = STRBUF_INIT;
    if (!rest.len)
        return true;
    if (!d->any)
        json_begin(&d->json, "unready_targets_dumps", '[');
    d->any = true;
    json_begin(&d->json, NULL, '{');
    strbuf_printf(&name, "%s %.*s",
                  v->type == RESOURCE_LISTENER  ? "init manager Listener-local-init-manager"
                  : v->type == RESOURCE_CLUSTER ? "cluster"
                                                : "held routes",
                  BYTES_ARG(v->name));
    json_string(&d->json, "name", strbuf_bytes(&name));
    strbuf_fini(&name);
    json_begin(&d->json, "target_names", '[');
    while (rest.len) {
        struct bytes one = bytes_split(&rest, ',');
        add_target(&d->json, bytes_trim(one));
    }
    json_end(&d->json, ']');
    json_end(&d->json, '}');
    return true;
}

static void init_build(struct builder *b, void *arg)
{
    struct init_dump *d = arg;
    d->json = (struct json_out){.out = &d->text.text, .first = true};
    json_begin(&d->json, NULL, '{');
    builder_each(b, RESOURCE_LISTENER, 0, add_waiting, d);
    if (!d->listeners_only)
        builder_each(b, RESOURCE_CLUSTER, 0, add_waiting, d);
    if (!d->listeners_only)
        builder_each(b, RESOURCE_ROUTE, 0, add_waiting, d);
    if (d->any)
        json_end(&d->json, ']');
    json_end(&d->json, '}');
    strbuf_add_char(&d->text.text, '\n');
}

static void init_free(struct admin_page *page)
{
    struct init_dump *d = (struct init_dump *)page;
    if (page->waiting) {
        d->abandoned = true;
        return;
    }
    strbuf_fini(&d->text.text);
    mem_free(d);
}

static void init_built(void *arg)
{
    struct init_dump *d = arg;
    d->text.page.waiting = false;
    if (d->abandoned)
        init_free(&d->text.page);
    else
        d->text.page.on_ready(d->text.page.owner);
}

struct admin_page *page_init_dump(struct admin *a, const struct query *q)
{
    struct bytes mask = query_get(q, "mask");
    if (mask.len && !bytes_eq_str(mask, "listener")) {
        struct text_page *t = text_page_new(200, TEXT_JSON);
        strbuf_add_str(&t->text, "{}\n");
        return &t->page;
    }
    struct text_page *start = text_page_new(200, TEXT_JSON);
    struct init_dump *d = NEW(struct init_dump);
    d->text = *start;
    mem_free(start);
    d->admin = a;
    d->listeners_only = mask.len > 0;
    d->text.page.free = init_free;
    d->text.page.waiting = true;
    a->table.ask_config(a->table.ctx, init_build, init_built, d);
    return &d->text.page;
}
