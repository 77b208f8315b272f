/* Operators about TLS of either side. */
#include "dataplane/http/format.h"
#include "dataplane/http/stream_internal.h"
#include "dataplane/net/transport_tls.h"

static bool question_of(enum format_op op, enum tls_question *q, bool *upstream)
{
    static const struct {
        enum format_op op;
        enum tls_question q;
        bool upstream;
    } rows[] = {
        {FORMAT_DOWNSTREAM_TLS_VERSION, TLS_VERSION, false},
        {FORMAT_DOWNSTREAM_TLS_CIPHER, TLS_CIPHER, false},
        {FORMAT_DOWNSTREAM_TLS_GROUP, TLS_GROUP, false},
        {FORMAT_DOWNSTREAM_TLS_SESSION_ID, TLS_SESSION_ID, false},
        {FORMAT_DOWNSTREAM_PEER_SUBJECT, TLS_PEER_SUBJECT, false},
        {FORMAT_DOWNSTREAM_PEER_ISSUER, TLS_PEER_ISSUER, false},
        {FORMAT_DOWNSTREAM_PEER_SERIAL, TLS_PEER_SERIAL, false},
        {FORMAT_DOWNSTREAM_PEER_FINGERPRINT_256, TLS_PEER_FINGERPRINT_256, false},
        {FORMAT_DOWNSTREAM_PEER_FINGERPRINT_1, TLS_PEER_FINGERPRINT_1, false},
        {FORMAT_DOWNSTREAM_PEER_CERT, TLS_PEER_CERT_PEM_URLENCODED, false},
        {FORMAT_DOWNSTREAM_PEER_URI_SAN, TLS_PEER_URI_SANS, false},
        {FORMAT_DOWNSTREAM_PEER_DNS_SAN, TLS_PEER_DNS_SANS, false},
        {FORMAT_DOWNSTREAM_PEER_IP_SAN, TLS_PEER_IP_SANS, false},
        {FORMAT_DOWNSTREAM_PEER_EMAIL_SAN, TLS_PEER_EMAIL_SANS, false},
        {FORMAT_DOWNSTREAM_PEER_OTHERNAME_SAN, TLS_PEER_OTHERNAME_SANS, false},
        {FORMAT_DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256, TLS_PEER_ISSUER_FINGERPRINT_256, false},
        {FORMAT_DOWNSTREAM_PEER_ISSUER_SERIAL, TLS_PEER_ISSUER_SERIAL, false},
        {FORMAT_DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256, TLS_PEER_CHAIN_FINGERPRINTS_256, false},
        {FORMAT_DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1, TLS_PEER_CHAIN_FINGERPRINTS_1, false},
        {FORMAT_DOWNSTREAM_PEER_CHAIN_SERIALS, TLS_PEER_CHAIN_SERIALS, false},
        {FORMAT_DOWNSTREAM_LOCAL_SUBJECT, TLS_LOCAL_SUBJECT, false},
        {FORMAT_DOWNSTREAM_LOCAL_URI_SAN, TLS_LOCAL_URI_SANS, false},
        {FORMAT_DOWNSTREAM_LOCAL_DNS_SAN, TLS_LOCAL_DNS_SANS, false},
        {FORMAT_DOWNSTREAM_LOCAL_IP_SAN, TLS_LOCAL_IP_SANS, false},
        {FORMAT_DOWNSTREAM_LOCAL_EMAIL_SAN, TLS_LOCAL_EMAIL_SANS, false},
        {FORMAT_DOWNSTREAM_LOCAL_OTHERNAME_SAN, TLS_LOCAL_OTHERNAME_SANS, false},
        {FORMAT_DOWNSTREAM_TRANSPORT_FAILURE_REASON, TLS_FAILURE_REASON, false},
        {FORMAT_TLS_JA3_FINGERPRINT, TLS_JA3, false},
        {FORMAT_TLS_JA4_FINGERPRINT, TLS_JA4, false},
        {FORMAT_UPSTREAM_TLS_VERSION, TLS_VERSION, true},
        {FORMAT_UPSTREAM_TLS_CIPHER, TLS_CIPHER, true},
        {FORMAT_UPSTREAM_TLS_GROUP, TLS_GROUP, true},
        {FORMAT_UPSTREAM_SERVER_NAME, TLS_SERVER_NAME, true},
        {FORMAT_UPSTREAM_LOCAL_URI_SAN, TLS_LOCAL_URI_SANS, true},
        {FORMAT_UPSTREAM_LOCAL_DNS_SAN, TLS_LOCAL_DNS_SANS, true},
        {FORMAT_UPSTREAM_LOCAL_IP_SAN, TLS_LOCAL_IP_SANS, true},
        {FORMAT_UPSTREAM_TLS_SESSION_ID, TLS_SESSION_ID, true},
        {FORMAT_UPSTREAM_PEER_SUBJECT, TLS_PEER_SUBJECT, true},
        {FORMAT_UPSTREAM_PEER_ISSUER, TLS_PEER_ISSUER, true},
        {FORMAT_UPSTREAM_PEER_CERT, TLS_PEER_CERT_PEM_URLENCODED, true},
        {FORMAT_UPSTREAM_PEER_URI_SAN, TLS_PEER_URI_SANS, true},
        {FORMAT_UPSTREAM_PEER_DNS_SAN, TLS_PEER_DNS_SANS, true},
        {FORMAT_UPSTREAM_PEER_IP_SAN, TLS_PEER_IP_SANS, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].op == op) {
            *q = rows[i].q;
            *upstream = rows[i].upstream;
            return true;
        }
    }
    return false;
}

bool format_tls_value(struct stream *s, enum format_op op, struct strbuf *out)
{
    enum tls_question q;
    bool upstream;
    if (!question_of(op, &q, &upstream))
        return false; /* tracing: nothing to say */
    if (q == TLS_FAILURE_REASON && !s->conn->connection)
        return false; /* refused before there was a transport */
    struct tls_connection *c = upstream ? s->info.upstream_tls : s->conn->tls;
    struct bytes text = q == TLS_FAILURE_REASON ? bytes_of(connection_failure(s->conn->connection))
                                                : tls_connection_text(c, q, s->arena);
    if (q == TLS_FAILURE_REASON && !bytes_starts_with(text, BYTES("TLS_error")))
        return false; /* the socket's trouble is told by the flags */
    size_t before = out->len;
    strbuf_add_bytes(out, text);
    for (size_t i = before; q == TLS_FAILURE_REASON && i < out->len; i++) {
        if (out->data[i] == ' ')
            out->data[i] = '_'; /* a space would end a field of a line */
    }
    return text.len > 0;
}
