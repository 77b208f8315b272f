#include "control.h"

#include "control_internal.h"
#include "json.h"
#include "types.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void reply_json(struct http_conn *c, int status, struct text *body)
{
    text_putc(body, '\n');
    http_reply(c, status, "application/json", body->data, body->len);
    text_fini(body);
}

void reply_error(struct http_conn *c, int status, const char *fmt, ...)
{
    struct text sentence = {0}, body = {0};
    va_list args;

    va_start(args, fmt);
    text_vprintf(&sentence, fmt, args);
    va_end(args);
    json_open(&body, '{');
    json_member(&body, "error", text_str(&sentence));
    json_close(&body, '}');
    text_fini(&sentence);
    reply_json(c, status, &body);
}

char *type_param(struct control *ctl, struct http_conn *c, const char *type)
{
    const struct desc_message *m;
    struct error err = {0};

    if (!type || !*type) {
        reply_error(c, 400,
                    "a type is needed: cluster, listener, route, endpoint, secret, a full "
                    "name or a type URL");
        return NULL;
    }
    if (desc_resolve(ctl->hub->pool, type, &m, &err))
        return type_url_of(m->full_name);
    if (strchr(type, '/')) {
        error_fini(&err);
        return mem_string(type); /* served from raw bytes */
    }
    reply_error(c, 400, "%s", err.text);
    error_fini(&err);
    return NULL;
}

bool word_in(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list) {
        size_t n = strcspn(list, " ");

        if (n == len && !memcmp(list, word, n))
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

bool query_known(struct http_conn *c, const struct http_request *r, const char *keys)
{
    for (size_t i = 0; i < r->query.count; i++) {
        if (word_in(keys, r->query.entries[i].key))
            continue;
        reply_error(c, 400, "there is no parameter \"%s\" here; known: %s", r->query.entries[i].key,
                    *keys ? keys : "none");
        return false;
    }
    return true;
}

bool read_timeout(const char *text, uint64_t *us)
{
    char *end;
    double v = strtod(text, &end);

    if (end == text || !(v >= 0 && v <= 86400000))
        return false;
    if (!strcmp(end, "ms"))
        v /= 1000;
    else if (*end && strcmp(end, "s"))
        return false;
    *us = (uint64_t)(v * 1e6);
    return true;
}

static void handle_nodes(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct text body = {0};

    hub_lock(ctl->hub);
    node_table_json(&ctl->hub->nodes, &body);
    hub_unlock(ctl->hub);
    reply_json(c, 200, &body);
}

static void put_versions(const struct snapshot *s, struct text *body)
{
    json_key(body, "versions");
    json_open(body, '{');
    for (size_t i = 0; i < s->count; i++)
        json_member(body, s->types[i].type_url, s->types[i].version);
    json_close(body, '}');
}

static void handle_version(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    const char *type = http_query(r, "type");
    char *type_url = type ? type_param(ctl, c, type) : NULL;
    const struct snapshot *s;
    struct text body = {0};

    if (type && !type_url)
        return;
    hub_lock(ctl->hub);
    s = world_for(ctl->hub->world, http_query(r, "node"));
    json_open(&body, '{');
    if (type_url) {
        json_member(&body, "type", type_url);
        json_member(&body, "version", snapshot_version(s, type_url));
    } else {
        put_versions(s, &body);
    }
    json_close(&body, '}');
    hub_unlock(ctl->hub);
    free(type_url);
    reply_json(c, 200, &body);
}

static void put_status(struct control *ctl, struct text *body)
{
    json_open(body, '{');
    json_member(body, "folder", ctl->publisher->folder.path);
    json_member_int(body, "pid", getpid());
    json_member(body, "problem", ctl->publisher->problem);
    hub_lock(ctl->hub);
    put_versions(&ctl->hub->world->shared, body);
    json_member_int(body, "next_event", (long long)ctl->hub->events.next_seq);
    hub_unlock(ctl->hub);
    json_close(body, '}');
}

static void handle_status(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct text body = {0};

    put_status(ctl, &body);
    reply_json(c, 200, &body);
}

/* Read the folder now, without waiting for the watch. */
static void handle_reload(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    struct text body = {0};
    bool ok = publisher_reload(ctl->publisher);

    put_status(ctl, &body);
    reply_json(c, ok ? 200 : 400, &body);
}

static void get_events(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    handle_events(ctl, c, r, false);
}

static void get_requests(struct control *ctl, struct http_conn *c, const struct http_request *r)
{
    handle_events(ctl, c, r, true);
}

struct route {
    const char *first, *methods;
    void (*handle)(struct control *ctl, struct http_conn *c, const struct http_request *r);
    const char *query; /* its keys; NULL: the handler knows */
};

static const struct route routes[] = {
    {"", "GET", handle_status, ""},
    {"status", "GET", handle_status, ""},
    {"nodes", "GET", handle_nodes, ""},
    {"events", "GET", get_events, "since node type kind meaning limit count timeout"},
    {"requests", "GET", get_requests, "since node type meaning limit count timeout"},
    {"version", "GET", handle_version, "type node"},
    {"resources", "GET PUT DELETE", handle_resources, NULL},
    {"wait", "POST", handle_wait, "node type version status timeout"},
    {"fault", "GET POST DELETE", handle_fault, NULL},
    {"reload", "POST", handle_reload, ""},
    {"v3", "POST", handle_rest, NULL},
};

static void route_request(struct control *ctl, const struct route *route, struct http_conn *c,
                          const struct http_request *r)
{
    if (!word_in(route->methods, r->method))
        reply_error(c, 405, "/%s takes %s, not %s", route->first, route->methods, r->method);
    else if (!route->query || query_known(c, r, route->query))
        route->handle(ctl, c, r);
}

static void on_request(void *user, struct http_conn *c, const struct http_request *r)
{
    const char *first = r->segment_count ? r->segments[0] : "";

    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        if (strcmp(routes[i].first, first) || (c->outside && routes[i].handle != handle_rest))
            continue;
        route_request(user, &routes[i], c, r);
        return;
    }
    if (c->outside) {
        reply_error(c, 404, "there is no /%s at this port; there is /v3/discovery:TYPE", first);
        return;
    }
    reply_error(c, 404,
                "there is no /%s; there are /nodes /events /requests /resources /version "
                "/status /wait /fault /reload /v3",
                first);
}

static void on_gone(void *user, struct http_conn *c)
{
    waits_forget(user, c);
}

static const struct http_handler handler = {on_request, on_gone};

bool control_start(struct control **out, struct publisher *publisher, const char *address,
                   struct error *err)
{
    struct control *ctl = mem_zero(sizeof(*ctl));

    ctl->publisher = publisher;
    ctl->hub = publisher->hub;
    *out = ctl;
    if (http_start(&ctl->http, address, &handler, ctl, err))
        return true;
    control_stop(out);
    return false;
}

int control_port(const struct control *c)
{
    return http_port(c->http);
}

bool control_adopt(struct control *c, int fd)
{
    return http_adopt(c->http, fd);
}

size_t control_poll_fds(struct control *c, struct pollfd *fds, size_t room)
{
    return http_poll_fds(c->http, fds, room);
}

void control_run(struct control *c, const struct pollfd *fds, size_t count)
{
    http_run(c->http, fds, count);
    waits_run(c);
}

void control_stop(struct control **control)
{
    struct control *c = *control;

    if (!c)
        return;
    http_stop(&c->http);
    free(c);
    *control = NULL;
}
