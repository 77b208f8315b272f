/* Clusters that ask for secrets, in YAML. */
#pragma once

#define TLS "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
#define UP(common)                                                                                 \
    "transport_socket: {name: tls, typed_config: {'@type': " TLS                                   \
    "UpstreamTlsContext, common_tls_context: {" common "}}}"
#define CLUSTER(name, common) "{name: " name ", " UP(common) "}"
#define CERT_SDS(name)                                                                             \
    "tls_certificate_sds_secret_configs: [{name: " name ", sds_config: {ads: {}}}]"
