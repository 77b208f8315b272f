/* Histories of one incremental subscription against what a server makes of the requests: after
 * each it knows exactly what is wanted, is told so once, and each request has one purpose.
 *
 *     type, steps: what, which */
#include <envoy/service/discovery/v3/discovery.upb.h>
#include <google/rpc/status.upb.h>

#include "fuzz.h"
#include "xds/subscription.h"

enum { NAMES = 6, STEPS_MAX = 400 };

static const char *const names[NAMES] = {"*", "a", "b", "c", "", "xds://x/y?z"};
static const char *const nonces[] = {"n1", "n2", "n3", ""};

struct model {
    bool wildcard_type;
    bool want[NAMES], known[NAMES]; /* known: to the server, on this stream */
    bool again[NAMES];              /* it was given up meanwhile: the server must send it anew */
    bool open, sent, answer;
    unsigned paused, held;
    const char *nonce, *nack;
};

static bool unsaid(const struct model *m, unsigned i)
{
    return m->want[i] && (!m->known[i] || m->again[i]);
}

static bool given_up(const struct model *m, unsigned i)
{
    return !m->want[i] && m->known[i];
}

static bool any(const struct model *m, bool (*fn)(const struct model *, unsigned))
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (fn(m, i))
            return true;
    }
    return false;
}

static bool wanted(const struct model *m, unsigned i)
{
    return m->want[i];
}

static bool due(const struct model *m)
{
    if (!m->open || m->paused)
        return false;
    return m->sent ? m->answer || any(m, unsaid) || any(m, given_up) : any(m, wanted);
}

static void want(struct model *m, struct subscription *s, unsigned i, bool on)
{
    struct bytes name = bytes_of(names[i]);
    bool changed = on ? subscription_want(s, name) : subscription_unwant(s, name);
    FUZZ_CHECK(changed == (m->want[i] != on), "it changed or not");
    m->again[i] |= changed && on && m->known[i];
    m->want[i] = on;
}

static void stream(struct model *m, struct subscription *s, bool open)
{
    open ? subscription_stream_opened(s) : subscription_stream_closed(s);
    memset(m->known, 0, sizeof(m->known));
    memset(m->again, 0, sizeof(m->again));
    m->open = open;
    m->sent = m->answer = false;
    m->nonce = m->nack = NULL;
}

static void answer(struct model *m, struct subscription *s, uint8_t which)
{
    static char longest[NACK_TEXT_MAX + 100];
    memset(longest, 'e', sizeof(longest) - 1);
    m->nonce = nonces[which >> 2 & 3];
    m->nack = which & 16 ? (which & 32 ? longest : "no") : NULL;
    subscription_answer(s, BYTES("system"), bytes_of(m->nonce), m->nack);
    m->answer = true;
}

static struct bytes view(upb_StringView v)
{
    return bytes_from(v.data, v.size);
}

/* The list holds exactly those of the names, in order. */
static void check_list(const struct model *m, const upb_StringView *list, size_t n,
                       bool (*fn)(const struct model *, unsigned), const char *what)
{
    size_t expected = 0;
    for (unsigned i = 0; i < NAMES; i++)
        expected += fn(m, i);
    FUZZ_CHECK(n == expected, "%s: %zu names, not %zu", what, n, expected);
    for (size_t k = 0; k < n; k++) {
        bool mine = false;
        for (unsigned i = 0; i < NAMES; i++)
            mine |= fn(m, i) && bytes_eq_str(view(list[k]), names[i]);
        FUZZ_CHECK(mine, "%s: a name that has no business there", what);
        FUZZ_CHECK(!k || bytes_cmp(view(list[k - 1]), view(list[k])) < 0, "%s: out of order", what);
    }
}

static bool nobody(const struct model *m, unsigned i)
{
    return false;
}

/* All alone, as the first words of a stream: an empty list (W06). */
static bool says_all_by_nothing(const struct model *m)
{
    for (unsigned i = 1; i < NAMES; i++) {
        if (m->want[i])
            return false;
    }
    return !m->sent && m->wildcard_type && m->want[0];
}

static void check_names(const struct model *m,
                        const envoy_service_discovery_v3_DeltaDiscoveryRequest *r)
{
    size_t n_subscribe = 0, n_unsubscribe = 0;
    const upb_StringView *subscribe =
        envoy_service_discovery_v3_DeltaDiscoveryRequest_resource_names_subscribe(r, &n_subscribe);
    const upb_StringView *unsubscribe =
        envoy_service_discovery_v3_DeltaDiscoveryRequest_resource_names_unsubscribe(r,
                                                                                    &n_unsubscribe);
    bool silent = m->answer || says_all_by_nothing(m);
    check_list(m, subscribe, n_subscribe, silent ? nobody : unsaid, "subscribed");
    check_list(m, unsubscribe, n_unsubscribe, m->answer ? nobody : given_up, "unsubscribed");
}

static void check_request(const struct model *m,
                          const envoy_service_discovery_v3_DeltaDiscoveryRequest *r)
{
    const google_rpc_Status *e = envoy_service_discovery_v3_DeltaDiscoveryRequest_error_detail(r);
    fuzz_same("type", view(envoy_service_discovery_v3_DeltaDiscoveryRequest_type_url(r)),
              BYTES("type"));
    fuzz_same("nonce", view(envoy_service_discovery_v3_DeltaDiscoveryRequest_response_nonce(r)),
              m->answer ? bytes_of(m->nonce) : BYTES(""));
    FUZZ_CHECK(!e == !(m->answer && m->nack), "an error or none");
    if (e) {
        FUZZ_CHECK(google_rpc_Status_code(e) == GRPC_STATUS_INTERNAL, "its code");
        fuzz_same("error", view(google_rpc_Status_message(e)),
                  bytes_first(bytes_of(m->nack), NACK_TEXT_MAX));
    }
    size_t n = envoy_service_discovery_v3_DeltaDiscoveryRequest_initial_resource_versions_size(r);
    FUZZ_CHECK(n == (m->sent ? 0 : m->held), "%zu versions are told", n);
    check_names(m, r);
}

/* Versions of as many names as the model says. */
static void each_held(void *ctx, subscription_held_fn *fn, void *arg)
{
    const struct model *m = ctx;
    for (unsigned i = 0; i < m->held; i++)
        fn(arg, bytes_of(names[i]), i & 1 ? BYTES("7") : BYTES(""));
}

static void told(struct model *m)
{
    if (m->answer) {
        m->answer = false;
        m->nack = NULL;
        return;
    }
    memcpy(m->known, m->want, sizeof(m->known));
    memset(m->again, 0, sizeof(m->again));
    m->sent = true;
}

static void take(struct model *m, struct subscription *s)
{
    struct subscription_held held = {each_held, m};
    struct strbuf out = STRBUF_INIT;
    if (!due(m))
        return;
    subscription_take(s, BYTES("\x0a\x01n"), &held, &out);
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_DeltaDiscoveryRequest *r =
        envoy_service_discovery_v3_DeltaDiscoveryRequest_parse(out.data, out.len, arena);
    FUZZ_CHECK(r, "the request cannot be read");
    check_request(m, r);
    told(m);
    upb_Arena_Free(arena);
    strbuf_fini(&out);
}

static void step(struct model *m, struct subscription *s, uint8_t what, uint8_t which)
{
    switch (what % 8) {
    case 0:
    case 1:
        want(m, s, which % NAMES, what % 8 == 0);
        break;
    case 2:
        stream(m, s, true);
        break;
    case 3:
        stream(m, s, which & 1);
        break;
    case 4: /* answers come on a stream that has asked */
        if (m->open && m->sent)
            answer(m, s, which);
        break;
    case 5:
        subscription_pause(s);
        m->paused++;
        break;
    case 6:
        if (m->paused) {
            subscription_resume(s);
            m->paused--;
        }
        break;
    default:
        m->held = which % (NAMES + 1);
        take(m, s);
    }
    FUZZ_CHECK(subscription_due(s) == due(m), "due is %d", due(m));
    FUZZ_CHECK(subscription_is_wildcard(s) == m->want[0], "wildcard is %d", m->want[0]);
    FUZZ_CHECK(subscription_active(s) == (any(m, wanted) || m->sent), "active or not");
    FUZZ_CHECK(subscription_wants(s, bytes_of(names[which % NAMES])) == m->want[which % NAMES],
               "wanted or not");
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct subscription s;
    struct model m = {.wildcard_type = fuzz_bool(&in)};
    subscription_init(&s, "type", m.wildcard_type, true);
    for (unsigned i = 0; i < STEPS_MAX && in.rest.len; i++) {
        uint8_t what = fuzz_u8(&in);
        step(&m, &s, what, fuzz_u8(&in));
    }
    subscription_fini(&s);
}

const struct fuzz_target fuzz_target = {.run = run};
