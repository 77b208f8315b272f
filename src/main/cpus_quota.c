/* What the control groups of this process leave it of the CPUs: its own group and those above it,
 * as far as the mounts show them (a container sees no further than its own), in both versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/strbuf.h"
#include "main/cpus.h"

/* One line of mountinfo that is of the CPU controller. */
struct mount {
    bool v2;
    struct bytes root, at; /* which group is shown, and where */
};

static void read_file(struct strbuf *out, const char *top, const char *path)
{
    enum { BLOCK = 4096 };
    struct strbuf name = STRBUF_INIT;
    char block[BLOCK];
    strbuf_printf(&name, "%s%s", top, path);
    FILE *f = fopen(strbuf_str(&name), "re");
    for (size_t n; f && (n = fread(block, 1, sizeof(block), f)) > 0;)
        strbuf_add(out, block, n);
    if (f)
        fclose(f);
    strbuf_fini(&name);
}

static bool has_word(struct bytes list, const char *word)
{
    while (list.data) {
        if (bytes_eq_str(bytes_split(&list, ','), word))
            return true;
    }
    return false;
}

/* "36 35 98:0 ROOT POINT rw,relatime shared:1 - TYPE SOURCE OPTIONS" */
static bool read_mount(struct bytes line, struct mount *m)
{
    enum { BEFORE_ROOT = 3 };
    for (unsigned i = 0; i < BEFORE_ROOT; i++)
        bytes_split(&line, ' ');
    m->root = bytes_split(&line, ' ');
    m->at = bytes_split(&line, ' ');
    while (line.data && !bytes_eq_str(bytes_split(&line, ' '), "-"))
        ;
    struct bytes type = bytes_split(&line, ' ');
    bytes_split(&line, ' ');
    m->v2 = bytes_eq_str(type, "cgroup2");
    return m->v2 || (bytes_eq_str(type, "cgroup") && has_word(line, "cpu"));
}

/* This process's group: a line "0::PATH", or "4:cpu,cpuacct:PATH". */
static struct bytes own_group(struct bytes groups, bool v2)
{
    while (groups.data) {
        struct bytes path = bytes_split(&groups, '\n');
        struct bytes number = bytes_split(&path, ':'), controllers = bytes_split(&path, ':');
        if (v2 ? bytes_eq_str(number, "0") : has_word(controllers, "cpu"))
            return path;
    }
    return BYTES_NONE;
}

/* Where it is beneath the mount; empty where that is not to be told. */
static struct bytes below(struct bytes group, struct bytes root)
{
    if (bytes_eq_str(root, "/"))
        root = BYTES("");
    bool inside =
        bytes_starts_with(group, root) && (group.len == root.len || group.data[root.len] == '/');
    struct bytes path = inside ? bytes_skip(group, root.len) : BYTES(""), rest = path;
    while (rest.data && rest.len) {
        if (bytes_eq_str(bytes_split(&rest, '/'), ".."))
            return BYTES("");
    }
    return path;
}

static bool read_numbers(const char *folder, const char *name, const char *format, long *a, long *b)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_printf(&path, "%s/%s", folder, name);
    FILE *f = fopen(strbuf_str(&path), "re");
    strbuf_fini(&path);
    if (!f)
        return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int wanted = b ? 2 : 1, n = b ? fscanf(f, format, a, b) : fscanf(f, format, a);
#pragma GCC diagnostic pop
    fclose(f);
    return n == wanted;
}

/* Of one group, rounded up; 0: none. */
static unsigned quota_of(const char *folder, bool v2)
{
    long limit = 0, period = 0;
    if (v2 && !read_numbers(folder, "cpu.max", "%ld %ld", &limit, &period))
        return 0;
    if (!v2 && (!read_numbers(folder, "cpu.cfs_quota_us", "%ld", &limit, NULL) ||
                !read_numbers(folder, "cpu.cfs_period_us", "%ld", &period, NULL)))
        return 0;
    if (limit <= 0 || period <= 0 || (limit - 1) / period >= CPUS_MAX)
        return 0;
    return (unsigned)((limit - 1) / period + 1);
}

static void take_least(unsigned *least, unsigned n)
{
    if (n && (!*least || n < *least))
        *least = n;
}

static void quota_of_mount(const char *top, const struct mount *m, struct bytes group,
                           unsigned *least)
{
    struct strbuf folder = STRBUF_INIT;
    strbuf_printf(&folder, "%s%.*s", top, BYTES_ARG(m->at));
    size_t mount_len = folder.len;
    strbuf_add_bytes(&folder, below(group, m->root));
    for (;;) {
        take_least(least, quota_of(strbuf_str(&folder), m->v2));
        size_t len = folder.len;
        while (len > mount_len && folder.data[len - 1] != '/')
            len--;
        if (len <= mount_len)
            break;
        strbuf_cut(&folder, len - 1);
    }
    strbuf_fini(&folder);
}

unsigned cpus_quota(const char *top)
{
    struct strbuf mounts = STRBUF_INIT, groups = STRBUF_INIT;
    struct mount m;
    unsigned least = 0;
    read_file(&mounts, top, "/proc/self/mountinfo");
    read_file(&groups, top, "/proc/self/cgroup");
    struct bytes rest = strbuf_bytes(&mounts);
    while (rest.data && rest.len) {
        if (read_mount(bytes_split(&rest, '\n'), &m))
            quota_of_mount(top, &m, own_group(strbuf_bytes(&groups), m.v2), &least);
    }
    strbuf_fini(&mounts);
    strbuf_fini(&groups);
    return least;
}
