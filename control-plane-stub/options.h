/* The command line. Main thread only. */
#pragma once

#include "strmap.h"
#include "text.h"
#include "tls.h"

struct options {
    const char *folder; /* or, to replay, the transcript */
    const char *transcript;
    bool replay;
    char **listen; /* ADDRESS:PORT or unix:PATH */
    size_t listen_count;
    const char *control; /* ADDRESS:PORT on loopback */
    const char *ready_file;
    const char *identifier;
    unsigned debounce_ms;
    struct tls_files tls; /* of the xDS port; without a certificate: no TLS */
    bool heartbeats;
    unsigned goaway_ms; /* how old connections get; 0: as old as they like */
    bool watch, verbose, strict, check_only, help;
    struct strmap vars;           /* char *, owned */
    struct strmap known_clusters; /* names that routes may use though no resource has them */
};

/* false with `err` set: a wrong command line. */
MUST_CHECK bool options_read(struct options *o, int argc, char **argv, struct error *err);
void options_fini(struct options *o);
extern const char options_help[];
