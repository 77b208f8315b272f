/* The bytes of a google.protobuf.Struct as a tree, so that the reflection reader can turn them into
 * the message that they stand for. Pure, any thread; nodes live in the arena. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "config/yaml.h"

/* NULL and *err: corrupt, or nested too deeply. */
struct yaml_node *struct_tree(struct arena *a, struct bytes body, struct error *err);
