#include "dataplane/http/headers.h"

#include "base/memory.h"

enum { HEADERS_FIRST_CAP = 24, HEADERS_MAX = 65000 };

static const struct bytes names[HEADER_ID_COUNT] = {
#define X(id, name) [HEADER_##id] = {name, sizeof(name) - 1},
    HEADER_LIST(X)
#undef X
};

/* The headers that Envoy keeps once, as one line: a second one is joined to the first. */
enum { IN_REQUEST = 1, IN_RESPONSE = 2, IN_BOTH = 3 };

static const uint8_t one_line[HEADER_ID_COUNT] = {
    [HEADER_ACCEPT] = IN_REQUEST,
    [HEADER_ACCEPT_ENCODING] = IN_REQUEST,
    [HEADER_ACCESS_CONTROL_ALLOW_CREDENTIALS] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_ALLOW_HEADERS] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_ALLOW_METHODS] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_ALLOW_ORIGIN] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_EXPOSE_HEADERS] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_MAX_AGE] = IN_RESPONSE,
    [HEADER_ACCESS_CONTROL_REQUEST_HEADERS] = IN_REQUEST,
    [HEADER_ACCESS_CONTROL_REQUEST_METHOD] = IN_REQUEST,
    [HEADER_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK] = IN_REQUEST,
    [HEADER_AGE] = IN_RESPONSE,
    [HEADER_AUTHORIZATION] = IN_REQUEST,
    [HEADER_CACHE_CONTROL] = IN_BOTH,
    [HEADER_CONTENT_ENCODING] = IN_BOTH,
    [HEADER_CONTENT_TYPE] = IN_BOTH,
    [HEADER_DATE] = IN_RESPONSE,
    [HEADER_ETAG] = IN_RESPONSE,
    [HEADER_EXPECT] = IN_REQUEST,
    [HEADER_EXPIRES] = IN_RESPONSE,
    [HEADER_GRPC_ACCEPT_ENCODING] = IN_REQUEST,
    [HEADER_GRPC_MESSAGE] = IN_RESPONSE,
    [HEADER_GRPC_STATUS] = IN_RESPONSE,
    [HEADER_GRPC_TIMEOUT] = IN_REQUEST,
    [HEADER_IF_MATCH] = IN_REQUEST,
    [HEADER_IF_MODIFIED_SINCE] = IN_REQUEST,
    [HEADER_IF_NONE_MATCH] = IN_REQUEST,
    [HEADER_IF_RANGE] = IN_REQUEST,
    [HEADER_IF_UNMODIFIED_SINCE] = IN_REQUEST,
    [HEADER_LAST_MODIFIED] = IN_RESPONSE,
    [HEADER_LOCATION] = IN_RESPONSE,
    [HEADER_ORIGIN] = IN_REQUEST,
    [HEADER_PRAGMA] = IN_REQUEST,
    [HEADER_PROXY_STATUS] = IN_BOTH,
    [HEADER_REFERER] = IN_REQUEST,
    [HEADER_USER_AGENT] = IN_REQUEST,
    [HEADER_VARY] = IN_RESPONSE,
    [HEADER_VIA] = IN_BOTH,
    [HEADER_X_CLIENT_TRACE_ID] = IN_REQUEST,
    [HEADER_X_ENVOY_ATTEMPT_COUNT] = IN_BOTH,
    [HEADER_X_ENVOY_DECORATOR_OPERATION] = IN_BOTH,
    [HEADER_X_ENVOY_DEGRADED] = IN_RESPONSE,
    [HEADER_X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER] = IN_REQUEST,
    [HEADER_X_ENVOY_DOWNSTREAM_SERVICE_NODE] = IN_REQUEST,
    [HEADER_X_ENVOY_EXTERNAL_ADDRESS] = IN_REQUEST,
    [HEADER_X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL] = IN_RESPONSE,
    [HEADER_X_ENVOY_IS_TIMEOUT_RETRY] = IN_REQUEST,
    [HEADER_X_ENVOY_ORIGINAL_HOST] = IN_REQUEST,
    [HEADER_X_ENVOY_ORIGINAL_PATH] = IN_REQUEST,
    [HEADER_X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT] = IN_REQUEST,
    [HEADER_X_ENVOY_MAX_RETRIES] = IN_REQUEST,
    [HEADER_X_ENVOY_RATELIMITED] = IN_RESPONSE,
    [HEADER_X_ENVOY_RETRIABLE_HEADER_NAMES] = IN_REQUEST,
    [HEADER_X_ENVOY_RETRIABLE_STATUS_CODES] = IN_REQUEST,
    [HEADER_X_ENVOY_RETRY_GRPC_ON] = IN_REQUEST,
    [HEADER_X_ENVOY_RETRY_ON] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_CANARY] = IN_RESPONSE,
    [HEADER_X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER] = IN_RESPONSE,
    [HEADER_X_FORWARDED_FOR] = IN_REQUEST,
    [HEADER_X_FORWARDED_HOST] = IN_REQUEST,
    [HEADER_X_FORWARDED_PORT] = IN_REQUEST,
    [HEADER_X_FORWARDED_PROTO] = IN_REQUEST,
    [HEADER_X_REQUEST_ID] = IN_BOTH,
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
        IS(AGE, "age");
        break;
    case 4:
        IS(HOST, "host");
        IS(DATE, "date");
        IS(ETAG, "etag");
        IS(VARY, "vary");
        break;
    case 5:
        IS(PATH, ":path");
        break;
    case 6:
        IS(EXPECT, "expect");
        IS(SERVER, "server");
        IS(COOKIE, "cookie");
        IS(ACCEPT, "accept");
        IS(ORIGIN, "origin");
        IS(PRAGMA, "pragma");
        break;
    case 7:
        IS(METHOD, ":method");
        IS(SCHEME, ":scheme");
        IS(STATUS, ":status");
        IS(TRAILER, "trailer");
        IS(UPGRADE, "upgrade");
        IS(REFERER, "referer");
        IS(EXPIRES, "expires");
        break;
    case 8:
        IS(LOCATION, "location");
        IS(IF_MATCH, "if-match");
        IS(IF_RANGE, "if-range");
        break;
    case 9:
        IS(PROTOCOL, ":protocol");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_medium(const char *d, size_t len)
{
    switch (len) {
    case 10:
        IS(AUTHORITY, ":authority");
        IS(CONNECTION, "connection");
        IS(KEEP_ALIVE, "keep-alive");
        IS(USER_AGENT, "user-agent");
        break;
    case 11:
        IS(GRPC_STATUS, "grpc-status");
        break;
    case 12:
        IS(CONTENT_TYPE, "content-type");
        IS(X_REQUEST_ID, "x-request-id");
        IS(GRPC_MESSAGE, "grpc-message");
        IS(GRPC_TIMEOUT, "grpc-timeout");
        IS(PROXY_STATUS, "proxy-status");
        break;
    case 13:
        IS(AUTHORIZATION, "authorization");
        IS(CACHE_CONTROL, "cache-control");
        IS(IF_NONE_MATCH, "if-none-match");
        IS(LAST_MODIFIED, "last-modified");
        break;
    case 14:
        IS(CONTENT_LENGTH, "content-length");
        break;
    case 15:
        IS(X_FORWARDED_FOR, "x-forwarded-for");
        IS(ACCEPT_ENCODING, "accept-encoding");
        break;
    case 16:
        IS(PROXY_CONNECTION, "proxy-connection");
        IS(X_FORWARDED_HOST, "x-forwarded-host");
        IS(X_FORWARDED_PORT, "x-forwarded-port");
        IS(X_ENVOY_INTERNAL, "x-envoy-internal");
        IS(CONTENT_ENCODING, "content-encoding");
        IS(X_ENVOY_DEGRADED, "x-envoy-degraded");
        IS(X_ENVOY_RETRY_ON, "x-envoy-retry-on");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_long(const char *d, size_t len)
{
    switch (len) {
    case 17:
        IS(TRANSFER_ENCODING, "transfer-encoding");
        IS(X_FORWARDED_PROTO, "x-forwarded-proto");
        IS(X_CLIENT_TRACE_ID, "x-client-trace-id");
        IS(IF_MODIFIED_SINCE, "if-modified-since");
        break;
    case 18:
        IS(X_ENVOY_OVERLOADED, "x-envoy-overloaded");
        break;
    case 19:
        IS(IF_UNMODIFIED_SINCE, "if-unmodified-since");
        IS(X_ENVOY_RATELIMITED, "x-envoy-ratelimited");
        IS(X_ENVOY_MAX_RETRIES, "x-envoy-max-retries");
        break;
    case 20:
        IS(GRPC_ACCEPT_ENCODING, "grpc-accept-encoding");
        break;
    case 21:
        IS(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path");
        IS(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count");
        IS(X_ENVOY_ORIGINAL_HOST, "x-envoy-original-host");
        IS(X_ENVOY_RETRY_GRPC_ON, "x-envoy-retry-grpc-on");
        break;
    case 22:
        IS(ACCESS_CONTROL_MAX_AGE, "access-control-max-age");
        break;
    case 23:
        IS(X_ENVOY_UPSTREAM_CANARY, "x-envoy-upstream-canary");
        break;
    }
    return HEADER_OTHER;
}

static enum header_id id_of_longest(const char *d, size_t len)
{
    switch (len) {
    case 24:
        IS(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address");
        IS(X_ENVOY_IS_TIMEOUT_RETRY, "x-envoy-is-timeout-retry");
        break;
    case 27:
        IS(X_ENVOY_DECORATOR_OPERATION, "x-envoy-decorator-operation");
        IS(ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin");
        break;
    case 28:
        IS(ACCESS_CONTROL_ALLOW_HEADERS, "access-control-allow-headers");
        IS(ACCESS_CONTROL_ALLOW_METHODS, "access-control-allow-methods");
        break;
    case 29:
        IS(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time");
        IS(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method");
        IS(ACCESS_CONTROL_EXPOSE_HEADERS, "access-control-expose-headers");
        break;
    case 30:
        IS(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms");
        IS(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS, "x-envoy-upstream-rq-timeout-ms");
        IS(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers");
        IS(X_ENVOY_RETRIABLE_STATUS_CODES, "x-envoy-retriable-status-codes");
        IS(X_ENVOY_RETRIABLE_HEADER_NAMES, "x-envoy-retriable-header-names");
        break;
    case 31:
        IS(X_ENVOY_DOWNSTREAM_SERVICE_NODE, "x-envoy-downstream-service-node");
        break;
    case 32:
        IS(ACCESS_CONTROL_ALLOW_CREDENTIALS, "access-control-allow-credentials");
        IS(X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, "x-envoy-hedge-on-per-try-timeout");
        break;
    case 34:
        IS(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, "x-envoy-downstream-service-cluster");
        break;
    case 35:
        IS(X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, "x-envoy-immediate-health-check-fail");
        break;
    case 36:
        IS(ACCESS_CONTROL_ALLOW_PRIVATE_NETWORK, "access-control-allow-private-network");
        break;
    case 38:
        IS(ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK, "access-control-request-private-network");
        IS(X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, "x-envoy-upstream-healthchecked-cluster");
        IS(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS, "x-envoy-upstream-rq-per-try-timeout-ms");
        break;
    }
    return HEADER_OTHER;
}
#undef IS

enum header_id header_id_of(struct bytes n)
{
    if (n.len <= 16)
        return n.len < 10 ? id_of_short(n.data, n.len) : id_of_medium(n.data, n.len);
    return n.len <= 23 ? id_of_long(n.data, n.len) : id_of_longest(n.data, n.len);
}

struct bytes header_name(enum header_id id)
{
    CHECK(id > HEADER_OTHER && id < HEADER_ID_COUNT);
    return names[id];
}

bool header_forbidden_in_trailers(enum header_id id)
{
    switch ((int)id) {
    case HEADER_HOST:
    case HEADER_CONTENT_LENGTH:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_UPGRADE:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_EXPECT:
    case HEADER_AUTHORIZATION:
    case HEADER_COOKIE:
        return true;
    default:
        return false;
    }
}

bool headers_try_reserve(struct headers *h, uint32_t n)
{
    if (n <= h->cap)
        return true;
    CHECK(n <= HEADERS_MAX);
    struct header *grown = arena_try(h->arena, n * sizeof(*grown));
    if (!grown)
        return false;
    if (h->n)
        memcpy(grown, h->entries, h->n * sizeof(*grown));
    h->entries = grown;
    h->cap = n;
    return true;
}

void headers_reserve(struct headers *h, uint32_t n)
{
    if (!headers_try_reserve(h, n))
        mem_exhausted(n * sizeof(struct header));
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

static void grow(struct headers *h)
{
    CHECK(h->n < HEADERS_MAX); /* what peers send is bounded well below by the codec */
    uint32_t twice = h->cap ? h->cap * 2 : HEADERS_FIRST_CAP;
    headers_reserve(h, twice < HEADERS_MAX ? twice : HEADERS_MAX);
}

/* Behind the other pseudo headers, before the rest. */
static void insert_pseudo(struct headers *h, struct header e)
{
    uint32_t at = h->n;
    while (at > 0 && !is_pseudo(h->entries[at - 1].name))
        at--;
    memmove(&h->entries[at + 1], &h->entries[at], (h->n - at) * sizeof(*h->entries));
    h->entries[at] = e;
    h->n++;
    h->ever_repeated |= h->first[e.id] != 0;
    index_rebuild(h);
}

static inline void add(struct headers *h, enum header_id id, struct bytes name, struct bytes value)
{
    if (UNLIKELY(h->n == h->cap))
        grow(h);
    struct header e = {name, value, (uint16_t)id};
    h->byte_size += (uint32_t)(name.len + value.len);
    if (is_pseudo(name) && h->n && !is_pseudo(h->entries[h->n - 1].name)) {
        insert_pseudo(h, e);
        return;
    }
    h->entries[h->n++] = e;
    if (id == HEADER_OTHER)
        return;
    if (LIKELY(!h->first[id]))
        h->first[id] = (uint16_t)h->n;
    else
        h->repeated = h->ever_repeated = true;
}

void headers_add(struct headers *h, struct bytes lower_name, struct bytes value)
{
    add(h, header_id_of(lower_name), lower_name, value);
}

void headers_add_id(struct headers *h, enum header_id id, struct bytes value)
{
    add(h, id, header_name(id), value);
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

static bool is_one_line(const struct headers *h, enum header_id id)
{
    if (h->first[HEADER_METHOD])
        return one_line[id] & IN_REQUEST;
    return h->first[HEADER_STATUS] && one_line[id] & IN_RESPONSE;
}

static struct bytes joined(struct arena *a, struct bytes list, struct bytes value)
{
    if (list.len == 0 || value.len == 0)
        return list.len ? list : value;
    char *text = arena_alloc(a, list.len + 1 + value.len);
    memcpy(text, list.data, list.len);
    text[list.len] = ',';
    memcpy(text + list.len + 1, value.data, value.len);
    return bytes_from(text, list.len + 1 + value.len);
}

void headers_append(struct headers *h, struct bytes lower_name, struct bytes value)
{
    enum header_id id = header_id_of(lower_name);
    if (h->first[id] && is_one_line(h, id))
        headers_set_id(h, id, joined(h->arena, headers_get(h, id), value));
    else
        add(h, id, lower_name, value);
}

/* All values of a name that have any text, joined: one allocation, however many there are. */
static struct bytes join_all(struct headers *h, enum header_id id)
{
    size_t len = 0, n = 0;
    for (uint32_t i = 0; i < h->n; i++)
        if (h->entries[i].id == id)
            len += h->entries[i].value.len + 1;
    char *text = arena_alloc(h->arena, len);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct header *e = &h->entries[i];
        if (e->id != id || e->value.len == 0)
            continue;
        if (n)
            text[n++] = ',';
        memcpy(text + n, e->value.data, e->value.len);
        n += e->value.len;
    }
    return bytes_from(text, n);
}

void headers_join_lines(struct headers *h)
{
    if (!h->repeated)
        return;
    h->repeated = false;
    for (uint32_t i = h->n; i-- > 0;) {
        enum header_id id = h->entries[i].id;
        if (id != HEADER_OTHER && i + 1u != h->first[id] && is_one_line(h, id)) {
            headers_set_id(h, id, join_all(h, id));
            i = h->n;
        }
    }
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
    if (id != HEADER_OTHER && !h->ever_repeated)
        return;
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
    if (h->first[id])
        set(h, id, header_name(id), value);
    else
        add(h, id, header_name(id), value);
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
