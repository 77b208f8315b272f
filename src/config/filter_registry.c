#include "config/filter_factory.h"

const struct filter_factory *filter_registry_find(const struct filter_factory *const *list,
                                                  unsigned n, struct bytes type)
{
    for (unsigned i = 0; i < n; i++) {
        if (bytes_eq_str(type, list[i]->type_url))
            return list[i];
    }
    return NULL;
}

const struct filter_factory *filter_registry_find_name(const struct filter_factory *const *list,
                                                       unsigned n, struct bytes name)
{
    for (unsigned i = 0; i < n; i++) {
        if (bytes_eq_str(name, list[i]->name))
            return list[i];
    }
    return NULL;
}
