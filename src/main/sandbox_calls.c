/* The filter of system calls: a list of what is refused, since what a proxy needs is decided by
 * libraries, sanitizers and the next kernel, and a list of what is allowed would end a process at
 * night. A refused call gets EPERM and not a signal: a library that only asks whether the kernel
 * has something goes on, and a bug of ours costs one call instead of all connections. A call of a
 * foreign architecture (x32, 32 bits) ends the process: nothing of ours makes one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "main/sandbox.h"

/* Other programs. A sanitizer runs its symbolizer, and its leak check traces the process. */
static const char *const other_programs[] = {
    "execve", "execveat", "fork", "vfork", "process_vm_readv", "process_vm_writev", "ptrace",
};

static const char *const never[] = {
    /* other processes */
    "kcmp",
    "pidfd_getfd",
    "process_madvise",
    "migrate_pages",
    "move_pages",
    /* and what they share by name */
    "shmget",
    "shmat",
    "shmctl",
    "shmdt",
    "semget",
    "semop",
    "semtimedop",
    "semctl",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "mq_open",
    "mq_unlink",
    /* the tree of files, devices */
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "open_by_handle_at",
    "mknod",
    "mknodat",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "acct",
    "fanotify_init",
    "nfsservctl",
    "sysfs",
    /* namespaces */
    "setns",
    "unshare",
    /* the kernel and the machine */
    "init_module",
    "finit_module",
    "create_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "lookup_dcookie",
    "syslog",
    "vhangup",
    "personality",
    "modify_ldt",
    "vm86",
    "vm86old",
    "uselib",
    "ioperm",
    "iopl",
    "sethostname",
    "setdomainname",
    /* keys and the clock */
    "add_key",
    "request_key",
    "keyctl",
    "memfd_secret",
    "settimeofday",
    "clock_settime",
    "stime",
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_settime64",
};

/* Newer than the libseccomp that we build with may be; the number is the same everywhere. */
enum { OPEN_TREE_ATTR = 467 };

/* What is refused with some arguments only: where `a` holds of them, and `b`, if there is one. A
 * register has 64 bits, and of an int the kernel reads 32: the others must pass no rule. */
struct partly {
    const char *name;
    struct scmp_arg_cmp a, b;
};
#define INT_IS(arg, value)                                                                         \
    {                                                                                              \
        arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value                                                 \
    }
#define IS_NOT(arg, value)                                                                         \
    {                                                                                              \
        arg, SCMP_CMP_NE, value, 0                                                                 \
    }
#define TYPE_IS(value)                                                                             \
    {                                                                                              \
        1, SCMP_CMP_MASKED_EQ, SOCKET_TYPE, value                                                  \
    }
enum {
    SOCKET_TYPE = 0xf,
    ONE_PROCESS = 1, /* IOPRIO_WHO_PROCESS */
    TYPE_DCCP = 6,
    PROTOCOL_L2TP = 115,
    PROTOCOL_SMC = 256,
};

static const struct partly partly[] = {
    /* Keys pressed on a terminal. */
    {.name = "ioctl", .a = INT_IS(1, TIOCSTI)},
    {.name = "ioctl", .a = INT_IS(1, TIOCLINUX)},
    {.name = "ioctl", .a = INT_IS(1, TIOCSETD)},
    /* Signals to whoever is named as the owner of a descriptor. */
    {.name = "ioctl", .a = INT_IS(1, FIOSETOWN)},
    {.name = "ioctl", .a = INT_IS(1, SIOCSPGRP)},
    {.name = "fcntl", .a = INT_IS(1, F_SETOWN)},
    {.name = "fcntl", .a = INT_IS(1, F_SETOWN_EX)},
    {.name = "fcntl", .a = INT_IS(1, F_SETSIG)},
    /* Limits and priorities of others; 0 is the caller. */
    {.name = "prlimit64", .a = IS_NOT(0, 0)},
    {.name = "setpriority", .a = IS_NOT(0, PRIO_PROCESS)},
    {.name = "setpriority", .a = IS_NOT(1, 0)},
    {.name = "ioprio_set", .a = IS_NOT(0, ONE_PROCESS)},
    {.name = "ioprio_set", .a = IS_NOT(1, 0)},
    {.name = "sched_setattr", .a = IS_NOT(0, 0)},
    {.name = "sched_setscheduler", .a = IS_NOT(0, 0)},
    {.name = "sched_setparam", .a = IS_NOT(0, 0)},
    {.name = "sched_setaffinity", .a = IS_NOT(0, 0)},
    /* Packets that no socket of a proxy has. */
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET, 0}, .b = TYPE_IS(SOCK_RAW)},
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET, 0}, .b = TYPE_IS(SOCK_PACKET)},
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET6, 0}, .b = TYPE_IS(SOCK_RAW)},
    /* Protocols of the internet that no proxy speaks, whose modules the kernel would load. */
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET, 0}, .b = TYPE_IS(SOCK_SEQPACKET)},
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET6, 0}, .b = TYPE_IS(SOCK_SEQPACKET)},
    {.name = "socket", .a = TYPE_IS(TYPE_DCCP)},
    {.name = "socket", .a = TYPE_IS(SOCK_RDM)},
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_INET, 0}, .b = INT_IS(2, IPPROTO_ICMP)},
    {.name = "socket", .a = INT_IS(2, IPPROTO_ICMPV6)},
    {.name = "socket", .a = INT_IS(2, IPPROTO_DCCP)},
    {.name = "socket", .a = INT_IS(2, PROTOCOL_L2TP)},
    {.name = "socket", .a = INT_IS(2, IPPROTO_SCTP)},
    {.name = "socket", .a = INT_IS(2, IPPROTO_UDPLITE)},
    {.name = "socket", .a = INT_IS(2, PROTOCOL_SMC)},
    /* The kernel's settings, but for routes and addresses, which libc lists. */
    {.name = "socket", .a = {0, SCMP_CMP_EQ, AF_NETLINK, 0}, .b = IS_NOT(2, 0)},
};

/* Other families of sockets are none to the caller, as where the kernel lacks them. */
static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static const unsigned namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

static bool failed(struct error *err, const char *what, int rc)
{
    return error_set(err, "%s: %s", what, strerror(-rc));
}

static bool refuse_number(scmp_filter_ctx f, const char *name, int number, unsigned *n,
                          struct error *err)
{
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), number, 0);
    ++*n;
    return rc == 0 || failed(err, name, rc);
}

static bool refuse(scmp_filter_ctx f, const char *name, unsigned *n, struct error *err)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return error_set(err, "libseccomp knows no system call '%s'", name);
    return refuse_number(f, name, number, n, err);
}

static bool refuse_all(scmp_filter_ctx f, const char *const *names, size_t n_names, unsigned *n,
                       struct error *err)
{
    for (size_t i = 0; i < n_names; i++) {
        if (!refuse(f, names[i], n, err))
            return false;
    }
    return true;
}

static bool refuse_partly(scmp_filter_ctx f, unsigned *n, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(partly); i++) {
        const struct partly *p = &partly[i];
        struct scmp_arg_cmp args[] = {p->a, p->b};
        int rc = seccomp_rule_add_array(
            f, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(p->name), p->b.op ? 2 : 1, args);
        if (rc != 0)
            return failed(err, p->name, rc);
    }
    *n += ARRAY_SIZE(partly);
    return true;
}

/* Signals are for ourselves: abort(), and the watchdog. */
static bool refuse_signals(scmp_filter_ctx f, unsigned *n, struct error *err)
{
    static const char *const by_process[] = {"kill", "tgkill", "rt_sigqueueinfo",
                                             "rt_tgsigqueueinfo"};
    uint64_t self = (uint64_t)getpid();
    for (size_t i = 0; i < ARRAY_SIZE(by_process); i++) {
        int rc =
            seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(by_process[i]),
                             1, SCMP_A0(SCMP_CMP_NE, self));
        if (rc != 0)
            return failed(err, by_process[i], rc);
    }
    *n += ARRAY_SIZE(by_process);
    return refuse(f, "tkill", n, err) && refuse(f, "pidfd_send_signal", n, err);
}

static bool refuse_families(scmp_filter_ctx f, unsigned *n, struct error *err)
{
    unsigned last = families[ARRAY_SIZE(families) - 1];
    int call = SCMP_SYS(socket),
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1, SCMP_A0(SCMP_CMP_GT, last));
    for (unsigned i = 0, family = 0; rc == 0 && family < last; family++) {
        if (family == families[i])
            i++;
        else
            rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), call, 1,
                                  SCMP_A0(SCMP_CMP_EQ, family));
    }
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socketpair), 1,
                              SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    *n += 1 + last + 1 - ARRAY_SIZE(families) + 1;
    return rc == 0 || failed(err, "socket", rc);
}

/* Threads, and nothing else: no process, no namespace. A filter cannot look into clone3()'s
 * structure; ENOSYS makes libc use clone(). */
static bool refuse_clone(scmp_filter_ctx f, unsigned *n, struct error *err)
{
    int clone_call = SCMP_SYS(clone);
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0 && !HEAP_IS_WATCHED)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), clone_call, 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(namespaces); i++)
        rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), clone_call, 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
    *n += 2 + ARRAY_SIZE(namespaces);
    return rc == 0 || failed(err, "clone", rc);
}

static bool load(scmp_filter_ctx f, struct error *err)
{
    int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1); /* all threads, or none */
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: six steps a call */
    if (rc == 0)
        rc = seccomp_load(f);
    return rc == 0 || failed(err, "seccomp", rc);
}

bool sandbox_refuse_calls(unsigned *n_rules, struct error *err)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f)
        return error_set(err, "libseccomp does not know this architecture");
    *n_rules = 0;
    bool ok = (HEAP_IS_WATCHED ||
               (refuse_all(f, other_programs, ARRAY_SIZE(other_programs), n_rules, err) &&
                refuse_signals(f, n_rules, err))) &&
              refuse_all(f, never, ARRAY_SIZE(never), n_rules, err) &&
              refuse_number(f, "open_tree_attr", OPEN_TREE_ATTR, n_rules, err) &&
              refuse_partly(f, n_rules, err) && refuse_families(f, n_rules, err) &&
              refuse_clone(f, n_rules, err) && load(f, err);
    if (!ok)
        *n_rules = 0;
    seccomp_release(f);
    return ok;
}
