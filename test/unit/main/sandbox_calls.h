/* What the sandbox refuses, written down once more: a test that took the filter's own list could
 * not notice a gap. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { NOBODY = 0x7ffffffe }; /* above any process id */

/* Arguments that no call can do anything with, so that the kernel without a filter says EFAULT,
 * EINVAL and the like. only: not to be tried outside. program: kept under a sanitizer. */
struct call {
    const char *name;
    long number;
    bool only, program;
};

static const struct call refused[] = {
    {"execve", SYS_execve, false, true},
    {"execveat", SYS_execveat, false, true},
    {"ptrace", SYS_ptrace, false, true},
    {"process_vm_readv", SYS_process_vm_readv, false, true},
    {"process_vm_writev", SYS_process_vm_writev, false, true},
    {"tkill", SYS_tkill, false, true},
    {"pidfd_send_signal", SYS_pidfd_send_signal, false, true},
#ifdef SYS_fork
    {"fork", SYS_fork, true, true},
    {"vfork", SYS_vfork, true, true},
#endif
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"pivot_root", SYS_pivot_root},
    {"chroot", SYS_chroot},
    {"fsopen", SYS_fsopen},
    {"fsconfig", SYS_fsconfig},
    {"fsmount", SYS_fsmount},
    {"fspick", SYS_fspick},
    {"move_mount", SYS_move_mount},
    {"open_tree", SYS_open_tree},
    {"open_tree_attr", 467},
    {"mount_setattr", SYS_mount_setattr},
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module},
    {"delete_module", SYS_delete_module},
    {"bpf", SYS_bpf},
    {"kexec_load", SYS_kexec_load},
    {"reboot", SYS_reboot},
    {"swapon", SYS_swapon},
    {"swapoff", SYS_swapoff},
    {"keyctl", SYS_keyctl},
    {"add_key", SYS_add_key},
    {"request_key", SYS_request_key},
    {"userfaultfd", SYS_userfaultfd},
    {"perf_event_open", SYS_perf_event_open},
    {"open_by_handle_at", SYS_open_by_handle_at},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register},
    {"setns", SYS_setns},
    {"unshare", SYS_unshare},
    {"personality", SYS_personality},
    {"acct", SYS_acct},
    {"quotactl", SYS_quotactl},
    {"quotactl_fd", SYS_quotactl_fd},
    {"memfd_secret", 447},
    {"fanotify_init", SYS_fanotify_init},
    {"mknodat", SYS_mknodat},
    {"kcmp", SYS_kcmp},
    {"shmget", SYS_shmget},
    {"shmat", SYS_shmat},
    {"shmctl", SYS_shmctl},
    {"shmdt", SYS_shmdt},
    {"semget", SYS_semget},
    {"semop", SYS_semop},
    {"semtimedop", SYS_semtimedop},
    {"semctl", SYS_semctl},
    {"msgget", SYS_msgget},
    {"msgsnd", SYS_msgsnd},
    {"msgrcv", SYS_msgrcv},
    {"msgctl", SYS_msgctl},
    {"mq_open", SYS_mq_open},
    {"mq_unlink", SYS_mq_unlink},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"process_madvise", SYS_process_madvise},
    {"move_pages", SYS_move_pages},
    {"migrate_pages", SYS_migrate_pages},
    {"settimeofday", SYS_settimeofday},
    {"clock_settime", SYS_clock_settime},
    {"clock_adjtime", SYS_clock_adjtime},
    {"adjtimex", SYS_adjtimex},
    {"sethostname", SYS_sethostname},
    {"setdomainname", SYS_setdomainname},
    {"syslog", SYS_syslog},
    {"vhangup", SYS_vhangup},
#ifdef __x86_64__
    {"mknod", SYS_mknod},
    {"kexec_file_load", SYS_kexec_file_load},
    {"ioperm", SYS_ioperm},
    {"iopl", SYS_iopl},
    {"modify_ldt", SYS_modify_ldt},
    {"uselib", SYS_uselib},
    {"sysfs", SYS_sysfs},
    {"lookup_dcookie", SYS_lookup_dcookie},
    {"nfsservctl", SYS_nfsservctl},
    {"create_module", SYS_create_module},
#endif
};

/* Calls that are refused for what they are given. A descriptor, a process or a type that there is
 * not lets the kernel alone say something else. */
struct given {
    const char *name;
    long number, args[3];
    int refused; /* the errno inside */
    bool program;
};

static const struct given given[] = {
    {"TIOCSTI", SYS_ioctl, {-1, TIOCSTI}, EPERM},
    {"TIOCSTI and more bits", SYS_ioctl, {-1, TIOCSTI | 1L << 32}, EPERM},
    {"TIOCLINUX", SYS_ioctl, {-1, TIOCLINUX}, EPERM},
    {"signal to another", SYS_kill, {NOBODY, 0}, EPERM, true},
    {"signal to the group", SYS_kill, {0, 0}, EPERM, true},
    {"signal to all", SYS_kill, {-1, 99}, EPERM, true},
    {"signal to another's thread", SYS_tgkill, {NOBODY, NOBODY, 0}, EPERM, true},
    {"signal and value", SYS_rt_sigqueueinfo, {NOBODY, 0, 0}, EPERM, true},
    {"signal and value to a thread", SYS_rt_tgsigqueueinfo, {NOBODY, NOBODY, 0}, EPERM, true},
    {"limits of another", SYS_prlimit64, {NOBODY, RLIMIT_NOFILE, 0}, EPERM},
    {"priority of another", SYS_setpriority, {PRIO_PROCESS, NOBODY, 0}, EPERM},
    {"priority of many", SYS_setpriority, {9, 0, 0}, EPERM},
    {"disk priority of another", SYS_ioprio_set, {1, NOBODY, 0}, EPERM},
    {"disk priority of many", SYS_ioprio_set, {9, 0, 0}, EPERM},
    {"line discipline", SYS_ioctl, {-1, TIOCSETD}, EPERM},
    {"owner of a socket", SYS_ioctl, {-1, FIOSETOWN}, EPERM},
    {"owner of a socket by another name", SYS_ioctl, {-1, SIOCSPGRP}, EPERM},
    {"owner of a descriptor", SYS_fcntl, {-1, F_SETOWN, NOBODY}, EPERM},
    {"owner and more bits", SYS_fcntl, {-1, F_SETOWN | 1L << 32, NOBODY}, EPERM},
    {"owner in a structure", SYS_fcntl, {-1, F_SETOWN_EX, 0}, EPERM},
    {"signal of a descriptor", SYS_fcntl, {-1, F_SETSIG, SIGKILL}, EPERM},
    {"policy of another", SYS_sched_setscheduler, {NOBODY, SCHED_BATCH, 0}, EPERM},
    {"policy of another by a structure", SYS_sched_setattr, {NOBODY, 0, 0}, EPERM},
    {"parameters of another", SYS_sched_setparam, {NOBODY, 0, 0}, EPERM},
    {"processors of another", SYS_sched_setaffinity, {NOBODY, 8, 0}, EPERM},
    {"raw socket", SYS_socket, {AF_INET, SOCK_RAW, 255}, EPERM},
    {"raw socket with a flag", SYS_socket, {AF_INET, SOCK_RAW | SOCK_CLOEXEC, 255}, EPERM},
    {"raw socket of IPv6", SYS_socket, {AF_INET6, SOCK_RAW, 255}, EPERM},
    {"packets by an old name", SYS_socket, {AF_INET, SOCK_PACKET, 0}, EPERM},
    {"packets in order", SYS_socket, {AF_INET, SOCK_SEQPACKET, 0}, EPERM},
    {"packets in order of IPv6", SYS_socket, {AF_INET6, SOCK_SEQPACKET | SOCK_CLOEXEC, 0}, EPERM},
    {"datagrams with congestion control", SYS_socket, {AF_INET, 6 /* SOCK_DCCP */, 0}, EPERM},
    {"SCTP", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}, EPERM},
    {"SCTP and more bits", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP | 1L << 32}, EPERM},
    {"SMC", SYS_socket, {AF_INET6, SOCK_STREAM, 256}, EPERM},
    {"tunnels", SYS_socket, {AF_INET, SOCK_DGRAM, 115 /* L2TP */}, EPERM},
    {"light UDP", SYS_socket, {AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE}, EPERM},
    {"pings", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, EPERM},
    {"pings of IPv6", SYS_socket, {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}, EPERM},
    {"pair of virtual machines", SYS_socketpair, {AF_VSOCK, SOCK_STREAM, 0}, EAFNOSUPPORT},
    {"pair and more bits", SYS_socketpair, {AF_UNIX | 1L << 32, SOCK_STREAM, 0}, EAFNOSUPPORT},
    {"settings of packet filters", SYS_socket, {AF_NETLINK, SOCK_RAW, 12}, EPERM},
    {"packets", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, EAFNOSUPPORT},
    {"packets and more bits", SYS_socket, {AF_PACKET | 1L << 32, SOCK_RAW, 0}, EAFNOSUPPORT},
    {"virtual machines", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, EAFNOSUPPORT},
    {"ciphers of the kernel", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, EAFNOSUPPORT},
    {"amateur radio", SYS_socket, {AF_AX25, SOCK_DGRAM, 0}, EAFNOSUPPORT},
    {"no family", SYS_socket, {AF_UNSPEC, SOCK_STREAM, 0}, EAFNOSUPPORT},
};
