#include "dataplane/http/headers.h"

#include "base/check.h"

enum { HEADERS_FIRST_CAP = 24, HEADERS_MAX = 65000 };

static const struct bytes names[HEADER_ID_COUNT] = {
#define X(id, name) [HEADER_##id] = {name, sizeof(name) - 1},
    HEADER_LIST(X)
#undef X
};

/* Length first: at most a few names share one. The list may grow; a name that is missing here is
 * found by the unit test. */
#define IS(id, text)                                                                               \
    if (memcmp(d, text, sizeof(text) - 1) == 0)                                                    \
    return HEADER_##id

static enum header_id id_of_short(const char *d, size_t len)
{
    switch (len) {
    case 2:
        IS(TE, "te");
        break;
    case 3:
        IS(VIA, "via");
        break;
    case 4:
        IS(HOST, "host");
        IS(DATE, "date");
        break;
    case 5:
        IS(PATH, ":path");
        break;
    case 6:
        IS(COOKIE, "cookie");
        IS(EXPECT, "expect");
        IS(SERVER, "server");
        break;
    case 7:
        IS(STATUS, ":status");
        IS(METHOD, ":method");
        IS(SCHEME, ":scheme");
        IS(UPGRADE, "upgrade");
        IS(TRAILER, "trailer");
        break;
    case 8:
        IS(LOCATION, "location");
        break;
    case 9:
        IS(PROTOCOL, ":protocol");
        break;
    case 10:
        IS(USER_AGENT, "user-agent");
        IS(CONNECTION, "connection");
        IS(AUTHORITY, ":authority");
        IS(KEEP_ALIVE, "keep-alive");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_long(const char *d, size_t len)
{
    switch (len) {
    case 11:
        IS(GRPC_STATUS, "grpc-status");
        break;
    case 12:
        IS(CONTENT_TYPE, "content-type");
        IS(X_REQUEST_ID, "x-request-id");
        IS(GRPC_MESSAGE, "grpc-message");
        break;
    case 13:
        IS(AUTHORIZATION, "authorization");
        break;
    case 14:
        IS(CONTENT_LENGTH, "content-length");
        break;
    case 15:
        IS(X_FORWARDED_FOR, "x-forwarded-for");
        break;
    case 16:
        IS(X_FORWARDED_HOST, "x-forwarded-host");
        IS(X_FORWARDED_PORT, "x-forwarded-port");
        IS(X_ENVOY_INTERNAL, "x-envoy-internal");
        IS(PROXY_CONNECTION, "proxy-connection");
        break;
    case 17:
        IS(TRANSFER_ENCODING, "transfer-encoding");
        IS(X_FORWARDED_PROTO, "x-forwarded-proto");
        IS(X_CLIENT_TRACE_ID, "x-client-trace-id");
        break;
    case 18:
        IS(X_ENVOY_OVERLOADED, "x-envoy-overloaded");
        break;
    case 21:
        IS(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count");
        IS(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path");
        break;
    case 23:
        IS(X_ENVOY_UPSTREAM_CANARY, "x-envoy-upstream-canary");
        break;
    case 24:
        IS(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address");
        break;
    case 29:
        IS(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time");
        break;
    case 30:
        IS(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms");
        IS(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, "x-envoy-upstream-rq-timeout-ms");
        break;
    }
    return HEADER_OTHER;
}
#undef IS

enum header_id header_id_of(struct bytes n)
{
    return n.len <= 10 ? id_of_short(n.data, n.len) : id_of_long(n.data, n.len);
}

struct bytes header_name(enum header_id id)
{
    CHECK(id > HEADER_OTHER && id < HEADER_ID_COUNT);
    return names[id];
}

void headers_init(struct headers *h, struct arena *a)
{
    memset(h, 0, sizeof(*h));
    h->arena = a;
}

void headers_reserve(struct headers *h, uint32_t n)
{
    if (n <= h->cap)
        return;
    CHECK(n <= HEADERS_MAX);
    struct header *grown = arena_alloc(h->arena, n * sizeof(*grown));
    if (h->n)
        memcpy(grown, h->entries, h->n * sizeof(*grown));
    h->entries = grown;
    h->cap = n;
}

static bool is_pseudo(struct bytes name)
{
    return name.len && name.data[0] == ':';
}

static void index_rebuild(struct headers *h)
{
    memset(h->first, 0, sizeof(h->first));
    for (uint32_t i = h->n; i-- > 0;)
        h->first[h->entries[i].id] = (uint16_t)(i + 1);
    h->first[HEADER_OTHER] = 0;
}

static void add(struct headers *h, enum header_id id, struct bytes name, struct bytes value)
{
    if (h->n == h->cap) {
        CHECK(h->n < HEADERS_MAX); /* what peers send is bounded well below by the codec */
        uint32_t twice = h->cap ? h->cap * 2 : HEADERS_FIRST_CAP;
        headers_reserve(h, twice < HEADERS_MAX ? twice : HEADERS_MAX);
    }
    uint32_t at = h->n;
    if (is_pseudo(name)) {
        while (at > 0 && !is_pseudo(h->entries[at - 1].name))
            at--;
    }
    if (at < h->n)
        memmove(&h->entries[at + 1], &h->entries[at], (h->n - at) * sizeof(*h->entries));
    h->entries[at] = (struct header){name, value, (uint16_t)id};
    h->n++;
    h->byte_size += (uint32_t)(name.len + value.len);
    if (at + 1 < h->n)
        index_rebuild(h);
    else if (id != HEADER_OTHER && !h->first[id])
        h->first[id] = (uint16_t)(at + 1);
}

void headers_add(struct headers *h, struct bytes lower_name, struct bytes value)
{
    add(h, header_id_of(lower_name), lower_name, value);
}

void headers_add_id(struct headers *h, enum header_id id, struct bytes value)
{
    add(h, id, header_name(id), value);
}

struct bytes headers_get(const struct headers *h, enum header_id id)
{
    return h->first[id] ? h->entries[h->first[id] - 1].value : BYTES_NONE;
}

static bool matches(const struct header *e, enum header_id id, struct bytes name)
{
    return id != HEADER_OTHER ? e->id == id : e->id == HEADER_OTHER && bytes_eq(e->name, name);
}

/* Position of the first entry, or h->n. */
static uint32_t find(const struct headers *h, enum header_id id, struct bytes name)
{
    if (id != HEADER_OTHER)
        return h->first[id] ? h->first[id] - 1u : h->n;
    uint32_t i = 0;
    while (i < h->n && !matches(&h->entries[i], id, name))
        i++;
    return i;
}

struct bytes headers_get_name(const struct headers *h, struct bytes lower_name)
{
    uint32_t i = find(h, header_id_of(lower_name), lower_name);
    return i < h->n ? h->entries[i].value : BYTES_NONE;
}

struct bytes headers_get_all(const struct headers *h, struct bytes lower_name)
{
    enum header_id id = header_id_of(lower_name);
    uint32_t at = find(h, id, lower_name);
    if (at == h->n)
        return BYTES_NONE;
    size_t len = h->entries[at].value.len;
    unsigned count = 1;
    for (uint32_t i = at + 1; i < h->n; i++) {
        if (matches(&h->entries[i], id, lower_name)) {
            len += 1 + h->entries[i].value.len;
            count++;
        }
    }
    if (count == 1)
        return h->entries[at].value;
    char *joined = arena_alloc(h->arena, len + 1);
    char *p = joined;
    for (uint32_t i = at; i < h->n; i++) {
        const struct header *e = &h->entries[i];
        if (!matches(e, id, lower_name))
            continue;
        if (i > at)
            *p++ = ',';
        if (e->value.len)
            memcpy(p, e->value.data, e->value.len);
        p += e->value.len;
    }
    *p = '\0';
    return bytes_from(joined, len);
}

bool headers_values(const void *headers, struct bytes lower_name, uint32_t *at, struct bytes *value)
{
    const struct headers *h = headers;
    enum header_id id = header_id_of(lower_name);
    uint32_t i = *at ? *at : find(h, id, lower_name);
    while (i < h->n && !matches(&h->entries[i], id, lower_name))
        i++;
    *at = i + 1;
    if (i >= h->n)
        return false;
    *value = h->entries[i].value;
    return true;
}

static unsigned remove_from(struct headers *h, uint32_t from, enum header_id id, struct bytes name)
{
    uint32_t kept = from;
    for (uint32_t i = from; i < h->n; i++) {
        const struct header *e = &h->entries[i];
        if (matches(e, id, name))
            h->byte_size -= (uint32_t)(e->name.len + e->value.len);
        else
            h->entries[kept++] = *e;
    }
    unsigned removed = h->n - kept;
    h->n = kept;
    if (removed)
        index_rebuild(h);
    return removed;
}

static void set(struct headers *h, enum header_id id, struct bytes name, struct bytes value)
{
    uint32_t at = find(h, id, name);
    if (at == h->n) {
        add(h, id, name, value);
        return;
    }
    struct header *e = &h->entries[at];
    h->byte_size -= (uint32_t)e->value.len;
    h->byte_size += (uint32_t)value.len;
    e->value = value;
    for (uint32_t i = at + 1; i < h->n; i++) {
        if (matches(&h->entries[i], id, name)) {
            remove_from(h, at + 1, id, name);
            return;
        }
    }
}

void headers_set(struct headers *h, struct bytes lower_name, struct bytes value)
{
    set(h, header_id_of(lower_name), lower_name, value);
}

void headers_set_id(struct headers *h, enum header_id id, struct bytes value)
{
    set(h, id, header_name(id), value);
}

unsigned headers_remove(struct headers *h, struct bytes lower_name)
{
    enum header_id id = header_id_of(lower_name);
    uint32_t at = find(h, id, lower_name);
    return at == h->n ? 0 : remove_from(h, at, id, lower_name);
}

unsigned headers_remove_id(struct headers *h, enum header_id id)
{
    return h->first[id] ? remove_from(h, h->first[id] - 1u, id, header_name(id)) : 0;
}
