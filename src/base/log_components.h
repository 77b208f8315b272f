/* The names that --component-log-level and /logging know: Envoy 1.40's list, so that every flag
 * that works there works here. X(enumerator, name). */
#define LOG_COMPONENT_LIST(X)                                                                      \
    X(A2A, "a2a")                                                                                  \
    X(ADMIN, "admin") X(AI_PROTOCOL_MANAGER, "ai_protocol_manager") X(                             \
        ALTERNATE_PROTOCOLS_CACHE, "alternate_protocols_cache") X(AWS, "aws") X(ASSERT, "assert")  \
        X(BACKTRACE, "backtrace") X(BASIC_AUTH, "basic_auth") X(CACHE_FILTER, "cache_filter") X(   \
            CLIENT, "client") X(CONFIG, "config") X(CONNECTION, "connection")                      \
            X(CONN_HANDLER, "conn_handler") X(COMPRESSION, "compression") X(CREDENTIAL_INJECTOR,   \
                                                                            "credential_injector") \
                X(DECOMPRESSION, "decompression") X(DNS, "dns") X(DUBBO, "dubbo") X(               \
                    ENVOY_BUG, "envoy_bug") X(EXT_AUTHZ, "ext_authz") X(EXT_PROC, "ext_proc")      \
                    X(ROCKETMQ, "rocketmq") X(FILE, "file") X(FILTER, "filter") X(                 \
                        FORWARD_PROXY, "forward_proxy") X(GEOLOCATION, "geolocation")              \
                        X(GRPC, "grpc") X(HAPPY_EYEBALLS, "happy_eyeballs") X(HC, "hc") X(         \
                            HEALTH_CHECKER, "health_checker") X(HTTP, "http") X(HTTP2, "http2")    \
                            X(HYSTRIX, "hystrix") X(INIT, "init") X(IO, "io") X(                   \
                                JWT, "jwt") X(JSON_RPC, "json_rpc")                                \
                                X(KAFKA, "kafka") X(KEY_VALUE_STORE, "key_value_store") X(         \
                                    LUA,                                                           \
                                    "lua") X(LOCAL_RATE_LIMIT,                                     \
                                             "local_rate_limit") X(MAIN,                           \
                                                                   "main") X(MATCHER, "matcher")   \
                                    X(MCP, "mcp") X(MISC, "misc") X(                               \
                                        MONGO, "mongo") X(MULTI_CONNECTION, "multi_connection")    \
                                        X(NOTIFICATION, "notification") X(OAUTH2, "oauth2") X(     \
                                            QUIC,                                                  \
                                            "quic") X(QUIC_STREAM, "quic_stream") X(POOL, "pool")  \
                                            X(RATE_LIMIT_QUOTA, "rate_limit_quota") X(             \
                                                RBAC,                                              \
                                                "rbac") X(RDS, "rds") X(REDIS, "redis")            \
                                                X(ROUTER,                                          \
                                                  "router") X(RUNTIME, "runtime")                  \
                                                    X(STATS, "stats") X(SECRET, "secret") X(       \
                                                        SSE, "sse") X(TAP, "tap")                  \
                                                        X(TESTING, "testing") X(THRIFT, "thrift")  \
                                                            X(TRACING,                             \
                                                              "tracing") X(UPSTREAM, "upstream")   \
                                                                X(UDP, "udp") X(WASM, "wasm")      \
                                                                    X(WEBSOCKET, "websocket")      \
                                                                        X(GOLANG, "golang") X(     \
                                                                            STATS_SINKS,           \
                                                                            "stats_sinks")         \
                                                                            X(DYNAMIC_MODULES,     \
                                                                              "dynamic_modules")   \
                                                                                X(IP_TAGGING,      \
                                                                                  "ip_tagging")
