#include "dataplane/net/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    COMMAND_LOCAL = 0x20, /* with the version, 2 */
    COMMAND_PROXY = 0x21,
    FAMILY_NONE = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    HEAD_LEN = 16,
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* 0: there is none. */
static size_t ip_len(const struct address *from, const struct address *to)
{
    if (from->kind != to->kind || !address_is_ip(from))
        return 0;
    return from->kind == ADDRESS_IPV4 ? 4 : 16;
}

static size_t make_line(const struct address *from, const struct address *to,
                        char out[PROXY_PROTOCOL_MAX])
{
    char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN], line[PROXY_PROTOCOL_MAX + 1];
    int n;
    if (!ip_len(from, to)) {
        n = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
    } else {
        int family = address_family(from);
        inet_ntop(family, from->ip, source, sizeof(source)); /* a zone is no part of it */
        inet_ntop(family, to->ip, target, sizeof(target));
        n = snprintf(line, sizeof(line), "PROXY %s %s %s %u %u\r\n",
                     family == AF_INET ? "TCP4" : "TCP6", source, target, from->port, to->port);
    }
    memcpy(out, line, (size_t)n);
    return (size_t)n;
}

static char *put_port(char *at, uint16_t port)
{
    *at++ = (char)(port >> 8);
    *at++ = (char)port;
    return at;
}

static size_t make_binary(const struct address *from, const struct address *to,
                          char out[PROXY_PROTOCOL_MAX])
{
    size_t len = ip_len(from, to);
    char *at = out + HEAD_LEN;
    memcpy(out, signature, sizeof(signature) - 1);
    out[12] = len ? COMMAND_PROXY : COMMAND_LOCAL;
    out[13] = len == 0 ? FAMILY_NONE : len == 4 ? FAMILY_TCP4 : FAMILY_TCP6;
    put_port(out + 14, (uint16_t)(len ? 2 * len + 4 : 0));
    if (len) {
        memcpy(at, from->ip, len);
        memcpy(at + len, to->ip, len);
        at = put_port(put_port(at + 2 * len, from->port), to->port);
    }
    return (size_t)(at - out);
}

size_t proxy_protocol_header(unsigned version, const struct address *from, const struct address *to,
                             char out[PROXY_PROTOCOL_MAX])
{
    return version == 1 ? make_line(from, to, out) : make_binary(from, to, out);
}
