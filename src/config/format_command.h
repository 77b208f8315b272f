/* One operator of a command string, between the reader of the string (format_compile.c) and what
 * each operator takes (format_command.c, format_coalesce.c). Config thread. */
#pragma once

#include "config/format.h"

/* NAME, NAME(parameter), NAME(parameter):length. An empty parameter is none, as in Envoy. */
struct command {
    struct bytes name, parameter;
    uint64_t length;
    bool has_length;
    bool without_query; /* REQ_WITHOUT_QUERY is known here */
};

/* Fills a part that is all zero. */
MUST_CHECK bool format_command(struct arena *a, const struct command *c, struct format_part *p,
                               struct error *err);
/* COALESCE({"operators": [...]}) */
MUST_CHECK bool format_coalesce(struct arena *a, const struct command *c, struct format_part *p,
                                struct error *err);
