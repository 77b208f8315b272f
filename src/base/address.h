/* struct address: an IPv4 or IPv6 address with a port, or the path of a Unix socket, in 24 bytes.
 * A plain value: copy it freely, compare with address_eq(). Paths are interned and live as long as
 * the process; addresses of peers never intern. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/error.h"

enum address_kind { ADDRESS_NONE, ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_PIPE };

struct address {
    uint8_t kind;   /* enum address_kind */
    uint16_t port;  /* host order; 0 for a pipe */
    uint32_t scope; /* IPv6 scope id (fe80::1%2) */
    union {
        uint8_t ip[16];   /* network order; IPv4 uses the first four */
        const char *path; /* interned; "@name" is an abstract one; NULL: an unnamed peer */
    };
};

/* The text of every address fits, NUL included. */
enum { ADDRESS_TEXT_MAX = 128 };

/* An IP address without a port: "127.0.0.1", "::1", "[::1]", "fe80::1%2". */
MUST_CHECK bool address_parse_ip(struct bytes text, uint16_t port, struct address *out);
/* "127.0.0.1:80", "[::1]:80". */
MUST_CHECK bool address_parse_ip_port(struct bytes text, struct address *out);
/* A pipe path, "@name" for the abstract name space; false when empty or too long (107 bytes). */
MUST_CHECK bool address_from_path(struct bytes path, struct address *out);
struct address address_ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
struct address address_from_sockaddr(const struct sockaddr *sa, socklen_t len);
/* Length of the sockaddr; 0 for ADDRESS_NONE. */
socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out);
int address_family(const struct address *a); /* AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC */

/* Envoy's text: "127.0.0.1:80", "[::1]:80", "/tmp/a.sock", "@name", "" for none. Returns out. */
const char *address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);
const char *address_format_ip(const struct address *a, char out[ADDRESS_TEXT_MAX]); /* no port */

bool address_eq(const struct address *a, const struct address *b);
bool address_eq_ip(const struct address *a, const struct address *b); /* ports not compared */
int address_cmp(const struct address *a, const struct address *b);
uint64_t address_hash(const struct address *a);
bool address_is_ip(const struct address *a);
bool address_is_any(const struct address *a); /* 0.0.0.0 or :: */
bool address_is_loopback(const struct address *a);
/* An IPv4 address inside ::ffff:0:0/96 becomes IPv4; others are returned as they are. */
struct address address_unmap(const struct address *a);
/* The socket's own and the peer's address; ADDRESS_NONE when the kernel knows none. Of a pipe only
 * the own has its path. */
struct address address_local(int fd);
struct address address_remote(int fd);

struct address_prefix {
    struct address base; /* host bits cleared */
    uint8_t prefix_len;
};

/* "10.0.0.0/8", "::/0". */
MUST_CHECK bool address_prefix_parse(struct bytes text, struct address_prefix *out);
/* False when the address is no IP address or the length is too large for it. */
MUST_CHECK bool address_prefix_init(struct address_prefix *p, const struct address *base,
                                    unsigned prefix_len);
bool address_prefix_contains(const struct address_prefix *p, const struct address *a);
