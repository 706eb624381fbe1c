/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a client may ask of a connection besides requests.  Frames that carry
 * nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, hollow DATA, unknown
 * ones) cost a token each; tokens come back with time, and with content that
 * was moved, since that is what honest clients send such frames for.  Resets
 * have a bucket of their own (CVE-2023-44487), in which also ours count that
 * a client provokes (CVE-2025-8671).  Who has no token left is told
 * ENHANCE_YOUR_CALM.
 */

#include "core/base.h"
#include "http/h2.h"

#include "core/log.h"
#include "core/metrics.h"

#define TOKEN 1000
#define FRAME_HEAD_BYTES 9

static bool
bucket_take(struct h2_bucket *bucket, int64_t burst, int64_t rate,
    int64_t now_ns)
{
    int64_t passed_ms = (now_ns - bucket->at_ns) / NS_PER_MS;

    if (bucket->at_ns == 0) {
        bucket->at_ns = now_ns;
        bucket->tokens = burst * TOKEN;
    } else if (passed_ms > 0) {
        bucket->at_ns += passed_ms * NS_PER_MS;
        passed_ms = MIN(passed_ms, burst * TOKEN);
        bucket->tokens = MIN(bucket->tokens + passed_ms * rate * TOKEN / 1000,
            burst * TOKEN);
    }
    if (bucket->tokens < TOKEN)
        return false;
    bucket->tokens -= TOKEN;
    return true;
}

static bool
refuse(struct h2_conn *h2, enum metric_id id, const char *what)
{
    metric_add(id, 1);
    log_warn("%s: HTTP/2 flood: %s", conn_peer(h2->conn), what);
    h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, what);
    return false;
}

bool
h2_take_reset(struct h2_conn *h2)
{
    return bucket_take(&h2->resets, H2_RESETS_BURST, H2_RESETS_RATE,
        h2_now(h2)) ||
        refuse(h2, METRIC_HTTP_REFUSED_RESET_FLOOD, "resets");
}

void
h2_earn(struct h2_conn *h2, size_t n)
{
    if (h2->unknown_bytes > 0)
        h2->unknown_bytes -= MIN(h2->unknown_bytes, (int64_t)(n / 16));
    /* A token for each KiB; a fresh bucket is full. */
    if (h2->control.at_ns != 0)
        h2->control.tokens = MIN(h2->control.tokens +
            (int64_t)(MIN(n, 1 * GIB) * TOKEN / KIB),
            H2_CONTROL_BURST * TOKEN);
}

void
h2_expect_rest(struct h2_conn *h2)
{
    int64_t rest = (int64_t)H2_CONN_WINDOW; /* of all streams */

    h2->unknown_bytes -= (int64_t)H2_STREAM_WINDOW;
    h2->unknown_bytes = MAX(h2->unknown_bytes, -rest);
}

/* A header block: HEADERS and the CONTINUATION frames behind it. */
static bool
count_block(struct h2_conn *h2, const nghttp2_frame_hd *head)
{
    if (head->type == NGHTTP2_HEADERS) {
        h2->block_bytes = 0;
        h2->block_frames = h2->block_empty = 0;
        if ((head->flags & NGHTTP2_FLAG_END_HEADERS) == 0 ||
            head->length > 0) {
            h2->block_ns = h2_now(h2);
            h2_schedule(h2, h2->block_ns +
                h2_process(h2)->conf->header_timeout);
        }
    }
    h2->block_bytes += head->length;
    h2->block_frames++;
    h2->block_empty += head->length == 0;
    if (h2->block_bytes <= H2_BLOCK_BYTES_MAX &&
        h2->block_frames <= H2_BLOCK_FRAMES_MAX + 1 &&
        h2->block_empty <= H2_BLOCK_EMPTY_MAX)
        return true;
    return refuse(h2, METRIC_HTTP_REFUSED_HEAD_TOO_LARGE, "header block");
}

/*
 * DATA that may carry less than its own head.  How much of it is padding is
 * not known yet; honest content earns more than a frame costs.
 */
static bool
is_hollow(const nghttp2_frame_hd *head)
{
    if ((head->flags & NGHTTP2_FLAG_END_STREAM) != 0)
        return false;
    return head->length < FRAME_HEAD_BYTES ||
        (head->flags & NGHTTP2_FLAG_PADDED) != 0;
}

bool
h2_count_input(struct h2_conn *h2, size_t n)
{
    /* The bytes of a frame are not unknown any more when its head is read. */
    h2->unknown_bytes += (int64_t)n;
    return h2->unknown_bytes <= (int64_t)H2_UNKNOWN_BYTES_MAX ||
        refuse(h2, METRIC_HTTP_REFUSED_CONTROL_FLOOD, "unknown frames");
}

bool
h2_count_frame(struct h2_conn *h2, const nghttp2_frame_hd *head)
{
    if (nghttp2_session_get_outbound_queue_size(h2->session) >
        H2_OUTBOUND_MAX)
        return refuse(h2, METRIC_HTTP_REFUSED_CONTROL_FLOOD,
            "answers are not read");
    h2->unknown_bytes -= (int64_t)(head->length + FRAME_HEAD_BYTES);
    switch (head->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return count_block(h2, head);
    case NGHTTP2_RST_STREAM:
        return h2_take_reset(h2);
    case NGHTTP2_DATA:
        if (!is_hollow(head))
            return true;
        break;
    default:
        break;
    }
    return bucket_take(&h2->control, H2_CONTROL_BURST, H2_CONTROL_RATE,
        h2_now(h2)) ||
        refuse(h2, METRIC_HTTP_REFUSED_CONTROL_FLOOD, "control frames");
}
