#include "dataplane/upstream/server_name.h"

#include "config/cluster.h"
#include "config/tls.h"
#include "dataplane/http/headers.h"
#include "dataplane/net/transport_tls.h"

/* The name without its port; an address is sent by nobody. */
struct server_name server_name_of_request(const struct cluster *c, const struct headers *h)
{
    const struct auto_names *names = c->auto_names;
    struct server_name n = {0};
    struct bytes host = headers_get(h, HEADER_AUTHORITY);
    struct address ignored;
    if (!names)
        return n;
    if (names->header.len && headers_get_all(h, names->header).len)
        host = headers_get_all(h, names->header);
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    if (colon >= 0 && bytes_find_char(host, ']') < colon)
        host = bytes_first(host, (size_t)colon);
    if (names->sni && host.len && host.data[0] != '[' && !address_parse_ip(host, 0, &ignored))
        n.send = host;
    if (names->san_validation) {
        n.verify = host;
        n.verifies = true;
    }
    return n;
}

struct server_name server_name_for_host(const struct server_name *n, const struct cluster *c,
                                        const struct host *h)
{
    const struct tls_socket *s = cluster_socket(c, h->socket);
    struct server_name own = s ? *n : (struct server_name){0};
    if (s && !own.send.len && s->settings.auto_host_sni)
        own.send = host_name(h);
    return own;
}

void server_name_ask(const struct server_name *n, struct tls_connect_options *o)
{
    o->server_name = n->send;
    o->verify_sans = &n->verify;
    o->n_verify_sans = n->verifies ? 1 : 0;
}
