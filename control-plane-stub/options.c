#include "options.h"

#include "listen.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const char options_help[] =
    "usage: xylem-stub DIR [options]\n"
    "       xylem-stub replay TRANSCRIPT [options]\n"
    "\n"
    "Serves every xDS resource in DIR (*.yaml, *.yml, *.json) over gRPC and watches DIR for "
    "changes.\n"
    "DIR/node-ID/ and DIR/nodes/ID/ hold resources for the node ID only.\n"
    "\n"
    "  --listen ADDRESS      ADDRESS:PORT or unix:PATH for xDS; may be repeated (127.0.0.1:0)\n"
    "  --control ADDRESS     ADDRESS:PORT of the control port (127.0.0.1:0)\n"
    "  --ready-file FILE     write {\"xds_port\":N,\"control_port\":N,\"pid\":N} once serving\n"
    "  --var NAME=VALUE      fill in ${NAME} in resource files; may be repeated\n"
    "  --debounce-ms N       wait for N ms of quiet before reading a change (50)\n"
    "  --no-watch            do not watch DIR\n"
    "  --strict              do not publish a set with broken cross-references\n"
    "  --known-cluster NAME  a cluster of the proxy's own bootstrap; may be repeated\n"
    "  --identifier TEXT     control_plane.identifier of every response (xylem-stub)\n"
    "  --tls-cert FILE       speak TLS on the xDS port, with this chain (PEM); read again when it\n"
    "                        changes. Clients that poll are served there, too\n"
    "  --tls-key FILE        the key of its leaf\n"
    "  --tls-client-ca FILE  let in only clients with a certificate of one of these authorities\n"
    "  --heartbeats          keep resources with a ttl alive: tell so at half of it\n"
    "  --goaway-ms N         send GOAWAY to a connection N ms old, close it as much later\n"
    "  --transcript FILE     write what is sent to FILE, for `replay`\n"
    "  --check               read and check DIR, print problems, exit\n"
    "  --verbose             print ACKs and responses too\n"
    "  --help                print this\n";

enum {
    OPT_LISTEN = 256,
    OPT_CONTROL,
    OPT_READY,
    OPT_VAR,
    OPT_DEBOUNCE,
    OPT_NO_WATCH,
    OPT_STRICT,
    OPT_KNOWN,
    OPT_IDENTIFIER,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_CLIENT_CA,
    OPT_HEARTBEATS,
    OPT_GOAWAY,
    OPT_TRANSCRIPT,
    OPT_CHECK,
    OPT_VERBOSE,
    OPT_HELP
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"ready-file", required_argument, NULL, OPT_READY},
    {"var", required_argument, NULL, OPT_VAR},
    {"debounce-ms", required_argument, NULL, OPT_DEBOUNCE},
    {"no-watch", no_argument, NULL, OPT_NO_WATCH},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"known-cluster", required_argument, NULL, OPT_KNOWN},
    {"identifier", required_argument, NULL, OPT_IDENTIFIER},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"tls-client-ca", required_argument, NULL, OPT_TLS_CLIENT_CA},
    {"heartbeats", no_argument, NULL, OPT_HEARTBEATS},
    {"goaway-ms", required_argument, NULL, OPT_GOAWAY},
    {"transcript", required_argument, NULL, OPT_TRANSCRIPT},
    {"check", no_argument, NULL, OPT_CHECK},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool add_var(struct options *o, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    char **place, *name;

    if (!equals || equals == text)
        return error_set(err, "--var needs NAME=VALUE, not \"%s\"", text);
    name = mem_bytes(text, (size_t)(equals - text));
    place = (char **)strmap_put(&o->vars, name);
    free(*place);
    *place = mem_string(equals + 1);
    free(name);
    return true;
}

static void add_listen(struct options *o, const char *address)
{
    o->listen = mem_resize(o->listen, (o->listen_count + 1) * sizeof(*o->listen));
    o->listen[o->listen_count++] = mem_string(address);
}

static bool set_ms(unsigned *to, const char *flag, const char *text, struct error *err)
{
    char *end;
    long v = strtol(text, &end, 10);

    if (*end || end == text || v < 0 || v > 3600000)
        return error_set(err, "--%s needs a number of milliseconds, not \"%s\"", flag, text);
    *to = (unsigned)v;
    return true;
}

static bool take(struct options *o, int opt, char *value, struct error *err)
{
    switch (opt) {
    case OPT_LISTEN:
        add_listen(o, value);
        return listen_check(value, err) || error_prefix(err, "--listen ");
    case OPT_CONTROL:
        o->control = value;
        return listen_check(value, err) || error_prefix(err, "--control ");
    case OPT_READY:
        o->ready_file = value;
        return true;
    case OPT_VAR:
        return add_var(o, value, err);
    case OPT_DEBOUNCE:
        return set_ms(&o->debounce_ms, "debounce-ms", value, err);
    case OPT_TLS_CERT:
        o->tls.certificate = value;
        return true;
    case OPT_TLS_KEY:
        o->tls.key = value;
        return true;
    case OPT_TLS_CLIENT_CA:
        o->tls.client_ca = value;
        return true;
    case OPT_HEARTBEATS:
        o->heartbeats = true;
        return true;
    case OPT_GOAWAY:
        return set_ms(&o->goaway_ms, "goaway-ms", value, err);
    case OPT_NO_WATCH:
        o->watch = false;
        return true;
    case OPT_STRICT:
        o->strict = true;
        return true;
    case OPT_KNOWN:
        strmap_put(&o->known_clusters, value);
        return true;
    case OPT_IDENTIFIER:
        o->identifier = value;
        return true;
    case OPT_TRANSCRIPT:
        o->transcript = value;
        return true;
    case OPT_CHECK:
        o->check_only = true;
        return true;
    case OPT_VERBOSE:
        o->verbose = true;
        return true;
    case OPT_HELP:
        o->help = true;
        return true;
    default:
        return error_set(err, "see xylem-stub --help");
    }
}

bool options_read(struct options *o, int argc, char **argv, struct error *err)
{
    int opt;

    *o = (struct options){
        .control = "127.0.0.1:0", .identifier = "xylem-stub", .debounce_ms = 50, .watch = true};
    while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (!take(o, opt, optarg, err))
            return false;
    if (o->help)
        return true;
    if (optind + 1 == argc && !strcmp(argv[optind], "replay"))
        return error_set(err, "replay needs a transcript (a folder of that name is ./replay); "
                              "see xylem-stub --help");
    if (optind + 2 == argc && !strcmp(argv[optind], "replay")) {
        o->replay = true;
        o->watch = false;
        optind++;
    }
    if (optind + 1 != argc)
        return error_set(err, "one folder of resources is needed; see xylem-stub --help");
    if (!o->tls.certificate != !o->tls.key || (o->tls.client_ca && !o->tls.key))
        return error_set(err, "--tls-cert and --tls-key need each other, --tls-client-ca both");
    o->folder = argv[optind];
    if (!o->listen_count)
        add_listen(o, "127.0.0.1:0");
    return true;
}

void options_fini(struct options *o)
{
    for (size_t i = 0; i < o->listen_count; i++)
        free(o->listen[i]);
    for (size_t i = 0; i < o->vars.count; i++)
        free(o->vars.entries[i].value);
    free(o->listen);
    strmap_fini(&o->vars);
    strmap_fini(&o->known_clusters);
}
