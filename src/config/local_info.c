#include "config/local_info.h"

#include "base/memory.h"

static struct bytes id, cluster;

static void replace(struct bytes *to, struct bytes from)
{
    char *copy = mem_alloc(from.len + 1);
    memcpy(copy, from.data ? from.data : "", from.len);
    copy[from.len] = '\0';
    mem_free((char *)to->data);
    *to = bytes_from(copy, from.len);
}

void local_info_set(struct bytes node_id, struct bytes node_cluster)
{
    replace(&id, node_id);
    replace(&cluster, node_cluster);
}

struct bytes local_info_node_id(void)
{
    return id;
}

struct bytes local_info_node_cluster(void)
{
    return cluster;
}
