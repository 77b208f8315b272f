/* Route matching: the compiled index finds what the plain reading finds, over tables of routes and
 * virtual hosts made from the bytes; and an update that changes a part decodes to the same as the
 * whole read afresh.
 *
 *     table, requests; at most 600 bytes */
#include "base/memory.h"
#include "config/filter_factory.h"
#include "config/wire.h"
#include "dataplane/http/route_match.h"
#include "fuzz.h"

static const char *const texts[] = {"/a",   "/b", "/",    "/ab", "/A", "/aB",
                                    "/x.y", "a",  "/%2f", "/é",  ""};
static const char *const hosts[] = {"a.test", "*.test",    "a.*",      "*", "*.a.test", "b",
                                    "A.Test", "a.test:80", "*-x.test", "x", "a.b.*",    "xa.test"};
static const char *const regexes[] = {"/a.*", "/[ab]+", ".*", "(/a|/b)*", "/x\\.y/?"};
enum { EXACT = 2, REGEX = 10 };

static void put_sub(struct strbuf *out, uint32_t number, struct strbuf *sub)
{
    wire_put_bytes(out, number, strbuf_bytes(sub));
    strbuf_fini(sub);
}

static struct bytes path_of(struct fuzz_in *in, struct strbuf *text)
{
    strbuf_reset(text);
    for (unsigned n = fuzz_below(in, 5); n > 0; n--)
        strbuf_add_str(text, texts[fuzz_below(in, ARRAY_SIZE(texts))]);
    return strbuf_bytes(text);
}

static void put_string_match(struct strbuf *out, uint32_t number, unsigned kind, const char *value)
{
    struct strbuf m = STRBUF_INIT;
    wire_put_bytes(&m, 1 + kind % 3, bytes_of(value)); /* exact, prefix, suffix */
    put_sub(out, number, &m);
}

static void put_match(struct strbuf *route, struct fuzz_in *in, struct strbuf *text)
{
    static const uint32_t kinds[] = {1, EXACT, 14, REGEX};
    struct strbuf match = STRBUF_INIT, sub = STRBUF_INIT;
    uint32_t kind = kinds[fuzz_below(in, 4)];
    uint8_t more = fuzz_u8(in);
    if (kind == REGEX) {
        wire_put_bytes(&sub, 2, bytes_of(regexes[fuzz_below(in, ARRAY_SIZE(regexes))]));
        put_sub(&match, kind, &sub);
    } else {
        wire_put_bytes(&match, kind, path_of(in, text));
    }
    if (more & 1) /* case_sensitive: false */
        wire_put_bytes(&match, 4, BYTES(""));
    if (more & 2) {
        sub = (struct strbuf)STRBUF_INIT;
        wire_put_bytes(&sub, 1, BYTES("x"));
        put_string_match(&sub, 13, more >> 4, more & 4 ? "1" : "2");
        put_sub(&match, 6, &sub);
    }
    if (more & 8) {
        sub = (struct strbuf)STRBUF_INIT;
        wire_put_bytes(&sub, 1, BYTES("q"));
        put_string_match(&sub, 5, more >> 4, more & 4 ? "1" : "2");
        put_sub(&match, 7, &sub);
    }
    put_sub(route, 1, &match);
}

static void put_vhost(struct strbuf *config, struct fuzz_in *in, struct strbuf *text, unsigned i)
{
    struct strbuf vhost = STRBUF_INIT;
    char name[8] = {'v', (char)('a' + i)};
    wire_put_bytes(&vhost, 1, bytes_of(name));
    for (unsigned n = 1 + fuzz_below(in, 3); n > 0; n--)
        wire_put_bytes(&vhost, 2, bytes_of(hosts[fuzz_below(in, ARRAY_SIZE(hosts))]));
    for (unsigned n = fuzz_below(in, 16); n > 0; n--) {
        struct strbuf route = STRBUF_INIT, action = STRBUF_INIT;
        put_match(&route, in, text);
        wire_put_bytes(&action, 1, BYTES("c"));
        put_sub(&route, 2, &action);
        put_sub(&vhost, 3, &route);
    }
    put_sub(config, 2, &vhost);
}

static void put_config(struct strbuf *out, struct fuzz_in *in)
{
    struct strbuf text = STRBUF_INIT;
    wire_put_bytes(out, 1, BYTES("r"));
    for (unsigned i = 0, n = fuzz_below(in, 5); i < n; i++)
        put_vhost(out, in, &text, i);
    strbuf_fini(&text);
}

static struct route_config *decode(struct strbuf *wire, const struct route_config *previous)
{
    struct filter_context filters = {0};
    struct route_decode_context ctx = {.filters = &filters};
    struct error err = ERROR_INIT;
    struct route_config *rc = route_config_decode(&ctx, strbuf_bytes(wire), previous, &err);
    FUZZ_CHECK(rc || *error_text(&err), "refused without a word");
    error_fini(&err);
    return rc;
}

static int position(const struct route_match_result *m)
{
    for (unsigned i = 0; m->route && i < m->vhost->n_routes; i++) {
        if (m->vhost->routes[i].route == m->route)
            return (int)i;
    }
    return -1;
}

static void check(const struct route_config *rc, const struct route_config *fresh,
                  const struct route_query *q)
{
    struct route_match_result index = route_match(rc, q), linear = route_match_linear(rc, q);
    struct route_match_result other = route_match(fresh, q);
    FUZZ_CHECK(index.vhost == linear.vhost, "host %.*s: virtual host %.*s, not %.*s",
               BYTES_ARG(q->host), BYTES_ARG(index.vhost ? index.vhost->name : BYTES("none")),
               BYTES_ARG(linear.vhost ? linear.vhost->name : BYTES("none")));
    FUZZ_CHECK(index.route == linear.route, "path %.*s: route %d, not %d", BYTES_ARG(q->path),
               position(&index), position(&linear));
    FUZZ_CHECK(!index.vhost == !other.vhost && position(&index) == position(&other),
               "path %.*s: route %d after an update, %d read afresh", BYTES_ARG(q->path),
               position(&index), position(&other));
}

static void requests(struct fuzz_in *in, const struct route_config *rc,
                     const struct route_config *fresh)
{
    static const char *const values[] = {"1", "2", "12", "21", ""};
    struct arena *a = arena_new(0);
    struct strbuf text = STRBUF_INIT;
    do {
        struct headers h;
        uint8_t more = fuzz_u8(in);
        headers_init(&h, a);
        for (unsigned i = 0; i < (more & 3); i++)
            headers_add(&h, BYTES("x"), bytes_of(values[fuzz_below(in, ARRAY_SIZE(values))]));
        path_of(in, &text);
        if (more & 4)
            strbuf_printf(&text, "?p&q=%s", values[fuzz_below(in, ARRAY_SIZE(values))]);
        struct bytes host = bytes_of(hosts[fuzz_below(in, ARRAY_SIZE(hosts))]);
        if (bytes_starts_with(host, BYTES("*")))
            host = bytes_skip(host, more & 8);
        struct route_query q = {.headers = &h, .host = host, .path = strbuf_bytes(&text)};
        if (!q.path.data)
            q.path = BYTES("");
        check(rc, fresh, &q);
    } while (in->rest.len);
    strbuf_fini(&text);
    arena_free(&a);
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    put_config(&first, &in);
    put_config(&second, &in);
    struct route_config *old = decode(&first, NULL);
    struct route_config *rc = decode(&second, old), *fresh = decode(&second, NULL);
    FUZZ_CHECK(!rc == !fresh, "what was there before decides what is good");
    NODE_UNREF(&old);
    if (rc)
        requests(&in, rc, fresh);
    NODE_UNREF(&rc);
    NODE_UNREF(&fresh);
    node_reap();
    FUZZ_CHECK(node_count_live() == 0, "%u nodes leaked", node_count_live());
    strbuf_fini(&first);
    strbuf_fini(&second);
}

const struct fuzz_target fuzz_target = {.run = run};
