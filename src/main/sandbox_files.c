/* Landlock. Always a domain of our own: from inside, the memory of a process outside is not opened
 * (/proc/PID/mem), even of the same user, and no signal reaches it (Linux 6.12 and later). Where
 * the operator named folders, this process opens nothing else from now on, but for what libc,
 * c-ares and our own statistics read. No rule is about connect(): sockets are where a proxy works.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "main/sandbox.h"

/* Later than the oldest headers that we build with. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

enum {
    READ_FILE = LANDLOCK_ACCESS_FS_READ_FILE,
    READ_FOLDER = READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    WRITE_FILE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE,
    /* logs are made anew, sockets made and removed, a pipe is opened for writing */
    WRITE_FOLDER = WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                   LANDLOCK_ACCESS_FS_REMOVE_FILE,
    OF_A_FILE = READ_FILE | WRITE_FILE, /* the kernel refuses others for what is no folder */
    /* A domain must handle something: what the filter of system calls refuses, too. */
    MAKE_DEVICE = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK,
};

/* The kernel's as of ABI 6. An older one takes it while what it does not know is 0. */
struct domain {
    uint64_t handled_fs, handled_net, scoped;
};
enum { SCOPE_SIGNAL = 1 << 1, SCOPE_ABI = 6, REFER_ABI = 2 };

/* Names, time zones, how many CPUs, memory limits. Those that do not exist are left out. */
static const char *const always_read[] = {
    "/etc/resolv.conf",        "/etc/hosts",     "/etc/host.conf",
    "/etc/nsswitch.conf",      "/etc/services",  "/etc/localtime",
    "/usr/share/zoneinfo",     "/dev/urandom",   "/dev/null",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
};

struct ruleset {
    int fd;
    uint64_t handled;
};

static uint64_t handled_by(unsigned abi)
{
    uint64_t all = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; /* all of the first version */
    if (abi >= REFER_ABI)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return all;
}

static bool allow(const struct ruleset *r, const char *path, uint64_t access, bool must_exist,
                  struct error *err)
{
    struct stat st;
    struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0 && !must_exist)
        return true;
    if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st) < 0) {
        error_set(err, "'%s': %s", path, strerror(errno));
        if (rule.parent_fd >= 0)
            close(rule.parent_fd);
        return false;
    }
    rule.allowed_access = access & r->handled & (S_ISDIR(st.st_mode) ? ~0ULL : OF_A_FILE);
    long rc = syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return rc == 0 || error_set(err, "'%s': %s", path, strerror(errno));
}

static bool allow_all(const struct ruleset *r, const struct sandbox_options *o, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(always_read); i++) {
        if (!allow(r, always_read[i], READ_FOLDER, false, err))
            return false;
    }
    for (unsigned i = 0; i < o->read.n; i++) {
        if (!allow(r, o->read.paths[i], READ_FOLDER, true, err))
            return false;
    }
    for (unsigned i = 0; i < o->write.n; i++) {
        if (!allow(r, o->write.paths[i], WRITE_FOLDER, true, err))
            return false;
    }
    return allow(r, "/dev/null", WRITE_FILE, false, err);
}

/* Landlock holds the calling thread and its children only. */
static bool is_alone(struct error *err)
{
    struct stat st; /* a folder's links are its subfolders, and two more */
    if (stat("/proc/self/task", &st) == 0 && st.st_nlink > 3)
        return error_set(err, "%u threads run already", (unsigned)st.st_nlink - 2);
    return true;
}

/* All may be done with files that could be done before: to move one to another folder, too, which a
 * domain allows only by a rule (and the first version of Landlock never). */
static bool allow_any(const struct ruleset *r, struct error *err)
{
    uint64_t refer = r->handled & LANDLOCK_ACCESS_FS_REFER;
    return !refer || allow(r, "/", refer, true, err);
}

bool sandbox_enter_domain(const struct sandbox_options *o, unsigned *abi, struct error *err)
{
    bool named = o->read.n + o->write.n > 0;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version <= 0)
        return error_set(err, "this kernel has no Landlock (%s)%s", strerror(errno),
                         named ? ": leave them out to run without, or start it with lsm=landlock"
                               : "");
    struct ruleset r = {.handled = MAKE_DEVICE};
    if (named)
        r.handled = handled_by((unsigned)version);
    else if (version >= REFER_ABI)
        r.handled |= LANDLOCK_ACCESS_FS_REFER;
    struct domain d = {.handled_fs = r.handled, .scoped = version >= SCOPE_ABI ? SCOPE_SIGNAL : 0};
    if (!is_alone(err))
        return false;
    r.fd = (int)syscall(SYS_landlock_create_ruleset, &d, sizeof(d), 0);
    if (r.fd < 0)
        return error_set(err, "Landlock: %s", strerror(errno));
    bool ok = named ? allow_all(&r, o, err) : allow_any(&r, err);
    if (ok && syscall(SYS_landlock_restrict_self, r.fd, 0) < 0)
        ok = error_set(err, "Landlock: %s", strerror(errno));
    close(r.fd);
    *abi = ok ? (unsigned)version : 0;
    return ok;
}
