/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Requests of HTTP/1.x connections and the input buffers they live in.  Both
 * are kept for the next request of the process, so a busy connection
 * allocates nothing and an idle one holds nothing.
 */

#include "core/base.h"
#include "http/h1.h"

#include "core/assert.h"
#include "core/mem.h"
#include "event/listen.h"
#include "http/auth.h"
#include "http/count.h"

static SLIST_HEAD(, h1_request) kept_requests;
static unsigned nkept_requests;
static char *kept_bufs[H1_KEPT_BUFS];
static unsigned nkept_bufs;

static struct h1_request *
request_get(void)
{
    struct h1_request *request = SLIST_FIRST(&kept_requests);

    if (request == NULL)
        return xcalloc(1, sizeof(*request));
    SLIST_REMOVE_HEAD(&kept_requests, kept);
    nkept_requests--;
    return request;
}

static void
request_put(struct h1_request *request)
{
    struct pool *pool = request->stream.req.pool;

    if (nkept_requests == H1_KEPT_REQUESTS) {
        pool_free(pool);
        xfree(request);
        return;
    }
    if (pool != NULL)
        pool_reset(pool);
    SLIST_INSERT_HEAD(&kept_requests, request, kept);
    nkept_requests++;
}

static void
buf_put(char *buf, size_t cap)
{
    if (cap == H1_IN_BYTES && nkept_bufs < H1_KEPT_BUFS)
        kept_bufs[nkept_bufs++] = buf;
    else
        xfree(buf);
}

void
h1_in_grow(struct h1_conn *h1)
{
    if (h1->in == NULL) {
        h1->in = nkept_bufs > 0 ? kept_bufs[--nkept_bufs]
                                : xmalloc(H1_IN_BYTES);
        h1->in_cap = H1_IN_BYTES;
        return;
    }
    check(h1->in_cap <= HTTP_HEAD_BYTES_MAX);
    h1->in_cap *= 2;
    h1->in = xrealloc(h1->in, h1->in_cap);
}

void
h1_in_release(struct h1_conn *h1)
{
    if (h1->in != NULL)
        buf_put(h1->in, h1->in_cap);
    h1->in = NULL;
    h1->in_cap = h1->in_len = h1->in_pos = 0;
}

void
h1_clear(void)
{
    while (!SLIST_EMPTY(&kept_requests)) {
        struct h1_request *request = request_get();

        pool_free(request->stream.req.pool);
        xfree(request);
    }
    while (nkept_bufs > 0)
        xfree(kept_bufs[--nkept_bufs]);
    body_cache_clear();
}

static void
IMPL(body_wake_fn) h1_on_memory(void *arg)
{
    struct h1_conn *h1 = arg;

    loop_later_add(h1->server->process->loop, &h1->later);
}

void
h1_request_begin(struct h1_conn *h1)
{
    struct h1_request *request = request_get();
    struct http_req *req = &request->stream.req;
    struct pool *pool = req->pool;

    stream_init(&request->stream, &h1_stream_ops);
    request->h1 = h1;
    request->is_complete = request->has_continued = false;
    request->reply_chunked = request->reply_closes = false;
    request->reply_ended = request->reply_broken = false;
    request->wait_until_ns = 0;
    body_init(&request->body, h1_on_memory, h1);
    h1_head_init(&request->head, false);
    req->pool = pool;
    req->process = h1->server->process;
    req->start_ns = loop_now_ns(req->process->loop);
    snprintf(request->peer, sizeof(request->peer), "%s",
        conn_peer(h1->conn));
    req->peer = request->peer;
    req->listener = conn_listener(h1->conn);
    h1->request = request;
    h1->server->nrequests++;
    listen_conn_busy(1);
}

void
h1_request_end(struct h1_conn *h1)
{
    struct h1_request *request = h1->request;
    size_t left = h1->in_len - h1->in_pos;

    count_received(&request->stream.req,
        request->head.bytes + request->stream.req.body.len);
    auth_cancel(&request->stream);
    body_release(&request->body);
    request_put(request);
    h1->request = NULL;
    h1->server->nrequests--;
    h1->had_request = true;
    h1->head_timed = false;
    listen_conn_busy(-1);
    if (left == 0) {
        h1_in_release(h1);
        return;
    }
    memmove(h1->in, h1->in + h1->in_pos, left);
    h1->in_len = left;
    h1->in_pos = 0;
}

bool
h1_request_fill(struct h1_conn *h1)
{
    struct h1_head *head = &h1->request->head;
    struct http_req *req = &h1->request->stream.req;
    struct http_header *headers;

    if (req->pool == NULL)
        req->pool = pool_new(STREAM_POOL_BYTES_MAX);
    stream_set_tls_name(req, h1->conn);
    headers = pool_alloc(req->pool, (head->nfields + 1) * sizeof(*headers));
    if (headers == NULL)
        return false;
    for (uint32_t i = 0; i < head->nfields; i++) {
        headers[i].name = h1_span_sv(head->fields[i].name, h1->in);
        headers[i].value = h1_span_sv(head->fields[i].value, h1->in);
    }
    req->headers = headers;
    req->nheaders = head->nfields;
    req->version = head->minor == 0 ? HTTP_1_0 : HTTP_1_1;
    req->method_name = h1_span_sv(head->method, h1->in);
    req->method = stream_method(req->method_name);
    req->raw_path = h1_span_sv(head->path, h1->in);
    if (req->raw_path.len == 0) /* "GET http://host HTTP/1.1" */
        req->raw_path = SV("/");
    req->path = req->raw_path;
    req->query = h1_span_sv(head->query, h1->in);
    req->body = SV_EMPTY;
    return true;
}
