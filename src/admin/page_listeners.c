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

struct admin_page *page_listeners(struct admin *a, const struct query *q)
{
    const struct snapshot *s = a->table.snapshot(a->table.ctx);
    struct bytes format = query_get(q, "format");
    bool is_json = bytes_eq_str(format, "json");
    struct text_page *t = text_page_new(200, is_json ? TEXT_JSON : TEXT_PLAIN);
    struct pmap_pair *list = s ? pmap_sorted(&s->listeners) : NULL;
    size_t n = s ? s->listeners.count : 0;
    struct json_out j = {.out = &t->text, .first = true};
    if (is_json)
        json_begin(&j, NULL, '{');
    if (is_json && n)
        json_begin(&j, "listener_statuses", '[');
    for (size_t i = 0; i < n; i++) {
        const struct listener *l = ((const struct listener_entry *)list[i].value)->listener;
        if (is_json)
            json_listener(a, l, &j);
        else
            text_listener(a, l, &t->text);
    }
    if (is_json && n)
        json_end(&j, ']');
    if (is_json) {
        json_end(&j, '}');
        strbuf_add_char(&t->text, '\n');
    }
    mem_free(list);
    return &t->page;
}
