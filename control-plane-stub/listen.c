#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

bool listen_check(const char *address, struct error *err)
{
    const char *colon = strrchr(address, ':');
    unsigned long long port;

    if (!strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX))) {
        if (!address[strlen(UNIX_PREFIX)])
            return error_set(err, "\"%s\" names no path", address);
        return true;
    }
    if (!colon || colon == address)
        return error_set(err, "\"%s\" is not ADDRESS:PORT or unix:PATH", address);
    if (!number_read(colon + 1, 0, UINT16_MAX, &port))
        return error_set(err, "\"%s\": a port is a number of 0 to 65535, not \"%s\"", address,
                         colon + 1);
    return true;
}

static struct addrinfo *resolve(const char *address)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(address, ':');
    bool brackets = *address == '[' && colon && colon > address + 1 && colon[-1] == ']';
    struct addrinfo *found = NULL;
    char *host;

    if (!colon)
        return NULL;
    host = mem_bytes(address + brackets, (size_t)(colon - address) - 2 * (size_t)brackets);
    if (getaddrinfo(host, colon + 1, &hints, &found))
        found = NULL;
    free(host);
    return found;
}

static int port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);

    if (getsockname(fd, (struct sockaddr *)&bound, &len))
        return 0;
    if (bound.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
    return bound.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&bound)->sin_port) : 0;
}

static int listen_to(const struct sockaddr *a, socklen_t len)
{
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, why;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!bind(fd, a, len) && !listen(fd, 128))
        return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Takes the place of a socket that its owner left, or, without `replace`, of nothing. */
static int listen_at_path(const char *path, bool replace)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(path) >= sizeof(a.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path));
    if (replace && !lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
    return listen_to((const struct sockaddr *)&a, sizeof(a));
}

/* A listening socket, or -1 with the sentence. */
static int try(const char *address, bool replace, struct error *err)
{
    struct addrinfo *a = NULL;
    int fd;

    if (!listen_check(address, err))
        return -1;
    if (!strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX))) {
        fd = listen_at_path(address + strlen(UNIX_PREFIX), replace);
    } else if ((a = resolve(address)) != NULL) {
        fd = listen_to(a->ai_addr, a->ai_addrlen);
        freeaddrinfo(a);
    } else {
        error_set(err, "\"%s\" is not ADDRESS:PORT or unix:PATH", address);
        return -1;
    }
    if (fd < 0)
        error_set(err, "cannot listen on %s: %s", address, strerror(errno));
    return fd;
}

int listen_at(const char *address, int *port, struct error *err)
{
    int fd = try(address, true, err);

    if (fd >= 0)
        *port = port_of(fd);
    return fd;
}

void listen_explain(const char *address, struct error *err)
{
    int fd = try(address, false, err);

    if (fd < 0)
        return;
    close(fd);
    if (!strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)))
        unlink(address + strlen(UNIX_PREFIX));
    error_set(err, "cannot listen on %s", address);
}
