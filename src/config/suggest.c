#include "config/suggest.h"

enum { MAX_NAME = 64 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

/* Number of single letters to insert, remove, replace or swap; case and '_' do not count much. */
static unsigned distance(struct bytes a, struct bytes b)
{
    unsigned rows[3][MAX_NAME + 1];
    for (unsigned k = 0; k <= b.len; k++)
        rows[0][k] = k;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned k = 1; k <= b.len; k++) {
            char x = ascii_lower(a.data[i - 1]), y = ascii_lower(b.data[k - 1]);
            row[k] = min3(up[k] + 1, row[k - 1] + 1, up[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == ascii_lower(b.data[k - 2]) &&
                y == ascii_lower(a.data[i - 2]) && up2[k - 2] + 1 < row[k])
                row[k] = up2[k - 2] + 1;
        }
    }
    return rows[a.len % 3][b.len];
}

void suggest_offer(struct suggest *s, struct bytes candidate)
{
    if (s->wanted.len == 0 || s->wanted.len > MAX_NAME || candidate.len > MAX_NAME)
        return;
    unsigned d = distance(s->wanted, candidate), limit = 1 + (unsigned)s->wanted.len / 4;
    if (d <= limit && (!s->best.data || d < s->distance)) {
        s->best = candidate;
        s->distance = d;
    }
}
