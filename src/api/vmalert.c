/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/vmalert.h"

#include "core/json_out.h"

#define ANSWER_BYTES_MAX (4 * KIB)

void
vmalert_refuse(struct http_req *req)
{
    struct json_out json;
    struct sb answer;

    sb_init(&answer, ANSWER_BYTES_MAX);
    json_out_init(&json, &answer);
    json_object(&json);
    json_key(&json, "status");
    json_string(&json, SV("error"));
    json_key(&json, "msg");
    json_string(&json, SV("this server passes no requests on to vmalert; "
        "have the proxy in front of it route /select/vmalert/ there"));
    json_object_end(&json);
    http_reply_sb(req, 400, "application/json", &answer);
}
