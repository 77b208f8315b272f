/* What the builder makes TLS contexts with. Config thread. */
#pragma once

struct tls_factory;

extern const struct tls_factory tls_factory;
