/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/cluster_show.h"

#include "cluster/nodes.h"

/* Of all nodes; some 2 KiB of one. */
#define CLUSTER_BYTES_MAX (4 * MIB)

void IMPL(route_fn)
cluster_show(struct http_req *req)
{
    struct sb out;

    sb_init(&out, CLUSTER_BYTES_MAX);
    nodes_print(&out);
    sb_add_char(&out, '\n');
    http_reply_sb(req, 200, "application/json", &out);
    sb_release(&out);
}
