/* Replays inputs without libFuzzer: each argument is a file, a folder of files, or a pack
 * (NAME.pack: length in four bytes, the first the highest, then the input; and so on). A TAP test
 * for each argument: an input that ends the process is named before. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { PATH_CAP = 4096 };

static char current[PATH_CAP + 32]; /* for the handler */

static void on_abort(int signo)
{
    static const char text[] = "\n# the input was: ";
    ssize_t n = write(2, text, sizeof(text) - 1);
    n += write(2, current, strlen(current));
    n += write(2, "\n", 1);
    signal(signo, SIG_DFL);
    raise(signo);
    (void)n;
}

/* In a block of its own size, so that a sanitizer sees a read past the end. */
static void run(struct bytes input)
{
    char *exact = malloc(input.len ? input.len : 1);
    if (!exact)
        abort();
    if (input.len)
        memcpy(exact, input.data, input.len);
    fuzz_target.run(bytes_from(exact, input.len));
    free(exact);
}

static bool read_file(const char *path, struct strbuf *out)
{
    char block[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        strbuf_add(out, block, n);
    bool ok = !ferror(f);
    fclose(f);
    return ok;
}

static long replay_pack(const char *path, struct bytes pack)
{
    long count = 0;
    while (pack.len >= 4) {
        const unsigned char *p = (const unsigned char *)pack.data;
        size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        pack = bytes_skip(pack, 4);
        if (len > pack.len)
            return -1;
        snprintf(current, sizeof(current), "%s number %ld", path, count);
        run(bytes_first(pack, len));
        pack = bytes_skip(pack, len);
        count++;
    }
    return pack.len ? -1 : count;
}

static long replay(const char *path);

static long replay_folder(const char *path)
{
    char name[PATH_CAP];
    long count = 0;
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && count >= 0 && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        long n = replay(name);
        count = n < 0 ? n : count + n;
    }
    if (d)
        closedir(d);
    return d ? count : -1;
}

/* How many inputs; below 0: cannot be read. */
static long replay(const char *path)
{
    struct stat st;
    struct strbuf text = STRBUF_INIT;
    long count = -1;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return replay_folder(path);
    if (read_file(path, &text)) {
        if (bytes_ends_with(bytes_of(path), BYTES(".pack"))) {
            count = replay_pack(path, strbuf_bytes(&text));
        } else {
            snprintf(current, sizeof(current), "%s", path);
            run(strbuf_bytes(&text));
            count = 1;
        }
    }
    strbuf_fini(&text);
    return count;
}

int main(int argc, char **argv)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_abort);
    if (fuzz_target.setup)
        fuzz_target.setup();
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        long n = replay(argv[i]);
        failed += n <= 0;
        printf("%s %d - %s: %ld inputs\n", n > 0 ? "ok" : "not ok", i, argv[i], n);
    }
    return failed || argc < 2;
}
