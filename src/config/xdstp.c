#include "config/xdstp.h"

#include <stdlib.h>

#include "base/strbuf.h"

enum { PARAMETERS_MAX = 64 };
#define SCHEME BYTES("xdstp://")

bool xdstp_is(struct bytes name)
{
    return bytes_starts_with(name, SCHEME);
}

/* *parameters: what follows "?"; data NULL: nothing does. */
static struct bytes split(struct bytes name, struct bytes *parameters)
{
    *parameters = name;
    return bytes_split(parameters, '?');
}

static int by_key(const void *a, const void *b)
{
    struct bytes x = *(const struct bytes *)a, y = *(const struct bytes *)b;
    return bytes_cmp(bytes_split(&x, '='), bytes_split(&y, '='));
}

/* Of more parameters than anybody has the order stays as it is. */
static unsigned list_parameters(struct bytes parameters, struct bytes list[PARAMETERS_MAX])
{
    unsigned n = 0;
    while (parameters.data && n <= PARAMETERS_MAX) {
        struct bytes one = bytes_split(&parameters, '&');
        if (n < PARAMETERS_MAX)
            list[n] = one;
        n++;
    }
    return n;
}

struct bytes xdstp_canonical(struct arena *a, struct bytes name)
{
    struct bytes list[PARAMETERS_MAX], parameters, head = split(name, &parameters);
    unsigned n = xdstp_is(name) ? list_parameters(parameters, list) : 0;
    if (n < 2 || n > PARAMETERS_MAX)
        return name;
    qsort(list, n, sizeof(list[0]), by_key);
    char *out = arena_alloc(a, name.len + 1), *end = out;
    memcpy(end, head.data, head.len);
    end += head.len;
    for (unsigned i = 0; i < n; i++) {
        *end++ = i ? '&' : '?';
        if (list[i].len)
            memcpy(end, list[i].data, list[i].len);
        end += list[i].len;
    }
    *end = '\0';
    return bytes_from(out, (size_t)(end - out));
}

struct bytes xdstp_collection(struct arena *a, struct bytes name)
{
    struct bytes parameters, head = split(name, &parameters);
    ptrdiff_t slash = bytes_rfind_char(head, '/');
    if (!xdstp_is(name) || slash < (ptrdiff_t)SCHEME.len)
        return BYTES_NONE;
    struct bytes folder = bytes_first(head, (size_t)slash + 1);
    struct bytes rest = bytes_skip(name, head.len);
    size_t len = folder.len + 1 + rest.len;
    char *all = arena_alloc(a, len);
    memcpy(all, folder.data, folder.len);
    all[folder.len] = '*';
    if (rest.len)
        memcpy(all + folder.len + 1, rest.data, rest.len);
    return xdstp_canonical(a, bytes_from(all, len));
}

bool xdstp_check_collection(struct bytes name, const char *type, struct error *err)
{
    struct bytes parameters, head = split(name, &parameters);
    struct bytes rest = bytes_skip(head, SCHEME.len);
    if (!xdstp_is(name))
        return error_set(err, "'%.*s' does not have a xdstp: scheme", BYTES_ARG(name));
    (void)bytes_split(&rest, '/'); /* the authority */
    struct bytes its_type = bytes_split(&rest, '/');
    if (!bytes_eq_str(its_type, type))
        return error_set(err, "xdstp:// type does not match %s in '%.*s'", type, BYTES_ARG(name));
    return (bytes_eq_str(rest, "*") || bytes_ends_with(rest, BYTES("/*"))) ||
           error_set(err, "'%.*s' is no collection: expected a name that ends in \"/*\"",
                     BYTES_ARG(name));
}
