/* Who this proxy is: id and cluster of its node, as flags and bootstrap say. Set once, before the
 * first listener is made; const from then on, any thread. */
#pragma once

#include "base/bytes.h"

/* Copies. */
void local_info_set(struct bytes node_id, struct bytes node_cluster);
struct bytes local_info_node_id(void); /* may be empty */
struct bytes local_info_node_cluster(void);
