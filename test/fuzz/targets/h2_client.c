/* Frames for the client: however the bytes are cut, what is told is the same; no header list is
 * larger than allowed, no value holds a control byte, and nothing is left of a connection.
 *
 *     options, manners of the user, number of cuts, cuts..., frames */
#include "../h2_reader.h"

#define PREFACE ""
#define SETTINGS "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"
#define TAKES_CONNECT "\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1" /* RFC 8441 */

static void begin(struct h2_reader *r, uint8_t options, uint8_t manners)
{
    h2_reader_init(r, false, options, manners);
    if (!(manners & 128)) /* otherwise they are part of the input */
        h2_reader_feed(r, BYTES(PREFACE SETTINGS), BYTES_NONE);
    if (r->tunnels)
        h2_reader_feed(r, BYTES(TAKES_CONNECT), BYTES_NONE);
    h2_reader_ask(r, 1 + (options >> 5));
}

static void run(struct bytes input)
{
    h2_reader_any_cut(input, begin);
}

static void mutate(struct random_source *random, struct bytes input, struct strbuf *out)
{
    h2_mutate(random, false, input, out);
}

const struct fuzz_target fuzz_target = {.run = run, .mutate = mutate};
