/* When each certificate of a context ends, as gauges: listener.ADDRESS.ssl.certificate.NAME.
 * expiration_unix_time_seconds, and the same of a cluster. NAME is the secret's; what no secret
 * named has Envoy's name for it, which all such certificates share: the first to end is told. */
#include "base/memory.h"
#include "config/builder_private.h"

static const struct stat_desc rows[] = {{"expiration_unix_time_seconds", STAT_GAUGE}};
static const struct stat_schema schema = {rows, ARRAY_SIZE(rows)};

struct gauges {
    struct builder *b;
    const struct tls_socket *socket;
    struct tls_node *node;
    struct arena *arena;
};

/* "listener.ADDRESS": what stands before the last word of where the socket is counted. */
static struct bytes owner_of(const struct tls_socket *s)
{
    struct bytes prefix = bytes_of(s->stats->prefix);
    ptrdiff_t dot = bytes_rfind_char(prefix, '.');
    return dot > 0 ? bytes_first(prefix, (size_t)dot) : prefix;
}

static void tell(struct gauges *g, struct bytes name, int64_t until)
{
    struct bytes owner = owner_of(g->socket), printed = stat_name_of(g->arena, name);
    const char *prefix =
        arena_printf(g->arena, "%.*s.ssl.certificate.%.*s", BYTES_ARG(owner), BYTES_ARG(printed));
    struct stat_scope *scope = stat_scope_get(g->b->options.stats, bytes_of(prefix), &schema);
    stat_set(scope, STAT_SLOT_CONFIG, 0, until);
    g->node->expiry[g->node->n_expiry++] = scope;
}

static void tell_first(struct gauges *g, struct bytes name, const struct tls_cert_info *list,
                       unsigned n)
{
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < n; i++)
        first = list[i].not_after < first ? list[i].not_after : first;
    if (n)
        tell(g, name, first);
}

void builder_tls_expiry(struct builder *b, const struct tls_socket *s)
{
    struct tls_cert_infos infos = {0};
    struct tls_node *t = s->node;
    if (!t || t->expiry || !b->options.stats)
        return;
    struct gauges g = {b, s, t, arena_new(0)};
    t->factory->cert_infos(t->factory->ctx, t->context, &infos);
    t->expiry = mem_zalloc((infos.n_certificates + 2) * sizeof(struct stat_scope *));
    /* Those of the resource itself stand first, then one for each secret */
    unsigned secrets = s->n_certificate_secrets, n = infos.n_certificates;
    unsigned own = n > secrets ? n - secrets : 0;
    tell_first(&g, BYTES("unnamed_cert_e3b0c442"), infos.certificates, own);
    for (unsigned i = own; i < n; i++)
        tell(&g, s->certificate_secrets[i - own].name, infos.certificates[i].not_after);
    tell_first(&g,
               s->validation_secret.name.len ? s->validation_secret.name
                                             : BYTES("unnamed_ca_cert_e3b0c442"),
               infos.ca, infos.n_ca);
    arena_free(&g.arena);
}
