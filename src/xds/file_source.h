/* struct file_source: one type of resource from a file (rules O01 to O03): read when something is
 * wanted and whenever the file changes, all of it each time. What was good stays when it is bad.
 * Config thread. */
#pragma once

#include "config/builder.h"
#include "xds/xds_table.h"

struct file_source;

/* source: kind SOURCE_PATH; copied. */
struct file_source *file_source_new(const struct xds_table *table, struct builder *builder,
                                    const struct config_source *source, enum resource_type type);
void file_source_free(struct file_source **f);
void file_source_want(struct file_source *f, struct bytes name);
void file_source_unwant(struct file_source *f, struct bytes name);
/* Reads the file, at a later turn, where more is wanted than it was read for. */
void file_source_flush(struct file_source *f);
/* Nothing is wanted, and it is not reading: it may be freed. */
bool file_source_idle(const struct file_source *f);
void file_source_fetch_timed_out(struct file_source *f);
