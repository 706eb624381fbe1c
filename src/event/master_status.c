/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a service manager hears of the master: its states, a line of status
 * each ten seconds, and a sign of life.  The sign is given only when this
 * loop runs and no worker has kept us waiting for an answer.
 */

#include "core/base.h"
#include "event/master_state.h"

#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "event/module.h"
#include "event/notify.h"
#include "event/proc.h"
#include "event/upgrade.h"

#define STATUS_PERIOD_NS (10 * NS_PER_SEC)
/* Signs of life within the time that a watchdog waits. */
#define STATUS_SIGNS 3
/* Recovery and a slow end ask for this much more, each STATUS_PERIOD_NS. */
#define STATUS_EXTEND_NS (3 * STATUS_PERIOD_NS)
#define STATUS_TEXT_MAX KIB

static uint64_t
status_spans(void)
{
    return metric_get(METRIC_SPANS_PROTOBUF) + metric_get(METRIC_SPANS_JSON) +
        metric_get(METRIC_SPANS_GRPC);
}

/* "12.3k spans/s" since the last time. */
static void
status_print_rate(struct master_status *self, struct sb *out)
{
    int64_t now_ns = clock_mono_ns(), passed_ns = now_ns - self->counted_ns;
    uint64_t spans = status_spans();
    double rate = passed_ns <= 0 ? 0
        : (double)(spans - self->spans) * 1e9 / (double)passed_ns;

    if (rate < 1000)
        sb_addf(out, "%.0f spans/s", rate);
    else if (rate < 1e6)
        sb_addf(out, "%.1fk spans/s", rate / 1e3);
    else
        sb_addf(out, "%.1fM spans/s", rate / 1e6);
    self->spans = spans;
    self->counted_ns = now_ns;
}

static void
status_print_ready(struct master *master, struct sb *out)
{
    unsigned workers = master_worker_seats(master, master->conf);

    if (master->are_workers_wanted)
        sb_addf(out, "ready: %u worker%s, ", workers,
            workers == 1 ? "" : "s");
    else
        sb_add_str(out, "the workers were told to leave, ");
    status_print_rate(&master->status_line, out);
    for (const struct module *const *m = modules; *m != NULL; m++)
        if ((*m)->status_master != NULL)
            (*m)->status_master(out);
    if (master->status_line.has_reload_failed)
        sb_add_str(out, "; the last reload failed");
}

static void
status_send(struct master *master, const char *more)
{
    struct sb text;

    sb_init(&text, STATUS_TEXT_MAX);
    switch (master->state) {
    case MASTER_BOOT:
    case MASTER_RECOVER:
        sb_add_str(&text, "recovering what an earlier run left behind");
        break;
    case MASTER_START:
        sb_add_str(&text, "starting processes");
        break;
    case MASTER_RUN:
        status_print_ready(master, &text);
        break;
    case MASTER_RELOAD:
    case MASTER_HANDOVER:
        sb_add_str(&text, "reloading");
        break;
    case MASTER_UPGRADE:
    case MASTER_YIELD:
        sb_add_str(&text, "upgrading");
        break;
    case MASTER_DELAY:
        sb_addf(&text, "stopping in %lld s, health checks say so",
            (long long)(MAX(master->leaves_ns - clock_mono_ns(), 0) /
                NS_PER_SEC));
        break;
    case MASTER_QUIT:
    case MASTER_STOP:
    case MASTER_END:
        sb_addf(&text, "finishing requests, %u process%s left", proc_count(),
            proc_count() == 1 ? "" : "es");
        break;
    }
    notify_send("%sSTATUS=%s", more, text.ptr);
    sb_release(&text);
    master->status_line.sent_ns = clock_mono_ns();
}

static const char *
status_extension(const struct master *master, char *dst, size_t size)
{
    int64_t ns = STATUS_EXTEND_NS;

    if (master->state == MASTER_DELAY)
        ns += MAX(master->leaves_ns - clock_mono_ns(), 0);
    if (master->state <= MASTER_START || master->state >= MASTER_DELAY)
        snprintf(dst, size, "EXTEND_TIMEOUT_USEC=%lld\n",
            (long long)(ns / NS_PER_US));
    else
        dst[0] = '\0';
    return dst;
}

static void
status_give_sign(struct master *master)
{
    int64_t watchdog_ns = notify_watchdog_ns();
    const struct proc *mute = proc_find_mute(watchdog_ns / 2);
    char name[PROC_NAME_MAX];

    if (mute == NULL)
        notify_send("WATCHDOG=1");
    else if (!master->status_line.is_mute)
        log_error("%s does not answer: the watchdog is left alone",
            proc_name(mute, name));
    master->status_line.is_mute = mute != NULL;
    proc_ping_workers();
}

static void
IMPL(loop_timer_fn) status_on_timer(void *arg)
{
    struct master *master = arg;
    struct master_status *self = &master->status_line;
    char extension[64];

    if (notify_watchdog_ns() > 0)
        status_give_sign(master);
    if (clock_mono_ns() - self->sent_ns >= STATUS_PERIOD_NS - NS_PER_SEC / 10)
        status_send(master, status_extension(master, extension,
            sizeof(extension)));
    loop_timer_set(self->timer, self->period_ns);
}

void
master_status_start(struct master *master)
{
    struct master_status *self = &master->status_line;

    if (!notify_is_on())
        return;
    self->period_ns = STATUS_PERIOD_NS;
    if (notify_watchdog_ns() > 0)
        self->period_ns = MIN(self->period_ns,
            notify_watchdog_ns() / STATUS_SIGNS);
    self->counted_ns = clock_mono_ns();
    self->timer = loop_timer_new(master->loop, status_on_timer, master);
    loop_timer_set(self->timer, self->period_ns);
}

void
master_status_drop(struct master *master)
{
    loop_timer_free(master->status_line.timer);
    master->status_line.timer = NULL;
}

void
master_status_reloading(struct master *master)
{
    master->status_line.has_reload_failed = false;
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
        (long long)(clock_mono_ns() / NS_PER_US));
}

void
master_status_reloaded(struct master *master, bool has_failed)
{
    master->status_line.has_reload_failed = has_failed;
    master_status_changed(master);
}

void
master_status_changed(struct master *master)
{
    char extension[64], text[96];

    if (!notify_is_on())
        return;
    (void)status_extension(master, extension, sizeof(extension));
    switch (master->state) {
    case MASTER_RUN:
        /* Until the old master has named us, nobody believes us. */
        if (!upgrade_is_successor())
            status_send(master, "READY=1\n");
        break;
    case MASTER_RELOAD:
    case MASTER_HANDOVER:
    case MASTER_END:
        break;
    case MASTER_DELAY:
    case MASTER_QUIT:
    case MASTER_STOP:
        snprintf(text, sizeof(text), "STOPPING=1\n%s", extension);
        status_send(master, text);
        break;
    default:
        status_send(master, extension);
    }
}
