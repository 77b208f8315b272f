/* struct descriptors: the one pool of message descriptors, over the official descriptors of the
 * whole xDS API. A file is loaded with its imports when a type in it is first named. All generic
 * work (JSON, validation, unsupported fields) reads messages through this pool and never through
 * generated accessors: the layouts differ, so a message passes from one world to the other as
 * bytes. One owner: the config thread. Definitions are not to be kept from one turn of the loop to
 * another: descriptors_rest(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct descriptors;
struct upb_MessageDef;
struct upb_FieldDef;
struct upb_EnumDef;
struct upb_Arena;

/* Nesting of messages that is read or written; deeper is refused. */
enum { DESCRIPTORS_MAX_DEPTH = 100 };

struct descriptors *descriptors_new(void);
void descriptors_free(struct descriptors **d);

/* "envoy.config.cluster.v3.Cluster"; NULL: the API has no such message. */
const struct upb_MessageDef *descriptors_message(struct descriptors *d, struct bytes full_name);
/* What follows the last '/' of a type URL; NULL as above. */
const struct upb_MessageDef *descriptors_type_url(struct descriptors *d, struct bytes type_url);
struct bytes descriptors_type_name(struct bytes type_url);
const struct upb_EnumDef *descriptors_enum(struct descriptors *d, struct bytes full_name);
size_t descriptors_files_loaded(const struct descriptors *d);
/* Calls fn with the full name of every top-level message of the API that starts with prefix; loads
 * no file. */
typedef void descriptors_name_fn(void *ctx, struct bytes full_name);
void descriptors_each_message(struct descriptors *d, struct bytes prefix, descriptors_name_fn *fn,
                              void *ctx);

/* To be called now and then, while nothing of this is at work: gives back the memory of files that
 * are not loaded, and when nothing was named since the last RESTS_IN_VAIN calls, that of the loaded
 * ones too. What this gave out (messages, fields, enums) is gone then; the next name takes some
 * milliseconds more. */
enum { RESTS_IN_VAIN = 5 };
void descriptors_rest(struct descriptors *d);

/* Options that the API sets on its fields. */
bool descriptors_field_deprecated(const struct upb_FieldDef *f);
bool descriptors_field_sensitive(const struct upb_FieldDef *f);  /* udpa.annotations.sensitive */
bool descriptors_field_disallowed(const struct upb_FieldDef *f); /* disallowed_by_default */
/* The bytes of validate.FieldRules; data NULL: none. */
struct bytes descriptors_field_rules(const struct upb_FieldDef *f);

/* libupb 1.51 computes a length from two different buffers (and so ends the process, or reads what
 * is not its own) when the last bytes of its input hold a map entry with an unknown field. False
 * and *err for bytes with such an entry anywhere, since a part of them may be parsed by itself.
 * descriptors_decode() asks by itself, and so do validation and scan; code that calls a generated
 * parse function on bytes that nothing of these has seen asks first. */
MUST_CHECK bool descriptors_check_bytes(const struct upb_MessageDef *m, struct bytes body,
                                        struct error *err);
/* Decodes bytes into a message of the pool in the arena. NULL and *err when they are no such
 * message. */
void *descriptors_decode(const struct upb_MessageDef *m, struct bytes body, struct upb_Arena *arena,
                         struct error *err);
/* The same, with strings left in body, which must outlive the message: a key is not copied. */
void *descriptors_view(const struct upb_MessageDef *m, struct bytes body, struct upb_Arena *arena,
                       struct error *err);
/* The bytes of a message of the pool, map keys sorted, in upb's arena. */
MUST_CHECK bool descriptors_encode(const struct upb_MessageDef *m, const void *msg,
                                   struct upb_Arena *arena, struct bytes *out, struct error *err);
