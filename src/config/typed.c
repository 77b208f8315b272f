#include "config/typed.h"

#include <upb/def.h>
#include <upb/upb.h>

#include "config/json_read.h"
#include "config/struct_tree.h"
#include "config/wire.h"

/* Field numbers of both TypedStructs. */
enum { TYPED_STRUCT_TYPE_URL = 1, TYPED_STRUCT_VALUE = 2 };

static const char *const typed_structs[] = {"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"};

bool typed_is_typed_struct(struct bytes type_url)
{
    struct bytes name = descriptors_type_name(type_url);
    for (size_t i = 0; i < ARRAY_SIZE(typed_structs); i++)
        if (bytes_eq_str(name, typed_structs[i]))
            return true;
    return false;
}

struct bytes typed_inner_url(struct bytes value)
{
    return wire_find_bytes(value, TYPED_STRUCT_TYPE_URL);
}

bool typed_unwrap(struct descriptors *d, struct bytes type_url, struct bytes value, struct arena *a,
                  struct typed *out, struct error *err)
{
    *out = (struct typed){type_url, descriptors_type_name(type_url), value};
    if (!d || !typed_is_typed_struct(type_url))
        return true;
    struct error inner = ERROR_INIT;
    const upb_MessageDef *m = descriptors_message(d, out->type_name);
    upb_Arena *arena = upb_Arena_New();
    CHECK(m != NULL && arena != NULL);
    bool ok = descriptors_decode(m, value, arena, &inner) != NULL;
    upb_Arena_Free(arena);
    if (!ok) {
        error_move(err, &inner);
        return false;
    }
    struct bytes url = typed_inner_url(value), name = descriptors_type_name(url), body;
    if (typed_is_typed_struct(url))
        return error_set(err, "a TypedStruct inside a TypedStruct");
    if (!descriptors_message(d, name))
        return true;
    struct yaml_node *tree = struct_tree(a, wire_find_bytes(value, TYPED_STRUCT_VALUE), &inner);
    if (!tree || !json_read(d, tree, name, NULL, a, &body, &inner)) {
        error_move(err, &inner);
        return error_prefix(err, "TypedStruct of %.*s: ", BYTES_ARG(name));
    }
    *out = (struct typed){url, name, body};
    return true;
}

bool typed_unwrap_any(struct descriptors *d, struct bytes any, struct arena *a, struct typed *out,
                      struct error *err)
{
    return typed_unwrap(d, wire_find_bytes(any, kUpb_Any_TypeFieldNumber),
                        wire_find_bytes(any, kUpb_Any_ValueFieldNumber), a, out, err);
}
