/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/outbox.h"

#include "cli/post.h"
#include "core/mem.h"
#include "otlp/otlp_encode.h"

/* A request is sent when it has so much of either. */
#define REQUEST_SPANS 5000u
#define REQUEST_BYTES (2 * MIB)
/* One span of 2 MiB with its resource and scope more than that. */
#define BODY_BYTES_MAX (60 * MIB)
/*
 * With waits of up to two seconds, or what the server asks for: minutes.  A
 * server that never answered is given up sooner.
 */
#define TRIES 100u
#define TRIES_FIRST 6u

struct outbox {
    struct post *post;
    char **headers; /* with room for one more */
    size_t nheaders;
    struct sb body;
    uint64_t in_body;
    struct outbox_counts counts;
};

static void
headers_copy(struct outbox *outbox, const char *const *headers)
{
    size_t n = 0;

    while (headers != NULL && headers[n] != NULL)
        n++;
    outbox->headers = xcalloc(n + 2, sizeof(*outbox->headers));
    outbox->nheaders = n;
    for (size_t i = 0; i < n; i++)
        outbox->headers[i] = xstrdup(headers[i]);
}

int
outbox_new(struct outbox **out, const char *url, const char *const *headers,
    struct err *err)
{
    struct outbox *outbox = xcalloc(1, sizeof(*outbox));

    sb_init(&outbox->body, BODY_BYTES_MAX);
    headers_copy(outbox, headers);
    if (post_new(&outbox->post, url, err) != 0) {
        outbox_free(outbox);
        return -1;
    }
    post_set_quiet(outbox->post);
    *out = outbox;
    return 0;
}

void
outbox_free(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    for (size_t i = 0; outbox->headers[i] != NULL; i++)
        xfree(outbox->headers[i]);
    xfree(outbox->headers);
    post_free(outbox->post);
    sb_release(&outbox->body);
    xfree(outbox);
}

int
outbox_flush(struct outbox *outbox, struct err *err)
{
    if (outbox->in_body == 0)
        return 0;
    if (sb_failed(&outbox->body))
        return err_set(err, ERR_LIMIT, "a span and its resource are larger "
            "than %zu MiB", BODY_BYTES_MAX / MIB);
    post_set(outbox->post, (const char *const *)outbox->headers,
        outbox->counts.requests == 0 ? TRIES_FIRST : TRIES);
    if (post_send(outbox->post, sb_sv(&outbox->body), false, ENCODING_ZSTD,
        err) != 0)
        return -1;
    outbox->counts.requests++;
    outbox->counts.bytes += outbox->body.len;
    outbox->counts.spans += outbox->in_body;
    outbox->in_body = 0;
    sb_reset(&outbox->body);
    return 0;
}

int
outbox_set_header(struct outbox *outbox, const char *header, struct err *err)
{
    char **last = &outbox->headers[outbox->nheaders];

    if ((header == NULL && *last == NULL) || (header != NULL &&
        *last != NULL && strcmp(header, *last) == 0))
        return 0;
    if (outbox_flush(outbox, err) != 0)
        return -1;
    xfree(*last);
    *last = header == NULL ? NULL : xstrdup(header);
    return 0;
}

static void
leave_out_rejected(struct outbox *outbox, struct batch *batch)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        if (batch->spans[i].reject == REJECT_NONE) {
            batch->spans[n++] = batch->spans[i];
            continue;
        }
        if (outbox->counts.invalid++ == 0)
            outbox->counts.invalid_why = reject_text(batch->spans[i].reject);
    }
    batch->nspans = n;
}

/* Spans from `from` on that fit the present request, at least one. */
static uint32_t
piece_spans(const struct outbox *outbox, const struct batch *batch,
    uint32_t from)
{
    size_t bytes = outbox->body.len;
    uint32_t n = 0;

    while (from + n < batch->nspans && outbox->in_body + n < REQUEST_SPANS &&
        (n == 0 || bytes < REQUEST_BYTES))
        bytes += otlp_span_size(&batch->spans[from + n++]);
    return n;
}

int
outbox_add(struct outbox *outbox, struct batch *batch, struct err *err)
{
    leave_out_rejected(outbox, batch);
    for (uint32_t from = 0, n; from < batch->nspans; from += n) {
        struct batch piece = *batch;

        n = piece_spans(outbox, batch, from);
        piece.spans += from;
        piece.nspans = n;
        otlp_encode_protobuf(&piece, &outbox->body);
        outbox->in_body += n;
        if ((outbox->in_body >= REQUEST_SPANS ||
            outbox->body.len >= REQUEST_BYTES) &&
            outbox_flush(outbox, err) != 0)
            return -1;
    }
    return 0;
}

void
outbox_count(const struct outbox *outbox, struct outbox_counts *counts)
{
    *counts = outbox->counts;
    counts->refused = post_refused(outbox->post, &counts->refused_why);
}
