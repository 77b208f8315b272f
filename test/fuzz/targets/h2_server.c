/* Frames for the server: however the bytes are cut, what is told is the same; no header list is
 * larger than allowed, no value holds a control byte, and nothing is left of a connection.
 *
 *     options, manners of the user, number of cuts, cuts..., frames */
#include "../h2_reader.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SETTINGS "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"

static void begin(struct h2_reader *r, uint8_t options, uint8_t manners)
{
    h2_reader_init(r, true, options, manners);
    if (!(manners & 128)) /* otherwise they are part of the input */
        h2_reader_feed(r, BYTES(PREFACE SETTINGS), BYTES_NONE);
}

static void run(struct bytes input)
{
    h2_reader_any_cut(input, begin);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    h2_mutate(random, true, input, out);
}

const struct fuzz_target fuzz_target = {.run = run, .mutate = mutate};
