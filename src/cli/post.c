/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/post.h"

#include <unistd.h>

#include "cli/jaeger_read.h"
#include "cli/text.h"
#include "cli/server_options.h"
#include "core/mem.h"
#include "core/sb.h"
#include "http/client.h"
#include "span/wire.h"

#define TIMEOUT_NS (30 * NS_PER_SEC)
#define REPLY_BYTES_MAX (4 * MIB)
#define BODY_BYTES_MAX (1 * GIB)

struct post {
    struct http_client *client;
    const char *const *headers;
    unsigned tries;
    bool is_quiet;
    uint64_t refused;
    struct sb why;
    struct sb encoded;
    struct http_client_reply reply;
};

int
post_new(struct post **out, const char *url, struct err *err)
{
    struct post *post = xcalloc(1, sizeof(*post));

    sb_init(&post->encoded, BODY_BYTES_MAX);
    sb_init(&post->reply.body, REPLY_BYTES_MAX);
    sb_init(&post->why, 4 * KIB);
    post->tries = POST_TRIES;
    if (server_connect(&post->client, url, TIMEOUT_NS, err) != 0) {
        post_free(post);
        return -1;
    }
    *out = post;
    return 0;
}

void
post_free(struct post *post)
{
    if (post == NULL)
        return;
    http_client_free(post->client);
    sb_release(&post->encoded);
    sb_release(&post->reply.body);
    sb_release(&post->why);
    xfree(post);
}

void
post_set(struct post *post, const char *const *headers, unsigned tries)
{
    post->headers = headers;
    post->tries = tries;
}

void
post_set_quiet(struct post *post)
{
    post->is_quiet = true;
}

uint64_t
post_refused(const struct post *post, struct sv *why)
{
    *why = sb_sv(&post->why);
    return post->refused;
}

static bool
status_is_retryable(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void
wait_before_retry(const struct post *post, bool answered, unsigned tries)
{
    int64_t seconds = answered ? post->reply.retry_after_sec : -1;

    if (seconds >= 0)
        sleep((unsigned)MIN(seconds, (int64_t)30));
    else
        usleep(MIN(50000u << tries, 2000000u));
}

/* google.rpc.Status: code 1, message 2. */
static struct sv
message_protobuf(struct sv body)
{
    struct wire w = wire_make(body);
    struct wire_fail fail;
    struct sv text = body;
    uint64_t tag;

    while (wire_more(&w) && wire_read_tag(&w, &tag, &fail)) {
        if (tag != (2 << 3 | 2)) {
            if (!wire_skip(&w, tag, &fail))
                break;
        } else if (wire_read_bytes(&w, &text, &fail)) {
            return text;
        }
    }
    return text;
}

static int
refused(const struct post *post, struct err *err)
{
    struct pool *pool = pool_new(REPLY_BYTES_MAX);
    struct sv text = sb_sv(&post->reply.body);
    struct sb line;

    text = sv_eq(post->reply.content_type, SV("application/x-protobuf"))
        ? message_protobuf(text) : jaeger_read_error(text, pool);
    sb_init(&line, 4 * KIB);
    sb_addf(&line, "the server answered %d: ", post->reply.status);
    text_add(&line, sv_sub(text, 0, 300));
    err_set(err, ERR_INVALID, "%s", line.ptr);
    sb_release(&line);
    pool_free(pool);
    return -1;
}

/*
 * ExportTracePartialSuccess, field 1 of the answer: rejected_spans 1,
 * error_message 2.
 */
static void
read_partial(struct sv body, uint64_t *refused, struct sv *why)
{
    struct wire w = wire_make(body), partial;
    struct wire_fail fail;
    uint64_t tag;

    if (!wire_more(&w) || !wire_read_tag(&w, &tag, &fail) ||
        tag != WIRE_TAG(1, WIRE_BYTES) ||
        !wire_read_message(&w, &partial, &fail))
        return;
    while (wire_more(&partial) && wire_read_tag(&partial, &tag, &fail)) {
        if (tag == WIRE_TAG(1, WIRE_VARINT)
            ? !wire_read_varint(&partial, refused, &fail)
            : tag == WIRE_TAG(2, WIRE_BYTES)
            ? !wire_read_bytes(&partial, why, &fail)
            : !wire_skip(&partial, tag, &fail))
            return;
    }
}

/* Counts are known of protobuf answers only. */
static void
note_refused(struct post *post, bool json)
{
    struct sv body = sb_sv(&post->reply.body), why = SV_EMPTY;
    uint64_t refused = 0;

    if (!json)
        read_partial(body, &refused, &why);
    post->refused += refused;
    if (why.len > 0) {
        sb_reset(&post->why);
        text_add(&post->why, sv_sub(why, 0, 300));
    }
    if (body.len > 2 && !post->is_quiet)
        fprintf(stderr, "spoorctl: the server refused some spans "
            "(partial success)\n");
}

int
post_send(struct post *post, struct sv body, bool json,
    enum encoding encoding, struct err *err)
{
    struct http_client_req req = {
        .method = "POST",
        .target = "/v1/traces",
        .content_type = json ? "application/json" : "application/x-protobuf",
        .headers = post->headers,
        .body = body,
    };

    if (encoding != ENCODING_IDENTITY) {
        sb_reset(&post->encoded);
        if (compress_append(encoding, body, 1, &post->encoded, err) != 0)
            return -1;
        req.content_encoding = encoding_name(encoding);
        req.body = sb_sv(&post->encoded);
    }
    for (unsigned tries = 0; tries < post->tries; tries++) {
        bool answered;

        sb_reset(&post->reply.body);
        answered = http_client_do(post->client, &req, &post->reply,
            err) == 0;
        if (answered && post->reply.status == 200) {
            note_refused(post, json);
            return 0;
        }
        if (answered && !status_is_retryable(post->reply.status))
            return refused(post, err);
        if (answered)
            err_set(err, ERR_BUSY, "the server answered %d",
                post->reply.status);
        wait_before_retry(post, answered, tries);
    }
    return err_wrap(err, "given up after %u tries", post->tries);
}
