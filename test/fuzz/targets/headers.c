/* The header list against a plain list of pairs: every call gives the same answer, and the list is
 * the same after it.
 *
 *     operations: what, name, value */
#include "dataplane/http/headers.h"
#include "fuzz.h"

enum { PAIRS_MAX = 400 };

struct pair {
    struct bytes name, value;
};
struct model {
    struct pair pairs[PAIRS_MAX];
    unsigned n;
};

static const char *const names[] = {
    ":method",
    ":path",
    ":status",
    ":authority",
    ":x",
    "host",
    "cookie",
    "te",
    "x-a",
    "connection",
    "content-length",
    "a",
    "x-request-id",
    "via",
    "x-b",
    "set-cookie",
    "grpc-status",
    "",
    "x-envoy-attempt-count",
};

static bool pseudo(struct bytes name)
{
    return name.len && name.data[0] == ':';
}

static void model_add(struct model *m, struct bytes name, struct bytes value)
{
    unsigned at = m->n;
    while (pseudo(name) && at > 0 && !pseudo(m->pairs[at - 1].name))
        at--;
    memmove(&m->pairs[at + 1], &m->pairs[at], (m->n - at) * sizeof(m->pairs[0]));
    m->pairs[at] = (struct pair){name, value};
    m->n++;
}

static unsigned model_remove(struct model *m, struct bytes name, unsigned from)
{
    unsigned kept = from, n = m->n;
    for (unsigned i = from; i < n; i++) {
        if (!bytes_eq(m->pairs[i].name, name))
            m->pairs[kept++] = m->pairs[i];
    }
    m->n = kept;
    return n - kept;
}

static int model_find(const struct model *m, struct bytes name)
{
    for (unsigned i = 0; i < m->n; i++) {
        if (bytes_eq(m->pairs[i].name, name))
            return (int)i;
    }
    return -1;
}

static void model_set(struct model *m, struct bytes name, struct bytes value)
{
    int at = model_find(m, name);
    if (at < 0) {
        model_add(m, name, value);
        return;
    }
    m->pairs[at].value = value;
    model_remove(m, name, (unsigned)at + 1);
}

static void check_name(const struct headers *h, const struct model *m, struct bytes name)
{
    int at = model_find(m, name);
    struct bytes value = headers_get_name(h, name), all = headers_get_all(h, name), next;
    struct strbuf joined = STRBUF_INIT;
    uint32_t cursor = 0;
    FUZZ_CHECK((at >= 0) == (value.data != NULL), "%.*s is there or not", BYTES_ARG(name));
    FUZZ_CHECK((at >= 0) == (all.data != NULL), "%.*s is there or not", BYTES_ARG(name));
    for (unsigned i = 0; i < m->n; i++) {
        if (!bytes_eq(m->pairs[i].name, name))
            continue;
        if ((int)i == at)
            fuzz_same("the first value", value, m->pairs[i].value);
        else
            strbuf_add_char(&joined, ',');
        strbuf_add_bytes(&joined, m->pairs[i].value);
        FUZZ_CHECK(headers_values(h, name, &cursor, &next), "a value is missing");
        fuzz_same("a value", next, m->pairs[i].value);
    }
    FUZZ_CHECK(!headers_values(h, name, &cursor, &next), "one value too many");
    fuzz_same("all values", all, strbuf_bytes(&joined));
    strbuf_fini(&joined);
}

static void check(const struct headers *h, const struct model *m)
{
    size_t size = 0;
    FUZZ_CHECK(h->n == m->n, "%u entries, not %u", h->n, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        fuzz_same("name", h->entries[i].name, m->pairs[i].name);
        fuzz_same("value", h->entries[i].value, m->pairs[i].value);
        FUZZ_CHECK(h->entries[i].id == header_id_of(m->pairs[i].name), "id of entry %u", i);
        size += m->pairs[i].name.len + m->pairs[i].value.len;
    }
    FUZZ_CHECK(h->byte_size == size, "byte_size %u, not %zu", h->byte_size, size);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        check_name(h, m, bytes_of(names[i]));
}

static void step(struct headers *h, struct model *m, struct fuzz_in *in)
{
    unsigned what = fuzz_below(in, 4);
    struct bytes name = bytes_of(names[fuzz_below(in, ARRAY_SIZE(names))]);
    struct bytes value = fuzz_take(in, fuzz_below(in, 8));
    enum header_id id = header_id_of(name);
    if (!value.data)
        value = BYTES("");
    if (what == 0) {
        headers_add(h, name, value);
        model_add(m, name, value);
    } else if (what == 1) {
        id ? headers_set_id(h, id, value) : headers_set(h, name, value);
        model_set(m, name, value);
    } else if (what == 2) {
        unsigned removed = id ? headers_remove_id(h, id) : headers_remove(h, name);
        FUZZ_CHECK(removed == model_remove(m, name, 0), "removed %u", removed);
    } else {
        headers_reserve(h, h->n + value.len);
    }
}

static void run(struct bytes input)
{
    static struct model m;
    struct fuzz_in in = {input};
    struct arena *a = arena_new(0);
    struct headers h;
    headers_init(&h, a);
    m.n = 0;
    for (unsigned i = 0; i < PAIRS_MAX - 1 && in.rest.len; i++)
        step(&h, &m, &in);
    check(&h, &m);
    arena_free(&a);
}

const struct fuzz_target fuzz_target = {.run = run};
