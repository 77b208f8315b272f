#include "tls_certs.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/memory.h"

struct made {
    X509 *x;
    EVP_PKEY *key;
    char *pem, *key_pem, *crl, *staple;
    size_t staple_len;
};

static char *text_of(BIO *bio)
{
    const uint8_t *data;
    size_t len;
    CHECK(BIO_mem_contents(bio, &data, &len));
    char *out = mem_zalloc(len + 1);
    memcpy(out, data, len);
    BIO_free(bio);
    return out;
}

static EVP_PKEY *new_key(const struct wanted *w)
{
    EVP_PKEY *key = EVP_PKEY_new();
    if (w->rsa) {
        RSA *rsa = RSA_new();
        BIGNUM *e = BN_new();
        CHECK(BN_set_word(e, RSA_F4) &&
              RSA_generate_key_ex(rsa, w->rsa_bits ? (int)w->rsa_bits : 2048, e, NULL));
        BN_free(e);
        CHECK(EVP_PKEY_assign_RSA(key, rsa));
        return key;
    }
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    CHECK(EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void add_name(GENERAL_NAMES *names, int type, struct bytes text)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_IA5STRING *s = ASN1_IA5STRING_new();
    CHECK(ASN1_STRING_set(s, text.data, (int)text.len));
    g->type = type;
    g->d.ia5 = s;
    sk_GENERAL_NAME_push(names, g);
}

static void add_ip(GENERAL_NAMES *names, const char *text)
{
    uint8_t raw[4];
    GENERAL_NAME *g = GENERAL_NAME_new();
    CHECK(inet_pton(AF_INET, text, raw) == 1);
    g->type = GEN_IPADD;
    g->d.iPAddress = ASN1_OCTET_STRING_new();
    CHECK(ASN1_STRING_set(g->d.iPAddress, raw, sizeof(raw)));
    sk_GENERAL_NAME_push(names, g);
}

static void add_names(X509 *x, const struct wanted *w)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    if (w->dns)
        add_name(names, GEN_DNS, bytes_of(w->dns));
    if (w->dns2)
        add_name(names, GEN_DNS, bytes_of(w->dns2));
    if (w->raw_dns.data)
        add_name(names, GEN_DNS, w->raw_dns);
    if (w->uri)
        add_name(names, GEN_URI, bytes_of(w->uri));
    if (w->email)
        add_name(names, GEN_EMAIL, bytes_of(w->email));
    if (w->ip)
        add_ip(names, w->ip);
    if (sk_GENERAL_NAME_num(names))
        CHECK(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0));
    GENERAL_NAMES_free(names);
}

static void add_extension(X509 *x, const char *oid, const void *der, size_t len, bool critical)
{
    ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    CHECK(o && ASN1_STRING_set(data, der, (int)len));
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, o, critical, data);
    CHECK(e && X509_add_ext(x, e, -1));
    X509_EXTENSION_free(e);
    ASN1_OBJECT_free(o);
    ASN1_OCTET_STRING_free(data);
}

static void add_uses(X509 *x, const struct wanted *w)
{
    static const uint8_t ca[] = {0x30, 3, 1, 1, 0xff}, leaf[] = {0x30, 0};
    static const uint8_t server[] = {0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1};
    static const uint8_t both[] = {0x30, 20, 6, 8,    0x2b, 6, 1, 5, 5, 7, 3,
                                   1,    6,  8, 0x2b, 6,    1, 5, 5, 7, 3, 2};
    static const uint8_t signs[] = {3, 2, 7, 0x80};
    static const uint8_t staple[] = {0x30, 3, 2, 1, 5};
    add_extension(x, "2.5.29.19", w->ca ? ca : leaf, w->ca ? sizeof(ca) : sizeof(leaf), true);
    if (!w->ca && w->server_only)
        add_extension(x, "2.5.29.37", server, sizeof(server), false);
    else if (!w->ca)
        add_extension(x, "2.5.29.37", both, sizeof(both), false);
    if (w->signs)
        add_extension(x, "2.5.29.15", signs, sizeof(signs), true);
    if (w->must_staple)
        add_extension(x, "1.3.6.1.5.5.7.1.24", staple, sizeof(staple), false);
}

struct made *make_certificate(const struct made *issuer, const struct wanted *w)
{
    static unsigned serial = 1000;
    struct made *m = NEW(struct made);
    bool usual = w->from_days == 0 && w->until_days == 0;
    long from = usual ? -1 : w->from_days, until = usual ? 30 : w->until_days;
    m->x = X509_new();
    m->key = new_key(w);
    X509_set_version(m->x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(m->x), ++serial);
    X509_time_adj_ex(X509_getm_notBefore(m->x), (int)from, 0, NULL);
    X509_time_adj_ex(X509_getm_notAfter(m->x), (int)until, 0, NULL);
    X509_NAME *name = X509_get_subject_name(m->x);
    CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"tests", -1, -1, 0));
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                     (const uint8_t *)(w->cn ? w->cn : "x"), -1, -1, 0));
    X509_set_issuer_name(m->x, issuer ? X509_get_subject_name(issuer->x) : name);
    X509_set_pubkey(m->x, m->key);
    add_names(m->x, w);
    add_uses(m->x, w);
    CHECK(X509_sign(m->x, issuer ? issuer->key : m->key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, m->x));
    m->pem = text_of(bio);
    bio = BIO_new(BIO_s_mem());
    const char *pw = w->key_password;
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, m->key, pw ? EVP_aes_256_cbc() : NULL,
                                        (char *)(uintptr_t)pw, pw ? (int)strlen(pw) : 0, NULL,
                                        NULL));
    m->key_pem = text_of(bio);
    return m;
}

void made_free(struct made **mp)
{
    struct made *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    X509_free(m->x);
    EVP_PKEY_free(m->key);
    mem_free(m->pem);
    mem_free(m->key_pem);
    mem_free(m->crl);
    mem_free(m->staple);
    mem_free(m);
}

struct bytes made_pem(const struct made *m)
{
    return bytes_of(m->pem);
}

struct bytes made_key(const struct made *m)
{
    return bytes_of(m->key_pem);
}

struct bytes made_crl(struct made *issuer, const struct made *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, time(NULL) - 3600);
    CHECK(X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
          X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x)) &&
          X509_CRL_set1_lastUpdate(crl, t));
    if (revoked) {
        X509_REVOKED *r = X509_REVOKED_new();
        CHECK(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->x)) &&
              X509_REVOKED_set_revocationDate(r, t) && X509_CRL_add0_revoked(crl, r));
    }
    CHECK(ASN1_TIME_set(t, time(NULL) + 86400) && X509_CRL_set1_nextUpdate(crl, t) &&
          X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509_CRL(bio, crl));
    mem_free(issuer->crl);
    issuer->crl = text_of(bio);
    X509_CRL_free(crl);
    ASN1_TIME_free(t);
    return bytes_of(issuer->crl);
}

static void put_time(CBB *out, int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;
    char text[32];
    CBB child;
    CHECK(gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm) == 15);
    CHECK(CBB_add_asn1(out, &child, CBS_ASN1_GENERALIZEDTIME) &&
          CBB_add_bytes(&child, (const uint8_t *)text, 15) && CBB_flush(out));
}

static void put_serial(CBB *id, X509 *x)
{
    uint8_t *der = NULL;
    int len = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &der);
    CHECK(len > 0 && CBB_add_bytes(id, der, (size_t)len));
    OPENSSL_free(der);
}

struct bytes made_staple(struct made *m, int64_t until_s)
{
    static const uint8_t basic_oid[] = {0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1};
    const unsigned explicit0 = CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0;
    CBB cbb, resp, e, inner, oid, octets, basic, data, by, list, one, id, seq, hash, next;
    uint8_t *der;
    int64_t now = time(NULL);
    CHECK(
        CBB_init(&cbb, 256) && CBB_add_asn1(&cbb, &resp, CBS_ASN1_SEQUENCE) &&
        CBB_add_asn1(&resp, &e, CBS_ASN1_ENUMERATED) && CBB_add_u8(&e, 0) &&
        CBB_add_asn1(&resp, &e, explicit0) && CBB_add_asn1(&e, &inner, CBS_ASN1_SEQUENCE) &&
        CBB_add_asn1(&inner, &oid, CBS_ASN1_OBJECT) &&
        CBB_add_bytes(&oid, basic_oid, sizeof(basic_oid)) &&
        CBB_add_asn1(&inner, &octets, CBS_ASN1_OCTETSTRING) &&
        CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) &&
        CBB_add_asn1(&basic, &data, CBS_ASN1_SEQUENCE) && CBB_add_asn1(&data, &by, explicit0 + 2) &&
        CBB_add_asn1(&by, &hash, CBS_ASN1_OCTETSTRING) && CBB_add_u8(&hash, 1) && CBB_flush(&data));
    put_time(&data, now);
    CHECK(CBB_add_asn1(&data, &list, CBS_ASN1_SEQUENCE) &&
          CBB_add_asn1(&list, &one, CBS_ASN1_SEQUENCE) &&
          CBB_add_asn1(&one, &id, CBS_ASN1_SEQUENCE) &&
          CBB_add_asn1(&id, &seq, CBS_ASN1_SEQUENCE) &&
          CBB_add_asn1(&id, &hash, CBS_ASN1_OCTETSTRING) && CBB_add_u8(&hash, 1) &&
          CBB_add_asn1(&id, &hash, CBS_ASN1_OCTETSTRING) && CBB_add_u8(&hash, 1) && CBB_flush(&id));
    put_serial(&id, m->x);
    CHECK(CBB_add_asn1(&one, &hash, CBS_ASN1_CONTEXT_SPECIFIC | 0) && CBB_flush(&one));
    put_time(&one, now - 60);
    CHECK(CBB_add_asn1(&one, &next, explicit0));
    put_time(&next, now + until_s);
    CHECK(CBB_finish(&cbb, &der, &m->staple_len));
    mem_free(m->staple);
    m->staple = mem_alloc(m->staple_len);
    memcpy(m->staple, der, m->staple_len);
    OPENSSL_free(der);
    return bytes_from(m->staple, m->staple_len);
}

void made_hash(const struct made *m, bool spki, uint8_t out[TLS_HASH_SIZE])
{
    uint8_t *der = NULL;
    unsigned len = TLS_HASH_SIZE;
    if (!spki) {
        CHECK(X509_digest(m->x, EVP_sha256(), out, &len));
        return;
    }
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(m->x), &der);
    CHECK(size > 0);
    SHA256(der, (size_t)size, out);
    OPENSSL_free(der);
}

struct tls_certificate made_settings(const struct made *m)
{
    return (struct tls_certificate){.chain = made_pem(m),
                                    .key = made_key(m),
                                    .chain_path = BYTES("<inline>"),
                                    .key_path = BYTES("<inline>")};
}
