/* COALESCE of command strings: a list of operators in JSON, of which the first that is not null is
 * printed. One may be in another: each of its quotes is then written with one more backslash
 * than there were characters before, so that depth is the logarithm of what fits into a message. */
#include "config/format_command.h"
#include "config/yaml.h"

static bool is_string(const struct yaml_node *n)
{
    return n->kind == YAML_SCALAR && n->quoted;
}

/* A whole number, positive. */
static bool take_length(const struct yaml_node *n, struct command *c, struct error *err)
{
    bool number = n->kind == YAML_SCALAR && !n->quoted;
    struct bytes digits = n->text;
    if (number && digits.len && digits.data[0] == '-')
        digits = bytes_skip(digits, 1);
    if (!number || !bytes_to_u64(digits, &c->length))
        return error_set(err, "'max_length' field must be an integer");
    if (digits.len != n->text.len || c->length == 0)
        return error_set(err, "'max_length' must be a positive integer");
    c->has_length = true;
    return true;
}

static bool take_object(const struct yaml_node *n, struct command *c, struct error *err)
{
    const struct yaml_node *name = yaml_get(n, "command"), *parameter = yaml_get(n, "param");
    const struct yaml_node *length = yaml_get(n, "max_length");
    if (!name || !is_string(name))
        return error_set(err, "operator object must have 'command' field, a string");
    c->name = name->text;
    if (parameter && !is_string(parameter))
        return error_set(err, "'param' field must be a string");
    if (parameter)
        c->parameter = parameter->text;
    return !length || take_length(length, c, err);
}

static bool take_operator(struct arena *a, const struct yaml_node *n, struct format_part *p,
                          struct error *err)
{
    struct command c = {0};
    if (n->kind == YAML_MAPPING) {
        if (!take_object(n, &c, err))
            return false;
    } else if (is_string(n)) {
        c.name = n->text;
    } else {
        return error_set(err, "operator entry must be either a string (command name) or an object "
                              "with 'command' field");
    }
    return format_command(a, &c, p, err);
}

bool format_coalesce(struct arena *a, const struct command *c, struct format_part *p,
                     struct error *err)
{
    const struct yaml_node *root = json_parse(a, "configuration", c->parameter, err);
    if (!root)
        return error_prefix(err, "COALESCE: failed to parse JSON ");
    const struct yaml_node *list = root->kind == YAML_MAPPING ? yaml_get(root, "operators") : NULL;
    if (!list)
        return error_set(err, "COALESCE: JSON configuration must contain 'operators' array");
    if (list->kind != YAML_SEQUENCE)
        return error_set(err, "COALESCE: 'operators' must be an array");
    if (list->count == 0)
        return error_set(err, "COALESCE: 'operators' array must not be empty");
    p->among.parts = ARENA_ARRAY(a, struct format_part, list->count);
    p->among.n_parts = (unsigned)list->count;
    for (unsigned i = 0; i < list->count; i++) {
        if (!take_operator(a, list->items[i], &p->among.parts[i], err))
            return error_prefix(err, "COALESCE: failed to parse operator at index %u: ", i);
    }
    return true;
}
