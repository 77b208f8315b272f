/* GET, PUT and DELETE /resources: what is served, and the overlay over the folder. */
#include "control_internal.h"
#include "json.h"
#include "print.h"

#include <stdlib.h>
#include <string.h>

static void put_type(const struct type_set *t, struct text *body)
{
    json_open(body, '{');
    json_member(body, "type", t->type_url);
    json_member(body, "version", t->version);
    json_key(body, "resources");
    json_open(body, '[');
    for (size_t i = 0; i < t->count; i++) {
        json_open(body, '{');
        json_member(body, "name", t->items[i]->name);
        json_member_int(body, "bytes", (long long)t->items[i]->len);
        json_member(body, "origin", t->items[i]->origin);
        json_close(body, '}');
    }
    json_close(body, ']');
    json_close(body, '}');
}

static void list(struct control *ctl, struct http_conn *c, const struct http_request *r,
                 const char *type_url)
{
    const struct snapshot *s;
    struct text body = {0};

    hub_lock(ctl->hub);
    s = world_for(ctl->hub->world, http_query(r, "node"));
    json_open(&body, '{');
    json_key(&body, "types");
    json_open(&body, '[');
    for (size_t i = 0; i < s->count; i++)
        if (!type_url || !strcmp(type_url, s->types[i].type_url))
            put_type(&s->types[i], &body);
    json_close(&body, ']');
    json_close(&body, '}');
    hub_unlock(ctl->hub);
    reply_json(c, 200, &body);
}

/* `?format=raw`: the resource's bytes as they are served; there is no other one. */
static bool wants_raw(const struct http_request *r)
{
    return http_query(r, "format") != NULL;
}

/* One resource in full, as JSON. */
static void show(struct control *ctl, struct http_conn *c, const struct http_request *r,
                 const char *type_url)
{
    const struct desc_message *m = desc_find(ctl->hub->pool, type_url);
    const struct resource *item;
    struct text body = {0};

    hub_lock(ctl->hub);
    item = type_set_get(snapshot_type(world_for(ctl->hub->world, http_query(r, "node")), type_url),
                        r->segments[2]);
    if (item && wants_raw(r)) {
        text_add(&body, item->value, item->len);
    } else if (item) {
        json_open(&body, '{');
        json_member(&body, "type", type_url);
        json_member(&body, "name", item->name);
        json_member(&body, "origin", item->origin);
        if (m) {
            json_key(&body, "resource");
            print_message(ctl->hub->pool, m, item->value, item->len, &body);
        }
        json_close(&body, '}');
    }
    hub_unlock(ctl->hub);
    if (!item)
        reply_error(c, 404, "%s \"%s\" is not served", desc_url_name(type_url), r->segments[2]);
    else if (wants_raw(r))
        http_reply(c, 200, "application/octet-stream", text_str(&body), body.len);
    else
        reply_json(c, 200, &body);
    text_fini(&body);
}

static void reply_changed(struct control *ctl, struct http_conn *c, const char *type_url,
                          const char *name)
{
    struct text body = {0};

    json_open(&body, '{');
    json_member(&body, "type", type_url);
    json_member(&body, "name", name);
    hub_lock(ctl->hub);
    json_member(&body, "version", snapshot_version(&ctl->hub->world->shared, type_url));
    hub_unlock(ctl->hub);
    json_close(&body, '}');
    reply_json(c, 200, &body);
}

static bool make_resource(struct control *ctl, const struct http_request *r, const char *type_url,
                          struct resource **out, struct error *err)
{
    struct tree *tree = NULL;
    bool ok = tree_parse(&tree, "body", r->body, r->body_len, &ctl->publisher->folder.vars, err);

    *out = NULL;
    if (ok && tree->document_count != 1)
        ok = error_set(err, "body: one resource is needed");
    ok = ok && resource_make(out, ctl->hub->pool, "body", tree->documents[0], type_url,
                             r->segments[2], err);
    if (ok && strcmp((*out)->type_url, type_url)) {
        error_set(err, "body: it is a %s, not a %s", desc_url_name((*out)->type_url),
                  desc_url_name(type_url));
        resource_unref(out);
        ok = false;
    }
    tree_free(&tree);
    return ok;
}

static void put(struct control *ctl, struct http_conn *c, const struct http_request *r,
                const char *type_url)
{
    struct resource *made;
    struct error err = {0};

    if (make_resource(ctl, r, type_url, &made, &err) && publisher_put(ctl->publisher, made, &err))
        reply_changed(ctl, c, type_url, r->segments[2]);
    else
        reply_error(c, 400, "%s", err.text);
    error_fini(&err);
}

static void delete (struct control *ctl, struct http_conn *c, const struct http_request *r,
                    const char *type_url)
{
    struct error err = {0};
    bool known;

    hub_lock(ctl->hub);
    known = type_set_get(snapshot_type(world_for(ctl->hub->world, http_query(r, "node")), type_url),
                         r->segments[2]) != NULL;
    hub_unlock(ctl->hub);
    if (!known)
        reply_error(c, 404, "%s \"%s\" is not served", desc_url_name(type_url), r->segments[2]);
    else if (publisher_delete(ctl->publisher, type_url, r->segments[2], &err))
        reply_changed(ctl, c, type_url, r->segments[2]);
    else
        reply_error(c, 400, "%s", err.text);
    error_fini(&err);
}

static void reset(struct control *ctl, struct http_conn *c)
{
    struct error err = {0};
    struct text body = {0};

    if (publisher_reset(ctl->publisher, &err)) {
        text_puts(&body, "{}");
        reply_json(c, 200, &body);
    } else {
        reply_error(c, 400, "%s", err.text);
    }
    error_fini(&err);
}

static void with_type(struct control *ctl, struct http_conn *c, const struct http_request *r,
                      const char *type_url)
{
    bool named = r->segment_count == 3;

    if (!strcmp(r->method, "GET"))
        named ? show(ctl, c, r, type_url) : list(ctl, c, r, type_url);
    else if (!named)
        reply_error(c, 400, "%s /resources/TYPE/NAME is needed", r->method);
    else if (!strcmp(r->method, "PUT"))
        put(ctl, c, r, type_url);
    else
        delete (ctl, c, r, type_url);
}

static bool valid_query(struct http_conn *c, const struct http_request *r)
{
    const char *of_get[] = {"node type", "node type", "node", "node format"};
    const char *of_delete[] = {"type", "type", "", "node"};
    const char *format = http_query(r, "format");

    if (!query_known(c, r,
                     !strcmp(r->method, "GET")   ? of_get[r->segment_count]
                     : !strcmp(r->method, "PUT") ? ""
                                                 : of_delete[r->segment_count]))
        return false;
    if (format && strcmp(format, "raw")) {
        reply_error(c, 400, "format is raw, or left out, not \"%s\"", format);
        return false;
    }
    return true;
}

void handle_resources(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const char *type = r->segment_count > 1 ? r->segments[1] : http_query(r, "type");
    char *type_url;

    if (!valid_query(c, r))
        return;
    if (!type && !strcmp(r->method, "GET")) {
        list(ctl, c, r, NULL);
        return;
    }
    if (!type && !strcmp(r->method, "DELETE")) {
        reset(ctl, c);
        return;
    }
    type_url = type_param(ctl, c, type);
    if (type_url)
        with_type(ctl, c, r, type_url);
    free(type_url);
}
