#include "dataplane/upstream/server_name.h"

#include "config/cluster.h"
#include "config/tls.h"
#include "dataplane/http/headers.h"
#include "dataplane/net/transport_tls.h"

/* A host without its port, an address without its brackets. */
static struct bytes bare(struct bytes host, bool *is_address)
{
    ptrdiff_t colon = bytes_rfind_char(host, ':');
    struct address ignored;
    uint64_t port;
    if (colon >= 0 && bytes_to_u64(bytes_skip(host, (size_t)colon + 1), &port) && port <= 65535)
        host = bytes_first(host, (size_t)colon);
    struct bytes inner = host;
    if (host.len > 1 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        inner = bytes_from(host.data + 1, host.len - 2);
    *is_address = address_parse_ip(inner, 0, &ignored);
    return *is_address ? inner : host;
}

struct server_name server_name_of_request(const struct cluster *c, const struct headers *h)
{
    const struct auto_names *names = c->auto_names;
    struct server_name n = {0};
    bool is_address;
    if (!names)
        return n;
    struct bytes host = BYTES_NONE;
    if (names->header.len)
        host = headers_get_name(h, names->header); /* of several the first */
    host = bare(host.len ? host : headers_get(h, HEADER_AUTHORITY), &is_address);
    if (names->sni && !is_address) /* nobody sends an address */
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
