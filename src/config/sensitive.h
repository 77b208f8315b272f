/* Does a message hold a secret in clear: a field that the API marks as sensitive, other than the
 * path of a file or the name of a variable that holds it? Whoever writes resources somewhere asks.
 * Runs on the thread of the descriptor pool. */
#pragma once

#include "base/bytes.h"
#include "config/descriptors.h"

/* What cannot be read counts as one that does. */
bool sensitive_found(struct descriptors *d, struct bytes type_name, struct bytes body);
