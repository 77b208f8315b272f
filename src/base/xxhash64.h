/* XXH64 (Yann Collet's xxHash, 64 bits, seed 0), by its public specification. Envoy prints it of
 * version strings, so that two proxies can be told to have the same version. Pure; any thread. */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

uint64_t xxhash64(struct bytes data);
