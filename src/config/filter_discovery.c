#include "config/filter_discovery.h"

#include "base/strbuf.h"
#include "config/decode_util.h"
#include "config/field_report.h"
#include "config/typed.h"
#include "config/wire_slice.h"
#include "config/xdstp.h"
#include "envoy/config/core/v3/config_source.upb.h"

#define SOURCE(f) envoy_config_core_v3_ExtensionConfigSource_##f

enum { FIELD_CONFIG_SOURCE = 1, FIELD_DEFAULT_CONFIG = 2 };

/* ---- what has come ---- */

static void filter_config_fini(struct node *n)
{
    struct filter_config *c = CONTAINER_OF(n, struct filter_config, node);
    if (c->factory && c->factory->config_free && c->config)
        c->factory->config_free(c->config);
}

static bool type_wanted(const struct filter_discovery *d, struct bytes type, struct error *err)
{
    struct strbuf wanted = STRBUF_INIT;
    for (unsigned i = 0; i < d->n_type_names; i++) {
        if (bytes_eq(d->type_names[i], type)) {
            strbuf_fini(&wanted);
            return true;
        }
        strbuf_printf(&wanted, "%s%.*s", i ? ", " : "", BYTES_ARG(d->type_names[i]));
    }
    error_set(err, "Error: filter config has type URL %.*s but expect %.*s.", BYTES_ARG(type),
              BYTES_ARG(strbuf_bytes(&wanted)));
    strbuf_fini(&wanted);
    return false;
}

static bool is_skippable(const struct filter_registry *r, struct bytes type)
{
    for (unsigned i = 0; i < r->n_skippable; i++) {
        if (bytes_eq_str(type, r->skippable[i]))
            return true;
    }
    return false;
}

static bool place_valid(const struct filter_discovery *d, const char *factory, bool terminal,
                        struct error *err)
{
    if (terminal && !d->last)
        return error_set(err,
                         "Error: terminal filter named %.*s of type %s must be the last filter "
                         "in a http filter chain.",
                         BYTES_ARG(d->name), factory);
    if (!terminal && d->last)
        return error_set(err,
                         "Error: non-terminal filter named %.*s of type %s is the last filter in "
                         "a http filter chain.",
                         BYTES_ARG(d->name), factory);
    return true;
}

static bool take_config(struct decode_context *ctx, const struct filter_discovery *d,
                        struct filter_config *c, const struct typed *t, struct error *err)
{
    const struct filter_registry *r = ctx->filters;
    struct filter_context fctx = {.arena = c->node.arena,
                                  .stats = ctx->stats,
                                  .stat_prefix = d->stat_prefix,
                                  .self = ctx->self,
                                  .owner = ctx->owner,
                                  .decode = ctx};
    const struct filter_factory *f = filter_registry_find(r->http, r->n_http, t->type_name);
    if (!f) { /* type_urls have been looked at: it is one of those that may be left out */
        if (ctx->report)
            field_report_add(ctx->report, FIELD_IGNORED, d->name, "the filter is skipped");
        return place_valid(d, "a filter that is skipped", false, err);
    }
    if (!place_valid(d, f->name, f->terminal, err))
        return false;
    c->factory = f;
    if (f->config_new && !(c->config = f->config_new(&fctx, t->value, err)))
        return error_set(err, "the filter refused its configuration");
    return true;
}

struct filter_config *filter_config_decode(struct decode_context *ctx,
                                           const struct filter_discovery *d, struct bytes any,
                                           struct error *err)
{
    struct arena *scratch = arena_new(0);
    struct typed t;
    struct filter_config *c = NULL;
    if (typed_unwrap_any(ctx->descriptors, any, scratch, &t, err) &&
        type_wanted(d, t.type_name, err)) {
        c = node_new(NODE_FILTER_CONFIG, sizeof(*c), any.len + 128, filter_config_fini);
        if (!take_config(ctx, d, c, &t, err))
            NODE_UNREF(&c);
    }
    arena_free(&scratch);
    return c;
}

/* ---- the slot ---- */

static bool take_types(struct decode_context *ctx, struct arena *a, struct filter_discovery *d,
                       const struct envoy_config_core_v3_ExtensionConfigSource *m,
                       struct error *err)
{
    const struct filter_registry *r = ctx->filters;
    size_t n;
    upb_StringView const *urls = SOURCE(type_urls)(m, &n);
    d->type_names = ARENA_ARRAY(a, struct bytes, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        struct bytes name = arena_dup(a, descriptors_type_name(upb_bytes(urls[i])));
        if (!filter_registry_find(r->http, r->n_http, name) && !is_skippable(r, name))
            return error_set(err, "Error: no factory found for a required type URL %.*s.",
                             BYTES_ARG(name));
        d->type_names[d->n_type_names++] = name;
    }
    return n > 0 || error_set(err, "config_discovery.type_urls: expected at least one");
}

static bool take_default(struct decode_context *ctx, struct arena *a, struct filter_discovery *d,
                         struct bytes wire, struct error *err)
{
    struct bytes any = wire_message(a, wire, FIELD_DEFAULT_CONFIG);
    if (!any.data && d->without_warming)
        return error_set(err,
                         "Error: filter config %.*s applied without warming but has no default "
                         "config.",
                         BYTES_ARG(d->name));
    if (!any.data)
        return true;
    d->fallback = filter_config_decode(ctx, d, any, err);
    return d->fallback || error_prefix(err, "config_discovery.default_config: ");
}

struct filter_discovery *
filter_discovery_decode(struct decode_context *ctx, struct arena *a, struct bytes name,
                        struct bytes stat_prefix, bool last,
                        const struct envoy_config_core_v3_ExtensionConfigSource *m,
                        struct bytes wire, struct error *err)
{
    struct filter_discovery *d = ARENA_NEW(a, struct filter_discovery);
    struct bytes source = wire_message(a, wire, FIELD_CONFIG_SOURCE);
    d->name = xdstp_canonical(a, name);
    d->stat_prefix = stat_prefix;
    d->last = last;
    d->without_warming = SOURCE(apply_default_config_without_warming)(m);
    if (!source.data) {
        error_set(err, "config_discovery.config_source: value is required");
        return NULL;
    }
    if (!config_source_decode(ctx, a, source, &d->source, err)) {
        error_prefix(err, "config_discovery.config_source: ");
        return NULL;
    }
    return take_types(ctx, a, d, m, err) && take_default(ctx, a, d, wire, err) ? d : NULL;
}

void filter_discovery_fini(struct filter_discovery *d)
{
    NODE_UNREF(&d->fallback);
    NODE_UNREF(&d->current);
}

/* ---- managers ---- */

struct filter_discovery *http_manager_discovery(const struct http_manager *m, unsigned i)
{
    for (unsigned k = 0; k < m->n_filters; k++) {
        if (m->filters[k].discovery && i-- == 0)
            return m->filters[k].discovery;
    }
    return NULL;
}

static void made_fini(struct node *n)
{
    struct http_manager *m = CONTAINER_OF(n, struct http_manager, node);
    for (unsigned i = 0; i < m->n_discovered; i++)
        NODE_UNREF(&m->discovered[i]);
    stat_scope_unref(&m->stats);
    NODE_UNREF(&m->base);
}

/* False: the filter is left out. */
static bool fill_slot(struct http_filter_slot *slot, const struct filter_config *c,
                      const struct filter_registry *filters)
{
    slot->discovery = NULL;
    slot->factory = c ? c->factory : filters->missing;
    slot->config = c ? c->config : NULL;
    return slot->factory != NULL;
}

struct http_manager *http_manager_with_discovered(struct http_manager *base,
                                                  const struct filter_registry *filters)
{
    struct http_manager *m = node_new(NODE_HTTP_MANAGER, sizeof(*m), 256, made_fini);
    struct node node = m->node;
    *m = *base;
    m->node = node;
    m->stats = stat_scope_ref(base->stats);
    m->base = NODE_REF(base);
    m->n_filters = 0;
    m->filters = ARENA_ARRAY(node.arena, struct http_filter_slot, base->n_filters);
    m->discovered = ARENA_ARRAY(node.arena, struct filter_config *, base->n_filters);
    for (unsigned i = 0; i < base->n_filters; i++) {
        struct http_filter_slot *slot = &m->filters[m->n_filters];
        *slot = base->filters[i];
        if (slot->discovery) {
            struct filter_config *c = slot->discovery->current;
            m->discovered[m->n_discovered++] = c ? NODE_REF(c) : NULL;
            m->n_filters += fill_slot(slot, c, filters);
        } else {
            m->n_filters++;
        }
    }
    node_make_pinnable(&m->node);
    return m;
}

bool http_manager_is_made_of(const struct http_manager *made, const struct http_manager *base)
{
    const struct filter_discovery *d;
    if (!made || made->base != base)
        return false;
    for (unsigned i = 0; (d = http_manager_discovery(base, i)); i++) {
        if (made->discovered[i] != d->current)
            return false;
    }
    return true;
}
