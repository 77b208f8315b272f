#include "dataplane/upstream/server_name.h"

#include "config/cluster.h"
#include "dataplane/http/headers.h"

/* The name without its port; an address is none. */
struct server_name server_name_of_request(const struct cluster *c, const struct headers *h)
{
    const struct auto_names *names = c->auto_names;
    struct bytes host = headers_get(h, HEADER_AUTHORITY);
    struct address ignored;
    if (!names)
        return (struct server_name){0};
    if (names->header.len && headers_get_all(h, names->header).len)
        host = headers_get_all(h, names->header);
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    if (colon >= 0 && bytes_find_char(host, ']') < colon)
        host = bytes_first(host, (size_t)colon);
    bool send =
        names->sni && host.len && host.data[0] != '[' && !address_parse_ip(host, 0, &ignored);
    if (!send && !names->san_validation)
        return (struct server_name){0};
    return (struct server_name){host, send, names->san_validation};
}
