/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/scrub.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/assert.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/part.h"
#include "storage/quarantine.h"
#include "storage/shared.h"

/* Between two looks at what queries complain about. */
#define LOOK_NS NS_PER_SEC
/* Between two tries to read what is offline. */
#define OFFLINE_MIN_NS (5 * NS_PER_SEC)
#define OFFLINE_MAX_NS (300 * NS_PER_SEC)
/* The same for the file of a BAD part that could not be judged or moved. */
#define BAD_PAUSE_NS (60 * NS_PER_SEC)
/* Between two rounds, so that little data is not read all the time. */
#define ROUND_MIN_NS (24 * 3600 * NS_PER_SEC)
/*
 * Queries that find damage where a check finds none are believed after so
 * many times; parts that are remembered for that.
 */
#define CLEARED_MAX 3u
#define CLEARED_PARTS 64u

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_started;
    bool is_stopping;
    const struct conf *conf;
    int64_t next_look_ns;    /* monotonic */
    int64_t next_offline_ns;
    int64_t offline_pause_ns;
    int64_t next_bad_ns;
    int64_t due_ns;          /* when the rate allows to read on */
} self = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct {
    uint64_t id;
    unsigned times;
} cleared[CLEARED_PARTS];
static unsigned ncleared;

/* --- judging --- */

static bool
is_stopping(void)
{
    bool stop;

    pthread_mutex_lock(&self.mutex);
    stop = self.is_stopping;
    pthread_mutex_unlock(&self.mutex);
    return stop;
}

static bool IMPL(part_pace_fn)
judge_pace(uint64_t bytes)
{
    (void)bytes;
    return !is_stopping();
}

/* True when it was cleared too often. */
static bool
note_cleared(uint64_t id)
{
    unsigned i = 0;

    while (i < MIN(ncleared, CLEARED_PARTS) && cleared[i].id != id)
        i++;
    if (i == MIN(ncleared, CLEARED_PARTS)) {
        i = ncleared++ % CLEARED_PARTS;
        cleared[i].id = id;
        cleared[i].times = 0;
    }
    return ++cleared[i].times >= CLEARED_MAX;
}

/* Durable before the answer to nobody: a start must not read it again. */
static void
mark_bad(const struct part_info *part, const char *why)
{
    struct manifest_edit edit = {.bad = &part->id, .nbad = 1,
        .incarnation = partition_incarnation(part->day)};
    struct err err = ERR_INIT;

    if (!catalog_change_flags(part, CATALOG_BAD, CATALOG_DOUBT |
        CATALOG_OFFLINE))
        return; /* merged or dropped in the meantime */
    metric_add(METRIC_SCRUB_DAMAGED, 1);
    log_error("a part of day %u is damaged, answers that need it are partial "
        "from here on: %s; \"spoorctl check --deep %s\" looks at all",
        part->day, why, layout_root());
    fault("scrub.before_edit");
    if (manifest_append(part->day, &edit, true, &err) != 0)
        log_error("the damage is not in the manifest: %s", err.text);
}

/* The entry is added as it was, which takes the mark away. */
static void
mark_good(const struct part_info *part)
{
    /* Before the entry is read: it must not get into another day's list. */
    uint32_t incarnation = partition_incarnation(part->day);
    struct manifest manifest;
    struct err err = ERR_INIT;
    int rc = 0;

    if (manifest_read(&manifest, part->day, &err) != 0)
        rc = -1;
    for (size_t i = 0; rc == 0 && i < manifest.nparts; i++) {
        struct manifest_part *entry = &manifest.parts[i];
        struct manifest_edit edit = {.add = entry, .nadd = 1,
            .incarnation = incarnation};

        if (entry->info.id != part->id || !entry->is_bad)
            continue;
        entry->is_bad = false;
        rc = manifest_append(part->day, &edit, true, &err);
    }
    manifest_release(&manifest);
    if (rc != 0)
        log_error("a part that is whole again is still marked in the "
            "manifest: %s", err.text);
    else if (catalog_change_flags(part, 0, CATALOG_BAD))
        log_warn("part %016llx of day %u was damaged and is whole again",
            (unsigned long long)part->id, part->day);
}

static void
judge_whole(const struct catalog_item *item)
{
    if ((item->flags & CATALOG_BAD) != 0) {
        mark_good(&item->part);
        return;
    }
    if ((item->flags & CATALOG_DOUBT) != 0 && note_cleared(item->part.id)) {
        mark_bad(&item->part, "queries find damage in it again and again");
        return;
    }
    if (catalog_change_flags(&item->part, 0, CATALOG_DOUBT |
        CATALOG_OFFLINE))
        log_warn("part %016llx of day %u could not be read, but it is whole: "
            "it is back in answers", (unsigned long long)item->part.id,
            item->part.day);
}

uint32_t
scrub_judge(const struct catalog_item *item)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    layout_part(path, item->part.day, item->part.id, item->part.level);
    fault("scrub.before_judge");
    file_forget(path);
    if (part_check_paced(path, true, judge_pace, &err) == 0) {
        judge_whole(item);
        return 0;
    }
    if ((item->flags & CATALOG_BAD) != 0 || err.code == ERR_CANCELLED)
        return item->flags;
    if (err.code == ERR_CORRUPT || err.code == ERR_NOT_FOUND) {
        mark_bad(&item->part, err.text);
        return CATALOG_BAD;
    }
    /* Damage is not confirmed as long as the disk gives errors. */
    if (catalog_change_flags(&item->part, CATALOG_OFFLINE, CATALOG_DOUBT))
        log_warn("not readable, tried again: %s", err.text);
    return CATALOG_OFFLINE;
}

/* --- files of BAD parts --- */

/* Judges the file; it goes, or is taken back.  False: try later. */
static bool
bad_judge(const struct catalog_item *item)
{
    struct err err = ERR_INIT, move_err = ERR_INIT;
    char path[PATH_MAX];

    layout_part(path, item->part.day, item->part.id, item->part.level);
    file_forget(path);
    if (part_check_paced(path, true, judge_pace, &err) == 0) {
        judge_whole(item);
        return true;
    }
    if (err.code == ERR_NOT_FOUND || err.code == ERR_CANCELLED)
        return true;
    if (err.code != ERR_CORRUPT) {
        log_warn("a damaged part cannot be judged: %s", err.text);
        return false;
    }
    if (quarantine_part(item, err.text, &move_err) >= 0)
        return true;
    log_warn("a damaged part stays where it is for now: %s", move_err.text);
    return false;
}

static void
look_at_bad(int64_t now)
{
    struct catalog_item *items;
    size_t n;

    if (now < self.next_bad_ns)
        return;
    n = catalog_copy_parts(&items, CATALOG_BAD);
    for (size_t i = 0; i < n && !is_stopping(); i++) {
        if (quarantine_is_due(&items[i]) && !bad_judge(&items[i]))
            self.next_bad_ns = now + BAD_PAUSE_NS;
    }
    xfree(items);
}

/* --- complaints --- */

static void
judge_all(uint32_t flag)
{
    struct catalog_item *items;
    size_t n = catalog_copy_parts(&items, flag);
    bool is_left = false;

    for (size_t i = 0; i < n && !is_stopping(); i++)
        is_left |= scrub_judge(&items[i]) == CATALOG_OFFLINE;
    xfree(items);
    if (flag != CATALOG_OFFLINE)
        return;
    self.offline_pause_ns = is_left ?
        MIN(MAX(2 * self.offline_pause_ns, OFFLINE_MIN_NS), OFFLINE_MAX_NS) :
        OFFLINE_MIN_NS;
}

static void
look_at_complaints(void)
{
    int64_t now = clock_mono_ns();

    if (now < self.next_look_ns)
        return;
    self.next_look_ns = now + LOOK_NS;
    judge_all(CATALOG_DOUBT);
    if (now >= self.next_offline_ns) {
        judge_all(CATALOG_OFFLINE);
        self.next_offline_ns = clock_mono_ns() + self.offline_pause_ns;
    }
    look_at_bad(now);
}

/* --- background --- */

/* Waits until `until`, with an eye on complaints; false: to the end. */
static bool
wait_until(int64_t until_ns)
{
    for (;;) {
        int64_t now, wake;
        struct timespec ts;

        look_at_complaints();
        now = clock_mono_ns();
        wake = MIN(until_ns, now + LOOK_NS);
        if (is_stopping())
            return false;
        if (now >= until_ns)
            return true;
        ts = (struct timespec){wake / NS_PER_SEC, wake % NS_PER_SEC};
        pthread_mutex_lock(&self.mutex);
        if (!self.is_stopping)
            pthread_cond_timedwait(&self.changed, &self.mutex, &ts);
        pthread_mutex_unlock(&self.mutex);
    }
}

static bool IMPL(part_pace_fn)
scrub_pace(uint64_t bytes)
{
    uint64_t rate = self.conf->scrub_rate;
    int64_t now = clock_mono_ns();

    metric_add(METRIC_SCRUB_BYTES, bytes);
    self.due_ns = MAX(self.due_ns, now - NS_PER_SEC) + (int64_t)(
        (double)bytes / (double)rate * (double)NS_PER_SEC);
    return wait_until(self.due_ns);
}

static int
part_cmp(const void *left, const void *right)
{
    const struct catalog_item *a = left, *b = right;

    if (a->part.day != b->part.day)
        return a->part.day < b->part.day ? -1 : 1;
    return (a->part.id > b->part.id) - (a->part.id < b->part.id);
}

/* Nothing for a want of memory, say. */
static uint32_t
flag_of(const struct err *err)
{
    if (err->code == ERR_CORRUPT || err->code == ERR_NOT_FOUND)
        return CATALOG_DOUBT;
    return err->sys_errno == EIO ? CATALOG_OFFLINE : 0;
}

/* What was merged in the meantime is missing: nobody reads that any more. */
static void
scrub_part(const struct catalog_item *item)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    if ((item->flags & CATALOG_BAD) != 0) {
        (void)scrub_judge(item);
        return;
    }
    layout_part(path, item->part.day, item->part.id, item->part.level);
    if (part_check_paced(path, false, scrub_pace, &err) != 0) {
        uint32_t flag = flag_of(&err);

        if (flag != 0 && catalog_change_flags(&item->part, flag, 0)) {
            log_error("found while all data is read: %s", err.text);
            self.next_look_ns = 0;
            look_at_complaints();
        } else if (flag == 0 && err.code != ERR_CANCELLED) {
            log_warn("not checked: %s", err.text);
        }
    }
    metric_add(METRIC_SCRUB_PARTS, 1);
    /* Data of earlier days makes no others leave the cache. */
    if (item->part.day != time_day(clock_wall_ns()))
        file_forget(path);
}

static void
scrub_round(void)
{
    struct catalog_item *items;
    size_t n = catalog_copy_parts(&items, 0), first = 0;
    uint32_t chance = 0;

    if (n > 1)
        qsort(items, n, sizeof(*items), part_cmp);
    /* A server that is started each day reads all some day, too. */
    if (n > 0 && sys.random(&chance, sizeof(chance)) == 0)
        first = chance % n;
    for (size_t i = 0; i < n && !is_stopping(); i++)
        scrub_part(&items[(first + i) % n]);
    xfree(items);
}

static void *
scrub_main(void *arg)
{
    int64_t next_round_ns = clock_mono_ns() + NS_PER_SEC;

    (void)arg;
    while (wait_until(self.conf->scrub_rate == 0 ? INT64_MAX :
        next_round_ns)) {
        /* So long that each part is read once in it, not again and again. */
        next_round_ns = clock_mono_ns() + ROUND_MIN_NS;
        scrub_round();
        if (!is_stopping())
            metric_add(METRIC_SCRUB_ROUNDS, 1);
    }
    return NULL;
}

void
scrub_start(const struct conf *conf)
{
    pthread_condattr_t attr;
    sigset_t all, old;

    check(!self.is_started);
    self.conf = conf;
    self.is_stopping = false;
    self.offline_pause_ns = OFFLINE_MIN_NS;
    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&self.changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    check(pthread_create(&self.thread, NULL, scrub_main, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_setname_np(self.thread, "scrub");
    self.is_started = true;
}

void
scrub_stop(void)
{
    if (!self.is_started)
        return;
    pthread_mutex_lock(&self.mutex);
    self.is_stopping = true;
    pthread_cond_broadcast(&self.changed);
    pthread_mutex_unlock(&self.mutex);
    pthread_join(self.thread, NULL);
    pthread_cond_destroy(&self.changed);
    self.is_started = false;
}
