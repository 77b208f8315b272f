/* Lets system calls and heap allocations of a running program fail: started with
 *     LD_PRELOAD=libfail_calls.so FAIL_CALLS_FILE=file
 * The file is mapped; a test writes what shall fail into its `wanted` half at any time and reads
 * the counts. Calls count on sockets only (and epoll_wait, open, writes to files but its standard
 * error), allocations and maps only when made by the program itself: those inside of libraries are
 * not its own to answer for. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* The order is that of harness/shim.py. READ: read and recv; SEND: send and
 * sendmsg; RECEIVE and WRITE: all other calls that move bytes. */
enum { HANG = -2 };

enum call { READ, SEND, ACCEPT, CONNECT, EPOLL_WAIT, SOCKET, OPEN, RECEIVE, WRITE, CALLS };

struct control {
    /* wanted: every `every`-th call of a kind fails with `error`, `left` times; error -1: only one
     * byte is moved, -2: it hangs until another call is wanted. heap_at: so many allocations from
     * now; 0: none. heap_large: those of so many bytes or more, as long as it stands there; 0:
     * none. */
    _Atomic int64_t call, error, every, left, heap_at, heap_large;
    _Atomic int64_t seen[CALLS], injected, heap_seen;
};

static struct control none = {.call = -1};
static struct control *control = &none;
static uintptr_t program_start, program_end;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static int find_program(struct dl_phdr_info *info, size_t size, void *ctx)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        program_start = info->dlpi_addr + p->p_vaddr;
        program_end = program_start + p->p_memsz;
    }
    return 1; /* the first is the program */
}

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("FAIL_CALLS_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return;
    control = p;
    dl_iterate_phdr(find_program, NULL);
}

/* 0: go on; -1: move one byte; else the errno to fail with. */
static int64_t strike(enum call call)
{
    int64_t n = atomic_fetch_add(&control->seen[call], 1) + 1;
    bool spared =
        control->error == HANG && gettid() == getpid(); /* a worker shall hang, not main */
    if (spared || control->call != (int64_t)call || control->every == 0 ||
        n % control->every != 0 || atomic_fetch_sub(&control->left, 1) <= 0)
        return 0;
    atomic_fetch_add(&control->injected, 1);
    if (control->error == HANG) {
        while (control->call == (int64_t)call)
            sched_yield();
        return 0;
    }
    return control->error;
}

static bool is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static bool is_file(int fd)
{
    struct stat st;
    return fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* How much of len moves: a datagram is never cut, nor an event. */
static size_t moved(int fd, int64_t error, size_t len)
{
    return error < 0 && len && (is_stream(fd) || is_file(fd)) ? 1 : len;
}

/* The call fails. Where the kernel has no room for bytes it tells once there is some: whoever
 * waits by edge-triggered epoll would wait for ever if nothing came after such a refusal. Setting
 * the size of the buffer, to what it is, tells. */
static int refuse(int fd, int64_t error)
{
    int size = 0;
    socklen_t len = sizeof(size);
    if ((error == EAGAIN || error == ENOBUFS) &&
        getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0) {
        size /= 2; /* the kernel doubles it */
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    errno = (int)error;
    return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

PUBLIC ssize_t read(int fd, void *buf, size_t len)
{
    static __typeof__(&read) real;
    int64_t error = is_socket(fd) ? strike(READ) : 0;
    real = real ? real : REAL(read);
    if (error > 0) {
        errno = (int)error;
        return -1;
    }
    return real(fd, buf, error < 0 && len ? 1 : len);
}

/* The first byte of it. */
static struct msghdr shorter(const struct msghdr *msg, struct iovec *one)
{
    struct msghdr less = *msg;
    size_t i = 0;
    while (i + 1 < msg->msg_iovlen && msg->msg_iov[i].iov_len == 0)
        i++;
    if (msg->msg_iovlen == 0 || msg->msg_iov[i].iov_len == 0)
        return less;
    *one = (struct iovec){.iov_base = msg->msg_iov[i].iov_base, .iov_len = 1};
    less.msg_iov = one;
    less.msg_iovlen = 1;
    return less;
}

PUBLIC ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    static __typeof__(&sendmsg) real;
    struct iovec one;
    int64_t error = strike(SEND);
    real = real ? real : REAL(sendmsg);
    if (error > 0)
        return refuse(fd, error);
    struct msghdr less = error < 0 && is_stream(fd) ? shorter(msg, &one) : *msg;
    return real(fd, &less, flags);
}

PUBLIC ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    static __typeof__(&recvmsg) real;
    struct iovec one;
    int64_t error = strike(RECEIVE);
    real = real ? real : REAL(recvmsg);
    if (error > 0) {
        errno = (int)error;
        return -1;
    }
    if (error == 0 || !is_stream(fd))
        return real(fd, msg, flags);
    struct msghdr less = shorter(msg, &one);
    ssize_t n = real(fd, &less, flags);
    msg->msg_flags = less.msg_flags;
    msg->msg_controllen = less.msg_controllen;
    return n;
}

#define MOVE(result, kind, counted, call_fd, len, ...)                                             \
    int64_t error = (counted) ? strike(kind) : 0;                                                  \
    real = real ? real : REAL(result);                                                             \
    if (error > 0)                                                                                 \
        return refuse(call_fd, error);                                                             \
    len = moved(call_fd, error, len);                                                              \
    return real(__VA_ARGS__)

PUBLIC ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    static __typeof__(&recv) real;
    MOVE(recv, READ, true, fd, len, fd, buf, len, flags);
}

PUBLIC ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from,
                        socklen_t *from_len)
{
    static __typeof__(&recvfrom) real;
    MOVE(recvfrom, RECEIVE, true, fd, len, fd, buf, len, flags, from, from_len);
}

PUBLIC ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    static __typeof__(&send) real;
    MOVE(send, SEND, true, fd, len, fd, buf, len, flags);
}

PUBLIC ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
                      socklen_t to_len)
{
    static __typeof__(&sendto) real;
    MOVE(sendto, WRITE, true, fd, len, fd, buf, len, flags, to, to_len);
}

PUBLIC ssize_t write(int fd, const void *buf, size_t len)
{
    static __typeof__(&write) real;
    MOVE(write, WRITE, is_socket(fd) || is_file(fd), fd, len, fd, buf, len);
}

static ssize_t move_vector(ssize_t (*real)(int, const struct iovec *, int), enum call kind, int fd,
                           const struct iovec *v, int n)
{
    int64_t error = is_socket(fd) || is_file(fd) ? strike(kind) : 0;
    if (error > 0)
        return refuse(fd, error);
    struct iovec one;
    struct msghdr all = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
    if (error < 0 && moved(fd, error, 2) == 1)
        all = shorter(&all, &one);
    return real(fd, all.msg_iov, (int)all.msg_iovlen);
}

PUBLIC ssize_t readv(int fd, const struct iovec *v, int n)
{
    static __typeof__(&readv) real;
    real = real ? real : REAL(readv);
    return move_vector(real, RECEIVE, fd, v, n);
}

PUBLIC ssize_t writev(int fd, const struct iovec *v, int n)
{
    static __typeof__(&writev) real;
    real = real ? real : REAL(writev);
    return move_vector(real, WRITE, fd, v, n);
}

PUBLIC int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    static __typeof__(&accept4) real;
    int64_t error = strike(ACCEPT);
    real = real ? real : REAL(accept4);
    errno = (int)error;
    return error > 0 ? -1 : real(fd, address, len, flags);
}

PUBLIC int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static __typeof__(&connect) real;
    int64_t error = strike(CONNECT);
    real = real ? real : REAL(connect);
    if (error > 0) {
        if (error == EINTR) /* the kernel goes on connecting all the same */
            real(fd, address, len);
        errno = (int)error;
        return -1;
    }
    return real(fd, address, len);
}

PUBLIC int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    static __typeof__(&epoll_wait) real;
    int64_t error = strike(EPOLL_WAIT);
    real = real ? real : REAL(epoll_wait);
    errno = (int)error;
    return error > 0 ? -1 : real(fd, events, max, timeout);
}

PUBLIC int socket(int domain, int type, int protocol)
{
    static __typeof__(&socket) real;
    int64_t error = strike(SOCKET);
    real = real ? real : REAL(socket);
    errno = (int)error;
    return error > 0 ? -1 : real(domain, type, protocol);
}

PUBLIC int open(const char *path, int flags, ...)
{
    static __typeof__(&open) real;
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    int64_t error = strike(OPEN);
    real = real ? real : REAL(open);
    errno = (int)error;
    return error > 0 ? -1 : real(path, flags, mode);
}

static bool no_memory(void *caller, size_t size)
{
    uintptr_t from = (uintptr_t)caller;
    if (from < program_start || from >= program_end)
        return false;
    atomic_fetch_add(&control->heap_seen, 1);
    int64_t large = control->heap_large;
    bool now = (control->heap_at > 0 && atomic_fetch_sub(&control->heap_at, 1) == 1) ||
               (large > 0 && size >= (size_t)large);
    if (now)
        atomic_fetch_add(&control->injected, 1);
    return now;
}

PUBLIC void *malloc(size_t size)
{
    return no_memory(__builtin_return_address(0), size) ? NULL : __libc_malloc(size);
}

PUBLIC void *calloc(size_t n, size_t size)
{
    return no_memory(__builtin_return_address(0), n * size) ? NULL : __libc_calloc(n, size);
}

PUBLIC void *realloc(void *p, size_t size)
{
    return no_memory(__builtin_return_address(0), size) ? NULL : __libc_realloc(p, size);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
    bool fails = no_memory(__builtin_return_address(0), size);
    return fails ? NULL : __libc_memalign(alignment, size);
}

PUBLIC void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    static __typeof__(&mmap) real;
    real = real ? real : REAL(mmap);
    if ((flags & MAP_ANONYMOUS) && no_memory(__builtin_return_address(0), size)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(at, size, protection, flags, fd, offset);
}
