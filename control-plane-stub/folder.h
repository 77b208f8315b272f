/* The folder of resource files: reads what changed, keeps what did not.
 *
 * DIR/x.yaml, .yml, .json are for every node; DIR/node-ID/ and DIR/nodes/ID/ are for the node of
 * that id only; any other sub-folder is read like DIR itself. Names that begin with a dot are
 * skipped. Main thread only; the folder owns its arrays. */
#pragma once

#include "resource.h"
#include "strmap.h"

struct folder_file;

/* The resources meant for one node, or (id NULL) for all. */
struct folder_scope {
    char *node_id;
    struct resource_array resources;
};

struct folder {
    char *path;
    const struct desc_pool *pool;
    struct strmap vars;          /* char * values, owned */
    struct strmap files;         /* path -> struct folder_file */
    struct strmap directories;   /* every folder seen, for watching */
    struct folder_scope *scopes; /* the last good set; the shared one first */
    size_t scope_count;
    bool changed; /* the last reading found a file new, changed or gone, or so the folder itself */
    bool missing; /* the last reading could not list it */
};

void folder_init(struct folder *f, const char *path, const struct desc_pool *pool);
void folder_fini(struct folder *f);
/* Read the folder again. false: at least one file is bad; `err` has one line for each problem and
 * the scopes stay as they were. */
MUST_CHECK bool folder_read(struct folder *f, struct error *err);
