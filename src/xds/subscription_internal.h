/* What the two dialects of struct subscription share. */
#pragma once

#include "xds/subscription.h"

/* A field of text, left out when there is none. */
void subscription_put_text(struct strbuf *out, uint32_t number, const char *text);
/* google.rpc.Status of a NACK. */
void subscription_put_error(struct strbuf *out, uint32_t number, const char *text);
/* Wanted names in order, so that equal wishes are equal bytes; the caller frees the array. */
struct bytes *subscription_sorted(const struct map *names, size_t *n);

/* ---- delta ---- */

void delta_want(struct subscription *s, struct bytes name);
void delta_unwant(struct subscription *s, struct bytes name);
bool delta_due(const struct subscription *s); /* have names changed? */
/* A stream begins or ends: nothing has been said on it. */
void delta_reset(struct subscription *s);
void delta_take(struct subscription *s, struct bytes node, const struct subscription_held *held,
                struct strbuf *out);
