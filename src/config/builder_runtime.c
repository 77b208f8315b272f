/* Layers of the runtime that a source delivers (RTDS). */
#include "config/builder_private.h"
#include "config/runtime.h"
#include "config/wire.h"

enum { RUNTIME_NAME = 1, RUNTIME_LAYER = 2 };

static bool set_layers(struct builder *b, struct bytes name, struct bytes values, struct error *err)
{
    struct runtime *rt = b->ctx.runtime;
    for (unsigned i = 0; rt && i < rt->n_layers; i++) {
        bool it = rt->layers[i].kind == RUNTIME_RTDS && bytes_eq(rt->layers[i].resource, name);
        if (it && !runtime_set_layer(rt, i, values, err))
            return error_prefix(err, "layer: ");
    }
    return true;
}

bool builder_runtime_update(struct builder *b, struct resource *r, const struct incoming *in,
                            bool *unchanged, struct error *err)
{
    struct bytes values = wire_find_bytes(in->u->wire, RUNTIME_LAYER);
    *unchanged = r->active && bytes_eq(r->active->wire, in->u->wire);
    if (*unchanged) {
        builder_keep_version(r->active, in);
        return true;
    }
    builder_count_decoded(b, RESOURCE_RUNTIME);
    if (!bytes_eq(wire_find_bytes(in->u->wire, RUNTIME_NAME), r->name))
        return error_set(err, "Unexpected RTDS runtime (expecting %.*s): %.*s", BYTES_ARG(r->name),
                         BYTES_ARG(wire_find_bytes(in->u->wire, RUNTIME_NAME)));
    if (!decode_check(&b->ctx, resource_type_name(RESOURCE_RUNTIME), in->u->wire, err) ||
        !set_layers(b, r->name, values.data ? values : BYTES(""), err))
        return false;
    resource_version_free(&r->active);
    r->active = builder_version(b, r, in);
    return true;
}

void builder_runtime_remove(struct builder *b, struct resource *r)
{
    struct error err = ERROR_INIT;
    resource_version_free(&r->active);
    CHECK(set_layers(b, r->name, BYTES(""), &err));
}

void builder_runtime_want(struct builder *b)
{
    const struct runtime *rt = b->ctx.runtime;
    for (unsigned i = 0; rt && i < rt->n_layers; i++) {
        const struct runtime_layer *l = &rt->layers[i];
        if (l->kind == RUNTIME_RTDS &&
            !store_find(&b->store, &l->source, RESOURCE_RUNTIME, l->resource))
            builder_want(b, &l->source, RESOURCE_RUNTIME, l->resource);
    }
}

bool builder_runtime_waits(const struct builder *b)
{
    LIST_EACH(it, &b->store.lists[RESOURCE_RUNTIME])
    {
        if (!LIST_ENTRY(it, struct resource, link)->settled)
            return true;
    }
    return false;
}
