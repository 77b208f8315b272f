#include "main/tls_factory.h"

#include "dataplane/net/tls_context.h"

static struct tls_context *make(void *ctx, const struct tls_settings *s, struct error *err)
{
    (void)ctx;
    return tls_context_new(s, err);
}

static void unref(void *ctx, struct tls_context *c)
{
    (void)ctx;
    tls_context_unref(&c);
}

static void cert_infos(void *ctx, const struct tls_context *c, struct tls_cert_infos *out)
{
    (void)ctx;
    tls_context_cert_infos(c, out);
}

const struct tls_factory tls_factory = {.make = make, .unref = unref, .cert_infos = cert_infos};
