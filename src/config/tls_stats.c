#include "config/tls_stats.h"

#define ROW(id, name, kind) {name, STAT_##kind},
#define CIPHER(name) {"ssl.ciphers." name, STAT_COUNTER_AFTER(STAT_TLS_CIPHER_FIRST + __COUNTER__)},
#define CURVE(name) {"ssl.curves." name, STAT_COUNTER_AFTER(STAT_TLS_CIPHER_FIRST + __COUNTER__)},
#define SIGALG(name) {"ssl.sigalgs." name, STAT_COUNTER_AFTER(STAT_TLS_CIPHER_FIRST + __COUNTER__)},
#define VERSION(name)                                                                              \
    {"ssl.versions." name, STAT_COUNTER_AFTER(STAT_TLS_CIPHER_FIRST + __COUNTER__)},

static const struct stat_desc rows[] = {TLS_STAT_LIST(ROW)          //
                                        TLS_CIPHER_LIST(CIPHER)     //
                                        TLS_CURVE_LIST(CURVE)       //
                                        TLS_SIGALG_LIST(SIGALG)     //
                                        TLS_VERSION_LIST(VERSION)}; //
_Static_assert(ARRAY_SIZE(rows) == TLS_STAT_COUNT, "the families are counted");
const struct stat_schema tls_stat_schema = {rows, ARRAY_SIZE(rows)};
