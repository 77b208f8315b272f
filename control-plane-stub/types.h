/* The resource types of xDS: order of sending, nicknames, and how each behaves.
 *
 * A const table; any thread. Types that are not in it are served all the same, last. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct resource_type {
    const char *full_name;
    const char *service;    /* the discovery service of its own ("ClusterDiscoveryService") ... */
    const char *method;     /* ... whose methods are Stream<method> and Delta<method> */
    const char *nicks[4];   /* short names, lower case */
    const char *name_field; /* the field that holds a resource's name; NULL: "name" */
    bool full_state;        /* LDS, CDS: a response is the whole world, an empty one too */
};

/* By position: the order in which responses go out. NULL after the last. */
const struct resource_type *resource_type_at(size_t index);
/* By full name, type URL or nickname (without regard to case); NULL when it is none of these. */
const struct resource_type *resource_type_named(const char *name);
/* Position in the order of sending; types outside the table come last. */
size_t resource_type_rank(const char *type_url);
/* The type URL that goes with a full name; the caller frees it. */
char *type_url_of(const char *full_name);
