/* Folder and overlay put together, checked, and handed to the hub as a new world.
 *
 * Main thread only; takes the hub's lock itself. */
#pragma once

#include "folder.h"
#include "hub.h"

struct publisher {
    struct folder folder;
    struct resource_array overlay; /* PUT through the control port; wins over the folder */
    struct strmap gone;            /* "type URL\nname": DELETEd through the control port */
    const struct strmap *known_clusters;
    struct hub *hub;
    bool strict, read_once;
    char *problem; /* why the folder as it stands now is not served; NULL: it is */
};

void publisher_init(struct publisher *p, struct hub *hub, const char *path);
void publisher_fini(struct publisher *p);
/* Read the folder again and publish. Problems are printed; false: nothing was published. */
bool publisher_reload(struct publisher *p);
/* Publish folder and overlay as they are. */
MUST_CHECK bool publisher_publish(struct publisher *p, struct error *err);
/* Put a resource (taken over) over the folder's, or take one out; then publish. Where that fails,
 * the overlay is as before. */
MUST_CHECK bool publisher_put(struct publisher *p, struct resource *r, struct error *err);
MUST_CHECK bool publisher_delete(struct publisher *p, const char *type_url, const char *name,
                                 struct error *err);
/* Forget all that was PUT and DELETEd. */
MUST_CHECK bool publisher_reset(struct publisher *p, struct error *err);
