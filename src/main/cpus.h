/* How many CPUs this process may use: the least of the affinity mask and the control group's quota
 * (rounded up). Any thread. */
#pragma once

unsigned cpus_available(void); /* >= 1 */
