/* Secrets of connections for a packet analyser, as the operator asked: for those addresses only. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/net/tls_internal.h"

static bool in_list(const struct address_prefix *list, unsigned n, const struct address *a)
{
    struct address plain = address_unmap(a);
    for (unsigned i = 0; i < n; i++) {
        if (address_prefix_contains(&list[i], &plain))
            return true;
    }
    return n == 0;
}

static void log_line(const SSL *ssl, const char *line)
{
    const struct tls_connection *t = tls_connection_of(ssl);
    const struct tls_context *c = t->context;
    struct address local = {0}, remote = {0};
    if (t->fd >= 0) {
        local = address_local(t->fd);
        remote = address_remote(t->fd);
    }
    if (!in_list(c->log_local, c->n_log_local, &local) ||
        !in_list(c->log_remote, c->n_log_remote, &remote))
        return;
    struct iovec iov[] = {{(char *)(uintptr_t)line, strlen(line)}, {"\n", 1}};
    /* One write, so that lines of several threads do not mix; a full disk loses lines */
    ssize_t n = writev(c->key_log_fd, iov, 2);
    (void)n;
}

static struct address_prefix *copy(struct arena *a, const struct address_prefix *from, unsigned n)
{
    struct address_prefix *to = ARENA_ARRAY(a, struct address_prefix, n + 1);
    for (unsigned i = 0; i < n; i++)
        to[i] = from[i];
    return to;
}

bool tls_key_log_init(struct tls_context *c, const struct tls_settings *s, struct error *err)
{
    const struct tls_key_log *l = &s->key_log;
    c->key_log_fd = -1;
    if (l->path.len == 0)
        return true;
    const char *path = arena_str(c->arena, l->path);
    c->key_log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (c->key_log_fd < 0)
        return error_set(err, "unable to open file '%s': %s", path, strerror(errno));
    c->log_local = copy(c->arena, l->local, l->n_local);
    c->log_remote = copy(c->arena, l->remote, l->n_remote);
    c->n_log_local = l->n_local;
    c->n_log_remote = l->n_remote;
    SSL_CTX_set_keylog_callback(c->ssl, log_line);
    return true;
}

void tls_key_log_fini(struct tls_context *c)
{
    if (c->key_log_fd >= 0)
        close(c->key_log_fd);
}
