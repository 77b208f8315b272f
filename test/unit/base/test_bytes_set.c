#include "base/bytes_set.h"

#include <stdio.h>

#include "suite.h"

START_TEST(each_name_once)
{
    enum { N = 1000 };
    static char names[N][8];
    struct bytes_set s;
    ck_assert(bytes_set_init(&s, N + 1));
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        ck_assert(bytes_set_add(&s, bytes_of(names[i])));
    }
    for (int i = 0; i < N; i++)
        ck_assert(!bytes_set_add(&s, bytes_of(names[i])));
    ck_assert(bytes_set_add(&s, BYTES_NONE));
    ck_assert(!bytes_set_add(&s, BYTES("")));
    bytes_set_fini(&s);
}
END_TEST

START_TEST(room_for_none)
{
    struct bytes_set s;
    ck_assert(bytes_set_init(&s, 0));
    bytes_set_fini(&s);
    bytes_set_fini(&s);
}
END_TEST

SUITE("bytes_set", each_name_once, room_for_none)
