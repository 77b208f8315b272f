/* Command strings: "%REQ(:METHOD)% %START_TIME(%s)%" into parts, once, when configuration comes. */
#include "config/access_log.h"

const char access_log_default_format[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

static const char *const op_names[FORMAT_OP_COUNT] = {"",
#define X(id, name) name,
                                                      FORMAT_OP_LIST(X)
#undef X
};

static enum format_op op_of(struct bytes name)
{
    for (unsigned i = 1; i < FORMAT_OP_COUNT; i++) {
        if (bytes_eq_str(name, op_names[i]))
            return (enum format_op)i;
    }
    return FORMAT_OP_COUNT;
}

enum parameter {
    PARAMETER_NONE,
    PARAMETER_OPTIONAL,
    PARAMETER_HEADER,
    PARAMETER_NAME,
    PARAMETER_POINTS,
    PARAMETER_PATH,
    PARAMETER_GRPC,
    PARAMETER_STATE
};

static enum parameter parameter_of(enum format_op op)
{
    switch ((int)op) {
    case FORMAT_REQ:
    case FORMAT_RESP:
    case FORMAT_TRAILER:
    case FORMAT_REQ_WITHOUT_QUERY:
        return PARAMETER_HEADER;
    case FORMAT_ENVIRONMENT:
    case FORMAT_QUERY_PARAM:
        return PARAMETER_NAME;
    case FORMAT_COMMON_DURATION:
        return PARAMETER_POINTS;
    case FORMAT_PATH:
        return PARAMETER_PATH;
    case FORMAT_RESPONSE_CODE_DETAILS:
    case FORMAT_EMIT_TIME_LOCAL:
    case FORMAT_START_TIME:
    case FORMAT_START_TIME_LOCAL:
    case FORMAT_EMIT_TIME:
        return PARAMETER_OPTIONAL;
    case FORMAT_GRPC_STATUS:
        return PARAMETER_GRPC;
    case FORMAT_FILTER_STATE:
        return PARAMETER_STATE;
    default:
        return PARAMETER_NONE;
    }
}

/* One command as it stands: NAME, NAME(parameter), NAME(parameter):length. */
struct command {
    struct bytes name, parameter, length;
    bool has_parameter, has_length;
};

static bool name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The parameter ends at the first ')' that ends the command: ")%" or "):DIGITS%". */
static bool parameter_end(struct bytes s, size_t from, size_t *end)
{
    for (size_t i = from; i < s.len; i++) {
        if (s.data[i] != ')')
            continue;
        size_t k = i + 1;
        if (k < s.len && s.data[k] == ':') {
            while (++k < s.len && s.data[k] >= '0' && s.data[k] <= '9')
                ;
        }
        if (k < s.len && s.data[k] == '%') {
            *end = i;
            return true;
        }
    }
    return false;
}

/* s begins after the '%'. Returns the bytes taken, with the closing '%'; 0: no command. */
static size_t scan_command(struct bytes s, struct command *c)
{
    size_t i = 0;
    *c = (struct command){0};
    while (i < s.len && name_char(s.data[i]))
        i++;
    c->name = bytes_first(s, i);
    if (i < s.len && s.data[i] == '(') {
        size_t end;
        if (!parameter_end(s, i + 1, &end))
            return 0;
        c->has_parameter = true;
        c->parameter = bytes_from(s.data + i + 1, end - i - 1);
        i = end + 1;
    }
    if (i < s.len && s.data[i] == ':') {
        size_t from = ++i;
        while (i < s.len && s.data[i] >= '0' && s.data[i] <= '9')
            i++;
        c->has_length = true;
        c->length = bytes_from(s.data + from, i - from);
    }
    return c->name.len && i < s.len && s.data[i] == '%' ? i + 1 : 0;
}

static struct bytes lower_copy(struct arena *a, struct bytes b)
{
    struct bytes copy = arena_dup(a, b);
    for (size_t i = 0; i < copy.len; i++)
        ((char *)copy.data)[i] = ascii_lower(copy.data[i]);
    return copy;
}

static bool take_header(struct arena *a, const struct command *c, struct format_part *p,
                        struct error *err)
{
    struct bytes rest = c->parameter, main = bytes_split(&rest, '?');
    if (main.len == 0 || bytes_find_char(c->parameter, '\n') >= 0 ||
        bytes_find_char(c->parameter, '\r') >= 0)
        return error_set(err,
                         "Invalid header configuration. Format string contains invalid "
                         "header name in %%%.*s(%.*s)%%",
                         BYTES_ARG(c->name), BYTES_ARG(c->parameter));
    if (rest.data && bytes_find_char(rest, '?') >= 0)
        return error_set(err, "More than 1 alternative header specified in token: %.*s",
                         BYTES_ARG(c->parameter));
    p->text = lower_copy(a, main);
    if (rest.data)
        p->alternative = lower_copy(a, rest);
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
    if (c->parameter.len == 0)
        return error_set(err, "COMMON_DURATION requires parameters");
    struct bytes to = rest.data ? bytes_split(&rest, ':') : BYTES_NONE, unit = rest;
    if (!to.data || (unit.data && bytes_find_char(unit, ':') >= 0))
        return error_set(err, "Invalid common duration configuration: %.*s.",
                         BYTES_ARG(c->parameter));
    if (bytes_starts_with(from, BYTES("US_CX_")) || bytes_starts_with(to, BYTES("US_CX_")) ||
        bytes_eq_str(from, "US_HS_END") || bytes_eq_str(to, "US_HS_END"))
        return error_set(err,
                         "COMMON_DURATION(%.*s): the points of upstream connections are not "
                         "implemented",
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
    struct bytes form = rest.data ? bytes_split(&rest, ':') : BYTES("TYPED"), field = rest;
    bool is_field = bytes_eq_str(form, "FIELD");
    if (key.len == 0)
        return error_set(err, "Invalid filter state configuration, key cannot be empty.");
    p->state = is_field ? STATE_FIELD : bytes_eq_str(form, "PLAIN") ? STATE_PLAIN : STATE_TYPED;
    if (p->state == STATE_TYPED && !bytes_eq_str(form, "TYPED"))
        return error_set(err, "Invalid filter state serialize type, only support "
                              "PLAIN/TYPED/FIELD.");
    if (is_field ? field.len == 0 : field.data != NULL)
        return error_set(err, "Invalid filter state serialize type, FIELD should be used with the "
                              "field name.");
    p->text = arena_dup(a, key);
    return true;
}

static bool take_parameter(struct arena *a, const struct command *c, struct format_part *p,
                           struct error *err)
{
    switch (parameter_of(p->op)) {
    case PARAMETER_NONE:
        if (c->has_parameter)
            return error_set(err, "%.*s does not take any parameters or length",
                             BYTES_ARG(c->name));
        return true;
    case PARAMETER_OPTIONAL:
        p->text = c->has_parameter ? arena_dup(a, c->parameter) : BYTES_NONE;
        if (p->op == FORMAT_RESPONSE_CODE_DETAILS)
            p->keep_spaces = bytes_eq_str(p->text, "ALLOW_WHITESPACES");
        return true;
    case PARAMETER_POINTS:
        return take_points(c, p, err);
    case PARAMETER_PATH:
        return take_path(c, p, err);
    case PARAMETER_GRPC:
        return take_grpc(c, p, err);
    case PARAMETER_STATE:
        return take_state(a, c, p, err);
    case PARAMETER_NAME:
        if (c->parameter.len == 0)
            return error_set(err, "%.*s requires parameters", BYTES_ARG(c->name));
        p->text = arena_dup(a, c->parameter);
        return true;
    case PARAMETER_HEADER:
        if (!c->has_parameter)
            return error_set(err, "%.*s requires parameters", BYTES_ARG(c->name));
        return take_header(a, c, p, err);
    }
    return true;
}

static bool take_command(struct arena *a, const struct command *c, struct format_part *p,
                         struct error *err)
{
    uint64_t length = 0;
    p->op = op_of(c->name);
    if (p->op == FORMAT_OP_COUNT)
        return error_set(err, "Not supported field in StreamInfo: %.*s", BYTES_ARG(c->name));
    if (!take_parameter(a, c, p, err))
        return false;
    if (!c->has_length)
        return true;
    if (parameter_of(p->op) == PARAMETER_NONE)
        return error_set(err, "%.*s does not take any parameters or length", BYTES_ARG(c->name));
    if (parameter_of(p->op) == PARAMETER_OPTIONAL || parameter_of(p->op) == PARAMETER_POINTS ||
        parameter_of(p->op) == PARAMETER_GRPC)
        return error_set(err, "%.*s does not allow length to be specified.", BYTES_ARG(c->name));
    if (!bytes_to_u64(c->length, &length) || length == 0 || length > UINT32_MAX)
        return error_set(err, "%.*s: length must be an integer, given: %.*s", BYTES_ARG(c->name),
                         BYTES_ARG(c->length));
    p->max_length = (uint32_t)length;
    return true;
}

static size_t count_percents(struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.data[i] == '%';
    return n;
}

/* "%%" stands for one '%'. */
static struct bytes unescape(struct arena *a, struct bytes text)
{
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        out[n++] = text.data[i];
        if (text.data[i] == '%')
            i++;
    }
    return bytes_from(out, n);
}

static void add_literal(struct arena *a, struct format *out, struct bytes text)
{
    if (text.len == 0)
        return;
    out->parts[out->n_parts++] =
        (struct format_part){.op = FORMAT_LITERAL, .text = unescape(a, text)};
}

bool format_compile(struct arena *a, struct bytes text, struct format *out, struct error *err)
{
    struct command c;
    size_t literal = 0, i = 0;
    out->parts = ARENA_ARRAY(a, struct format_part, count_percents(text) + 2);
    out->n_parts = 0;
    while (i < text.len) {
        if (text.data[i] != '%') {
            i++;
            continue;
        }
        if (i + 1 < text.len && text.data[i + 1] == '%') {
            i += 2;
            continue;
        }
        size_t taken = scan_command(bytes_skip(text, i + 1), &c);
        if (!taken)
            return error_set(err,
                             "Incorrect configuration: %.*s. Couldn't find valid command at "
                             "position %zu",
                             BYTES_ARG(text), i);
        add_literal(a, out, bytes_from(text.data + literal, i - literal));
        struct format_part *p = &out->parts[out->n_parts++];
        if (!take_command(a, &c, p, err))
            return false;
        i += 1 + taken;
        literal = i;
    }
    add_literal(a, out, bytes_skip(text, literal));
    return true;
}
