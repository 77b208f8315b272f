#include "admin/stat_tags.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "config/wire.h"
#include "regex/regex.h"

/* What a rule has found: the value, and the part of the name that goes. */
struct found {
    struct bytes value;
    struct stat_cut cut;
};

typedef bool find_fn(struct bytes name, const char *arg, struct found *out);

/* stats_config: field 13 of the bootstrap; its fields and those of TagSpecifier. */
enum { BOOTSTRAP_STATS_CONFIG = 13, CONFIG_STATS_TAGS = 1, CONFIG_ALL_DEFAULTS = 2 };
enum { TAG_NAME = 1, TAG_REGEX = 2, TAG_FIXED_VALUE = 3, BOOL_VALUE = 1 };

struct user_rule {
    struct bytes name, fixed; /* in the arena */
    struct regex *regex;      /* NULL: fixed, or the default of that name */
    bool use_default;
};

struct stat_tag_rules {
    struct arena *arena;
    struct user_rule *user;
    size_t n, cap;
    bool no_defaults;
};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool word(char c)
{
    char l = ascii_lower(c);
    return digit(c) || c == '_' || (l >= 'a' && l <= 'z');
}

static bool result(struct found *out, struct bytes name, struct bytes value, size_t at, size_t len)
{
    *out = (struct found){value, {at, len}};
    return at + len <= name.len;
}

/* ---- Envoy's default rules ---- */

/* ..._rq_200 */
static bool find_code(struct bytes n, const char *arg, struct found *out)
{
    size_t l = n.len;
    if (l < 7 || !bytes_eq(bytes_from(n.data + l - 7, 4), BYTES("_rq_")) || !digit(n.data[l - 3]) ||
        !digit(n.data[l - 2]) || !digit(n.data[l - 1]))
        return false;
    return result(out, n, bytes_skip(n, l - 3), l - 4, 4);
}

/* ..._rq_2xx */
static bool find_class(struct bytes n, const char *arg, struct found *out)
{
    size_t l = n.len;
    if (l < 7 || !bytes_eq(bytes_from(n.data + l - 7, 4), BYTES("_rq_")) || !digit(n.data[l - 3]) ||
        !bytes_ends_with(n, BYTES("xx")))
        return false;
    return result(out, n, bytes_from(n.data + l - 3, 1), l - 3, 1);
}

/* listener.<address or name>.worker_N. , server.worker_N. , listener_manager.worker_N. */
static size_t address_length(struct bytes n);

static bool find_worker(struct bytes n, const char *arg, struct found *out)
{
    size_t at = 0, len = 0;
    if (bytes_starts_with(n, BYTES("listener.")))
        at = 9 + address_length(bytes_skip(n, 9)) + 1;
    else if (bytes_starts_with(n, BYTES("server.")))
        at = 7;
    else if (bytes_starts_with(n, BYTES("listener_manager.")))
        at = 17;
    else if (bytes_starts_with(n, BYTES("thread_local_cluster_manager.")))
        at = 29;
    if (at == 0 || !bytes_starts_with(bytes_skip(n, at), BYTES("worker_")))
        return false;
    at += 7;
    while (at + len < n.len && digit(n.data[at + len]))
        len++;
    if (len == 0 || at + len >= n.len || n.data[at + len] != '.')
        return false;
    return result(out, n, bytes_from(n.data + at, len), at, len + 1);
}

static size_t count_while(struct bytes b, bool (*fits)(char))
{
    size_t n = 0;
    while (n < b.len && fits(b.data[n]))
        n++;
    return n;
}

static bool address_char(char c)
{
    return digit(c) || c == '.';
}

static bool ipv6_char(char c)
{
    char l = ascii_lower(c);
    return digit(c) || c == '_' || (l >= 'a' && l <= 'f');
}

/* 127.0.0.1_80 and [__1]_80; else up to the first dot. What follows is a dot. 0: none. */
static size_t address_length(struct bytes n)
{
    size_t len = 0;
    if (n.len && n.data[0] == '[') {
        len = 1 + count_while(bytes_skip(n, 1), ipv6_char);
        len = len < n.len && n.data[len] == ']' ? len + 1 : 0;
    } else {
        len = count_while(n, address_char);
    }
    if (len && len < n.len && n.data[len] == '_') {
        size_t port = count_while(bytes_skip(n, len + 1), digit);
        if (port && len + 1 + port < n.len && n.data[len + 1 + port] == '.')
            return len + 1 + port;
    }
    ptrdiff_t dot = bytes_find_char(n, '.');
    return dot > 0 ? (size_t)dot : 0;
}

static bool find_listener(struct bytes n, const char *arg, struct found *out)
{
    if (!bytes_starts_with(n, BYTES("listener.")))
        return false;
    size_t len = address_length(bytes_skip(n, 9));
    struct bytes value = bytes_from(n.data + 9, len);
    return len && !bytes_eq_str(value, "admin") && result(out, n, value, 9, len + 1);
}

/* listener.<anything>.http.PREFIX. */
static bool find_listener_http(struct bytes n, const char *arg, struct found *out)
{
    size_t at = 9;
    if (!bytes_starts_with(n, BYTES("listener.")))
        return false;
    for (;;) {
        ptrdiff_t http = bytes_find(bytes_skip(n, at), BYTES(".http."));
        if (http < 0)
            return false;
        at += (size_t)http + 6;
        ptrdiff_t dot = bytes_find_char(bytes_skip(n, at), '.');
        if (dot > 0)
            return result(out, n, bytes_from(n.data + at, (size_t)dot), at, (size_t)dot + 1);
        at--;
    }
}

static bool route_name_char(char c)
{
    return word(c) || c == '-' || c == '.';
}

/* http.PREFIX.rds.ROUTE.update_success: the route's name is everything up to the last dot. */
static bool find_rds(struct bytes n, const char *arg, struct found *out)
{
    ptrdiff_t dot = bytes_find_char(bytes_skip(n, 5), '.'), last = bytes_rfind_char(n, '.');
    if (!bytes_starts_with(n, BYTES("http.")) || dot <= 0)
        return false;
    size_t at = 5 + (size_t)dot;
    if (!bytes_starts_with(bytes_skip(n, at), BYTES(".rds.")) || (size_t)last <= at + 5)
        return false;
    struct bytes value = bytes_from(n.data + at + 5, (size_t)last - at - 5);
    struct bytes rest = bytes_skip(n, (size_t)last + 1);
    if (rest.len == 0 || count_while(rest, word) != rest.len ||
        count_while(value, route_name_char) != value.len)
        return false;
    return result(out, n, value, at + 5, value.len + 1);
}

static bool cipher_char(char c)
{
    return word(c) || c == '-';
}

/* "listener|.ssl.ciphers.": the last part of a name that starts so and has this before it. */
static bool find_tls(struct bytes n, const char *arg, struct found *out)
{
    struct bytes middle = bytes_of(arg), start = bytes_split(&middle, '|');
    ptrdiff_t at = bytes_find(n, middle);
    ptrdiff_t dot = bytes_find_char(n, '.');
    if (at < 0 || dot < 0 || (start.len && !bytes_eq(bytes_first(n, (size_t)dot), start)) ||
        (!start.len && !bytes_starts_with(n, BYTES("listener.")) &&
         !bytes_starts_with(n, BYTES("cluster."))))
        return false;
    struct bytes value = bytes_skip(n, (size_t)at + middle.len);
    bool version = bytes_eq_str(middle, ".ssl.versions.");
    if (version && !bytes_starts_with(value, BYTES("TLSv")))
        return false;
    if (value.len == 0 || (!version && count_while(value, cipher_char) != value.len))
        return false;
    return result(out, n, value, n.len - value.len - 1, value.len + 1);
}

/* What follows, up to the next dot. */
static bool find_certificate(struct bytes n, const char *arg, struct found *out)
{
    ptrdiff_t at = bytes_find(n, bytes_of(arg));
    if (at < 0 ||
        (!bytes_starts_with(n, BYTES("listener.")) && !bytes_starts_with(n, BYTES("cluster."))))
        return false;
    size_t from = (size_t)at + strlen(arg);
    ptrdiff_t dot = bytes_find_char(bytes_skip(n, from), '.');
    return dot > 0 && result(out, n, bytes_from(n.data + from, (size_t)dot), from, (size_t)dot + 1);
}

/* A pattern of parts: "*" one part, "$" the one that is the value, "**" whatever follows. */
static bool find_tokens(struct bytes n, const char *arg, struct found *out)
{
    struct bytes pattern = bytes_of(arg), rest = n, value = BYTES_NONE;
    while (pattern.data) {
        struct bytes want = bytes_split(&pattern, '.');
        if (!rest.data)
            return false;
        if (bytes_eq_str(want, "**"))
            break;
        struct bytes part = bytes_split(&rest, '.');
        if (bytes_eq_str(want, "$"))
            value = part;
        else if (!bytes_eq_str(want, "*") && !bytes_eq(want, part))
            return false;
    }
    if (!value.data || !value.len)
        return false;
    return result(out, n, value, (size_t)(value.data - n.data), value.len + 1);
}

static const struct default_rule {
    const char *tag;
    find_fn *find;
    const char *arg;
} default_rules[] = {
    {"envoy.response_code", find_code, NULL},
    {"envoy.response_code_class", find_class, NULL},
    {"envoy.ssl_curve", find_tls, "|.ssl.curves."},
    {"envoy.ssl_sigalg", find_tls, "|.ssl.sigalgs."},
    {"envoy.ssl_version", find_tls, "|.ssl.versions."},
    {"envoy.worker_id", find_worker, NULL},
    {"envoy.local_http_ratelimit_prefix", find_tokens, "$.http_local_rate_limit.**"},
    {"envoy.ssl_cipher", find_tls, "listener|.ssl.ciphers."},
    {"cipher_suite", find_tls, "cluster|.ssl.ciphers."},
    {"envoy.http_conn_manager_prefix", find_listener_http, NULL},
    {"envoy.tls_certificate", find_certificate, ".ssl.certificate."},
    {"envoy.listener_address", find_listener, NULL},
    {"envoy.rds_route_config", find_rds, NULL},
    {"envoy.grpc_bridge_method", find_tokens, "cluster.*.grpc.*.$.**"},
    {"envoy.http_user_agent", find_tokens, "http.*.user_agent.$.**"},
    {"envoy.virtual_cluster", find_tokens, "vhost.*.vcluster.$.**"},
    {"envoy.fault_downstream_cluster", find_tokens, "http.*.fault.$.**"},
    {"envoy.grpc_bridge_service", find_tokens, "cluster.*.grpc.$.**"},
    {"envoy.tcp_prefix", find_tokens, "tcp.$.**"},
    {"envoy.udp_prefix", find_tokens, "udp.$.**"},
    {"envoy.clientssl_prefix", find_tokens, "auth.clientssl.$.**"},
    {"envoy.ratelimit_prefix", find_tokens, "ratelimit.$.**"},
    {"envoy.cluster_name", find_tokens, "cluster.$.**"},
    {"envoy.ext_authz_prefix", find_tokens, "cluster.*.ext_authz.$.**"},
    {"envoy.ext_authz_prefix", find_tokens, "http.*.ext_authz.$.**"},
    {"envoy.http_conn_manager_prefix", find_tokens, "http.$.**"},
    {"envoy.virtual_host", find_tokens, "vhost.$.**"},
    {"envoy.route", find_tokens, "vhost.*.route.$.**"},
    {"envoy.local_network_ratelimit_prefix", find_tokens, "local_rate_limit.$.**"},
    {"envoy.local_listener_ratelimit_prefix", find_tokens, "listener_local_ratelimit.$.**"},
    {"envoy.xds_resource_name", find_tokens, "sds.$.**"},
};

/* ---- rules of the bootstrap ---- */

static bool is_default(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(default_rules); i++) {
        if (bytes_eq_str(name, default_rules[i].tag))
            return true;
    }
    return false;
}

static void add_user_rule(struct stat_tag_rules *r, struct bytes spec, struct strbuf *complaints)
{
    struct bytes name = wire_find_bytes(spec, TAG_NAME), text = wire_find_bytes(spec, TAG_REGEX);
    struct bytes fixed = wire_find_bytes(spec, TAG_FIXED_VALUE);
    struct user_rule rule = {.use_default = !text.len && !fixed.data};
    struct error err = ERROR_INIT;
    if (rule.use_default && !is_default(name)) {
        strbuf_printf(complaints, "stats_tags: no regex for tag '%.*s', which is no default tag\n",
                      BYTES_ARG(name));
        return;
    }
    if (text.len) {
        rule.regex = regex_new_limited(text, REGEX_PROGRAM_SIZE_ANY, &err);
        if (!rule.regex || regex_group_count(rule.regex) == 0) {
            strbuf_printf(complaints, "stats_tags: tag '%.*s' is not extracted: %s\n",
                          BYTES_ARG(name), rule.regex ? "no group in its regex" : error_text(&err));
            regex_free(&rule.regex);
            error_fini(&err);
            return;
        }
    }
    rule.name = arena_dup(r->arena, name);
    rule.fixed = fixed.data ? arena_dup(r->arena, fixed) : BYTES_NONE;
    GROW(r->user, r->cap, r->n + 1);
    r->user[r->n++] = rule;
}

static void add_fixed(struct stat_tag_rules *r, struct bytes value)
{
    struct bytes name = bytes_split(&value, ':');
    GROW(r->user, r->cap, r->n + 1);
    r->user[r->n++] =
        (struct user_rule){.name = arena_dup(r->arena, name), .fixed = arena_dup(r->arena, value)};
}

struct stat_tag_rules *stat_tag_rules_new(struct fixed_tags given, struct bytes bootstrap,
                                          struct strbuf *complaints)
{
    struct stat_tag_rules *r = NEW(struct stat_tag_rules);
    struct bytes config = wire_find_bytes(bootstrap, BOOTSTRAP_STATS_CONFIG);
    struct wire_field f;
    r->arena = arena_new(1024);
    for (unsigned i = 0; i < given.n; i++)
        add_fixed(r, bytes_of(given.texts[i]));
    while (wire_next(&config, &f)) {
        if (f.number == CONFIG_STATS_TAGS)
            add_user_rule(r, f.bytes, complaints);
        else if (f.number == CONFIG_ALL_DEFAULTS)
            r->no_defaults = !wire_find_varint(f.bytes, BOOL_VALUE, 0);
    }
    return r;
}

void stat_tag_rules_free(struct stat_tag_rules **rules)
{
    struct stat_tag_rules *r = *rules;
    *rules = NULL;
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        regex_free(&r->user[i].regex);
    mem_free(r->user);
    arena_free(&r->arena);
    mem_free(r);
}

/* ---- extraction ---- */

/* The first rule that finds a tag of this name wins. */
static void take(struct stat_tags *t, struct bytes tag, const struct found *f)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (bytes_eq(t->tags[i].name, tag))
            return;
    }
    if (t->n == STAT_TAGS_MAX)
        return;
    t->tags[t->n++] = (struct stat_tag_value){tag, f->value};
    if (f->cut.len)
        t->cuts[t->n_cuts++] = f->cut;
}

static const struct user_rule *user_rule_of(const struct stat_tag_rules *r, const char *tag)
{
    for (size_t i = 0; r && i < r->n; i++) {
        if (bytes_eq_str(r->user[i].name, tag))
            return &r->user[i];
    }
    return NULL;
}

/* The first group goes, the second is the value; with one group it is both. */
static void apply_regex(const struct user_rule *rule, struct bytes name, struct stat_tags *out)
{
    struct bytes groups[3] = {BYTES_NONE, BYTES_NONE, BYTES_NONE};
    unsigned n = regex_group_count(rule->regex);
    if (!regex_captures(rule->regex, name, groups, n > 1 ? 3 : 2) || !groups[1].data)
        return;
    struct bytes value = n > 1 && groups[2].data ? groups[2] : groups[1];
    struct found f = {value, {(size_t)(groups[1].data - name.data), groups[1].len}};
    take(out, rule->name, &f);
}

static int cut_order(const void *a, const void *b)
{
    const struct stat_cut *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Cuts may overlap: what any of them covers is left out once. No dot is left at the end. */
static void cut(struct bytes name, struct stat_tags *t)
{
    size_t at = 0;
    qsort(t->cuts, t->n_cuts, sizeof(t->cuts[0]), cut_order);
    for (unsigned i = 0; i < t->n_cuts; i++) {
        const struct stat_cut *c = &t->cuts[i];
        if (c->at > at)
            strbuf_add_bytes(&t->name, bytes_from(name.data + at, c->at - at));
        if (c->at + c->len > at)
            at = c->at + c->len;
    }
    strbuf_add_bytes(&t->name, bytes_skip(name, at));
    while (t->n_cuts && t->name.len && t->name.data[t->name.len - 1] == '.')
        strbuf_cut(&t->name, t->name.len - 1);
}

void stat_tags_extract(const struct stat_tag_rules *rules, struct bytes name, struct stat_tags *out)
{
    strbuf_reset(&out->name);
    out->n = out->n_cuts = 0;
    for (size_t i = 0; rules && i < rules->n; i++) {
        if (rules->user[i].fixed.data)
            take(out, rules->user[i].name, &(struct found){.value = rules->user[i].fixed});
    }
    for (size_t i = 0; i < ARRAY_SIZE(default_rules); i++) {
        const struct default_rule *d = &default_rules[i];
        const struct user_rule *u = user_rule_of(rules, d->tag);
        struct found f;
        if (rules && rules->no_defaults && !(u && u->use_default))
            continue;
        if (d->find(name, d->arg, &f))
            take(out, bytes_of(d->tag), &f);
    }
    for (size_t i = 0; rules && i < rules->n; i++) {
        if (rules->user[i].regex)
            apply_regex(&rules->user[i], name, out);
    }
    cut(name, out);
}

void stat_tags_fini(struct stat_tags *t)
{
    strbuf_fini(&t->name);
}
