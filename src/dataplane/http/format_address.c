/* Operators about the two connections of a stream: their addresses, names and numbers. */
#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

static bool add(struct strbuf *out, struct bytes b)
{
    strbuf_add_bytes(out, b);
    return b.len > 0;
}

static bool add_u64(struct strbuf *out, uint64_t v)
{
    strbuf_add_u64(out, v);
    return true;
}

static NOINLINE bool add_address(struct strbuf *out, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    return a->kind != ADDRESS_NONE && add(out, bytes_of(address_format(a, text)));
}

static NOINLINE bool add_ip(struct strbuf *out, const struct address *a)
{
    char text[ADDRESS_TEXT_MAX];
    if (a->kind == ADDRESS_PIPE)
        return add_address(out, a);
    return a->kind != ADDRESS_NONE && add(out, bytes_of(address_format_ip(a, text)));
}

/* The network of its first bits: "10.1.0.0/16". */
static NOINLINE bool add_network(struct strbuf *out, const struct address *a, uint8_t bits)
{
    char text[ADDRESS_TEXT_MAX];
    struct address_prefix p;
    unsigned most = a->kind == ADDRESS_IPV4 ? 32 : 128;
    if (bits == FORMAT_NO_MASK || !address_prefix_init(&p, a, bits < most ? bits : most))
        return add_ip(out, a);
    strbuf_printf(out, "%s/%u", address_format_ip(&p.base, text), p.prefix_len);
    return true;
}

static bool add_port(struct strbuf *out, const struct address *a)
{
    return address_is_ip(a) && add_u64(out, a->port);
}

/* Of TLS, or of the request. */
static bool add_server_name(struct strbuf *out, const struct stream *s,
                            const struct format_part *part)
{
    struct bytes sni = stream_server_name(s);
    if (part->server_name.from == SERVER_NAME_SNI ||
        (part->server_name.from == SERVER_NAME_SNI_FIRST && sni.len))
        return add(out, sni);
    struct bytes original = headers_get(&s->request_headers, HEADER_X_ENVOY_ORIGINAL_HOST);
    struct bytes host = headers_get(&s->request_headers, HEADER_AUTHORITY);
    if (part->server_name.host == HOST_ORIGINAL ||
        (part->server_name.host == HOST_ORIGINAL_OR_CURRENT && original.data))
        host = original;
    return add(out, host);
}

static bool add_protocol(struct strbuf *out, enum http_protocol p)
{
    static const char *const names[] = {"HTTP/1.0", "HTTP/1.1", "HTTP/2"};
    return add(out, bytes_of(names[p]));
}

/* Of a connection: once a request came, or its preface; not of one that did not keep to it. */
static bool knows_protocol(const struct stream *s)
{
    const uint32_t broken = 1u << RESPONSE_FLAG_DOWNSTREAM_PROTOCOL_ERROR;
    if (!s->priv->no_request)
        return true;
    return !(s->info.flags & broken) &&
           (s->conn->requests || s->request.protocol == PROTOCOL_HTTP2);
}

bool format_connection(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    enum format_op op = part->op;
    const struct address *local = stream_local_address(s);
    const struct address *direct = stream_direct_remote(s);
    switch ((int)op) {
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_network(out, local, part->mask);
    case FORMAT_DOWNSTREAM_LOCAL_PORT:
        return add_port(out, local);
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS:
        return add_address(out, &s->remote);
    case FORMAT_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_network(out, &s->remote, part->mask);
    case FORMAT_DOWNSTREAM_REMOTE_PORT:
        return add_port(out, &s->remote);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS:
        return add_address(out, direct);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_network(out, direct, part->mask);
    case FORMAT_PROTOCOL:
        return knows_protocol(s) && add_protocol(out, s->request.protocol);
    case FORMAT_CONNECTION_ID:
        return add_u64(out, s->conn->id);
    case FORMAT_DOWNSTREAM_DIRECT_REMOTE_PORT:
        return add_port(out, direct);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_network(out, local, part->mask);
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_PORT:
        return add_port(out, local);
    case FORMAT_DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID:
    case FORMAT_DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID:
        return true; /* addresses within the proxy have one: no such thing here */
    case FORMAT_STREAM_ID:
        return add(out, headers_get(&s->request_headers, HEADER_X_REQUEST_ID));
    case FORMAT_FILTER_CHAIN_NAME:
        return s->conn->binding && add(out, s->conn->binding->chain->name);
    case FORMAT_REQUESTED_SERVER_NAME:
        return add_server_name(out, s, part);
    default:
        return format_tls_value(s, op, out);
    }
}

static bool add_host_name(struct strbuf *out, const struct stream_info *i, const struct address *a,
                          bool without_port)
{
    if (i->upstream_hostname.len)
        return add(out, i->upstream_hostname);
    return without_port ? add_ip(out, a) : add_address(out, a);
}

/* "Attempted" is what the last attempt had a connection to, as in Envoy: earlier ones are forgotten
 * when another begins. */
static bool upstream_address(const struct stream_info *i, const struct format_part *part,
                             struct strbuf *out)
{
    enum format_op op = part->op;
    static const struct address none = {.kind = ADDRESS_NONE};
    const struct address *host = i->has_upstream_address ? &i->upstream_address : &none;
    const struct address *local =
        i->has_upstream_local_address ? &i->upstream_local_address : &none;
    const struct address *remote = local == &none      ? &none /* of a connection */
                                   : i->upstream_other ? i->upstream_other
                                                       : host;
    switch ((int)op) {
    case FORMAT_UPSTREAM_HOST_NAME:
        return add_host_name(out, i, host, false);
    case FORMAT_UPSTREAM_HOST_NAME_WITHOUT_PORT:
        return add_host_name(out, i, host, true);
    case FORMAT_UPSTREAM_HOST:
        return add_address(out, host);
    case FORMAT_UPSTREAM_REMOTE_ADDRESS:
        return add_address(out, remote);
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        return add_network(out, remote, part->mask);
    case FORMAT_UPSTREAM_REMOTE_PORT:
        return add_port(out, remote);
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID:
        return remote->kind != ADDRESS_NONE;
    case FORMAT_UPSTREAM_HOSTS_ATTEMPTED:
        return add_address(out, remote);
    case FORMAT_UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT:
        return add_ip(out, remote);
    case FORMAT_UPSTREAM_HOST_NAMES_ATTEMPTED:
        return remote->kind != ADDRESS_NONE && add_host_name(out, i, remote, false);
    case FORMAT_UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT:
        return remote->kind != ADDRESS_NONE && add_host_name(out, i, remote, true);
    case FORMAT_UPSTREAM_LOCAL_ADDRESS:
        return add_address(out, local);
    case FORMAT_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
        return add_network(out, local, part->mask);
    default:
        return add_port(out, local);
    }
}

bool format_upstream(struct stream *s, const struct format_part *part, struct strbuf *out)
{
    enum format_op op = part->op;
    const struct stream_info *i = &s->info;
    switch ((int)op) {
    case FORMAT_UPSTREAM_HOST:
    case FORMAT_UPSTREAM_HOST_NAME:
    case FORMAT_UPSTREAM_HOST_NAME_WITHOUT_PORT:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
    case FORMAT_UPSTREAM_REMOTE_PORT:
    case FORMAT_UPSTREAM_HOSTS_ATTEMPTED:
    case FORMAT_UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT:
    case FORMAT_UPSTREAM_HOST_NAMES_ATTEMPTED:
    case FORMAT_UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT:
    case FORMAT_UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID:
    case FORMAT_UPSTREAM_LOCAL_ADDRESS:
    case FORMAT_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT:
    case FORMAT_UPSTREAM_LOCAL_PORT:
        return upstream_address(i, part, out);
    case FORMAT_DOWNSTREAM_LOCAL_CLOSE_REASON:
    case FORMAT_DOWNSTREAM_DETECTED_CLOSE_TYPE:
    case FORMAT_UPSTREAM_LOCAL_CLOSE_REASON:
    case FORMAT_UPSTREAM_DETECTED_CLOSE_TYPE:
        return format_close(s, op, out);
    case FORMAT_UPSTREAM_CLUSTER:
        return add(out, i->upstream_cluster);
    case FORMAT_UPSTREAM_CLUSTER_RAW:
        return add(out, i->upstream_cluster_raw);
    case FORMAT_UPSTREAM_PROTOCOL:
        return i->has_upstream_local_address && !i->upstream_is_tcp &&
               add_protocol(out, i->upstream_protocol);
    case FORMAT_UPSTREAM_CONNECTION_ID:
        return add_u64(out, i->has_upstream_local_address ? i->upstream_connection_id : 0);
    case FORMAT_UPSTREAM_CONNECTION_IDS_ATTEMPTED:
        return i->has_upstream_local_address && add_u64(out, i->upstream_connection_id);
    case FORMAT_UPSTREAM_CONNECTION_POOL_READY_DURATION:
        return i->has_upstream_address && i->pool_ready_ns != POOL_NOT_READY &&
               add_u64(out, i->pool_ready_ns / NS_PER_MS);
    case FORMAT_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        return add_u64(out, i->attempts);
    case FORMAT_ROUTE_NAME:
        return s->route_matched && s->route.route && add(out, s->route.route->name);
    case FORMAT_VIRTUAL_CLUSTER_NAME:
        return add(out, i->virtual_cluster);
    default:
        return format_connection(s, part, out);
    }
}
