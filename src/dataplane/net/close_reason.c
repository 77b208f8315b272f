#include "dataplane/net/close_reason.h"

#include "base/check.h"

const char *close_reason_name(enum close_reason r)
{
    static const char *const names[] = {
#define X(id, text) text,
        CLOSE_REASON_LIST(X)
#undef X
    };

    CHECK((unsigned)r < ARRAY_SIZE(names));
    return names[r];
}
