#include "control.h"

bool control_start(struct control **out, struct publisher *publisher, const char *address,
                   struct error *err)
{
    *out = NULL;
    return true;
}

int control_port(const struct control *c)
{
    return 0;
}

size_t control_poll_fds(struct control *c, struct pollfd *fds, size_t room)
{
    return 0;
}

void control_run(struct control *c, const struct pollfd *fds, size_t count)
{
}

uint64_t control_deadline(const struct control *c)
{
    return UINT64_MAX;
}

void control_stop(struct control **c)
{
    *c = NULL;
}
