/* One operator of a command string: its name, its parameter and its length into a part. */
#include "config/format_command.h"

#include <stdlib.h>

#include "base/header_name.h"

static const struct {
    const char *name;
    enum format_syntax syntax;
} ops[FORMAT_OP_COUNT] = {{"", SYNTAX_COMMAND},
#define X(name, syntax) {#name, SYNTAX_##syntax},
                          FORMAT_OP_LIST(X)
#undef X
};

enum format_syntax format_syntax(enum format_op op)
{
    return ops[op].syntax;
}

static enum format_op op_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum format_op op;
    } others[] = {{"REQUEST_HEADER", FORMAT_REQ},
                  {"RESPONSE_HEADER", FORMAT_RESP},
                  {"RESPONSE_TRAILER", FORMAT_TRAILER}};
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        if (bytes_eq_str(name, others[i].name))
            return others[i].op;
    }
    for (unsigned i = 1; i < FORMAT_OP_COUNT; i++) {
        if (bytes_eq_str(name, ops[i].name))
            return (enum format_op)i;
    }
    return FORMAT_OP_COUNT;
}

static struct bytes lower_copy(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_dup(a, b);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

/* "host" is what HTTP/1 calls the authority. */
static uint16_t id_of(struct bytes name)
{
    enum header_id id = header_id_of(name);
    return id == HEADER_HOST ? HEADER_AUTHORITY : (uint16_t)id;
}

/* "" is a header that nobody has. */
static bool name_allowed(struct bytes name)
{
    bool pseudo = name.len > 0 && name.data[0] == ':';
    return name.len == 0 || header_name_is_token(bytes_skip(name, pseudo));
}

static bool take_header(struct arena *a, const struct command *c, struct format_part *p,
                        struct error *err)
{
    struct bytes rest = c->parameter, main = bytes_split(&rest, '?');
    if (rest.data && bytes_find_char(rest, '?') >= 0)
        return error_set(err, "More than 1 alternative header specified in token: %.*s",
                         BYTES_ARG(c->parameter));
    p->text = lower_copy(a, main);
    if (rest.data)
        p->alternative = lower_copy(a, rest);
    if (!name_allowed(p->text) || !name_allowed(p->alternative))
        return error_set(err, "Invalid header configuration. Format string contains invalid "
                              "characters.");
    p->id = id_of(p->text);
    p->alternative_id = id_of(p->alternative);
    return true;
}

static enum format_point point_of(struct bytes name)
{
    static const char *const names[] = {
#define X(id) #id,
        FORMAT_POINT_LIST(X)
#undef X
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (bytes_eq_str(name, names[i]))
            return (enum format_point)i;
    }
    return POINT_UNKNOWN;
}

static bool take_points(const struct command *c, struct format_part *p, struct error *err)
{
    struct bytes rest = c->parameter, from = bytes_split(&rest, ':');
    struct bytes to = rest.data ? bytes_split(&rest, ':') : BYTES_NONE, unit = rest;
    if (!to.data || (unit.data && bytes_find_char(unit, ':') >= 0))
        return error_set(err, "Invalid common duration configuration: %.*s.",
                         BYTES_ARG(c->parameter));
    p->duration.from = (uint8_t)point_of(from);
    p->duration.to = (uint8_t)point_of(to);
    p->duration.unit_ns = 1000000;
    if (bytes_eq_str(unit, "us"))
        p->duration.unit_ns = 1000;
    else if (bytes_eq_str(unit, "ns"))
        p->duration.unit_ns = 1;
    else if (unit.data && !bytes_eq_str(unit, "ms"))
        return error_set(err, "Invalid common duration precision: %.*s.", BYTES_ARG(unit));
    return true;
}

static bool take_path(const struct command *c, struct format_part *p, struct error *err)
{
    struct bytes rest = c->parameter, query = bytes_split(&rest, ':');
    struct bytes which = rest.data ? bytes_split(&rest, ':') : BYTES_NONE;
    p->path.without_query = bytes_eq_str(query, "NQ");
    if (query.len && !p->path.without_query && !bytes_eq_str(query, "WQ"))
        return error_set(err, "Invalid PATH option: '%.*s', only 'WQ'/'NQ' are allowed",
                         BYTES_ARG(query));
    if (bytes_eq_str(which, "ORIG"))
        p->path.which = PATH_ORIGINAL;
    else if (bytes_eq_str(which, "PATH"))
        p->path.which = PATH_CURRENT;
    else if (which.len && !bytes_eq_str(which, "ORIG_OR_PATH"))
        return error_set(err,
                         "Invalid PATH option: '%.*s', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are "
                         "allowed",
                         BYTES_ARG(which));
    return true;
}

static bool take_grpc(const struct command *c, struct format_part *p, struct error *err)
{
    p->grpc = GRPC_CAMEL_STRING;
    if (bytes_eq_str(c->parameter, "SNAKE_STRING"))
        p->grpc = GRPC_SNAKE_STRING;
    else if (bytes_eq_str(c->parameter, "NUMBER"))
        p->grpc = GRPC_NUMBER;
    else if (c->parameter.len && !bytes_eq_str(c->parameter, "CAMEL_STRING"))
        return error_set(err,
                         "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. "
                         "Got: %.*s",
                         BYTES_ARG(c->parameter));
    return true;
}

/* KEY, KEY:PLAIN, KEY:TYPED, KEY:FIELD:NAME */
static bool take_state(struct arena *a, const struct command *c, struct format_part *p,
                       struct error *err)
{
    struct bytes rest = c->parameter, key = bytes_split(&rest, ':');
    struct bytes form = rest.data ? bytes_split(&rest, ':') : BYTES_NONE, field = rest;
    if (key.len == 0)
        return error_set(err, "Invalid filter state configuration, key cannot be empty.");
    if (form.len == 0 || bytes_eq_str(form, "TYPED"))
        p->state = STATE_TYPED;
    else if (bytes_eq_str(form, "PLAIN"))
        p->state = STATE_PLAIN;
    else if (bytes_eq_str(form, "FIELD"))
        p->state = STATE_FIELD;
    else
        return error_set(err, "Invalid filter state serialize type, only support "
                              "PLAIN/TYPED/FIELD.");
    if ((p->state == STATE_FIELD) != (field.len > 0))
        return error_set(err, "Invalid filter state serialize type, FIELD should be used with the "
                              "field name.");
    p->text = arena_dup(a, key);
    return true;
}

/* Is there a line end in a strftime format (%n)? What is made of it may be a header. */
static bool makes_newline(struct bytes format)
{
    for (size_t i = 0; i < format.len; i++) {
        if (format.data[i] != '%')
            continue;
        size_t k = i + 1;
        while (k < format.len && strchr("-_0^#", format.data[k]) && format.data[k])
            k++;
        while (k < format.len && format.data[k] >= '1' && format.data[k] <= '9')
            k++;
        if (k < format.len && (format.data[k] == 'E' || format.data[k] == 'O'))
            k++;
        if (k < format.len && format.data[k] == 'n')
            return true;
    }
    return false;
}

static bool take_time(struct arena *a, const struct command *c, struct format_part *p,
                      struct error *err)
{
    if (makes_newline(c->parameter))
        return error_set(err, "Invalid header configuration. Format string contains newline.");
    p->text = arena_dup(a, c->parameter);
    return true;
}

static bool take_server_name(const struct command *c, struct format_part *p, struct error *err)
{
    struct bytes rest = c->parameter, from = bytes_split(&rest, ':');
    struct bytes host = rest.data ? bytes_split(&rest, ':') : BYTES_NONE;
    if (bytes_eq_str(from, "SNI_FIRST"))
        p->server_name.from = SERVER_NAME_SNI_FIRST;
    else if (bytes_eq_str(from, "HOST_FIRST"))
        p->server_name.from = SERVER_NAME_HOST_FIRST;
    else if (from.len && !bytes_eq_str(from, "SNI_ONLY"))
        return error_set(err,
                         "Invalid REQUESTED_SERVER_NAME option: '%.*s', only "
                         "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed",
                         BYTES_ARG(from));
    if (bytes_eq_str(host, "ORIG"))
        p->server_name.host = HOST_ORIGINAL;
    else if (bytes_eq_str(host, "HOST"))
        p->server_name.host = HOST_CURRENT;
    else if (host.len && !bytes_eq_str(host, "ORIG_OR_HOST"))
        return error_set(err,
                         "Invalid REQUESTED_SERVER_NAME option: '%.*s', only "
                         "'ORIG_OR_HOST'/'HOST'/'ORIG' are allowed",
                         BYTES_ARG(host));
    return true;
}

/* More bits than an address has are all of them. What is no number would leave addresses whole that
 * were to be cut. */
static bool take_mask(const struct command *c, struct format_part *p, struct error *err)
{
    uint64_t bits = 0;
    p->mask = FORMAT_NO_MASK;
    if (c->parameter.len == 0)
        return true;
    if (!bytes_to_u64(c->parameter, &bits))
        return error_set(err, "%.*s: expected the length of a network, in bits, got '%.*s'",
                         BYTES_ARG(c->name), BYTES_ARG(c->parameter));
    p->mask = bits > 128 ? 128 : (uint8_t)bits;
    return true;
}

static bool take_query(const struct command *c, struct format_part *p, struct error *err)
{
    p->decoded = bytes_eq_str(c->parameter, "DECODED");
    if (c->parameter.len && !p->decoded && !bytes_eq_str(c->parameter, "ORIG"))
        return error_set(err,
                         "Invalid QUERY_PARAMS option: '%.*s', only 'ORIG'/'DECODED' are allowed",
                         BYTES_ARG(c->parameter));
    return true;
}

static bool take_name(struct arena *a, const struct command *c, struct format_part *p)
{
    p->text = arena_dup(a, c->parameter);
    if (p->op == FORMAT_ENVIRONMENT && !getenv(arena_printf(a, "%.*s", BYTES_ARG(c->parameter))))
        p->max_length = FORMAT_NO_LIMIT; /* "-" stands for what is not there, and is not cut */
    return true;
}

static bool take_details(const struct command *c, struct format_part *p)
{
    p->keep_spaces = bytes_eq_str(c->parameter, "ALLOW_WHITESPACES");
    return true;
}

static bool metadata_of(struct bytes name, struct format_part *p)
{
    static const char *const names[] = {
#define X(id, name) name,
        FORMAT_METADATA_LIST(X)
#undef X
    };
    for (uint8_t i = 0; i < ARRAY_SIZE(names); i++) {
        p->metadata.of = i;
        if (bytes_eq_str(name, names[i]))
            return true;
    }
    return false;
}

/* METADATA(OF:FILTER:KEY...), and FILTER:KEY... of the older operators */
static bool take_metadata(struct arena *a, const struct command *c, struct format_part *p,
                          struct error *err)
{
    struct bytes rest = c->parameter;
    p->metadata.of = METADATA_OF_DYNAMIC;
    if (p->op == FORMAT_CLUSTER_METADATA)
        p->metadata.of = METADATA_OF_CLUSTER;
    if (p->op == FORMAT_UPSTREAM_METADATA)
        p->metadata.of = METADATA_OF_HOST;
    if (p->op == FORMAT_METADATA) {
        struct bytes of = bytes_split(&rest, ':');
        if (!metadata_of(of, p))
            return error_set(err, "%.*s is not supported type of metadata", BYTES_ARG(of));
    }
    p->metadata.path = ARENA_ARRAY(a, struct bytes, 1 + bytes_count_char(rest, ':'));
    do
        p->metadata.path[p->metadata.n_path++] = arena_dup(a, bytes_split(&rest, ':'));
    while (rest.data);
    return true;
}

static bool take_parameter(struct arena *a, const struct command *c, struct format_part *p,
                           struct error *err)
{
    switch (ops[p->op].syntax) {
    case SYNTAX_COMMAND:
    case SYNTAX_COUNT:
        return true;
    case SYNTAX_TIME:
        return take_time(a, c, p, err);
    case SYNTAX_DETAILS:
        return take_details(c, p);
    case SYNTAX_GRPC:
        return take_grpc(c, p, err);
    case SYNTAX_SERVER_NAME:
        return take_server_name(c, p, err);
    case SYNTAX_ADDRESS:
        return take_mask(c, p, err);
    case SYNTAX_POINTS:
        return take_points(c, p, err);
    case SYNTAX_HEADER:
        return take_header(a, c, p, err);
    case SYNTAX_NAME:
        return take_name(a, c, p);
    case SYNTAX_PATH:
        return take_path(c, p, err);
    case SYNTAX_QUERY:
        return take_query(c, p, err);
    case SYNTAX_STATE:
        return take_state(a, c, p, err);
    case SYNTAX_METADATA:
        return take_metadata(a, c, p, err);
    case SYNTAX_COALESCE:
        return format_coalesce(a, c, p, err);
    }
    return true;
}

static bool needs_parameter(enum format_op op)
{
    enum format_syntax s = ops[op].syntax;
    return s == SYNTAX_POINTS || s == SYNTAX_HEADER || s == SYNTAX_NAME || s == SYNTAX_COALESCE ||
           (s == SYNTAX_METADATA && op != FORMAT_METADATA);
}

static bool allows_length(enum format_op op)
{
    return ops[op].syntax >= SYNTAX_HEADER && op != FORMAT_CLUSTER_METADATA &&
           op != FORMAT_UPSTREAM_METADATA;
}

static bool check_syntax(const struct command *c, enum format_op op, struct error *err)
{
    if ((ops[op].syntax == SYNTAX_COMMAND || ops[op].syntax == SYNTAX_COUNT) &&
        (c->parameter.len || c->has_length))
        return error_set(err, "%.*s does not take any parameters or length", BYTES_ARG(c->name));
    if (needs_parameter(op) && !c->parameter.len)
        return error_set(err, "%.*s requires parameters", BYTES_ARG(c->name));
    if (c->has_length && !allows_length(op))
        return error_set(err, "%.*s does not allow length to be specified.", BYTES_ARG(c->name));
    return true;
}

bool format_command(struct arena *a, const struct command *c, struct format_part *p,
                    struct error *err)
{
    p->op = op_of(c->name);
    if (p->op == FORMAT_REQ_WITHOUT_QUERY && !c->without_query)
        p->op = FORMAT_OP_COUNT;
    if (bytes_eq_str(c->name, "CEL") || bytes_eq_str(c->name, "TYPED_CEL"))
        return error_set(err, "%.*s is not implemented: there is no library for its expressions",
                         BYTES_ARG(c->name));
    if (p->op == FORMAT_OP_COUNT)
        return error_set(err, "Not supported field in StreamInfo: %.*s", BYTES_ARG(c->name));
    p->max_length = FORMAT_NO_LIMIT;
    if (c->has_length && c->length < FORMAT_NO_LIMIT)
        p->max_length = (uint32_t)c->length;
    return check_syntax(c, p->op, err) && take_parameter(a, c, p, err);
}
