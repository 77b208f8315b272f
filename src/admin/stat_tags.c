#include "admin/stat_tags.h"

/* Cuts [at, at + len) of the name out and remembers `value` as a tag. */
static void take(struct stat_tags *t, const char *tag, struct bytes value, size_t at, size_t len)
{
    char *data = t->name.data;
    if (t->n == STAT_TAGS_MAX)
        return;
    t->tags[t->n++] = (struct stat_tag_value){tag, value};
    memmove(data + at, data + at + len, t->name.len - at - len + 1);
    t->name.len -= len;
}

/* Views of values must outlive the cutting: they point into the original name. */
static struct bytes original(struct bytes name, struct bytes value)
{
    ptrdiff_t at = bytes_find(name, value);
    return at < 0 ? value : bytes_from(name.data + at, value.len);
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ..._rq_200 and ..._rq_2xx */
static void response_code(struct bytes full, struct stat_tags *t)
{
    struct bytes n = strbuf_bytes(&t->name);
    if (n.len < 7)
        return;
    const char *end = n.data + n.len;
    if (bytes_eq(bytes_from(end - 7, 4), BYTES("_rq_")) && digit(end[-3]) && digit(end[-2]) &&
        digit(end[-1]))
        take(t, "envoy_response_code", bytes_from(full.data + full.len - 3, 3), n.len - 4, 4);
    else if (bytes_eq(bytes_from(end - 7, 4), BYTES("_rq_")) && digit(end[-3]) && end[-2] == 'x' &&
             end[-1] == 'x')
        take(t, "envoy_response_code_class", bytes_from(full.data + full.len - 3, 1), n.len - 4, 2);
}

/* PREFIX<value>. : the value ends at the first dot. */
static bool segment_after(struct stat_tags *t, struct bytes full, const char *prefix,
                          const char *tag)
{
    struct bytes n = strbuf_bytes(&t->name);
    ptrdiff_t at = bytes_find(n, bytes_of(prefix));
    if (at < 0)
        return false;
    size_t start = (size_t)at + strlen(prefix);
    ptrdiff_t dot = bytes_find_char(bytes_skip(n, start), '.');
    if (dot <= 0)
        return false;
    struct bytes value = original(full, bytes_from(n.data + start, (size_t)dot));
    take(t, tag, value, start, (size_t)dot + 1);
    return true;
}

/* http.PREFIX.rds.ROUTE.update_...: the route's name is everything up to the last dot. */
static void rds_config(struct bytes full, struct stat_tags *t)
{
    struct bytes n = strbuf_bytes(&t->name);
    ptrdiff_t at = bytes_find(n, BYTES(".rds.")), last = bytes_rfind_char(n, '.');
    if (!bytes_starts_with(n, BYTES("http.")) || at < 0 || last <= at + 5)
        return;
    size_t start = (size_t)at + 5;
    struct bytes value = bytes_from(n.data + start, (size_t)last - start);
    take(t, "envoy_rds_route_config", original(full, value), start, value.len + 1);
}

static bool address_char(char c)
{
    return digit(c) || c == '_' || c == '.';
}

static bool ipv6_char(char c)
{
    char l = ascii_lower(c);
    return digit(c) || c == '_' || c == '[' || c == ']' || (l >= 'a' && l <= 'f');
}

/* listener.0.0.0.0_80.x and listener.[__1]_80.x; a listener with a name of its own has no tag. */
static void listener_address(struct bytes full, struct stat_tags *t)
{
    struct bytes n = strbuf_bytes(&t->name), rest;
    size_t start = strlen("listener."), len = 0;
    if (!bytes_starts_with(n, BYTES("listener.")))
        return;
    rest = bytes_skip(n, start);
    while (len < rest.len && address_char(rest.data[len]))
        len++;
    if (len == 0 || rest.data[len - 1] != '.') {
        for (len = 0; len < rest.len && ipv6_char(rest.data[len]);)
            len++;
        len += len < rest.len && rest.data[len] == '.';
    }
    if (len < 2 || rest.data[len - 1] != '.')
        return;
    struct bytes value = original(full, bytes_first(rest, len - 1));
    take(t, "envoy_listener_address", value, start, len);
}

static void worker(struct bytes full, struct stat_tags *t)
{
    struct bytes n = strbuf_bytes(&t->name);
    ptrdiff_t at = bytes_find(n, BYTES(".worker_"));
    size_t start = (size_t)(at + 8), len = 0;
    if (at < 0 || !bytes_starts_with(n, BYTES("listener.")))
        return;
    while (start + len < n.len && digit(n.data[start + len]))
        len++;
    if (len && start + len < n.len && n.data[start + len] == '.')
        take(t, "envoy_worker_id", original(full, bytes_from(n.data + start, len)), start, len + 1);
}

void stat_tags_extract(struct bytes name, struct stat_tags *out)
{
    strbuf_reset(&out->name);
    strbuf_add_bytes(&out->name, name);
    out->n = 0;
    response_code(name, out);
    if (bytes_starts_with(name, BYTES("cluster.")))
        segment_after(out, name, "cluster.", "envoy_cluster_name");
    rds_config(name, out);
    if (bytes_starts_with(name, BYTES("http.")))
        segment_after(out, name, "http.", "envoy_http_conn_manager_prefix");
    else if (bytes_starts_with(name, BYTES("listener.")))
        segment_after(out, name, ".http.", "envoy_http_conn_manager_prefix");
    worker(name, out);
    listener_address(name, out);
}

void stat_tags_fini(struct stat_tags *t)
{
    strbuf_fini(&t->name);
}
