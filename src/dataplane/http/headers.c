#include "dataplane/http/headers.h"

#include "base/memory.h"

enum { HEADERS_FIRST_CAP = 24, HEADERS_MAX = 65000 };

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
    [HEADER_CDN_LOOP] = IN_REQUEST,
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
    [HEADER_SERVER] = IN_RESPONSE,
    [HEADER_USER_AGENT] = IN_REQUEST,
    [HEADER_VARY] = IN_RESPONSE,
    [HEADER_VIA] = IN_BOTH,
    [HEADER_X_CLIENT_TRACE_ID] = IN_REQUEST,
    [HEADER_X_ENVOY_ATTEMPT_COUNT] = IN_BOTH,
    [HEADER_X_ENVOY_DECORATOR_OPERATION] = IN_BOTH,
    [HEADER_X_ENVOY_DEGRADED] = IN_RESPONSE,
    [HEADER_X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER] = IN_REQUEST,
    [HEADER_X_ENVOY_DOWNSTREAM_SERVICE_NODE] = IN_REQUEST,
    [HEADER_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS] = IN_REQUEST,
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
    [HEADER_X_ENVOY_UPSTREAM_ALT_STAT_NAME] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_STREAM_DURATION_MS] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_CANARY] = IN_RESPONSE,
    [HEADER_X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER] = IN_RESPONSE,
    [HEADER_X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS] = IN_REQUEST,
    [HEADER_X_ENVOY_UPSTREAM_SERVICE_TIME] = IN_RESPONSE,
    [HEADER_X_FORWARDED_CLIENT_CERT] = IN_REQUEST,
    [HEADER_X_FORWARDED_FOR] = IN_REQUEST,
    [HEADER_X_FORWARDED_HOST] = IN_REQUEST,
    [HEADER_X_FORWARDED_PORT] = IN_REQUEST,
    [HEADER_X_FORWARDED_PROTO] = IN_REQUEST,
    [HEADER_X_REQUEST_ID] = IN_BOTH,
};

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

/* A place behind the other pseudo headers, before the rest. */
static NOINLINE struct header *place_pseudo(struct headers *h)
{
    uint32_t at = h->n;
    while (at > 0 && !is_pseudo(h->entries[at - 1].name))
        at--;
    for (uint32_t i = h->n++; i > at; i--) {
        struct header *moved = &h->entries[i];
        *moved = h->entries[i - 1];
        if (moved->id != HEADER_OTHER && h->first[moved->id] == i)
            h->first[moved->id]++;
    }
    return &h->entries[at];
}

static bool is_behind_others(const struct headers *h)
{
    return h->n && !is_pseudo(h->entries[h->n - 1].name);
}

void headers_add_slowly(struct headers *h, enum header_id id, struct bytes name, struct bytes value)
{
    if (h->n == h->cap)
        grow(h);
    struct header *e = &h->entries[h->n];
    if (is_pseudo(name) && is_behind_others(h))
        e = place_pseudo(h);
    else
        h->n++;
    *e = (struct header){name, value, (uint16_t)id};
    h->byte_size += (uint32_t)(name.len + value.len);
    if (id == HEADER_OTHER)
        return;
    if (!h->first[id])
        h->first[id] = (uint16_t)(e - h->entries + 1);
    else
        h->repeated = h->ever_repeated = true;
}

static void add(struct headers *h, enum header_id id, struct bytes name, struct bytes value)
{
    if (id != HEADER_OTHER)
        headers_add_id(h, id, value);
    else
        headers_add_slowly(h, id, name, value);
}

void headers_add(struct headers *h, struct bytes lower_name, struct bytes value)
{
    add(h, header_id_of(lower_name), lower_name, value);
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

struct bytes headers_get_other(const struct headers *h, struct bytes name)
{
    uint32_t i = find(h, HEADER_OTHER, name);
    return i < h->n ? h->entries[i].value : BYTES_NONE;
}

struct bytes headers_get_name(const struct headers *h, struct bytes lower_name)
{
    uint32_t i = find(h, header_id_of(lower_name), lower_name);
    return i < h->n ? h->entries[i].value : BYTES_NONE;
}

struct bytes headers_get_all(const struct headers *h, struct bytes lower_name)
{
    return headers_get_several(h, header_id_of(lower_name), lower_name);
}

struct bytes headers_get_several(const struct headers *h, enum header_id id,
                                 struct bytes lower_name)
{
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

void headers_append_key(struct headers *h, struct header_key k, struct bytes value)
{
    if (h->first[k.id] && is_one_line(h, k.id))
        headers_set_id(h, k.id, joined(h->arena, headers_get(h, k.id), value));
    else
        add(h, k.id, k.name, value);
}

void headers_append(struct headers *h, struct bytes lower_name, struct bytes value)
{
    headers_append_key(h, header_key(lower_name), value);
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

bool header_number(struct bytes value, uint64_t *n)
{
    value = bytes_trim(value);
    return bytes_to_u64(value.len > 1 && value.data[0] == '+' ? bytes_skip(value, 1) : value, n);
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

void headers_set_key(struct headers *h, struct header_key k, struct bytes value)
{
    set(h, k.id, k.name, value);
}

void headers_set(struct headers *h, struct bytes lower_name, struct bytes value)
{
    headers_set_key(h, header_key(lower_name), value);
}

void headers_set_found(struct headers *h, enum header_id id, struct bytes value)
{
    set(h, id, header_name(id), value);
}

unsigned headers_remove_key(struct headers *h, struct header_key k)
{
    uint32_t at = find(h, k.id, k.name);
    return at == h->n ? 0 : remove_from(h, at, k.id, k.name);
}

unsigned headers_remove(struct headers *h, struct bytes lower_name)
{
    return headers_remove_key(h, header_key(lower_name));
}

unsigned headers_remove_found(struct headers *h, enum header_id id)
{
    return remove_from(h, h->first[id] - 1u, id, header_name(id));
}
