/* POST /v3/discovery:TYPE: what is served, for clients that poll (REST-JSON). What tells the
 * version of all there is gets 304; 400 gets what is no DiscoveryRequest in proto3 JSON or is of
 * another type. Each one is an event, as those of streams are. */
#include "control_internal.h"
#include "encode.h"
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

/* A field by its name as in the .proto file or as in JSON; NULL where it is not given. */
static const struct node *field(const struct node *n, const char *name, const char *camel)
{
    const struct node *x = node_get(n, name);

    x = x ? x : node_get(n, camel);
    return x && !node_is_null(x) ? x : NULL;
}

static const char *text_of(const struct node *n, const char *name, const char *camel)
{
    const struct node *x = field(n, name, camel);

    return x ? x->text : "";
}

/* Everything, or what is asked for by name and exists. */
static void fill(const struct type_set *set, const struct node *names, struct xds_response *out)
{
    bool all = !names || !names->count;

    for (size_t i = 0; set && all && i < set->count; i++)
        response_add(out, set->items[i]);
    for (size_t i = 0; set && !all && i < names->count; i++) {
        struct resource *x = type_set_get(set, names->items[i]->text);

        if (x)
            response_add(out, x);
    }
}

static void note(struct hub *hub, const char *node, const char *type_url, const char *version,
                 const char *refused)
{
    struct text line = {0};

    event_begin(&hub->events, &line, "poll", 0, node, type_url);
    json_member(&line, "version_info", version);
    json_member(&line, "refused", refused);
    event_log_add(&hub->events, "poll", node, type_url, &line, NULL);
}

static void answer(struct control *ctl, struct http_conn *c, const char *type_url,
                   const struct node *request)
{
    const struct desc_message *m =
        desc_find(ctl->hub->pool, "envoy.service.discovery.v3.DiscoveryResponse");
    const char *id = text_of(node_get(request, "node"), "id", "id");
    const char *version = text_of(request, "version_info", "versionInfo");
    const struct node *names = field(request, "resource_names", "resourceNames");
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
    note(ctl->hub, id, type_url, version, NULL);
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

/* Is it a DiscoveryRequest, as a strict server reads one, and of the path's type? */
static bool valid(const struct control *ctl, const char *type_url, const struct tree *tree,
                  struct error *err)
{
    struct encoder e = {.pool = ctl->hub->pool, .file = "body", .err = err, .json = true};
    const struct desc_message *m = desc_find(e.pool, "envoy.service.discovery.v3.DiscoveryRequest");
    struct text bytes = {0};
    const char *told;
    bool ok;

    if (tree->document_count != 1)
        return error_set(err, "body: a DiscoveryRequest is needed");
    ok = encode_message(&e, m, tree->documents[0], NULL, &bytes);
    text_fini(&bytes);
    if (!ok)
        return false;
    told = text_of(tree->documents[0], "type_url", "typeUrl");
    if (*told && strcmp(told, type_url))
        return error_set(err, "body: type_url: the path is for %s, not %s", type_url, told);
    return true;
}

static void refuse(struct control *ctl, struct http_conn *c, const char *type_url, const char *why)
{
    hub_lock(ctl->hub);
    note(ctl->hub, NULL, type_url, NULL, why);
    hub_unlock(ctl->hub);
    reply_error(c, 400, "%s", why);
}

void handle_rest(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const struct resource_type *type = type_of_path(r);
    char *type_url = type ? type_url_of(type->full_name) : NULL;
    struct tree *tree = NULL;
    struct error err = {0};

    if (!type)
        reply_error(c, 404, "there is no such type: /v3/discovery:clusters and the like");
    else if (!tree_parse(&tree, "body", r->body, r->body_len, NULL, &err) ||
             !valid(ctl, type_url, tree, &err))
        refuse(ctl, c, type_url, err.text);
    else
        answer(ctl, c, type_url, tree->documents[0]);
    tree_free(&tree);
    error_fini(&err);
    free(type_url);
}
