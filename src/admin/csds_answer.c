#include "admin/csds_answer.h"

#include "admin/dump_entries.h"
#include "admin/pages.h"
#include "base/memory.h"
#include "config/json_read.h"
#include "config/json_write.h"
#include "config/node_match.h"
#include "config/wire.h"
#include "config/yaml.h"

#define GENERIC "envoy.service.status.v3.ClientConfig.GenericXdsConfig"

/* Field numbers of ClientStatusResponse and ClientConfig. */
enum { RESPONSE_CONFIG = 1, CONFIG_NODE = 1, CONFIG_GENERIC = 3 };
enum { LOOKED_AT = 512 };

void csds_answer_init(struct csds_answer *c, struct admin *a, bool json)
{
    *c = (struct csds_answer){.admin = a, .json = json};
}

void csds_answer_fini(struct csds_answer *c)
{
    strbuf_fini(&c->request);
    strbuf_fini(&c->out);
    error_fini(&c->err);
    *c = (struct csds_answer){0};
}

/* ---- the request ---- */

/* JSON becomes the message's bytes. */
static bool read_json(struct csds_answer *c, struct arena *a, struct bytes *wire)
{
    struct yaml_node *root = yaml_parse(a, "request", strbuf_bytes(&c->request), &c->err);
    return root &&
           json_read(c->admin->table.descriptors, root,
                     BYTES("envoy.service.status.v3.ClientStatusRequest"), NULL, a, wire, &c->err);
}

static void begin(struct csds_answer *c)
{
    struct arena *a = arena_new(0);
    struct bytes wire = strbuf_bytes(&c->request);
    struct client_status_request r = {0};
    bool ok = (!c->json || wire.len == 0 || read_json(c, a, &wire)) &&
              client_status_request_read(wire, c->admin->table.node, &r, &c->err);
    arena_free(&a);
    c->begun = true;
    c->matches = r.matches;
    c->exclude = r.exclude_resource_contents;
    c->finished = !ok || !r.matches;
    if (c->finished && ok && c->json)
        strbuf_add_str(&c->out, "{}\n");
}

/* ---- the answer ---- */

static void head(struct csds_answer *c)
{
    struct json_write_options o = {.depth = 3};
    struct error err = ERROR_INIT;
    if (!c->json) {
        dump_put_text(&c->out, CONFIG_NODE, c->admin->table.node);
        return;
    }
    strbuf_add_str(&c->out, "{\n \"config\": [\n  {\n   \"node\": ");
    if (!json_write(c->admin->table.descriptors, BYTES("envoy.config.core.v3.Node"),
                    c->admin->table.node, &o, &c->out, &err))
        strbuf_add_str(&c->out, "{}");
    error_fini(&err);
}

/* The same bytes with what is private hidden: by way of the JSON, which knows. Adds nothing where
 * that cannot be done. */
static void hide(struct descriptors *d, struct bytes wire, struct strbuf *out)
{
    struct json_write_options o = {.compact = true, .redact = true};
    struct strbuf text = STRBUF_INIT;
    struct error err = ERROR_INIT;
    struct arena *a = arena_new(0);
    struct bytes hidden;
    if (json_write(d, BYTES(GENERIC), wire, &o, &text, &err)) {
        if (bytes_find(strbuf_bytes(&text), BYTES("[redacted]")) < 0) {
            strbuf_add_bytes(out, wire);
        } else {
            struct yaml_node *root = yaml_parse(a, "resource", strbuf_bytes(&text), &err);
            if (root && json_read(d, root, BYTES(GENERIC), NULL, a, &hidden, &err))
                strbuf_add_bytes(out, hidden);
        }
    }
    strbuf_fini(&text);
    error_fini(&err);
    arena_free(&a);
}

static void print(struct csds_answer *c, struct bytes wire)
{
    struct json_write_options o = {.redact = true, .depth = 4};
    struct error err = ERROR_INIT;
    size_t before = c->out.len;
    strbuf_add_str(&c->out, c->any ? ",\n    " : ",\n   \"generic_xds_configs\": [\n    ");
    if (json_write(c->admin->table.descriptors, BYTES(GENERIC), wire, &o, &c->out, &err))
        c->any = true;
    else
        strbuf_cut(&c->out, before);
    error_fini(&err);
}

static bool add(void *ctx, const struct resource_view *v)
{
    struct csds_answer *c = ctx;
    struct strbuf wire = STRBUF_INIT, hidden = STRBUF_INIT;
    dump_client_status(v, !c->exclude, &wire);
    if (c->json) {
        print(c, strbuf_bytes(&wire));
    } else {
        hide(c->admin->table.descriptors, strbuf_bytes(&wire), &hidden);
        if (hidden.len)
            dump_put_message(&c->out, CONFIG_GENERIC, &hidden);
    }
    strbuf_fini(&wire);
    strbuf_fini(&hidden);
    return ++c->looked_at < LOOKED_AT && c->out.len - c->begun_at < ADMIN_SLICE;
}

/* The bytes of ClientConfig are all there: what was said in pieces becomes one message. */
static void tail(struct csds_answer *c)
{
    if (c->json) {
        strbuf_add_str(&c->out, c->any ? "\n   ]\n  }\n ]\n}\n" : "\n  }\n ]\n}\n");
        return;
    }
    struct strbuf config = c->out;
    c->out = (struct strbuf)STRBUF_INIT;
    dump_put_message(&c->out, RESPONSE_CONFIG, &config);
}

void csds_answer_step(struct builder *b, struct csds_answer *c)
{
    c->begun_at = c->out.len;
    c->looked_at = 0;
    if (!c->begun) {
        begin(c);
        if (!c->finished)
            head(c);
    }
    while (!c->finished && c->looked_at < LOOKED_AT && c->out.len - c->begun_at < ADMIN_SLICE) {
        c->from = builder_each(b, (enum resource_type)c->type, c->from, add, c);
        if (!c->json && c->out.len > CSDS_ANSWER_MAX) {
            error_set(&c->err,
                      "the answer is longer than %d bytes: ask with "
                      "exclude_resource_contents",
                      CSDS_ANSWER_MAX);
            c->finished = true;
            return;
        }
        if (c->from != SIZE_MAX)
            continue;
        c->from = 0;
        c->finished = ++c->type == RESOURCE_TYPE_COUNT;
        if (c->finished)
            tail(c);
    }
}
