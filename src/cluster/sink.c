/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * From the loop to the sender's thread, by way of a thread that makes the
 * shares.
 */

#include "core/base.h"
#include "cluster/sink.h"

#include "cluster/sender.h"
#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sb.h"
#include "event/loop.h"
#include "event/task.h"

/* Said with 503: a node that restarts is back by then. */
#define RETRY_AFTER_SEC 5u
/* Named in an answer, of those that take no spans. */
#define NAMED_MAX 3u
#define WHY_BYTES_MAX 1024u

static struct sender *sender;
/* Inserts that are not answered yet, and their plain bytes. */
static unsigned underway;
static size_t waiting;

void
sink_open(struct sender *to)
{
    sender = to;
}

bool
sender_is_idle(void)
{
    return underway == 0;
}

void
cluster_span_limits(struct span_limits *limits)
{
    check(sender != NULL);
    limits->oldest_ns = INT64_MIN;
    limits->newest_ns = INT64_MAX;
    limits->fields_max = (uint32_t)sender->conf->max_fields;
}

/* --- the way back --- */

/* Nobody took them: who, and why not.  Until the next call. */
static const char *
why_not(const struct delivery *delivery)
{
    static struct sb text;
    const struct nodes *nodes = delivery->nodes;
    unsigned nnamed = 0;
    char why[256];

    if (delivery->status != INGEST_UNAVAILABLE || nodes == NULL)
        return NULL;
    sb_release(&text);
    sb_init(&text, WHY_BYTES_MAX);
    for (unsigned i = 0; i < nodes->n && nnamed < NAMED_MAX; i++) {
        const struct node *node = &nodes->v[i];

        if (node_takes_inserts(node))
            continue;
        (void)node_why_down(node, why, sizeof(why));
        sb_addf(&text, "%s%s (%s)", nnamed++ > 0 ? ", " :
            "no storage node takes spans now, send the request again: ",
            node->name, why);
    }
    if (nodes->n > nnamed)
        sb_addf(&text, " and others");
    return nnamed > 0 && !sb_failed(&text) ? text.ptr : NULL;
}

static void
delivery_answer(struct delivery *delivery)
{
    struct ingest *ingest = delivery->ingest;
    struct batch *batch = ingest->batch;

    ingest->status = delivery->status;
    ingest->is_duplicate = delivery->is_duplicate;
    ingest->why = why_not(delivery);
    if (delivery->status != INGEST_OK) {
        ingest->is_unsure = delivery->is_taken;
        ingest->is_put_off = delivery->is_put_off;
        ingest->retry_after_sec = delivery->retry_after_sec > 0
            ? delivery->retry_after_sec : delivery->status == INGEST_BUSY ? 1
            : RETRY_AFTER_SEC;
    } else if (delivery->is_duplicate) {
        ingest->rejected = delivery->rejected;
        ingest->reject_mask = delivery->reject_mask;
    } else {
        batch->rejected = MIN(batch->rejected + delivery->rejected,
            batch->nspans);
        batch->reject_mask |= delivery->reject_mask;
    }
    check(underway > 0);
    underway--;
    waiting -= delivery->bytes;
    if (delivery->nodes != NULL)
        nodes_release(delivery->nodes);
    shares_free(delivery->shares);
    xfree(delivery);
    ingest->done(ingest);
}

void IMPL(loop_post_fn)
sink_answer(void *arg)
{
    struct delivery *delivery = arg;

    while (delivery != NULL) {
        struct delivery *next = delivery->next;

        delivery_answer(delivery);
        delivery = next;
    }
}

/* --- the way there --- */

static void IMPL(task_fn)
make_shares(void *arg)
{
    struct delivery *delivery = arg;
    const struct nodes *nodes = nodes_hold();
    struct share_conf conf = {.nodes = nodes,
        .is_plain = delivery->sender->conf->insert_no_compression};
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < nodes->n; i++) {
        if (node_takes_inserts(&nodes->v[i]))
            conf.takers[i / 64] |= UINT64_C(1) << i % 64;
    }
    delivery->nodes = nodes;
    if (shares_make(&conf, delivery->ingest, &delivery->shares, &err) != 0) {
        log_warn("an insert cannot be split for the storage nodes: %s",
            err.text);
        delivery->status = err.code == ERR_LIMIT ? INGEST_TOO_LARGE
            : INGEST_UNAVAILABLE;
    }
    sender_submit(delivery);
}

void
cluster_ingest(struct ingest *ingest)
{
    size_t bytes = ingest->plain.len;
    struct delivery *delivery;

    check(sender != NULL);
    if (underway > 0 && waiting + bytes >
        conf_budget(sender->conf)->decode) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        ingest->status = INGEST_BUSY;
        ingest->retry_after_sec = 1;
        ingest->done(ingest);
        return;
    }
    delivery = xcalloc(1, sizeof(*delivery));
    delivery->ingest = ingest;
    delivery->sender = sender;
    delivery->bytes = bytes;
    underway++;
    waiting += bytes;
    if (task_post(sender->process->tasks, make_shares, NULL, delivery,
            NULL) != 0) {
        metric_add(METRIC_INGEST_REFUSED_BUSY, 1);
        delivery->status = INGEST_BUSY;
        delivery_answer(delivery);
    }
}
