#include "admin/name_list.h"
#include "admin/pages.h"
#include "base/memory.h"

void json_address(struct json_out *j, const char *key, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    json_begin(j, key, '{');
    if (a->kind == ADDRESS_PIPE) {
        json_begin(j, "pipe", '{');
        json_string(j, "path", bytes_of(address_format(a, text)));
    } else {
        json_begin(j, "socket_address", '{');
        json_string(j, "address", bytes_of(address_format_ip(a, text)));
        if (a->port)
            json_number(j, "port_value", a->port);
    }
    json_end(j, '}');
    json_end(j, '}');
}

static struct address bound(struct admin *a, const struct listener *l, unsigned i)
{
    struct address address = l->addresses[i].address;
    a->table.bound_address(a->table.ctx, l, i, &address);
    return address;
}

struct listeners_page {
    struct admin_page page;
    struct admin *admin;
    struct name_list names;
    bool is_json, any;
    struct json_out json;
};

static void text_listener(struct admin *a, const struct listener *l, struct strbuf *out)
{
    char text[ADDRESS_TEXT_MAX];
    for (unsigned i = 0; i < l->n_addresses; i++) {
        struct address address = bound(a, l, i);
        strbuf_printf(out, "%.*s::%s\n", BYTES_ARG(l->name), address_format(&address, text));
    }
}

static void json_listener(struct admin *a, const struct listener *l, struct json_out *j)
{
    struct address address = bound(a, l, 0);
    json_begin(j, NULL, '{');
    json_string(j, "name", l->name);
    json_address(j, "local_address", &address);
    if (l->n_addresses > 1) {
        json_begin(j, "additional_local_addresses", '[');
        for (unsigned i = 1; i < l->n_addresses; i++) {
            address = bound(a, l, i);
            json_address(j, NULL, &address);
        }
        json_end(j, ']');
    }
    json_end(j, '}');
}

static void print_one(struct listeners_page *p, const struct listener *l, struct strbuf *out)
{
    if (!p->is_json) {
        text_listener(p->admin, l, out);
        return;
    }
    if (!p->any)
        json_begin(&p->json, "listener_statuses", '[');
    p->any = true;
    json_listener(p->admin, l, &p->json);
}

static bool listeners_next(struct admin_page *page, struct strbuf *out)
{
    struct listeners_page *p = (struct listeners_page *)page;
    const struct snapshot *s = p->admin->table.snapshot(p->admin->table.ctx);
    p->json.out = out;
    if (p->is_json && p->json.depth == 0)
        json_begin(&p->json, NULL, '{');
    struct name_list *l = &p->names;
    for (; l->at < l->n && out->len < ADMIN_SLICE; l->at++) {
        const struct listener_entry *e = s ? snapshot_listener(s, l->names[l->at]) : NULL;
        if (e && p->admin->table.listens(p->admin->table.ctx, e->listener))
            print_one(p, e->listener, out);
    }
    if (l->at < l->n)
        return true;
    if (p->is_json) {
        if (p->any)
            json_end(&p->json, ']');
        json_end(&p->json, '}');
        strbuf_add_char(out, '\n');
    }
    return false;
}

static void listeners_free(struct admin_page *page)
{
    struct listeners_page *p = (struct listeners_page *)page;
    name_list_fini(&p->names);
    mem_free(p);
}

struct admin_page *page_listeners(struct admin *a, const struct query *q)
{
    const struct snapshot *s = a->table.snapshot(a->table.ctx);
    struct listeners_page *p = NEW(struct listeners_page);
    p->admin = a;
    p->is_json = bytes_eq_str(query_get(q, "format"), "json");
    p->json.first = true;
    p->page = (struct admin_page){.status = 200,
                                  .content_type = p->is_json ? TEXT_JSON : TEXT_PLAIN,
                                  .next = listeners_next,
                                  .free = listeners_free};
    name_list_init(&p->names, s ? &s->listeners : NULL, NULL);
    return &p->page;
}
