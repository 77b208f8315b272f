#include "world.h"

#include <check.h>

#include "base/memory.h"

static enum admin_state state(void *ctx)
{
    return ((struct world *)ctx)->state;
}

static const struct snapshot *snapshot(void *ctx)
{
    struct world *w = ctx;
    return w->snapshot ? w->snapshot : builder_snapshot(w->f.builder);
}

/* Port 0 was given the port 1000 + the index of the address. */
static bool bound_address(void *ctx, const struct listener *l, unsigned i, struct address *out)
{
    *out = l->addresses[i].address;
    if (address_is_ip(out) && out->port == 0)
        out->port = (uint16_t)(1000 + i);
    return true;
}

static bool listens(void *ctx, const struct listener *l)
{
    return !bytes_eq_str(l->name, "silent");
}

static void ask_config(void *ctx, void (*fn)(struct builder *b, void *arg), void (*done)(void *arg),
                       void *arg)
{
    struct world *w = ctx;
    ck_assert(w->fn == NULL);
    w->fn = fn;
    w->done = done;
    w->arg = arg;
    w->n_asked++;
}

static void quit(void *ctx)
{
    strbuf_add_str(&((struct world *)ctx)->log, "quit;");
}

static void reopen_logs(void *ctx)
{
    strbuf_add_str(&((struct world *)ctx)->log, "reopen;");
}

static void fail_health(void *ctx, bool fail)
{
    strbuf_printf(&((struct world *)ctx)->log, "fail %d;", fail);
}

static void drain(void *ctx, bool inbound_only, bool graceful, bool skip_exit)
{
    strbuf_printf(&((struct world *)ctx)->log, "drain %d %d %d;", inbound_only, graceful,
                  skip_exit);
}

static const struct admin_option options[] = {{"concurrency", "2"}, {"log_path", "\"\""}};

void world_init_bootstrap(struct world *w, const char *yaml)
{
    *w = (struct world){.state = ADMIN_LIVE};
    fixture_init(&w->f);
    struct admin_table table = {
        .ctx = w,
        .clock = &w->f.clock.clock,
        .stats = w->f.stats,
        .descriptors = w->f.descriptors,
        .version = "abc/1.40.0/Clean/RELEASE/BoringSSL",
        .node = fixture_wire(&w->f, "envoy.config.core.v3.Node", "{id: me, locality: {zone: z}}"),
        .bootstrap = fixture_wire(&w->f, "envoy.config.bootstrap.v3.Bootstrap", yaml),
        .start_wall_ns = 0,
        .options = options,
        .n_options = ARRAY_SIZE(options),
        .state = state,
        .snapshot = snapshot,
        .bound_address = bound_address,
        .listens = listens,
        .ask_config = ask_config,
        .quit = quit,
        .reopen_logs = reopen_logs,
        .fail_health = fail_health,
        .drain = drain};
    w->admin = admin_new(&table);
}

void world_static(struct world *w, enum resource_type type, const char *name, const char *yaml)
{
    struct error err = ERROR_INIT;
    struct resource_update u = {.name = bytes_of(name),
                                .wire = fixture_wire(&w->f, resource_type_name(type), yaml)};
    ck_assert_msg(builder_add_static(w->f.builder, type, &u, &err), "%s", error_text(&err));
}

void world_init(struct world *w)
{
    world_init_bootstrap(w, "{node: {id: before}, stats_flush_interval: 1s}");
}

void world_fini(struct world *w)
{
    admin_free(&w->admin);
    strbuf_fini(&w->log);
    fixture_fini(&w->f);
}

static void on_ready(void *owner)
{
}

struct admin_page *world_open(struct world *w, const char *target)
{
    struct admin_page *p = admin_open(w->admin, BYTES("GET"), bytes_of(target), BYTES_NONE);
    p->owner = w;
    p->on_ready = on_ready;
    w->n_slices = 0;
    w->largest = 0;
    return p;
}

static void answer_question(struct world *w)
{
    void (*fn)(struct builder * b, void *arg) = w->fn;
    ck_assert(fn != NULL);
    fn(w->f.builder, w->arg);
    w->fn = NULL;
    w->done(w->arg);
}

bool world_turn(struct world *w, struct admin_page *p, struct strbuf *out)
{
    struct strbuf slice = STRBUF_INIT;
    while (p->waiting)
        answer_question(w);
    bool more = p->next(p, &slice);
    w->n_slices++;
    if (slice.len > w->largest)
        w->largest = slice.len;
    if (slice.len)
        strbuf_add_bytes(out, strbuf_bytes(&slice));
    strbuf_fini(&slice);
    return more;
}

static struct answer read_page(struct world *w, struct admin_page *p)
{
    struct strbuf text = STRBUF_INIT;
    while (world_turn(w, p, &text))
        ck_assert_uint_lt(w->n_slices, 100000);
    struct answer a = {p->status, p->content_type, strbuf_str(&text)};
    a.text = arena_str(w->f.arena, bytes_of(a.text));
    strbuf_fini(&text);
    p->free(p);
    return a;
}

struct answer world_ask(struct world *w, const char *method, const char *target)
{
    struct admin_page *p = admin_open(w->admin, bytes_of(method), bytes_of(target), BYTES_NONE);
    p->owner = w;
    p->on_ready = on_ready;
    w->n_slices = 0;
    w->largest = 0;
    return read_page(w, p);
}

const char *world_refused(struct world *w, unsigned status, const char *target)
{
    struct answer a = world_ask(w, "GET", target);
    ck_assert_msg(a.status == status, "%s: %u: %s", target, a.status, a.text);
    return a.text;
}

const char *world_get(struct world *w, const char *target)
{
    return world_refused(w, 200, target);
}
