/* What the bootstrap says of watchdogs: const data of envoy.config.bootstrap.v3.Watchdogs and of
 * the older Watchdog. Milliseconds; 0: off. Decoded once, at the start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct watchdog_config {
    uint64_t miss_ms, mega_miss_ms; /* 200, 1000 */
    uint64_t kill_ms, kill_jitter_ms, multi_kill_ms;
    double multi_kill_percent;
    bool abort_at_miss, abort_at_mega_miss; /* abort_action asked for at these events */
};

/* bootstrap: bytes of envoy.config.bootstrap.v3.Bootstrap. */
MUST_CHECK bool watchdogs_decode(struct bytes bootstrap, struct watchdog_config *main_thread,
                                 struct watchdog_config *workers, struct error *err);
