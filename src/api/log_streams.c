/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/log_streams.h"

#include "api/front.h"
#include "core/log.h"
#include "core/num.h"
#include "storage/streams.h"

void IMPL(route_fn)
log_streams(struct http_req *req)
{
    struct sv text = http_arg(req, "seconds");
    uint64_t sec;

    if (front_refuses(req))
        return;
    if (req->has_lost_arg || !num_parse_u64(text, &sec) ||
        sec > STREAMS_LOG_SEC_MAX) {
        http_reply_error(req, 400, "argument seconds is not a number from 0 "
            "to %u", STREAMS_LOG_SEC_MAX);
        return;
    }
    streams_log_for((unsigned)sec);
    log_info("new streams are logged for %u s, as %s asked for",
        (unsigned)sec, req->peer);
    http_reply(req, 200, NULL, SV_EMPTY);
}
