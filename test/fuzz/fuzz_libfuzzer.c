/* The entry points of libFuzzer, around fuzz_target. Slow is what takes much of the processor, not
 * what waits for it on a busy machine: libFuzzer's own time-out counts the latter. */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include "fuzz.h"

enum { CPU_SECONDS_MAX = 5 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

static void on_slow(int signo UNUSED)
{
    fuzz_failed(__FILE__, __LINE__, "slow input", "more than %d seconds of work", CPU_SECONDS_MAX);
}

static void limit(int seconds)
{
    struct itimerval t = {.it_value.tv_sec = seconds};
    setitimer(ITIMER_VIRTUAL, &t, NULL);
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    fuzz_mutate_bytes = LLVMFuzzerMutate;
    signal(SIGVTALRM, on_slow);
    if (fuzz_target.setup)
        fuzz_target.setup();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    limit(CPU_SECONDS_MAX);
    fuzz_target.run(bytes_from((const char *)data, size));
    limit(0);
    return 0;
}

/* One in four mutations stays libFuzzer's: what a grammar never writes must be tried too. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct random_source r;
    struct strbuf out = STRBUF_INIT;
    random_seed(&r, seed);
    if (!fuzz_target.mutate || random_below(&r, 4) == 0)
        return LLVMFuzzerMutate(data, size, max);
    fuzz_target.mutate(&r, bytes_from((const char *)data, size), &out);
    size_t n = out.len < max ? out.len : max;
    if (n)
        memcpy(data, out.data, n);
    strbuf_fini(&out);
    return n;
}
