/* POST /v3/discovery:TYPE: what is served, for clients that poll (REST-JSON). A request that tells
 * the version of all there is gets 304. Each one is an event, as those of streams are. */
#include "control_internal.h"
#include "json.h"
#include "print.h"
#include "types.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *plural, *nick;
} plurals[] = {
    {"clusters", "cds"}, {"endpoints", "eds"}, {"listeners", "lds"},          {"routes", "rds"},
    {"secrets", "sds"},  {"runtime", "rtds"},  {"extension_configs", "ecds"},
};

static const struct resource_type *type_of_path(const struct http_request *r)
{
    static const char before[] = "discovery:";
    const char *second = r->segment_count == 2 ? r->segments[1] : "";

    if (strncmp(second, before, sizeof(before) - 1))
        return NULL;
    for (size_t i = 0; i < sizeof(plurals) / sizeof(*plurals); i++)
        if (!strcmp(second + sizeof(before) - 1, plurals[i].plural))
            return resource_type_named(plurals[i].nick);
    return NULL;
}

static const char *text_of(const struct node *n, const char *key)
{
    const struct node *x = n ? node_get(n, key) : NULL;

    return x && x->kind == NODE_SCALAR ? x->text : "";
}

/* Everything, or what is asked for by name and exists. */
static void fill(const struct type_set *set, const struct node *names, struct xds_response *out)
{
    bool all = !names || names->kind != NODE_LIST || !names->count;

    for (size_t i = 0; set && all && i < set->count; i++)
        response_add(out, set->items[i]);
    for (size_t i = 0; set && !all && i < names->count; i++) {
        struct resource *x = type_set_get(set, names->items[i]->text);

        if (x)
            response_add(out, x);
    }
}

static void note(struct hub *hub, const char *node, const char *type_url, const char *version)
{
    struct text line = {0};

    event_begin(&hub->events, &line, "poll", 0, node, type_url);
    json_member(&line, "version_info", version);
    event_log_add(&hub->events, "poll", node, type_url, &line, NULL);
}

static void answer(struct control *ctl, struct http_conn *c, const char *type_url,
                   const struct node *request)
{
    const struct desc_message *m =
        desc_find(ctl->hub->pool, "envoy.service.discovery.v3.DiscoveryResponse");
    const char *id = text_of(node_get(request, "node"), "id");
    const char *version = text_of(request, "version_info");
    const struct node *names = node_get(request, "resource_names");
    struct xds_response response = {.nonce = mem_string("")};
    struct wire_extra extra = {0};
    struct text bytes = {0}, body = {0};
    bool same;

    hub_lock(ctl->hub);
    const struct snapshot *s = world_for(ctl->hub->world, id);
    response.type_url = mem_string(type_url);
    response.version = mem_string(snapshot_version(s, type_url));
    same = !strcmp(response.version, version) && (!names || !names->count);
    fill(snapshot_type(s, type_url), names, &response);
    wire_write(DIALECT_SOTW, &response, &extra, &bytes);
    note(ctl->hub, id, type_url, version);
    hub_unlock(ctl->hub);
    print_message(ctl->hub->pool, m, bytes.data, bytes.len, &body);
    if (same)
        http_reply(c, 304, "application/json", "", 0);
    else
        reply_json(c, 200, &body);
    response_fini(&response);
    text_fini(&bytes);
    text_fini(&body);
}

void handle_rest(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const struct resource_type *type = type_of_path(r);
    char *type_url = type ? type_url_of(type->full_name) : NULL;
    struct tree *tree = NULL;
    struct error err = {0};

    if (!type)
        reply_error(c, 404, "there is no such type: /v3/discovery:clusters and the like");
    else if (!tree_parse(&tree, "body", r->body, r->body_len, &ctl->publisher->folder.vars, &err))
        reply_error(c, 400, "%s", err.text);
    else if (tree->document_count != 1 || tree->documents[0]->kind != NODE_MAP)
        reply_error(c, 400, "body: a DiscoveryRequest is needed");
    else
        answer(ctl, c, type_url, tree->documents[0]);
    tree_free(&tree);
    error_fini(&err);
    free(type_url);
}
