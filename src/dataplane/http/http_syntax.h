/* What the codecs of all versions check alike. Pure. */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

/* A host, perhaps with a port, made of the characters of RFC 3986. */
bool h1_authority_ok(struct bytes authority);
/* No control bytes but tab, no DEL. */
bool h1_value_ok(struct bytes value);
