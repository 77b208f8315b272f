#include "dataplane/upstream/method_stats.h"

#include "base/memory.h"
#include "base/strbuf.h"
#include "config/route.h"
#include "dataplane/http/stream.h"

#define ROW(id, name, kind) {name, STAT_##kind},
static const struct stat_desc rows[] = {METHOD_STAT_LIST(ROW)};
#undef ROW
const struct stat_schema method_stat_schema = {rows, ARRAY_SIZE(rows)};

enum { PROTOCOL_NAME_MAX = 16 };

struct cluster_runtime *method_stats_cluster(struct stream *s)
{
    const struct route_match_result *m = stream_route(s);
    if (!m->route || m->tls_redirect || m->route->action != ROUTE_CLUSTER)
        return NULL;
    struct bytes name = route_cluster_name(m, &s->request_headers);
    return name.len ? cluster_runtime_get(s->worker, name) : NULL;
}

/* "grpc.SERVICE.METHOD": the key, and the end of the prefix. */
struct name {
    char text[PROTOCOL_NAME_MAX + METHOD_STATS_NAME_MAX + 2];
    size_t len;
};

static void name_add(struct name *n, struct bytes part)
{
    memcpy(n->text + n->len, part.data, part.len);
    n->len += part.len;
}

static bool fits(const struct grpc_method *m)
{
    return m->service.len + m->method.len <= METHOD_STATS_NAME_MAX;
}

static struct method_stats *stats_new(struct cluster_runtime *c, struct bytes name)
{
    struct method_stats *m = NEW(struct method_stats);
    struct strbuf prefix = STRBUF_INIT;
    strbuf_printf(&prefix, "%s.%.*s", c->stats->prefix, BYTES_ARG(name));
    m->scope = stat_scope_get(c->stats->store, strbuf_bytes(&prefix), &method_stat_schema);
    m->slot = c->worker->slot;
    m->users = 1;
    strbuf_fini(&prefix);
    map_set(&c->methods, name, m);
    return m;
}

struct method_stats *method_stats_get(struct cluster_runtime *c, struct bytes protocol,
                                      const struct grpc_method *method, bool listed)
{
    struct name name = {.len = 0};
    struct method_stats *m;
    CHECK(protocol.len <= PROTOCOL_NAME_MAX);
    name_add(&name, protocol);
    if (method && fits(method)) {
        name_add(&name, BYTES("."));
        name_add(&name, method->service);
        name_add(&name, BYTES("."));
        name_add(&name, method->method);
    }
    m = map_get(&c->methods, bytes_from(name.text, name.len));
    bool over =
        method && (!fits(method) || (!m && !listed && map_count(&c->methods) >= METHOD_STATS_MAX));
    if (over && name.len > protocol.len)
        m = map_get(&c->methods, protocol);
    if (!m)
        m = stats_new(c, over ? protocol : bytes_from(name.text, name.len));
    if (over)
        method_stats_add(m, STAT_METHOD_LIMIT_EXCEEDED, 1);
    m->users++;
    return m;
}

void method_stats_put(struct method_stats **mp)
{
    struct method_stats *m = *mp;
    *mp = NULL;
    if (!m || --m->users)
        return;
    stat_scope_unref(&m->scope);
    mem_free(m);
}

void method_stats_forget(struct cluster_runtime *c)
{
    struct bytes key;
    void *value;
    for (size_t i = 0; map_next(&c->methods, &i, &key, &value);) {
        struct method_stats *m = value;
        method_stats_put(&m);
    }
    map_fini(&c->methods);
}

void method_stats_outcome(struct method_stats *m, bool success)
{
    method_stats_add(m, success ? STAT_METHOD_SUCCESS : STAT_METHOD_FAILURE, 1);
    method_stats_add(m, STAT_METHOD_TOTAL, 1);
}

/* Envoy counts by the text of the header; only "0" is a success. */
static enum method_stat stat_of(struct bytes text)
{
    uint64_t n;
    bool plain = text.len == 1 || (text.len == 2 && text.data[0] != '0');
    if (plain && bytes_to_u64(text, &n) && n <= GRPC_STATUS_MAX)
        return (enum method_stat)(STAT_METHOD_STATUS_0 + n);
    return STAT_METHOD_STATUS_OTHER;
}

void method_stats_status(struct method_stats *m, const struct headers *h)
{
    struct bytes status = headers_get(h, HEADER_GRPC_STATUS);
    if (!status.data)
        return;
    enum method_stat id = stat_of(status);
    method_stats_add(m, id, 1);
    method_stats_outcome(m, id == STAT_METHOD_STATUS_0);
}
