/* A fuzz target: bytes in, oracles that end the process. The same target is linked twice: with
 * libFuzzer (fuzz_libfuzzer.c; tools/fuzz), and with a driver that replays its corpus as a test of
 * every build (fuzz_replay.c). One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/strbuf.h"

struct fuzz_target {
    void (*run)(struct bytes input); /* a heap block of just this size */
    void (*setup)(void);             /* once, before the first input; NULL: nothing to do */
    /* Adds a changed input to out; what is too long is cut. NULL: libFuzzer's mutations. */
    void (*mutate)(struct random_source *r, struct bytes input, struct strbuf *out);
};
/* Each target's file defines it. */
extern const struct fuzz_target fuzz_target;

/* An oracle: says what differs, and ends the process. */
#define FUZZ_CHECK(cond, ...)                                                                      \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fuzz_failed(__FILE__, __LINE__, #cond, __VA_ARGS__);                                   \
    } while (0)
NORETURN void fuzz_failed(const char *file, int line, const char *what, const char *fmt, ...)
    PRINTF(4, 5);
/* Two texts that must be equal. */
void fuzz_same(const char *what, struct bytes a, struct bytes b);

/* libFuzzer's own mutation of a part of the input, where it is linked: changes data in place and
 * returns its new length (at most max). NULL in a replay. */
extern size_t (*fuzz_mutate_bytes)(uint8_t *data, size_t len, size_t max);

/* Reads decisions off the front of an input; behind its end everything is 0. */
struct fuzz_in {
    struct bytes rest;
};
uint8_t fuzz_u8(struct fuzz_in *in);
uint64_t fuzz_u64(struct fuzz_in *in);
unsigned fuzz_below(struct fuzz_in *in, unsigned n); /* 0 < n <= 256 */
bool fuzz_bool(struct fuzz_in *in);
struct bytes fuzz_take(struct fuzz_in *in, size_t n); /* less at the end */
