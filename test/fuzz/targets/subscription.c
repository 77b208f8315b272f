/* Histories of one subscription against a plain model of the rules of xDS: what is due, and every
 * request that goes out, as the generated code reads it.
 *
 *     type, steps: what, which */
#include <envoy/service/discovery/v3/discovery.upb.h>
#include <google/rpc/status.upb.h>

#include "fuzz.h"
#include "xds/subscription.h"

enum { NAMES = 6, STEPS_MAX = 400 };

static const char *const names[NAMES] = {"*", "a", "b", "c", "", "xds://x/y?z"};
static const char *const versions[] = {"1", "2", "", "v/3"};
static const char *const nonces[] = {"n1", "n2", "n3", ""};

/* What must hold, said as shortly as can be. */
struct model {
    bool wildcard_type, want[NAMES];
    bool open, sent, named_once, changed, answer;
    unsigned paused;
    const char *version, *nonce;
    char *nack;
};

static bool wants_any(const struct model *m)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (m->want[i])
            return true;
    }
    return false;
}

static bool due(const struct model *m)
{
    return m->open && !m->paused && (m->sent ? m->answer || m->changed : wants_any(m));
}

static void want(struct model *m, struct subscription *s, unsigned i, bool on)
{
    bool changed =
        on ? subscription_want(s, bytes_of(names[i])) : subscription_unwant(s, bytes_of(names[i]));
    FUZZ_CHECK(changed == (m->want[i] != on), "it changed or not");
    m->changed |= changed;
    m->want[i] = on;
}

static void stream(struct model *m, struct subscription *s, bool open)
{
    open ? subscription_stream_opened(s) : subscription_stream_closed(s);
    m->open = open;
    m->sent = m->named_once = m->changed = m->answer = false;
    m->nonce = NULL;
    m->nack = NULL;
}

static void answer(struct model *m, struct subscription *s, uint8_t which)
{
    static char longest[NACK_TEXT_MAX + 100];
    memset(longest, 'e', sizeof(longest) - 1);
    const char *version = versions[which & 3], *nonce = nonces[which >> 2 & 3];
    const char *error = which & 16 ? (which & 32 ? longest : "no") : NULL;
    subscription_answer(s, bytes_of(version), bytes_of(nonce), error);
    m->nonce = nonce;
    m->nack = (char *)error;
    if (!error)
        m->version = version;
    m->answer = true;
}

static struct bytes view(upb_StringView v)
{
    return bytes_from(v.data, v.size);
}

/* How many names the next request says. Listeners and clusters: an empty list asks for all, until
 * a name was said (W04, W05). */
static size_t names_said(const struct model *m)
{
    size_t n = 0;
    for (unsigned i = 0; i < NAMES; i++)
        n += m->want[i];
    return m->wildcard_type && !m->named_once && n == 1 && m->want[0] ? 0 : n;
}

static void check_names(const struct model *m, const envoy_service_discovery_v3_DiscoveryRequest *r)
{
    size_t n = 0;
    const upb_StringView *list = envoy_service_discovery_v3_DiscoveryRequest_resource_names(r, &n);
    FUZZ_CHECK(n == names_said(m), "%zu names, not %zu", n, names_said(m));
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (unsigned k = 0; k < NAMES; k++)
            known |= m->want[k] && bytes_eq_str(view(list[i]), names[k]);
        FUZZ_CHECK(known, "a name that nobody wants");
        FUZZ_CHECK(!i || bytes_cmp(view(list[i - 1]), view(list[i])) < 0, "out of order");
    }
}

static void check_request(const struct model *m,
                          const envoy_service_discovery_v3_DiscoveryRequest *r)
{
    const google_rpc_Status *e = envoy_service_discovery_v3_DiscoveryRequest_error_detail(r);
    fuzz_same("version", view(envoy_service_discovery_v3_DiscoveryRequest_version_info(r)),
              m->version ? bytes_of(m->version) : BYTES(""));
    fuzz_same("nonce", view(envoy_service_discovery_v3_DiscoveryRequest_response_nonce(r)),
              m->nonce ? bytes_of(m->nonce) : BYTES(""));
    fuzz_same("type", view(envoy_service_discovery_v3_DiscoveryRequest_type_url(r)), BYTES("type"));
    FUZZ_CHECK(!e == !m->nack, "an error or none");
    if (e) {
        FUZZ_CHECK(google_rpc_Status_code(e) == GRPC_STATUS_INTERNAL, "its code");
        fuzz_same("error", view(google_rpc_Status_message(e)),
                  bytes_first(bytes_of(m->nack), NACK_TEXT_MAX));
    }
    check_names(m, r);
}

static void take(struct model *m, struct subscription *s)
{
    struct strbuf out = STRBUF_INIT;
    FUZZ_CHECK(subscription_due(s) == due(m), "due is %d", due(m));
    if (!due(m))
        return;
    subscription_take(s, BYTES("\x0a\x01n"), NULL, &out);
    upb_Arena *arena = upb_Arena_New();
    const envoy_service_discovery_v3_DiscoveryRequest *r =
        envoy_service_discovery_v3_DiscoveryRequest_parse(out.data, out.len, arena);
    FUZZ_CHECK(r, "the request cannot be read");
    check_request(m, r);
    m->named_once |= names_said(m) > 0;
    upb_Arena_Free(arena);
    m->sent = true;
    m->answer = m->changed = false;
    m->nack = NULL;
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
        take(m, s);
    }
    FUZZ_CHECK(subscription_due(s) == due(m), "due is %d", due(m));
    FUZZ_CHECK(subscription_is_wildcard(s) == m->want[0], "wildcard is %d", m->want[0]);
    FUZZ_CHECK(subscription_active(s) == (wants_any(m) || m->sent), "active or not");
    FUZZ_CHECK(subscription_wants(s, bytes_of(names[which % NAMES])) == m->want[which % NAMES],
               "wanted or not");
}

static void run(struct bytes input)
{
    struct fuzz_in in = {input};
    struct subscription s;
    struct model m = {.wildcard_type = fuzz_bool(&in)};
    subscription_init(&s, "type", m.wildcard_type, false);
    for (unsigned i = 0; i < STEPS_MAX && in.rest.len; i++) {
        uint8_t what = fuzz_u8(&in);
        step(&m, &s, what, fuzz_u8(&in));
    }
    subscription_fini(&s);
}

const struct fuzz_target fuzz_target = {.run = run};
