/* A file of its own: the kernel's header and <sched.h> define the same structures. */
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "main/cpus.h"

enum { SLICE_NS = 100000 };

/* Where the kernel refuses, all is as it was. */
void cpus_take_at_once(void)
{
    struct sched_attr attr = {.size = sizeof(attr)};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0 ||
        attr.sched_policy != SCHED_NORMAL)
        return;
    attr.sched_runtime = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
