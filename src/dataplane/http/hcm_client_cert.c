/* x-forwarded-client-cert: who the client of a mutual TLS connection is, told to the origin. */
#include "base/strbuf.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

/* A name of a certificate can hold any byte. What would end the element is quoted, as the header's
 * format has it, and what would end the header or the quotes is escaped. */
static void add_value(struct strbuf *out, struct bytes v)
{
    bool quote = false;
    for (size_t i = 0; i < v.len; i++)
        quote |= v.data[i] == ',' || v.data[i] == ';' || v.data[i] == '"';
    if (quote)
        strbuf_add_char(out, '"');
    for (size_t i = 0; i < v.len; i++) {
        unsigned char c = (unsigned char)v.data[i];
        if (c < 0x20 || c == 0x7f)
            strbuf_printf(out, "%%%02X", c);
        else if (quote && (c == '"' || c == '\\'))
            strbuf_printf(out, "\\%c", c);
        else
            strbuf_add_char(out, (char)c);
    }
    if (quote)
        strbuf_add_char(out, '"');
}

static void add_names(struct strbuf *out, const struct transport *t, const char *key,
                      enum tls_san_type type, bool local, bool always, struct arena *a)
{
    struct bytes *names;
    unsigned n = local ? transport_tls_local_names(t, type, a, &names)
                       : transport_tls_peer_names(t, type, a, &names);
    for (unsigned i = 0; i < n; i++) {
        strbuf_printf(out, "%s%s=", out->len ? ";" : "", key);
        add_value(out, names[i]);
    }
    if (n == 0 && always)
        strbuf_printf(out, "%s%s=", out->len ? ";" : "", key);
}

/* What has its own escapes: a subject as RFC 2253 writes it, PEM in URL encoding. */
static void add_quoted(struct strbuf *out, const struct transport *t, const char *key,
                       enum tls_question q, struct arena *a)
{
    strbuf_printf(out, ";%s=\"", key);
    strbuf_add_bytes(out, transport_tls_text(t, q, a));
    strbuf_add_char(out, '"');
}

static struct bytes element(struct stream *s, const struct transport *t)
{
    const struct client_cert_details *d = &s->manager->client_cert;
    struct arena *a = s->arena;
    struct strbuf out = STRBUF_INIT;
    add_names(&out, t, "By", TLS_SAN_URI, true, false, a);
    strbuf_printf(&out, "%sHash=", out.len ? ";" : "");
    strbuf_add_bytes(&out, transport_tls_text(t, TLS_PEER_FINGERPRINT_256, a));
    if (d->cert)
        add_quoted(&out, t, "Cert", TLS_PEER_CERT_PEM_URLENCODED, a);
    if (d->chain)
        add_quoted(&out, t, "Chain", TLS_PEER_CHAIN_PEM_URLENCODED, a);
    if (d->subject)
        add_quoted(&out, t, "Subject", TLS_PEER_SUBJECT, a);
    if (d->uri)
        add_names(&out, t, "URI", TLS_SAN_URI, false, true, a);
    if (d->dns)
        add_names(&out, t, "DNS", TLS_SAN_DNS, false, false, a);
    struct bytes text = arena_dup(a, strbuf_bytes(&out));
    strbuf_fini(&out);
    return text;
}

void hcm_client_cert(struct stream *s)
{
    struct headers *h = &s->request_headers;
    const struct transport *t = connection_transport(s->conn->connection);
    enum forward_client_cert how = s->manager->client_cert.how;
    if (how == CLIENT_CERT_ALWAYS_FORWARD_ONLY)
        return;
    struct bytes old = BYTES_NONE;
    bool mutual = transport_tls_peer_presented(t);
    if (mutual && (how == CLIENT_CERT_FORWARD_ONLY || how == CLIENT_CERT_APPEND_FORWARD))
        old = headers_get_all_id(h, HEADER_X_FORWARDED_CLIENT_CERT);
    if (mutual && how == CLIENT_CERT_FORWARD_ONLY)
        return;
    headers_remove_id(h, HEADER_X_FORWARDED_CLIENT_CERT);
    if (!mutual || how == CLIENT_CERT_SANITIZE)
        return;
    struct bytes own = element(s, t);
    if (old.len)
        own = bytes_of(arena_printf(s->arena, "%.*s,%.*s", BYTES_ARG(old), BYTES_ARG(own)));
    headers_add_id(h, HEADER_X_FORWARDED_CLIENT_CERT, own);
}
