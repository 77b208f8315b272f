#include "config/watchdog.h"

#include "config/decode_util.h"
#include "config/wire.h"
#include "envoy/config/bootstrap/v3/bootstrap.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/type/v3/percent.upb.h"
#include "google/protobuf/any.upb.h"
#include "google/protobuf/duration.upb.h"

typedef envoy_config_bootstrap_v3_Watchdog watchdog_msg;

#define DOG(f) envoy_config_bootstrap_v3_Watchdog_##f
#define ACTION(f) envoy_config_bootstrap_v3_Watchdog_WatchdogAction_##f
#define ABORT_TYPE "type.googleapis.com/envoy.watchdog.v3.AbortActionConfig"

enum { MISS_MS = 200, MEGA_MISS_MS = 1000 };

/* A killed process is aborted in any case, so the action adds nothing to these two events. */
static bool take_action(const envoy_config_bootstrap_v3_Watchdog_WatchdogAction *a,
                        struct watchdog_config *out, struct error *err)
{
    const envoy_config_core_v3_TypedExtensionConfig *c = ACTION(config)(a);
    struct bytes name =
        c ? upb_bytes(envoy_config_core_v3_TypedExtensionConfig_name(c)) : BYTES("");
    const google_protobuf_Any *any =
        c ? envoy_config_core_v3_TypedExtensionConfig_typed_config(c) : NULL;
    struct bytes type = any ? upb_bytes(google_protobuf_Any_type_url(any)) : BYTES_NONE;
    if (!bytes_eq(type, BYTES(ABORT_TYPE)))
        return error_set(err,
                         "Didn't find a registered implementation for '%.*s' with type URL: '%.*s'"
                         " (envoy.watchdog.abort_action is the only one)",
                         BYTES_ARG(name), BYTES_ARG(type));
    switch (ACTION(event)(a)) {
    case DOG(WatchdogAction_MISS):
        out->abort_at_miss = true;
        break;
    case DOG(WatchdogAction_MEGAMISS):
        out->abort_at_mega_miss = true;
        break;
    default:
        break;
    }
    return true;
}

static bool take_dog(const watchdog_msg *m, struct watchdog_config *out, struct error *err)
{
    size_t n = 0;
    if (!m)
        return true;
    if (!take_duration_ms(DOG(miss_timeout)(m), "miss_timeout", &out->miss_ms, err) ||
        !take_duration_ms(DOG(megamiss_timeout)(m), "megamiss_timeout", &out->mega_miss_ms, err) ||
        !take_duration_ms(DOG(kill_timeout)(m), "kill_timeout", &out->kill_ms, err) ||
        !take_duration_ms(DOG(max_kill_timeout_jitter)(m), "max_kill_timeout_jitter",
                          &out->kill_jitter_ms, err) ||
        !take_duration_ms(DOG(multikill_timeout)(m), "multikill_timeout", &out->multi_kill_ms, err))
        return false;
    if (DOG(multikill_threshold)(m))
        out->multi_kill_percent = envoy_type_v3_Percent_value(DOG(multikill_threshold)(m));
    const envoy_config_bootstrap_v3_Watchdog_WatchdogAction *const *actions = DOG(actions)(m, &n);
    for (size_t i = 0; i < n; i++) {
        if (!take_action(actions[i], out, err))
            return error_prefix(err, "actions[%zu]: ", i);
    }
    return true;
}

bool watchdogs_decode(struct bytes bootstrap, struct watchdog_config *main_thread,
                      struct watchdog_config *workers, struct error *err)
{
    upb_Arena *arena = upb_Arena_New();
    const envoy_config_bootstrap_v3_Bootstrap *m = envoy_config_bootstrap_v3_Bootstrap_parse_ex(
        bootstrap.data, bootstrap.len, NULL, UPB_DECODE_MAXDEPTH(100), arena);
    *main_thread = *workers =
        (struct watchdog_config){.miss_ms = MISS_MS, .mega_miss_ms = MEGA_MISS_MS};
    const watchdog_msg *old = m ? envoy_config_bootstrap_v3_Bootstrap_watchdog(m) : NULL;
    const envoy_config_bootstrap_v3_Watchdogs *both =
        m ? envoy_config_bootstrap_v3_Bootstrap_watchdogs(m) : NULL;
    bool ok = true;
    if (both && old)
        ok = error_set(err, "Only one of watchdog or watchdogs should be set!");
    else if (old)
        ok = (take_dog(old, main_thread, err) && take_dog(old, workers, err)) ||
             error_prefix(err, "watchdog.");
    else if (both)
        ok = (take_dog(envoy_config_bootstrap_v3_Watchdogs_main_thread_watchdog(both), main_thread,
                       err) ||
              error_prefix(err, "watchdogs.main_thread_watchdog.")) &&
             (take_dog(envoy_config_bootstrap_v3_Watchdogs_worker_watchdog(both), workers, err) ||
              error_prefix(err, "watchdogs.worker_watchdog."));
    upb_Arena_Free(arena);
    return ok;
}
