/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/front.h"

#include "core/conf_storage.h"

/* Nodes that the text names; it says how many more there are. */
#define NAMES_MAX 8u
#define TEXT_BYTES_MAX (8 * KIB)

bool
front_refuses(struct http_req *req)
{
    const struct conf *conf = req->process->conf;
    unsigned n = conf_storage_nodes(conf);
    struct sb text;

    if (n == 0)
        return false;
    sb_init(&text, TEXT_BYTES_MAX);
    sb_addf(&text, "this server is a front: it stores nothing itself; send "
        "the request to each of its storage nodes (");
    for (unsigned i = 0; i < MIN(n, NAMES_MAX); i++)
        sb_addf(&text, "%s%s", i > 0 ? ", " : "",
            conf_storage_node_get(conf, i).address);
    if (n > NAMES_MAX)
        sb_addf(&text, " and %u more", n - NAMES_MAX);
    sb_add_char(&text, ')');
    http_reply_error(req, 400, "%.*s", SV_ARG(sb_sv(&text)));
    sb_release(&text);
    return true;
}
