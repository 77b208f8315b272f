#include "config/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Files that the kernel makes up, wherever they are mounted. */
static bool is_kernels(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) != 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC;
}

static bool check(int fd, const char *name, size_t max, size_t *size, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(err, "cannot read '%s': %s", name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, "cannot read '%s': it is a folder", name);
    if (!S_ISREG(st.st_mode) || is_kernels(fd))
        return error_set(err, "Invalid path: %s", name);
    if ((uint64_t)st.st_size > max)
        return error_set(err, "file %s size is %llu bytes; maximum is %zu", name,
                         (unsigned long long)st.st_size, max);
    *size = (size_t)st.st_size;
    return true;
}

/* A file that shrinks meanwhile ends where it ends. */
static bool read_all(int fd, const char *name, char *data, size_t *size, struct error *err)
{
    size_t done = 0;
    while (done < *size) {
        ssize_t n = read(fd, data + done, *size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, "cannot read '%s': %s", name, strerror(errno));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *size = done;
    return true;
}

bool file_read(struct bytes path, size_t max, struct arena *a, struct bytes *out, struct error *err)
{
    const char *name = arena_str(a, path);
    size_t size = 0;
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(err, "cannot read '%s': %s", name, strerror(errno));
    bool ok = check(fd, name, max, &size, err);
    char *data = ok ? arena_alloc(a, size + 1) : NULL;
    ok = ok && read_all(fd, name, data, &size, err);
    close(fd);
    *out = ok ? bytes_from(data, size) : BYTES_NONE;
    return ok;
}
