/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Replies: whole and streamed bodies, errors.
 * The protocol below turns struct reply_head into bytes.
 */

#include "core/base.h"
#include "http/stream.h"

#include "core/assert.h"
#include "core/compress.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "event/conn.h"
#include "event/loop.h"
#include "event/task.h"
#include "http/grpc.h"
#include "http/h1_parse.h"

/* Smaller bodies gain nothing from compression. */
#define GZIP_BYTES_MIN (1 * KIB)
/* Larger ones are compressed on a thread: this takes half a millisecond. */
#define GZIP_INLINE_BYTES_MAX (64 * KIB)
/* The lowest: the link is seldom slower than the compressor. */
#define GZIP_LEVEL 1
/* Text of an error. */
#define ERROR_BYTES_MAX (2 * KIB)
/* Body of an error in the form of a layer above. */
#define ERROR_BODY_BYTES_MAX (8 * KIB)

static const char text_type[] = "text/plain; charset=utf-8";

static http_error_body_fn error_body_fns[8];

void
http_set_error_body(enum route_flag flag, http_error_body_fn fn)
{
    unsigned bit = (unsigned)__builtin_ctz((unsigned)flag);

    check(bit < ARRAY_LEN(error_body_fns));
    error_body_fns[bit] = fn;
}

const char *
reply_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

void
reply_add_safe(struct sb *out, struct sv text, size_t bytes_max)
{
    for (size_t i = 0; i < MIN(text.len, bytes_max); i++) {
        bool is_safe = text.ptr[i] >= ' ' && text.ptr[i] <= '~';

        sb_add_char(out, is_safe ? text.ptr[i] : '?');
    }
    if (text.len > bytes_max)
        sb_add_str(out, "...");
}

void
http_reply_header(struct http_req *req, const char *name, const char *value)
{
    struct stream *stream = stream_of(req);
    size_t name_len = strlen(name), value_len = strlen(value);
    char *copy;

    check(stream->state == STREAM_OPEN);
    check(h1_is_token(sv_make(name, name_len)));
    check(stream->nextra < REPLY_EXTRA_MAX);
    copy = pool_alloc(req->pool, name_len + value_len);
    if (copy == NULL ||
        stream->extra_bytes + name_len + value_len > REPLY_EXTRA_BYTES_MAX)
        return;
    memcpy(copy, name, name_len);
    memcpy(copy + name_len, value, value_len);
    /* What a value repeats of a request must not end the field. */
    for (size_t i = name_len; i < name_len + value_len; i++) {
        if (!h1_is_field_value(sv_make(copy + i, 1)))
            copy[i] = '?';
    }
    stream->extra_bytes += name_len + value_len;
    stream->extra[stream->nextra++] = (struct http_header){
        sv_make(copy, name_len), sv_make(copy + name_len, value_len)};
}

uint32_t
http_reply_retry_after(const struct http_req *req)
{
    const struct stream *stream = stream_of(req);
    uint64_t n = 0;

    for (unsigned i = 0; i < stream->nextra; i++) {
        if (sv_eq_nocase(stream->extra[i].name, SV("Retry-After")) &&
            !num_parse_u64(stream->extra[i].value, &n))
            n = 0;
    }
    return (uint32_t)MIN(n, UINT32_MAX);
}

/* Sends the head; from now on only the body may follow. */
static void
send_head(struct stream *stream, int status, const char *content_type,
    int64_t length)
{
    struct reply_head head = {.status = status, .length = length};

    check(status >= 200 && status <= 599);
    stream->status = status;
    stream->has_body = stream->req.method != HTTP_HEAD && status != 204 &&
        status != 304;
    if (stream->is_aborted)
        return;
    head.has_body = stream->has_body;
    reply_fields(stream, &head, content_type);
    stream->ops->head(stream, &head);
}

static void
send_data(struct stream *stream, const void *ptr, size_t len)
{
    stream->sent_bytes += len;
    if (!stream->is_aborted && stream->has_body && len > 0)
        stream->ops->data(stream, ptr, len);
}

static void
stream_end(struct stream *stream, bool is_broken)
{
    stream->state = STREAM_ENDED;
    stream->on_abort = NULL;
    stream->on_drain = NULL;
    access_ended(stream, is_broken);
    stream->ops->end(stream, is_broken);
}

/* Takes the buffer. */
static void
send_whole(struct stream *stream, int status, const char *content_type,
    struct sb *body)
{
    size_t len;
    char *ptr;

    send_head(stream, status, content_type, (int64_t)body->len);
    if (stream->has_body && body->len > CONN_LOW_WATER &&
        !stream->is_aborted) {
        ptr = sb_detach(body, &len);
        stream->sent_bytes += len;
        stream->ops->data_take(stream, ptr, len);
    } else {
        send_data(stream, body->ptr, body->len);
    }
    sb_release(body);
    stream_end(stream, false);
}

/* False: compression failed or gained nothing.  Any thread. */
static bool
gzip_pack(const struct sb *plain, struct sb *packed)
{
    /* The compressor asks for room for the worst case. */
    sb_init(packed, plain->len + plain->len / 8 + 1 * KIB);
    return compress_append(ENCODING_GZIP, sb_sv(plain), GZIP_LEVEL, packed,
        NULL) == 0 && packed->len < plain->len;
}

/* A body that is compressed on a thread. */
struct gzip_job {
    struct stream *stream;
    int status;
    char *content_type;
    struct sb plain;
    size_t waiting; /* its part of waiting_total */
    struct sb packed;
    bool is_packed;
};

/* Memory of all bodies that wait to be compressed on a thread. */
static size_t waiting_total;

size_t
replies_waiting_total(void)
{
    return waiting_total;
}

static void
IMPL(task_fn) gzip_run(void *arg)
{
    struct gzip_job *job = arg;

    job->is_packed = gzip_pack(&job->plain, &job->packed);
}

/* The stream was kept: only http/ itself can have aborted it meanwhile. */
static void
IMPL(task_fn) gzip_done(void *arg)
{
    struct gzip_job *job = arg;
    struct stream *stream = job->stream;

    waiting_total -= job->waiting;
    stream->state = STREAM_OPEN;
    if (job->is_packed)
        http_reply_header(&stream->req, "Content-Encoding", "gzip");
    stream->state = STREAM_WHOLE;
    send_whole(stream, job->status, job->content_type,
        job->is_packed ? &job->packed : &job->plain);
    sb_release(&job->plain);
    sb_release(&job->packed);
    xfree(job->content_type);
    xfree(job);
}

/* Searches may hold all threads for queries until their clients have read. */
static bool
gzip_later(struct stream *stream, int status, const char *content_type,
    struct sb *body)
{
    struct task_pool *tasks = stream->req.process->tasks;
    struct gzip_job *job;

    if (tasks == NULL)
        return false;
    job = xcalloc(1, sizeof(*job));
    job->stream = stream;
    job->status = status;
    job->content_type = xstrdup(content_type);
    job->plain = *body;
    if (task_post(tasks, gzip_run, gzip_done, job, NULL) == 0) {
        job->waiting = body->cap;
        waiting_total += job->waiting;
        sb_init(body, body->max);
        return true;
    }
    xfree(job->content_type);
    xfree(job);
    return false;
}

/* Replaces body by a shorter form of it, or leaves it. */
static void
gzip_now(struct http_req *req, struct sb *body)
{
    struct sb packed;

    if (gzip_pack(body, &packed)) {
        sb_release(body);
        *body = packed;
        http_reply_header(req, "Content-Encoding", "gzip");
        return;
    }
    sb_release(&packed);
}

void
http_reply_sb(struct http_req *req, int status, const char *content_type,
    struct sb *sb)
{
    struct stream *stream = stream_of(req);
    struct sb body = *sb;

    check(stream->state == STREAM_OPEN);
    sb_init(sb, body.max);
    if (sb_failed(&body)) {
        sb_release(&body);
        http_reply_error(req, 500, "the reply is too large");
        return;
    }
    if (body.len >= GZIP_BYTES_MIN && content_type != NULL &&
        !stream->is_grpc && !req->process->conf->disable_compression &&
        !stream->is_aborted && !reply_has_extra(stream, SV("Content-Encoding"))) {
        http_reply_header(req, "Vary", "Accept-Encoding");
        if (accepts_gzip(req)) {
            stream->on_abort = NULL;
            if (body.len <= GZIP_INLINE_BYTES_MAX) {
                gzip_now(req, &body);
            } else if (gzip_later(stream, status, content_type, &body)) {
                stream->state = STREAM_WHOLE;
                return;
            }
        }
    }
    stream->state = STREAM_WHOLE;
    send_whole(stream, status, content_type, &body);
}

void
http_reply(struct http_req *req, int status, const char *content_type,
    struct sv body)
{
    struct sb copy;

    sb_init(&copy, body.len);
    sb_add_sv(&copy, body);
    http_reply_sb(req, status, content_type, &copy);
}

static const char *
error_body(struct http_req *req, int status, const char *text, struct sb *out)
{
    const char *content_type = NULL;

    for (size_t i = 0; i < ARRAY_LEN(error_body_fns); i++) {
        if (req->route != NULL && error_body_fns[i] != NULL &&
            (req->route->flags & 1u << i) != 0 && content_type == NULL)
            content_type = error_body_fns[i](req, status, text, out);
    }
    if (content_type == NULL) {
        sb_reset(out);
        sb_add_str(out, text);
        sb_add_char(out, '\n');
        content_type = text_type;
    }
    return content_type;
}

static void
reply_error(struct http_req *req, int status, bool is_logged, const char *fmt,
    va_list args)
{
    struct sb text, body;
    const char *content_type;

    sb_init(&text, ERROR_BYTES_MAX);
    sb_vaddf(&text, fmt, args);
    sb_init(&body, ERROR_BODY_BYTES_MAX);
    content_type = error_body(req, status, text.ptr, &body);
    if (is_logged)
        log_warn("%s: %d to %.*s %.*s: %s", req->peer, status,
            SV_ARG(sv_sub(req->method_name, 0, 32)),
            SV_ARG(sv_sub(req->raw_path, 0, 256)), text.ptr);
    if (grpc_is_call(req)) {
        grpc_reply_error(stream_of(req), grpc_code_of(status), sb_sv(&text),
            content_type == text_type ? SV_EMPTY : sb_sv(&body));
        sb_release(&body);
    } else {
        http_reply_sb(req, status, content_type, &body);
    }
    sb_release(&text);
}

void
http_reply_error(struct http_req *req, int status, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    reply_error(req, status, true, fmt, args);
    va_end(args);
}

void
stream_refuse(struct stream *stream, int status, const char *fmt, ...)
{
    va_list args;

    stream->is_refused = true;
    va_start(args, fmt);
    reply_error(&stream->req, status, true, fmt, args);
    va_end(args);
}

void
stream_refuse_quietly(struct stream *stream, int status, const char *fmt, ...)
{
    va_list args;

    stream->is_refused = true;
    va_start(args, fmt);
    reply_error(&stream->req, status, false, fmt, args);
    va_end(args);
}

/* Streamed replies. */

void
http_reply_begin(struct http_req *req, int status, const char *content_type)
{
    struct stream *stream = stream_of(req);

    check(stream->state == STREAM_OPEN);
    stream->state = STREAM_WRITING;
    send_head(stream, status, content_type, -1);
}

bool
http_reply_write(struct http_req *req, const void *ptr, size_t len)
{
    struct stream *stream = stream_of(req);
    size_t high = replies_queued_total() > REPLIES_BYTES_SOFT ? CONN_LOW_WATER
                                                           : CONN_HIGH_WATER;

    check(stream->state == STREAM_WRITING);
    send_data(stream, ptr, len);
    if (stream->is_aborted)
        return true;
    stream->is_above = stream->ops->queued(stream) > high;
    return !stream->is_above;
}

void
http_reply_end(struct http_req *req)
{
    struct stream *stream = stream_of(req);

    check(stream->state == STREAM_WRITING);
    stream_end(stream, false);
}

void
http_reply_break(struct http_req *req)
{
    struct stream *stream = stream_of(req);

    check(stream->state == STREAM_WRITING || stream->state == STREAM_OPEN);
    stream_end(stream, true);
}

void
http_on_drain(struct http_req *req, http_drain_fn fn, void *arg)
{
    struct stream *stream = stream_of(req);

    stream->on_drain = fn;
    stream->drain_arg = arg;
}
