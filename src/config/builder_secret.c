/* Secrets, and the TLS contexts that are made of them. A context belongs to the transport socket of
 * a filter chain or cluster: it is made when all secrets that the socket names are there, and made
 * anew when one of them changes. Nothing else changes then: connections keep the context they began
 * with, new ones find the new one in the next snapshot. */
#include "base/memory.h"
#include "config/builder_private.h"
#include "config/tls_decode.h"
#include "config/tls_live.h"

static void node_fini(struct node *n)
{
    struct tls_node *t = CONTAINER_OF(n, struct tls_node, node);
    t->factory->unref(t->factory->ctx, t->context);
    for (unsigned i = 0; i < t->n_expiry; i++)
        stat_scope_unref(&t->expiry[i]);
    mem_free(t->expiry);
}

static struct bytes secret_wire(void *arg, const struct tls_secret_ref *ref)
{
    const struct builder *b = arg;
    const struct resource *r = store_find(&b->store, ref->source, RESOURCE_SECRET, ref->name);
    return r && r->active ? r->active->wire : BYTES_NONE;
}

/* NULL without an error: a secret is missing, or the live files are still those of *unless. */
static struct tls_node *make_unless(struct builder *b, const struct tls_socket *s,
                                    const uint64_t *unless, struct error *err)
{
    struct tls_settings settings;
    struct tls_reader r;
    bool missing = false;
    tls_reader_init(&r, &b->ctx);
    struct tls_context *c = NULL;
    bool ok = tls_settings_read(&r, s, secret_wire, b, &settings, &missing, err);
    if (ok && !missing && !(unless && *unless == r.live_hash))
        c = b->options.tls->make(b->options.tls->ctx, &settings, err);
    builder_live_note(b, (struct tls_socket *)s, &r);
    tls_reader_fini(&r);
    if (!c)
        return NULL;
    struct tls_node *t = node_new(NODE_TLS, sizeof(*t), 0, node_fini);
    t->factory = b->options.tls;
    t->context = c;
    b->expiry_stale = true;
    return t;
}

static struct tls_node *make_node(struct builder *b, const struct tls_socket *s, struct error *err)
{
    return make_unless(b, s, NULL, err);
}

bool builder_tls_prepare(struct builder *b, struct tls_socket *s, struct bytes stat_prefix,
                         struct error *err)
{
    struct stat_scope *old = s->stats;
    if (!b->options.tls)
        return error_set(err, "TLS is not built in");
    s->stats = stat_scope_get(b->options.stats, stat_prefix, &tls_factory_stat_schema);
    stat_scope_unref(&old);
    if (s->node)
        return true;
    stat_add(s->stats, STAT_SLOT_CONFIG, STAT_TLS_UPDATE_BY_SDS, 0);
    s->node = make_node(b, s, err);
    builder_tls_expiry(b, s);
    return !error_is_set(err);
}

/* ---- who needs which ---- */

static const struct tls_secret_ref *nth_ref(const struct tls_socket *s, unsigned i)
{
    if (i < s->n_certificate_secrets)
        return &s->certificate_secrets[i];
    i -= s->n_certificate_secrets;
    if (s->validation_secret.name.len && i-- == 0)
        return &s->validation_secret;
    return s->ticket_keys_secret.name.len && i == 0 ? &s->ticket_keys_secret : NULL;
}

unsigned builder_tls_secrets(const struct tls_socket *s)
{
    unsigned n = 0, i = 0;
    const struct tls_secret_ref *ref;
    while (s && (ref = nth_ref(s, i++)))
        n += ref->source != NULL;
    return n;
}

static void give_scope(struct builder *b, struct resource *r)
{
    if (r->stats)
        return;
    struct arena *a = arena_new(0);
    struct bytes name = stat_name_of(a, r->name);
    const char *prefix = arena_printf(a, "sds.%.*s", BYTES_ARG(name));
    r->stats = stat_scope_get(b->options.stats, bytes_of(prefix), &sds_stat_schema);
    arena_free(&a);
}

void builder_depend_on_secrets(struct builder *b, struct resource_version *v,
                               const struct tls_socket *s)
{
    const struct tls_secret_ref *ref;
    for (unsigned i = 0; s && (ref = nth_ref(s, i)); i++) {
        if (!ref->source)
            continue; /* of the bootstrap: always there */
        builder_depend(b, v, ref->source, RESOURCE_SECRET, ref->name);
        give_scope(b, v->deps[v->n_deps - 1].on);
    }
}

static bool names(const struct tls_socket *s, const struct resource *r)
{
    const struct tls_secret_ref *ref;
    for (unsigned i = 0; s && (ref = nth_ref(s, i)); i++) {
        if (ref->source && bytes_eq(ref->name, r->name) &&
            bytes_eq(ref->source->key, r->source->source.key))
            return true;
    }
    return false;
}

/* The i-th transport socket of a version; NULL in *s: plain text. False: no more. */
static bool nth_socket(const struct resource_version *v, unsigned i, const struct tls_socket **s)
{
    const struct listener_parts *p = v->listener;
    if (v->resource->type == RESOURCE_CLUSTER) {
        if (i > v->cluster->n_socket_matches)
            return false;
        *s = cluster_socket(v->cluster, i);
        return true;
    }
    if (i > p->n_chains)
        return false;
    const struct filter_chain *c = i < p->n_chains    ? p->chains[i].chain
                                   : p->default_chain ? p->default_chain->chain
                                                      : NULL;
    *s = c ? c->tls : NULL;
    return true;
}

/* ---- when certificates end ---- */

static int64_t first_of(const struct tls_cert_info *list, unsigned n, int64_t first)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i].not_after < first)
            first = list[i].not_after;
    }
    return first;
}

static int64_t first_of_version(const struct resource_version *v, int64_t first)
{
    const struct tls_socket *s;
    for (unsigned i = 0; nth_socket(v, i, &s); i++) {
        struct tls_cert_infos infos = {0};
        if (!s || !s->node)
            continue;
        s->node->factory->cert_infos(s->node->factory->ctx, s->node->context, &infos);
        first = first_of(infos.ca, infos.n_ca, first);
        first = first_of(infos.certificates, infos.n_certificates, first);
    }
    return first;
}

int64_t builder_first_expiry(struct builder *b)
{
    static const enum resource_type types[] = {RESOURCE_CLUSTER, RESOURCE_LISTENER};
    if (!b->expiry_stale)
        return b->first_expiry;
    b->expiry_stale = false;
    b->first_expiry = INT64_MAX;
    for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
        LIST_EACH(it, &b->store.lists[types[t]])
        {
            const struct resource *r = LIST_ENTRY(it, struct resource, link);
            if (r->active)
                b->first_expiry = first_of_version(r->active, b->first_expiry);
        }
    }
    return b->first_expiry;
}

/* ---- new contexts ---- */

/* Contexts that stand ready while others are made: all are used, or none. */
struct remake {
    struct {
        struct tls_socket *socket;
        struct tls_node *node; /* NULL: another secret is missing */
    } * made;
    size_t n, cap;
    bool missing;
};

static bool is_made(const struct remake *m, const struct tls_socket *s)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->made[i].socket == s)
            return true;
    }
    return false;
}

static bool remake_version(struct builder *b, struct remake *m, const struct resource *secret,
                           const struct resource_version *v, struct error *err)
{
    const struct tls_socket *s;
    for (unsigned i = 0; nth_socket(v, i, &s); i++) {
        if (!names(s, secret) || is_made(m, s))
            continue;
        struct tls_node *node = make_node(b, s, err);
        if (error_is_set(err))
            return error_prefix(
                err, "%s '%.*s': ", v->resource->type == RESOURCE_CLUSTER ? "cluster" : "listener",
                BYTES_ARG(v->resource->name));
        GROW(m->made, m->cap, m->n + 1);
        m->made[m->n].socket = (struct tls_socket *)s;
        m->made[m->n++].node = node;
        m->missing |= !node;
    }
    return true;
}

static bool remake_all(struct builder *b, struct remake *m, struct resource *secret,
                       struct error *err)
{
    LIST_EACH(it, &secret->dependants)
    {
        if (!remake_version(b, m, secret, LIST_ENTRY(it, struct dependency, link)->from, err))
            return false;
    }
    return true;
}

static void remake_use(struct builder *b, struct remake *m, struct resource *secret)
{
    for (size_t i = 0; i < m->n; i++) {
        struct tls_socket *s = m->made[i].socket;
        struct tls_node *old = s->node;
        stat_inc(s->stats, STAT_SLOT_CONFIG, STAT_TLS_UPDATE_BY_SDS);
        if (!m->made[i].node)
            continue;
        s->node = m->made[i].node;
        m->made[i].node = NULL;
        builder_tls_expiry(b, s);
        NODE_UNREF(&old);
    }
    LIST_EACH(it, &secret->dependants)
    {
        struct resource *user = LIST_ENTRY(it, struct dependency, link)->from->resource;
        if (m->n && user->active)
            builder_mark_dirty(b, user);
    }
}

static void remake_fini(struct remake *m)
{
    for (size_t i = 0; i < m->n; i++)
        NODE_UNREF(&m->made[i].node);
    mem_free(m->made);
}

/* Is it good by itself? Who waits for a second secret cannot tell yet. */
static bool try_alone(struct builder *b, enum tls_secret_kind kind, struct tls_settings *s,
                      struct error *err)
{
    const struct tls_factory *f = b->options.tls;
    if (kind != TLS_SECRET_CERTIFICATE && kind != TLS_SECRET_VALIDATION)
        return true;
    struct tls_validation v;
    if (s->validation) {
        v = *s->validation;
        v.n_sans = 0; /* they may belong to an authority that stands elsewhere */
        if (v.trusted_ca.len == 0)
            v.crl = BYTES("");
        s->validation = &v;
    }
    struct tls_context *c = f->make(f->ctx, s, err);
    if (c)
        f->unref(f->ctx, c);
    return c != NULL;
}

/* The active version's. *hash: of its files; equal to what stands there: nothing is made. One of
 * the bootstrap is read by who names it, if anybody does. */
static bool read_secret(struct builder *b, struct resource *r, struct tls_reader *reader,
                        uint64_t *hash, struct remake *m, struct error *err)
{
    struct tls_settings settings;
    enum tls_secret_kind kind;
    if (r->is_static)
        return tls_secret_check(reader, r->active->wire, r->name, err);
    bool ok = tls_secret_read(reader, r->active->wire, r->name, &kind, &settings, err);
    if (hash && *hash == reader->files_hash)
        return false;
    if (hash)
        *hash = reader->files_hash;
    return ok && remake_all(b, m, r, err) && (!m->missing || try_alone(b, kind, &settings, err));
}

/* Makes it the active version if it can be used; what serves until then may be it, too. */
static bool use_version(struct builder *b, struct resource_version *v, struct tls_reader *reader,
                        uint64_t *hash, struct error *err)
{
    struct resource *r = v->resource;
    struct resource_version *old = r->active;
    struct remake m = {0};
    r->active = v; /* what the new contexts are made of */
    bool ok = read_secret(b, r, reader, hash, &m, err);
    if (ok)
        remake_use(b, &m, r);
    else
        r->active = old;
    if (ok && old != v)
        builder_drop_version(b, &old);
    remake_fini(&m);
    return ok;
}

void builder_secret_forget_refused(struct builder *b, struct resource *r)
{
    if (r->type == RESOURCE_SECRET)
        builder_drop_version(b, &r->refused);
}

bool builder_secret_reload(struct builder *b, struct resource_version *v, uint64_t *hash,
                           struct error *err)
{
    struct resource *r = v->resource;
    struct tls_reader reader;
    tls_reader_init(&reader, &b->ctx);
    bool ok = use_version(b, v, &reader, hash, err);
    if (ok && r->refused == v) {
        r->refused = NULL;
        resource_clear_rejected(r);
    }
    builder_secret_watch(b, v, &reader); /* a reading that failed earlier did not come to all */
    tls_reader_fini(&reader);
    return ok;
}

static bool uses(const struct resource_version *v, const struct tls_socket *socket)
{
    const struct tls_socket *s;
    for (unsigned i = 0; v && nth_socket(v, i, &s); i++) {
        if (s == socket)
            return true;
    }
    return false;
}

bool builder_socket_reload(struct builder *b, struct tls_socket *s, uint64_t *hash,
                           struct error *err)
{
    static const enum resource_type types[] = {RESOURCE_CLUSTER, RESOURCE_LISTENER};
    uint64_t before = *hash;
    struct tls_node *node = make_unless(b, s, &before, err), *old = s->node;
    if (!node)
        return false;
    s->node = node;
    builder_tls_expiry(b, s);
    NODE_UNREF(&old);
    for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
        LIST_EACH(it, &b->store.lists[types[t]])
        {
            struct resource *r = LIST_ENTRY(it, struct resource, link);
            if (uses(r->active, s))
                builder_mark_dirty(b, r);
        }
    }
    return true;
}

/* What is refused may be so only because its files are not there yet, or not all of them: it is
 * kept and tried again when they change, until something newer comes. */
static bool secret_update(struct builder *b, struct resource *r, const struct incoming *in,
                          bool *unchanged, struct error *err)
{
    struct tls_reader reader;
    builder_secret_forget_refused(b, r);
    *unchanged = r->active && bytes_eq(r->active->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(r->active, in);
        return true;
    }
    builder_count_decoded(b, RESOURCE_SECRET);
    struct resource_version *v = builder_version(b, r, in);
    tls_reader_init(&reader, &b->ctx);
    bool ok = use_version(b, v, &reader, NULL, err);
    if (!r->is_static)
        builder_secret_watch(b, v, &reader);
    if (!ok && v->files)
        r->refused = v;
    else if (!ok)
        builder_drop_version(b, &v);
    tls_reader_fini(&reader);
    return ok;
}

bool builder_secret_update(struct builder *b, struct resource *r, const struct incoming *in,
                           bool *unchanged, struct error *err)
{
    bool ok = secret_update(b, r, in, unchanged, err);
    if (!r->is_static)
        builder_subscription_answer(b, r, in, ok, *unchanged);
    return ok;
}
