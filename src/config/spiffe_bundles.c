#include "config/spiffe_bundles.h"

#include "base/strbuf.h"
#include "config/json_scalar.h"
#include "config/yaml.h"

enum { PEM_LINE = 64 };

static bool is(const struct yaml_node *n, enum yaml_kind kind)
{
    return n && n->kind == kind && !yaml_is_null(n);
}

static struct yaml_node *list_of(const struct yaml_node *n, const char *key)
{
    struct yaml_node *list = is(n, YAML_MAPPING) ? yaml_get(n, key) : NULL;
    return is(list, YAML_SEQUENCE) && list->count ? list : NULL;
}

/* Base64 of the certificate's DER, in the lines that PEM has. */
static bool add_pem(struct strbuf *out, const struct yaml_node *n)
{
    struct strbuf der = STRBUF_INIT, text = STRBUF_INIT;
    bool ok = is(n, YAML_SCALAR) && json_scalar_base64(n->text, &der) && der.len > 0;
    json_scalar_add_base64(&text, strbuf_bytes(&der));
    struct bytes rest = strbuf_bytes(&text);
    strbuf_add_str(out, "-----BEGIN CERTIFICATE-----\n");
    while (rest.len) {
        strbuf_add_bytes(out, bytes_first(rest, rest.len < PEM_LINE ? rest.len : PEM_LINE));
        strbuf_add_char(out, '\n');
        rest = bytes_skip(rest, rest.len < PEM_LINE ? rest.len : PEM_LINE);
    }
    strbuf_add_str(out, "-----END CERTIFICATE-----\n");
    strbuf_fini(&der);
    strbuf_fini(&text);
    return ok;
}

/* One key of a set, with its chain of certificates. */
static bool add_key(struct strbuf *out, const struct yaml_node *key, struct bytes domain,
                    struct error *err)
{
    const struct yaml_node *use = is(key, YAML_MAPPING) ? yaml_get(key, "use") : NULL;
    const struct yaml_node *chain = list_of(key, "x5c");
    if (!is(use, YAML_SCALAR) || !bytes_eq_str(use->text, "x509-svid"))
        return error_set(err, "missing or invalid 'use' field found in cert for domain '%.*s'",
                         BYTES_ARG(domain));
    if (!chain)
        return error_set(err, "missing or empty 'x5c' field found in keys for domain: '%.*s'",
                         BYTES_ARG(domain));
    for (size_t i = 0; i < chain->count; i++) {
        if (!add_pem(out, chain->items[i]))
            return error_set(err,
                             "Failed to create x509 object while loading certs in domain '%.*s'",
                             BYTES_ARG(domain));
    }
    return true;
}

static bool add_domain(struct arena *a, const struct yaml_entry *e, struct tls_spiffe_domain *out,
                       struct error *err)
{
    const struct yaml_node *keys = list_of(e->value, "keys");
    struct bytes domain = e->key;
    struct strbuf pem = STRBUF_INIT;
    bool ok = keys != NULL;
    if (!keys)
        error_set(err, "No keys found in SPIFFE bundle for domain '%.*s'", BYTES_ARG(domain));
    for (size_t i = 0; ok && i < keys->count; i++)
        ok = add_key(&pem, keys->items[i], domain, err);
    out->name = arena_dup(a, domain);
    out->bundle = arena_dup(a, strbuf_bytes(&pem));
    strbuf_fini(&pem);
    return ok;
}

bool spiffe_bundles_read(struct arena *a, struct bytes json, struct tls_validation *out,
                         struct error *err)
{
    const struct yaml_node *root = json_parse(a, "trust_bundles", json, err);
    const struct yaml_node *domains =
        is(root, YAML_MAPPING) ? yaml_get(root, "trust_domains") : NULL;
    if (!root)
        return error_prefix(err, "Invalid JSON found in SPIFFE bundle: ");
    if (!is(domains, YAML_MAPPING) || !domains->count)
        return error_set(err, "No trust domains found in SPIFFE bundle");
    out->spiffe = ARENA_ARRAY(a, struct tls_spiffe_domain, domains->count);
    for (size_t i = 0; i < domains->count; i++) {
        if (!add_domain(a, &domains->entries[i], &out->spiffe[out->n_spiffe++], err))
            return false;
    }
    return true;
}
