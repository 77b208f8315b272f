/* Frames for the client: however the bytes are cut, what is told is the same; no header list is
 * larger than allowed, no value holds a control byte, and nothing is left of a connection.
 *
 *     options, manners of the user, number of cuts, cuts..., frames */
#include "../h2_reader.h"

#define PREFACE ""
#define SETTINGS "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"

static void run_one(struct h2_reader *r, uint8_t options, uint8_t manners, struct bytes frames,
                    struct bytes cuts)
{
    h2_reader_init(r, false, options, manners);
    if (!(manners & 128)) /* otherwise they are part of the input */
        h2_reader_feed(r, BYTES(PREFACE SETTINGS), BYTES_NONE);
    h2_reader_ask(r, 1 + (options >> 5));
    h2_reader_feed(r, frames, cuts);
}

static void run(struct bytes input)
{
    static struct h2_reader whole, pieces;
    struct fuzz_in in = {input};
    uint8_t options = fuzz_u8(&in), manners = fuzz_u8(&in);
    struct bytes cuts = fuzz_take(&in, fuzz_below(&in, 32));
    run_one(&whole, options, manners, in.rest, BYTES_NONE);
    run_one(&pieces, options, manners, in.rest, cuts);
    h2_reader_same(&whole, &pieces);
    h2_reader_fini(&whole);
    h2_reader_fini(&pieces);
}

const struct fuzz_target fuzz_target = {.run = run};
