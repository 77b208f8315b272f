#include "admin/admin_guard.h"

#include "base/address.h"

static bool same_origin(struct bytes origin, struct bytes host)
{
    struct bytes rest = origin;
    if (bytes_starts_with(rest, BYTES("http://")))
        rest = bytes_skip(rest, 7);
    else if (bytes_starts_with(rest, BYTES("https://")))
        rest = bytes_skip(rest, 8);
    else
        return false;
    return bytes_eq_nocase(rest, host);
}

/* "localhost", "127.0.0.1", "[::1]", each with or without a port; no name of the DNS. */
static bool names_no_site(struct bytes host)
{
    struct address address;
    struct bytes name = host;
    if (name.len && name.data[0] == '[') {
        ptrdiff_t end = bytes_find_char(name, ']');
        return end > 0 && address_parse_ip(bytes_from(name.data + 1, (size_t)end - 1), 0, &address);
    }
    name = bytes_split(&name, ':');
    return bytes_eq_nocase(name, BYTES("localhost")) ||
           bytes_ends_with_nocase(name, BYTES(".localhost")) || address_parse_ip(name, 0, &address);
}

const char *admin_guard(const struct admin_caller *c)
{
    bool read = bytes_eq_str(c->method, "GET") || bytes_eq_str(c->method, "HEAD");
    if (!c->origin.data && !c->fetch_site.data)
        return NULL;
    if (!read && c->origin.data && !same_origin(c->origin, c->host))
        return "A page of another site may not change anything here.\n";
    if (!read && bytes_eq_str(c->fetch_site, "cross-site"))
        return "A page of another site may not change anything here.\n";
    if (c->loopback && !names_no_site(c->host))
        return "Ask by the address of this machine or by localhost.\n";
    return NULL;
}
