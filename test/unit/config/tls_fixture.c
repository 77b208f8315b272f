#include "tls_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/strbuf.h"

unsigned fake_tls_live, fake_tls_made;

static bool check(const struct tls_certificate *c, struct error *err)
{
    struct bytes number = bytes_skip(c->chain, strlen("cert-"));
    if (c->pkcs12.len)
        return true;
    if (bytes_starts_with(c->chain, BYTES("bad")))
        return error_set(err, "Failed to load certificate chain from %.*s",
                         BYTES_ARG(c->chain_path));
    if (!bytes_eq(number, bytes_skip(c->key, strlen("key-"))))
        return error_set(err, "Failed to load private key from %.*s, Cause: KEY_VALUES_MISMATCH",
                         BYTES_ARG(c->key_path));
    return true;
}

static bool describe(const struct tls_settings *s, struct strbuf *out, struct error *err)
{
    strbuf_add_str(out, s->is_server ? "server" : "client");
    for (unsigned i = 0; i < s->n_certificates; i++) {
        const struct tls_certificate *c = &s->certificates[i];
        if (!check(c, err))
            return false;
        strbuf_printf(out, "%s%.*s", i ? "," : " ",
                      BYTES_ARG(c->pkcs12.len ? c->pkcs12 : c->chain));
    }
    const struct tls_validation *v = s->validation;
    if (v && bytes_starts_with(v->trusted_ca, BYTES("bad")))
        return error_set(err, "Failed to load trusted CA certificates from %.*s",
                         BYTES_ARG(v->trusted_ca_path));
    if (v)
        strbuf_printf(out, " ca=%.*s", BYTES_ARG(v->trusted_ca));
    if (v && v->n_sans)
        strbuf_printf(out, " sans=%u", v->n_sans);
    if (v && v->has_max_depth)
        strbuf_printf(out, " depth=%u", v->max_depth);
    if (s->n_ticket_keys)
        strbuf_printf(out, " tickets=%u", s->n_ticket_keys);
    return true;
}

static struct tls_context *make(void *ctx, const struct tls_settings *s, struct error *err)
{
    struct strbuf text = STRBUF_INIT;
    struct tls_context *c = NULL;
    if (describe(s, &text, err)) {
        c = NEW(struct tls_context);
        c->refs = 1;
        snprintf(c->text, sizeof(c->text), "%s", strbuf_str(&text));
        if (s->n_certificates && s->certificates[0].chain.len > 5)
            c->info = (struct tls_cert_info){.path = "<inline>",
                                             .serial = "1f",
                                             .not_after = atoi(s->certificates[0].chain.data + 5)};
        fake_tls_live++;
        fake_tls_made++;
    }
    strbuf_fini(&text);
    return c;
}

static void unref(void *ctx, struct tls_context *c)
{
    if (--c->refs)
        return;
    fake_tls_live--;
    mem_free(c);
}

/* "cert-N" is valid until N. */
static void cert_infos(void *ctx, const struct tls_context *c, struct tls_cert_infos *out)
{
    *out =
        (struct tls_cert_infos){.certificates = &c->info, .n_certificates = c->info.path != NULL};
}

const struct tls_factory fake_tls = {.make = make, .unref = unref, .cert_infos = cert_infos};

const char *fake_tls_text(const struct tls_node *n)
{
    return n ? n->context->text : "";
}
