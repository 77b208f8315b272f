/* A request target as the admin pages read it: lenient, since tools send regular expressions as
 * they are (unescaped ^ | ( ) $ and the like). Pure. */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"

struct query_param {
    struct bytes name, value; /* percent-decoded; value "" when there is no "=" */
};

struct query {
    struct bytes path; /* slashes merged */
    struct query_param *params;
    unsigned n_params;
};

/* form: the parameters, where the target has none. */
void query_parse(struct arena *a, struct bytes target, struct bytes form, struct query *out);
/* data NULL: not given. */
struct bytes query_get(const struct query *q, const char *name);
bool query_has(const struct query *q, const char *name);
/* RE2's own words in the error of a pattern that did not compile. */
const char *query_regex_error(const struct error *err, struct bytes pattern);
