/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/partition.h"

#include "api/front.h"
#include "core/json_out.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "storage/ops.h"
#include "storage/store.h"

#define JSON "application/json"
/* All days there are. */
#define LIST_BYTES_MAX (2 * MIB)

struct waiting {
    struct http_req *req; /* NULL: the client went away */
};

static void IMPL(op_done_fn)
op_done(int status, struct sv text, void *arg)
{
    struct waiting *waiting = arg;

    if (waiting->req != NULL && status >= 400)
        http_reply_error(waiting->req, status, "%.*s", (int)text.len,
            text.ptr);
    else if (waiting->req != NULL)
        http_reply(waiting->req, status, text.len > 0 ? JSON : NULL, text);
    xfree(waiting);
}

static void IMPL(http_abort_fn)
op_aborted(struct http_req *req, void *arg)
{
    struct waiting *waiting = arg;

    waiting->req = NULL;
    http_abandon(req);
}

/* What was begun goes on when the client goes away. */
static void
op_start(struct http_req *req, enum op_kind kind, struct sv arg)
{
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));
    struct op_request request = {kind, arg, op_done, waiting};
    struct err err = ERR_INIT;

    waiting->req = req;
    if (ops_request(req->process->loop, &request, &err) != 0) {
        xfree(waiting);
        http_reply_error(req, err.code == ERR_BUSY ? 503 : 400, "%s",
            err.text);
        return;
    }
    http_on_abort(req, op_aborted, waiting);
}

/* An argument that must be there; else the request is answered. */
static bool
need_arg(struct http_req *req, const char *name, struct sv *value)
{
    *value = http_arg(req, name);
    if (value->ptr != NULL && value->len > 0)
        return true;
    http_reply_error(req, 400, "the argument \"%s\" is missing", name);
    return false;
}

void IMPL(route_fn)
partition_attach(struct http_req *req)
{
    struct sv name;

    if (front_refuses(req))
        return;
    if (need_arg(req, "name", &name))
        op_start(req, OP_ATTACH, name);
}

void IMPL(route_fn)
partition_detach(struct http_req *req)
{
    struct sv name;

    if (front_refuses(req))
        return;
    if (need_arg(req, "name", &name))
        op_start(req, OP_DETACH, name);
}

void IMPL(route_fn)
partition_list(struct http_req *req)
{
    struct json_out json;
    uint32_t *days;
    struct sb sb;
    size_t n;

    if (front_refuses(req))
        return;
    n = store_days(&days);
    sb_init(&sb, LIST_BYTES_MAX);
    json_out_init(&json, &sb);
    json_array(&json);
    for (size_t i = 0; i < n; i++) {
        char name[16];

        snprintf(name, sizeof(name), "%08u", days[i]);
        json_string(&json, sv_from(name));
    }
    json_array_end(&json);
    http_reply_sb(req, 200, JSON, &sb);
    sb_release(&sb);
    xfree(days);
}

void IMPL(route_fn)
partition_snapshot_create(struct http_req *req)
{
    struct sv prefix = http_arg(req, "partition_prefix");

    if (front_refuses(req))
        return;
    if (prefix.ptr == NULL)
        prefix = http_arg(req, "name");
    op_start(req, OP_SNAPSHOT_CREATE, prefix);
}

void IMPL(route_fn)
partition_snapshot_list(struct http_req *req)
{
    if (!front_refuses(req))
        op_start(req, OP_SNAPSHOT_LIST, SV_EMPTY);
}

void IMPL(route_fn)
partition_snapshot_delete(struct http_req *req)
{
    struct sv path;

    if (front_refuses(req))
        return;
    if (need_arg(req, "path", &path))
        op_start(req, OP_SNAPSHOT_DELETE, path);
}

void IMPL(route_fn)
partition_snapshot_delete_stale(struct http_req *req)
{
    int64_t age_ns = req->process->conf->snapshots_max_age;
    struct sv age = http_arg(req, "max_age");
    char text[32];

    if (front_refuses(req))
        return;
    if (age.ptr == NULL && age_ns == 0) {
        http_reply(req, 200, JSON, SV("[]"));
        return;
    }
    if (age.ptr != NULL && !time_parse_duration(age, &age_ns)) {
        http_reply_error(req, 400, "max_age must be a duration as 3d or "
            "12h");
        return;
    }
    snprintf(text, sizeof(text), "%lld", (long long)age_ns);
    op_start(req, OP_SNAPSHOT_DELETE_STALE, sv_from(text));
}
