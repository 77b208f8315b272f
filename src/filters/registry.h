/* The explicit list of filters: what this proxy can run. main hands it to config/. Const data. */
#pragma once

#include "config/filter_factory.h"

extern const struct filter_registry filter_registry;
