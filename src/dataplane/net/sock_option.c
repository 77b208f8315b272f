#include "dataplane/net/sock_option.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

bool sock_option_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

bool sock_options_set(int fd, const struct sock_option *options, size_t n, size_t *failed)
{
    for (size_t i = 0; i < n; i++) {
        const struct sock_option *o = &options[i];
        bool ok = o->data ? setsockopt(fd, o->level, o->name, o->data, o->data_len) == 0
                          : sock_option_int(fd, o->level, o->name, o->value);
        if (!ok) {
            *failed = i;
            return false;
        }
    }
    return true;
}

bool sock_option_keepalive(int fd, uint32_t probes, uint32_t time_s, uint32_t interval_s)
{
    return sock_option_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           (!probes || sock_option_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)probes)) &&
           (!time_s || sock_option_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)time_s)) &&
           (!interval_s || sock_option_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)interval_s));
}
