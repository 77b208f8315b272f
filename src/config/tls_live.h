/* Files of a transport socket itself that are watched: bundles of trust of the SPIFFE validator.
 * (Files of certificates and authorities that stand in a listener or cluster are read once, as in
 * Envoy; those of secrets: builder_secret_files.c.) Config thread. */
#pragma once

struct builder;
struct tls_live;
struct tls_reader;
struct tls_socket;

/* The socket's settings have been read: watches what is live in them, if it is not yet. */
void builder_live_note(struct builder *b, struct tls_socket *s, const struct tls_reader *reader);
void builder_live_free(struct tls_live **l);
/* The builder goes: nothing is watched any more. */
void builder_live_fini(struct builder *b);
