/* What a staple says of itself: about which certificate, and how long it is good. It is not
 * verified here: it goes to clients that do. */
#include <openssl/bytestring.h>

#include "dataplane/net/tls_internal.h"

/* Days since 1970-01-01 of a date (proleptic Gregorian). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool two_digits(CBS *cbs, int64_t *value)
{
    uint8_t a, b;
    if (!CBS_get_u8(cbs, &a) || !CBS_get_u8(cbs, &b) || a < '0' || a > '9' || b < '0' || b > '9')
        return false;
    *value = (a - '0') * 10 + (b - '0');
    return true;
}

/* YYYYMMDDHHMMSSZ */
static bool get_time(CBS *cbs, int64_t *out)
{
    CBS text;
    int64_t v[7];
    if (!CBS_get_asn1(cbs, &text, CBS_ASN1_GENERALIZEDTIME) || CBS_len(&text) != 15 ||
        CBS_data(&text)[14] != 'Z')
        return false;
    for (int i = 0; i < 7; i++) {
        if (!two_digits(&text, &v[i]))
            return false;
    }
    *out = days_of(v[0] * 100 + v[1], v[2], v[3]) * 86400 + v[4] * 3600 + v[5] * 60 + v[6];
    return v[2] >= 1 && v[2] <= 12 && v[3] >= 1 && v[3] <= 31;
}

/* SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] OPTIONAL, ... } */
static bool parse_single(CBS *responses, struct tls_ocsp *out)
{
    CBS one, id, skip, serial, next;
    int has_next;
    unsigned tag;
    if (!CBS_get_asn1(responses, &one, CBS_ASN1_SEQUENCE) || CBS_len(responses) != 0 ||
        !CBS_get_asn1(&one, &id, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&id, &skip, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&id, &skip, CBS_ASN1_OCTETSTRING) ||
        !CBS_get_asn1(&id, &skip, CBS_ASN1_OCTETSTRING) ||
        !CBS_get_asn1(&id, &serial, CBS_ASN1_INTEGER))
        return false;
    out->serial = bytes_from((const char *)CBS_data(&serial), CBS_len(&serial));
    if (!CBS_get_any_asn1(&one, &skip, &tag) || !get_time(&one, &out->from))
        return false;
    out->until = INT64_MAX;
    if (!CBS_get_optional_asn1(&one, &next, &has_next,
                               CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0))
        return false;
    return !has_next || get_time(&next, &out->until);
}

static bool parse_basic(CBS *basic, struct tls_ocsp *out)
{
    CBS response, data, skip, responses;
    unsigned tag;
    if (!CBS_get_asn1(basic, &response, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&response, &data, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&data, NULL, NULL,
                               CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0) ||
        !CBS_get_any_asn1(&data, &skip, &tag) || /* responderID */
        !CBS_get_asn1(&data, &skip, CBS_ASN1_GENERALIZEDTIME) ||
        !CBS_get_asn1(&data, &responses, CBS_ASN1_SEQUENCE))
        return false;
    return parse_single(&responses, out);
}

bool tls_ocsp_parse(struct bytes der, struct tls_ocsp *out)
{
    CBS cbs, response, status, outer, inner, type, basic;
    *out = (struct tls_ocsp){0};
    CBS_init(&cbs, (const uint8_t *)der.data, der.len);
    if (!CBS_get_asn1(&cbs, &response, CBS_ASN1_SEQUENCE) || CBS_len(&cbs) != 0 ||
        !CBS_get_asn1(&response, &status, CBS_ASN1_ENUMERATED) || CBS_len(&status) != 1)
        return false;
    if (CBS_data(&status)[0] != 0)
        return true; /* readable, and says that there is no answer */
    if (!CBS_get_asn1(&response, &outer, CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC | 0) ||
        !CBS_get_asn1(&outer, &inner, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&inner, &type, CBS_ASN1_OBJECT) ||
        !CBS_get_asn1(&inner, &basic, CBS_ASN1_OCTETSTRING) || !parse_basic(&basic, out))
        return false;
    out->good = true;
    return true;
}
