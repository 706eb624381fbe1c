/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Each node that is asked is a leg.  All legs run on the caller's thread; a
 * step of one reads at most some MiB and gives its frames away before any
 * other is looked at, so that nodes wait for who takes their rows.
 *
 * No frame is given before each node was heard of, or is known to be missing:
 * what an answer lacks is to be said before it begins.  Meanwhile the first
 * piece of each is held, and no more of it is read.
 */

#include "core/base.h"
#include "cluster/fanout.h"

#include <errno.h>
#include <poll.h>

#include "core/mem.h"
#include "core/metrics.h"
#include "core/sb.h"
#include "core/timefmt.h"
#include "http/call.h"

/* How soon it is noticed that nobody wants the answer any more. */
#define LOOK_NS (50 * NS_PER_MS)
/* What a node may take that is known to be down, and most likely is. */
#define DOWN_TRY_NS NS_PER_SEC
/* Kept connections that a node has closed meanwhile, by a restart perhaps. */
#define TRIES_MAX 3u
/* Memory that a leg keeps between its frames. */
#define KEPT_BYTES_MAX (256 * KIB)

enum leg_state {
    LEG_RUNS,
    LEG_ENDED,    /* all of its answer is there */
    LEG_ENOUGH,   /* no more is wanted, of any node */
    LEG_MISSING,  /* cannot be reached: leg->err */
    LEG_FAILED,   /* leg->err */
};

struct asking;

struct leg {
    struct asking *asking;
    const struct node *node;
    unsigned index;
    struct http_call *call;
    struct frame_reader reader;
    size_t charged;       /* of the share, for the reader */
    enum leg_state state;
    unsigned tries;
    bool is_down;         /* as far as was known */
    bool has_failed;      /* leg->err is what a frame, or its taker, said */
    bool was_told;        /* the node said so */
    bool is_own;          /* it has nothing to do with the node */
    bool has_heard;       /* some of an answer */
    struct sb held;       /* that part of it, until all were heard of */
    int over;             /* what the call ended with meanwhile; 0: not yet */
    unsigned flags;       /* of its END */
    int64_t start_ns;
    struct node_traffic traffic;
    struct err err;
};

struct asking {
    const struct fanout *fanout;
    const struct nodes *nodes;
    struct leg *legs;
    struct pollfd *polls;
    int64_t *wakes_ns;
    unsigned n;           /* legs */
    unsigned nmissing;
    bool may_skip;        /* nodes that are down need not be tried */
    bool is_open;         /* frames are given away as they come */
    struct sb body;
    char target[128];
};

/* --- frames --- */

/* What has been read of a frame that is not whole yet. */
static int
charge(struct leg *leg, struct err *err)
{
    struct frame_reader *reader = &leg->reader;
    struct mem_share *share = leg->asking->fanout->share;
    size_t held;

    if (reader->plain.cap > KEPT_BYTES_MAX)
        sb_release(&reader->plain);
    if (reader->in.len == 0 && reader->in.cap > KEPT_BYTES_MAX)
        sb_release(&reader->in);
    held = reader->in.cap + reader->plain.cap + leg->held.cap;
    if (held > leg->charged && !mem_share_take(share, held - leg->charged))
        return err_set(err, ERR_LIMIT,
            "answers of storage nodes need too much memory");
    if (held < leg->charged)
        mem_share_give(share, leg->charged - held);
    leg->charged = held;
    return 0;
}

/* Once, whatever else it is asked for. */
static void
name_missing(const struct leg *leg, const char *why)
{
    char *text = leg->asking->fanout->answer->missing;
    size_t len = strlen(text);
    char name[NODE_NAME_MAX + 4];

    snprintf(name, sizeof(name), "%s (", leg->node->name);
    leg->asking->fanout->answer->is_partial = true;
    if (strstr(text, name) == NULL)
        snprintf(text + len, STORE_MISSING_MAX - len, "%s%s%s)",
            len > 0 ? ", " : "", name, why);
}

static int
leg_end(struct leg *leg, struct sv payload, struct err *err)
{
    struct store_answer *answer = leg->asking->fanout->answer;

    if (frame_end_flags(payload, &leg->flags, err) != 0)
        return -1;
    if ((leg->flags & FRAME_IS_PARTIAL) != 0)
        answer->is_partial = true;
    if ((leg->flags & FRAME_IS_TRUNCATED) != 0)
        answer->is_truncated = true;
    if ((leg->flags & FRAME_LACKS_NODES) != 0)
        name_missing(leg, "it lacks nodes of its own");
    return 0;
}

static int IMPL(frame_fn)
leg_frame(void *arg, enum frame_type type, struct sv payload,
    struct err *err)
{
    struct leg *leg = arg;
    const struct fanout *fanout = leg->asking->fanout;
    int got;

    if (type == FRAME_END)
        return leg_end(leg, payload, err);
    leg->was_told = type == FRAME_ERROR;
    if (leg->was_told)
        got = frame_error(payload, err);
    else
        got = fanout->fn(fanout->arg, leg->index, type, payload, err);
    if (got < 0)
        leg->has_failed = true;
    else if (got > 0)
        leg->state = LEG_ENOUGH;
    return got;
}

static int
leg_feed(struct leg *leg, struct sv data, struct err *err)
{
    int got = frame_reader_feed(&leg->reader, data, leg_frame, leg, err);

    if (got == 0 && charge(leg, err) != 0) {
        leg->has_failed = leg->is_own = true;
        return -1;
    }
    if (got >= 0 || leg->was_told)
        return got;
    /* Not a frame at all, or not what was asked for. */
    leg->is_own = leg->has_failed && err->code != ERR_CORRUPT;
    leg->has_failed = true;
    if (!leg->is_own)
        err->code = ERR_UNREACHABLE;
    return got;
}

static int IMPL(http_call_data_fn)
leg_data(void *arg, struct sv data, struct err *err)
{
    struct leg *leg = arg;

    leg->has_heard = true;
    if (leg->asking->is_open)
        return leg_feed(leg, data, err);
    sb_add_sv(&leg->held, data);
    leg->has_failed = leg->is_own = charge(leg, err) != 0;
    return leg->has_failed ? -1 : 0;
}

/* --- calls --- */

static int64_t
at_most(const struct leg *leg, int64_t ns)
{
    return leg->is_down ? MIN(ns, DOWN_TRY_NS) : ns;
}

static void
leg_call(struct leg *leg)
{
    const struct fanout *fanout = leg->asking->fanout;
    const struct conf *conf = fanout->conf;
    struct http_call_conf call = {.method = "POST",
        .target = leg->asking->target,
        .content_type = "application/x-protobuf",
        .headers = nodes_headers(),
        .body = sb_sv(&leg->asking->body),
        .on_data = leg_data, .arg = leg,
        .connect_ns = at_most(leg, conf->cluster_connect_timeout),
        .send_ns = conf->cluster_idle_timeout,
        .answer_ns = at_most(leg, conf->cluster_idle_timeout),
        .idle_ns = conf->cluster_idle_timeout};

    leg->tries++;
    leg->call = http_call_new(leg->node->peer, &call);
}

static void
leg_begin(struct leg *leg)
{
    char why[sizeof(leg->err.text) / 2];

    leg->start_ns = clock_mono_ns();
    frame_reader_init(&leg->reader);
    sb_init(&leg->held, FRAME_BYTES_MAX);
    if (leg->node->problem != NULL ||
        (leg->is_down && leg->asking->may_skip)) {
        leg->state = LEG_MISSING;
        (void)err_set(&leg->err, ERR_UNREACHABLE, "%s",
            node_why_down(leg->node, why, sizeof(why)));
        return;
    }
    leg_call(leg);
}

/* "a:10428: no connection in 3s" without the name, which is said anyway. */
static const char *
without_name(const struct leg *leg, const char *text)
{
    size_t len = strlen(leg->node->name);

    return strncmp(text, leg->node->name, len) == 0 &&
        strncmp(text + len, ": ", 2) == 0 ? text + len + 2 : text;
}

static void
leg_report(struct leg *leg, enum node_outcome outcome)
{
    node_report(leg->node, false, outcome, -1,
        outcome == NODE_OK ? NULL : leg->err.text);
}

/* It did not answer with frames. */
static void
leg_status(struct leg *leg, const struct http_call_result *result)
{
    int status = result->status;
    char text[CALL_LINE_MAX + 1];

    http_call_line(result, text);
    leg->state = LEG_FAILED;
    switch (status) {
    case 401:
    case 403:
        (void)err_set(&leg->err, ERR_UNREACHABLE, "it does not let this "
            "server in (%d: %s): see username, password, token and "
            "certificate of storage_nodes, and the node's users and groups",
            status, text);
        break;
    case 404:
    case 405:
        (void)err_set(&leg->err, ERR_UNREACHABLE, "it does not know %s (%d): "
            "is it spoor, of this version, with internalselect not disabled?",
            plan_path(leg->asking->fanout->plan->kind), status);
        break;
    case 429:
    case 503:
        (void)err_set(&leg->err, ERR_BUSY, "it is busy (%d: %s)", status,
            text);
        break;
    case 502:
    case 504:
        leg->state = LEG_MISSING;
        (void)err_set(&leg->err, ERR_UNREACHABLE, "a proxy in front of it "
            "answers %d", status);
        break;
    default:
        (void)err_set(&leg->err, ERR_UNREACHABLE, "it answers %d: %s",
            status, text);
    }
    leg_report(leg, leg->state == LEG_MISSING ? NODE_UNREACHABLE
        : status == 429 || status == 503 ? NODE_BUSY : NODE_REFUSED);
}

static void
leg_broken(struct leg *leg)
{
    leg->state = LEG_MISSING;
    leg_report(leg, leg->err.code == ERR_TIMEOUT ? NODE_SLOW
        : NODE_UNREACHABLE);
    leg->err.code = ERR_UNREACHABLE;
}

/* The call has failed with leg->err. */
static void
leg_failed(struct leg *leg, const struct http_call_result *result)
{
    const char *text = without_name(leg, leg->err.text);

    memmove(leg->err.text, text, strlen(text) + 1);
    if (leg->has_failed && leg->was_told &&
        leg->err.code == ERR_CANCELLED) {
        /* It stops, and does not know that somebody waits for the rest. */
        leg_broken(leg);
    } else if (leg->has_failed) {
        leg->state = LEG_FAILED;
        leg_report(leg, leg->was_told || leg->is_own ? NODE_OK
            : NODE_REFUSED);
    } else if (leg->err.code == ERR_SYSTEM && result->received == 0 &&
        result->fate == CALL_MAYBE_DONE && leg->tries < TRIES_MAX) {
        /* Asking twice does no harm. */
        http_call_free(leg->call);
        err_reset(&leg->err);
        leg_call(leg);
    } else if (leg->err.code == ERR_SYSTEM || leg->err.code == ERR_TIMEOUT) {
        leg_broken(leg);
    } else {
        /* It is there, but no server as it should be. */
        leg->state = LEG_FAILED;
        leg->err.code = ERR_UNREACHABLE;
        leg_report(leg, NODE_REFUSED);
    }
}

/* got: 1: there is a whole reply; -1: leg->err. */
static void
leg_over(struct leg *leg, int got)
{
    struct http_call_result result;

    http_call_result(leg->call, &result);
    leg->traffic.bytes_sent += result.sent;
    leg->traffic.bytes_received += result.received;
    if (leg->state == LEG_ENOUGH) {
        leg_report(leg, NODE_OK);
    } else if (got < 0) {
        leg_failed(leg, &result);
    } else if (result.status != 200) {
        leg_status(leg, &result);
    } else if (leg->reader.is_ended) {
        leg->state = LEG_ENDED;
        leg_report(leg, NODE_OK);
    } else {
        (void)err_set(&leg->err, ERR_SYSTEM, "its answer ends early");
        leg_broken(leg);
    }
}

/* As far as it can go now. */
static void
leg_step(struct leg *leg)
{
    int got = http_call_step(leg->call, &leg->err);

    if (got != 0 && leg->held.len > 0 && !leg->has_failed)
        leg->over = got;
    else if (got != 0)
        leg_over(leg, got);
}

/* All were heard of: what was held of this one is given away. */
static void
leg_open(struct leg *leg)
{
    struct err err = ERR_INIT;
    int got = leg_feed(leg, sb_sv(&leg->held), &err);

    sb_release(&leg->held);
    sb_init(&leg->held, FRAME_BYTES_MAX);
    if (got < 0)
        leg->err = err;
    if (got == 0)
        got = leg->over;
    if (got != 0)
        leg_over(leg, got);
}

static void
leg_release(struct leg *leg)
{
    const struct fanout *fanout = leg->asking->fanout;

    http_call_free(leg->call);
    mem_share_give(fanout->share, leg->charged);
    frame_reader_release(&leg->reader);
    sb_release(&leg->held);
    if (leg->tries == 0)
        return;
    leg->traffic.took_ns = clock_mono_ns() - leg->start_ns;
    leg->traffic.has_failed = leg->state == LEG_FAILED ||
        leg->state == LEG_MISSING;
    if (fanout->rows != NULL)
        leg->traffic.rows = fanout->rows[leg->index];
    node_count(leg->node, false, &leg->traffic);
}

/* --- all --- */

static int
leg_says(const struct leg *leg, struct err *err)
{
    *err = leg->err;
    return leg->is_own ? -1
        : err_wrap(err, "storage node %s", leg->node->name);
}

/* 0: go on; 1: there is enough; -1. */
static int
leg_look(struct asking *asking, const struct leg *leg, struct err *err)
{
    switch (leg->state) {
    case LEG_RUNS:
    case LEG_ENDED:
        return 0;
    case LEG_ENOUGH:
        return 1;
    case LEG_MISSING:
        if (!asking->fanout->allow_missing)
            return leg_says(leg, err);
        name_missing(leg, leg->err.text);
        return ++asking->nmissing < asking->n ? 0 : leg_says(leg, err);
    case LEG_FAILED:
        break;
    }
    return leg_says(leg, err);
}

static int
asking_poll(const struct asking *asking, struct err *err)
{
    const struct fanout *fanout = asking->fanout;

    if (fanout->cancel != NULL && atomic_load(fanout->cancel))
        return err_set(err, ERR_CANCELLED, "the query was cancelled");
    if (fanout->deadline_ns == 0 || clock_mono_ns() <= fanout->deadline_ns)
        return 0;
    for (unsigned i = 0; i < asking->n; i++) {
        if (asking->legs[i].state == LEG_RUNS)
            return err_set(err, ERR_TIMEOUT, "the query took too long: "
                "storage node %s has not answered yet",
                asking->legs[i].node->name);
    }
    return err_set(err, ERR_TIMEOUT, "the query took too long");
}

/* Nothing is to be read of it now. */
static bool
is_resting(const struct leg *leg)
{
    return leg->state != LEG_RUNS ||
        (leg->has_heard && !leg->asking->is_open);
}

/* Waits until one can go on; the number of those that run. */
static unsigned
wait_for_legs(struct asking *asking)
{
    int64_t now_ns = clock_mono_ns(), wake_ns = now_ns + LOOK_NS;
    unsigned nrunning = 0;

    for (unsigned i = 0; i < asking->n; i++) {
        struct leg *leg = &asking->legs[i];

        asking->polls[i] = (struct pollfd){.fd = -1};
        asking->wakes_ns[i] = INT64_MAX;
        nrunning += leg->state == LEG_RUNS;
        if (is_resting(leg))
            continue;
        http_call_wants(leg->call, &asking->polls[i], &asking->wakes_ns[i]);
        wake_ns = MIN(wake_ns, asking->wakes_ns[i]);
    }
    if (nrunning > 0)
        (void)poll(asking->polls, asking->n, wake_ns <= now_ns ? 0
            : (int)((wake_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS));
    return nrunning;
}

static int
legs_step(struct asking *asking, struct err *err)
{
    for (unsigned i = 0; i < asking->n; i++) {
        struct leg *leg = &asking->legs[i];
        int got;

        if (is_resting(leg) || (asking->polls[i].revents == 0 &&
            clock_mono_ns() < asking->wakes_ns[i]))
            continue;
        leg_step(leg);
        got = leg_look(asking, leg, err);
        if (got != 0)
            return got;
        if (asking_poll(asking, err) != 0)
            return -1;
    }
    return 0;
}

/* As soon as none is left that was not heard of. */
static int
legs_open(struct asking *asking, struct err *err)
{
    int got = 0;

    if (asking->is_open)
        return 0;
    for (unsigned i = 0; i < asking->n; i++) {
        if (!is_resting(&asking->legs[i]))
            return 0;
    }
    asking->is_open = true;
    for (unsigned i = 0; i < asking->n && got == 0; i++) {
        struct leg *leg = &asking->legs[i];

        if (leg->state != LEG_RUNS)
            continue;
        leg_open(leg);
        got = leg_look(asking, leg, err);
    }
    return got;
}

static int
ask_all(struct asking *asking, struct err *err)
{
    int got = 0;

    for (unsigned i = 0; i < asking->n && got == 0; i++) {
        leg_begin(&asking->legs[i]);
        got = leg_look(asking, &asking->legs[i], err);
    }
    while (got == 0) {
        if (asking_poll(asking, err) != 0)
            return -1;
        if (wait_for_legs(asking) == 0)
            break;
        got = legs_step(asking, err);
        if (got == 0)
            got = legs_open(asking, err);
    }
    if (got >= 0 && asking->nmissing > 0)
        metric_add(METRIC_QUERY_PARTIAL, 1);
    return got < 0 ? -1 : 0;
}

static bool
is_among(const struct fanout *fanout, unsigned i)
{
    return fanout->among == NULL ||
        (fanout->among[i / 64] >> (i % 64) & 1) != 0;
}

static void
legs_make(struct asking *asking)
{
    const struct nodes *nodes = asking->nodes;

    asking->legs = xcalloc(nodes->n, sizeof(*asking->legs));
    asking->polls = xcalloc(nodes->n, sizeof(*asking->polls));
    asking->wakes_ns = xcalloc(nodes->n, sizeof(*asking->wakes_ns));
    for (unsigned i = 0; i < nodes->n; i++) {
        const struct node *node = &nodes->v[i];
        bool is_down = !node_is_up(node);

        if (!is_among(asking->fanout, i))
            continue;
        asking->legs[asking->n++] = (struct leg){.asking = asking,
            .node = node, .index = i, .is_down = is_down};
        if (!is_down)
            asking->may_skip = asking->fanout->allow_missing;
    }
}

static void
asking_free(struct asking *asking)
{
    for (unsigned i = 0; i < asking->n; i++) {
        if (asking->legs[i].start_ns != 0)
            leg_release(&asking->legs[i]);
    }
    xfree(asking->legs);
    xfree(asking->polls);
    xfree(asking->wakes_ns);
    sb_release(&asking->body);
    nodes_release(asking->nodes);
}

int
fanout_run(const struct fanout *fanout, struct err *err)
{
    struct asking asking = {.fanout = fanout, .nodes = nodes_hold()};
    int rc = -1;

    sb_init(&asking.body, PLAN_BYTES_MAX);
    snprintf(asking.target, sizeof(asking.target), "%s?version="
        SELECT_PROTOCOL, plan_path(fanout->plan->kind));
    legs_make(&asking);
    if (asking.n == 0)
        (void)err_set(err, ERR_UNREACHABLE, "there are no storage nodes");
    else if (plan_put(&asking.body, fanout->plan, err) == 0)
        rc = ask_all(&asking, err);
    asking_free(&asking);
    return rc;
}
