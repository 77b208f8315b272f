#include "dataplane/net/listen_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOMAXCONN_FALLBACK = 4096 };

/* net.core.somaxconn, read once: the kernel cuts what is larger. */
static int default_backlog(void)
{
    static int cached;
    int value = 0;

    if (__atomic_load_n(&cached, __ATOMIC_RELAXED) == 0) {
        FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
        if (!f || fscanf(f, "%d", &value) != 1 || value <= 0)
            value = SOMAXCONN_FALLBACK;
        if (f)
            fclose(f);
        __atomic_store_n(&cached, value, __ATOMIC_RELAXED);
    }
    return __atomic_load_n(&cached, __ATOMIC_RELAXED);
}

static bool is_path(const struct address *a)
{
    return a->kind == ADDRESS_PIPE && a->path && a->path[0] != '@';
}

void listen_socket_unlink(const struct address *a)
{
    struct stat st;

    if (is_path(a) && lstat(a->path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(a->path);
}

static bool set_ip_options(int fd, const struct listen_options *opt, const char **what)
{
    bool v6 = opt->address.kind == ADDRESS_IPV6;

    *what = "SO_REUSEADDR";
    if (!sock_option_int(fd, SOL_SOCKET, SO_REUSEADDR, 1))
        return false;
    *what = "SO_REUSEPORT";
    if (opt->reuse_port && !sock_option_int(fd, SOL_SOCKET, SO_REUSEPORT, 1))
        return false;
    *what = "IPV6_V6ONLY";
    if (v6 && !sock_option_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !opt->ipv4_compat))
        return false;
    *what = "IP_FREEBIND";
    if (opt->freebind &&
        !sock_option_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1))
        return false;
    *what = "IP_TRANSPARENT";
    if (opt->transparent && !sock_option_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                             v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1))
        return false;
    *what = "TCP_FASTOPEN";
    return opt->fast_open == 0 ||
           sock_option_int(fd, IPPROTO_TCP, TCP_FASTOPEN, (int)opt->fast_open);
}

static bool set_options(int fd, const struct listen_options *opt, const char *name,
                        struct error *err)
{
    const char *what = NULL;
    size_t failed = 0;

    if (address_is_ip(&opt->address) && !set_ip_options(fd, opt, &what))
        return error_set(err, "cannot bind '%s': cannot set %s: %s", name, what, strerror(errno));
    if (!sock_options_set(fd, opt->options, opt->n_options, &failed))
        return error_set(
            err, "cannot bind '%s': cannot set socket option with level %d and name %d: %s", name,
            opt->options[failed].level, opt->options[failed].name, strerror(errno));
    return true;
}

/* A path whose socket nobody listens on any more may be taken over. */
static void remove_stale_path(const struct address *a)
{
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(a, &ss);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno == ECONNREFUSED)
        listen_socket_unlink(a);
    close(fd);
}

static bool bind_socket(int fd, const struct listen_options *opt, const char *name,
                        struct error *err)
{
    struct sockaddr_storage ss;
    socklen_t len = address_to_sockaddr(&opt->address, &ss);

    if (is_path(&opt->address))
        remove_stale_path(&opt->address);
    if (bind(fd, (struct sockaddr *)&ss, len) < 0)
        return error_set(err, "cannot bind '%s': %s", name, strerror(errno));
    if (is_path(&opt->address) && opt->pipe_mode &&
        chmod(opt->address.path, (mode_t)opt->pipe_mode) < 0)
        return error_set(err, "cannot set mode 0%o on '%s': %s", opt->pipe_mode, name,
                         strerror(errno));
    return true;
}

bool listen_socket_listen(int fd, uint32_t backlog, struct error *err)
{
    if (listen(fd, backlog ? (int)backlog : default_backlog()) < 0)
        return error_set(err, "cannot listen: %s", strerror(errno));
    return true;
}

static int open_one(const struct listen_options *opt, struct error *err)
{
    char name[ADDRESS_TEXT_MAX];
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

    address_format(&opt->address, name);
    int fd = socket(address_family(&opt->address), type, 0);
    if (fd < 0) {
        error_set(err, "cannot bind '%s': cannot open a socket: %s", name, strerror(errno));
        return -1;
    }
    if (set_options(fd, opt, name, err) && bind_socket(fd, opt, name, err) &&
        (opt->no_listen || listen_socket_listen(fd, opt->backlog, err)))
        return fd;
    close(fd);
    return -1;
}

bool listen_socket_open(const struct listen_options *opt, unsigned count, int *fds,
                        struct address *bound, struct error *err)
{
    struct listen_options next = *opt;
    unsigned n;

    *bound = opt->address;
    for (n = 0; n < count; n++) {
        bool own = n == 0 || (opt->reuse_port && address_is_ip(&opt->address));
        fds[n] = own ? open_one(&next, err) : fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
        if (fds[n] < 0)
            break;
        if (n == 0 && address_is_ip(&opt->address))
            *bound = next.address = address_local(fds[0]);
    }
    if (n == count)
        return true;
    if (!error_is_set(err)) {
        char name[ADDRESS_TEXT_MAX];
        error_set(err, "cannot bind '%s': %s", address_format(&opt->address, name),
                  strerror(errno));
    }
    while (n > 0)
        close(fds[--n]);
    return false;
}
