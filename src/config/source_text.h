/* Where a field stands in the text that a configuration was read from. Errors name fields by their
 * path, whoever finds them; the trees of the text are kept until all is loaded, and an error that
 * occurs is looked up in them: "FILE:LINE:COL: " goes before it. Trees are merged as protobuf
 * merges: the later scalar wins, lists are joined. Pure, any thread; the trees are the caller's. */
#pragma once

#include "base/bytes.h"
#include "base/error.h"
#include "config/yaml.h"

enum { SOURCE_TEXT_TREES = 2 }; /* -c and --config-yaml */

struct source_text {
    const struct yaml_node *trees[SOURCE_TEXT_TREES];
    unsigned n;
};

/* The deepest field that the sentence names, from "clusters[0].name: too short" or from context
 * that decoders gave one by one: "listeners[0]: error adding listener 'a': filter_chains[1]: ...".
 * What stands in a typed_config, and in the TypedStruct there, is found too. NULL: no text. */
const struct yaml_node *source_text_find(const struct source_text *t, struct bytes sentence);
/* Puts the position before the error's sentence; nothing without text. Returns false. */
bool source_text_locate(const struct source_text *t, struct error *err);
