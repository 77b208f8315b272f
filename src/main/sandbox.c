#include "main/sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"

/* Set for the calling thread and those it makes; the filter carries it to those that exist. */
static bool give_up_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return true;
    LOG(LOG_MAIN, LOG_WARNING, "sandbox: no_new_privs: %s", strerror(errno));
    return false;
}

static void tell(const struct sandbox_options *o, const struct sandbox_status *s)
{
    LOG(LOG_MAIN, LOG_INFO,
        "sandbox: no_new_privs %s, seccomp %s (%u rules), Landlock %s (files: ABI %u, %u readable "
        "and %u writable paths named)",
        s->no_new_privs ? "on" : "off", s->seccomp ? "on" : "off", s->refused_calls,
        s->domain ? "on" : "off", s->landlock_abi, o->read.n, o->write.n);
}

#define SANDBOX_STAT_LIST(X)                                                                       \
    X(NO_NEW_PRIVS, "no_new_privs", GAUGE)                                                         \
    X(SECCOMP, "seccomp", GAUGE)                                                                   \
    X(LANDLOCK_DOMAIN, "landlock_domain", GAUGE)                                                   \
    X(LANDLOCK_ABI, "landlock_abi", GAUGE)

enum sandbox_stat {
#define X(id, name, kind) STAT_##id,
    SANDBOX_STAT_LIST(X)
#undef X
};
#define X(id, name, kind) {name, STAT_##kind},
static const struct stat_desc sandbox_stats[] = {SANDBOX_STAT_LIST(X)};
#undef X
static const struct stat_schema schema = {sandbox_stats, ARRAY_SIZE(sandbox_stats)};

struct stat_scope *sandbox_stats_new(struct stat_store *store, const struct sandbox_status *s)
{
    struct stat_scope *scope = stat_scope_get(store, BYTES("xylem.sandbox"), &schema);
    stat_set(scope, STAT_SLOT_MAIN, STAT_NO_NEW_PRIVS, s->no_new_privs);
    stat_set(scope, STAT_SLOT_MAIN, STAT_SECCOMP, s->seccomp);
    stat_set(scope, STAT_SLOT_MAIN, STAT_LANDLOCK_DOMAIN, s->domain);
    stat_set(scope, STAT_SLOT_MAIN, STAT_LANDLOCK_ABI, s->landlock_abi);
    return scope;
}

/* Folders that were named must hold; without any, what the kernel has is taken. */
static bool enter_domain(const struct sandbox_options *o, struct sandbox_status *out,
                         struct error *err)
{
    unsigned abi = 0;
    struct error why = ERROR_INIT;
    bool named = o->read.n + o->write.n > 0;
    out->domain = sandbox_enter_domain(o, &abi, named ? err : &why);
    out->landlock_abi = named ? abi : 0;
    if (!out->domain && !named)
        LOG(LOG_MAIN, LOG_WARNING,
            "sandbox: memory of other processes of this user is not out of reach: %s; going on",
            error_text(&why));
    error_fini(&why);
    return out->domain || !named || error_prefix(err, "--sandbox-read and --sandbox-write: ");
}

bool sandbox_enter(const struct sandbox_options *o, struct sandbox_status *out, struct error *err)
{
    struct error why = ERROR_INIT;
    *out = (struct sandbox_status){0};
    if (o->off) {
        LOG(LOG_MAIN, LOG_WARNING, "sandbox: off, because of --no-sandbox");
        return true;
    }
    out->no_new_privs = give_up_privileges();
    if (!enter_domain(o, out, err))
        return false;
    out->seccomp = sandbox_refuse_calls(&out->refused_calls, &why);
    if (!out->seccomp)
        LOG(LOG_MAIN, LOG_WARNING, "sandbox: no filter of system calls: %s; going on without",
            error_text(&why));
    error_fini(&why);
    tell(o, out);
    return true;
}
