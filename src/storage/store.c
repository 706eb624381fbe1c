/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The local store as a module: what each role does with it.
 *
 *   master      LOCK, directories, shared memory; notes what ended children
 *               leave behind; never opens a data file
 *   recover     recover_boot() or recover_slot(), then ends
 *   worker      ingester and flusher; queries on its task threads
 *   retention   watches the disk, drops days, serves requests for whole days
 *               (operator.h); removes what has expired by its own rules
 *               (digest files, .trash)
 *   merge       keeps the number of parts small (compact.h)
 *
 * A front (core/conf_storage.h) has no store: its master takes LOCK and makes
 * what its directory needs (front.h), its workers have nothing of it, and the
 * other roles do not run.
 */

#include "core/base.h"
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/conf_budget.h"
#include "core/conf_storage.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "event/loop.h"
#include "storage/ballast.h"
#include "storage/barrier.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/front.h"
#include "storage/housekeeping.h"
#include "storage/ingester.h"
#include "storage/layout.h"
#include "storage/lock.h"
#include "storage/operator.h"
#include "storage/ops.h"
#include "storage/part_cache.h"
#include "storage/part_read_cache.h"
#include "storage/part_sweep.h"
#include "storage/recover.h"
#include "storage/requests.h"
#include "storage/retire.h"
#include "storage/scrub.h"
#include "storage/shared.h"
#include "storage/store_metrics.h"
#include "storage/streams.h"

/*
 * Rows that are not in parts by then stay in the log for recovery.  Less than
 * the master waits before it kills (shutdown_timeout's default and 2 s).
 */
#define STOP_TIMEOUT_NS (6 * NS_PER_SEC)
#define FLUSH_POLL_NS (2 * NS_PER_MS)
#define FLUSH_TIMEOUT_NS (60 * NS_PER_SEC)
#define HOUSEKEEPING_NS NS_PER_SEC
/* Checks read a block once. */
#define RETENTION_CACHE_BYTES (16 * MIB)

static store_decode_fn decoder;
static const struct conf *store_conf;
static struct ingester *ingester;
static struct loop *store_loop;
static struct loop_timer *housekeeping_timer;

void
store_set_decoder(store_decode_fn decode)
{
    decoder = decode;
}

/* --- master --- */

/* "user" or "user:group" of the configuration, as the children will be. */
static int
find_owner(const char *text, uid_t *uid, gid_t *gid, struct err *err)
{
    const char *colon = strchr(text, ':');
    char name[256];
    const struct passwd *user;
    const struct group *group;

    snprintf(name, sizeof(name), "%.*s",
        colon != NULL ? (int)(colon - text) : (int)strlen(text), text);
    user = getpwnam(name);
    if (user == NULL)
        return err_set(err, ERR_INVALID, "user: no user \"%s\"", name);
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    if (colon == NULL)
        return 0;
    group = getgrnam(colon + 1);
    if (group == NULL)
        return err_set(err, ERR_INVALID, "user: no group \"%s\"", colon + 1);
    *gid = group->gr_gid;
    return 0;
}

/*
 * Owner of what a root master makes for its children.  Links are not
 * followed: after the first start the directory belongs to that user.
 */
static int
chown_for_user(const struct conf *conf, const char *const *names,
    struct err *err)
{
    char path[PATH_MAX];
    uid_t uid = 0;
    gid_t gid = 0;

    if (geteuid() != 0 || conf->user[0] == '\0')
        return 0;
    if (find_owner(conf->user, &uid, &gid, err) != 0)
        return -1;
    for (; *names != NULL; names++) {
        layout_path(path, *names);
        if (lchown(path, uid, gid) != 0)
            return err_sys(err, "chown %s", path);
    }
    return 0;
}

/* What was asked for lately is remembered by fronts, too. */
static int
init_front(const struct conf *conf, struct err *err)
{
    static const char *const names[] = {"", FRONT_QUEUE, "LOCK", NULL};

    if (front_create(err) != 0 || lock_take(err) != 0 ||
        chown_for_user(conf, names, err) != 0)
        return -1;
    front_warn_store();
    return requests_create(err);
}

static int
store_init_master(const struct conf *conf, struct err *err)
{
    static const char *const names[] = {"", "wal", "partitions",
        "quarantine", ".trash", "LOCK", NULL};

    store_conf = conf;
    layout_set(conf->data_path);
    if (conf_is_front(conf))
        return init_front(conf, err);
    if (layout_create(err) != 0 || lock_take(err) != 0 ||
        chown_for_user(conf, names, err) != 0)
        return -1;
    front_warn_queue();
    if (shared_create(master_slot_capacity(conf), err) != 0 ||
        catalog_create(err) != 0 || requests_create(err) != 0 ||
        retire_create(err) != 0 || ops_create(err) != 0 ||
        compact_create(err) != 0 || streams_create(err) != 0)
        return -1;
    return 0;
}

/* Children are gone, so what they wrote is where it will be. */
static void
store_yield_master(void)
{
    lock_release();
    shared_destroy();
}

static void
print_bytes(struct sb *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1024;
        unit++;
    }
    sb_addf(out, value < 10 && unit > 0 ? ", %.1f %s" : ", %.0f %s", value,
        units[unit]);
}

static void
store_status_master(struct sb *out)
{
    struct catalog_day *days = NULL;
    uint32_t oldest = UINT32_MAX;
    uint64_t bytes = 0;
    size_t n;

    if (shared == NULL)
        return;
    n = catalog_sum_days(&days);
    for (size_t i = 0; i < n; i++) {
        bytes += days[i].bytes;
        oldest = MIN(oldest, days[i].day);
    }
    xfree(days);
    print_bytes(out, bytes);
    if (n > 0)
        sb_addf(out, ", oldest %04u-%02u-%02u", oldest / 10000,
            oldest / 100 % 100, oldest % 100);
}

static bool
store_child_ended(enum role role, unsigned index, pid_t pid, bool crashed)
{
    struct slot *slot;

    if (shared == NULL)
        return false;
    catalog_clear_readers(pid);
    if (role == ROLE_MERGE)
        compact_ended(crashed);
    if (role != ROLE_WORKER || index >= shared->nslots)
        return false;
    slot = &shared->slots[index];
    if (atomic_load(&slot->state) != SLOT_LIVE)
        return false;
    atomic_store(&slot->state, SLOT_ORPHAN);
    if (crashed)
        catalog_flag_memtables(index, CATALOG_SUSPECT);
    return true;
}

/* --- children --- */

static int
recover_once(const struct process *process, struct err *err)
{
    check(decoder != NULL);
    if (process->slot == UINT_MAX)
        return recover_boot(process->conf, decoder, err);
    return recover_slot(process->slot, process->conf, decoder, err);
}

static int
recover_process(const struct process *process, struct err *err)
{
    int rc = recover_once(process, err);

    if (rc != 0 && err->code == ERR_NO_SPACE && ballast_release())
        rc = recover_once(process, err);
    return rc;
}

static void IMPL(loop_timer_fn)
housekeeping_tick(void *arg)
{
    (void)arg;
    housekeeping_run(store_conf);
    loop_timer_set(housekeeping_timer, HOUSEKEEPING_NS);
}

static int
store_init_process(struct process *process, struct err *err)
{
    store_conf = process->conf;
    store_loop = process->loop;
    if (conf_is_front(process->conf))
        return 0;
    streams_configure(process->conf);
    switch (process->role) {
    case ROLE_RECOVER:
        return recover_process(process, err);
    case ROLE_WORKER:
        data_cache_set_budget((size_t)conf_budget(process->conf)->cache);
        ingester = ingester_start(process);
        part_sweep_start(process);
        metrics_on_collect(store_collect_metrics,
            (void *)(uintptr_t)store_conf);
        return 0;
    case ROLE_RETENTION:
        housekeeping_timer = loop_timer_new(process->loop,
            housekeeping_tick, NULL);
        loop_timer_set(housekeeping_timer, NS_PER_MS);
        data_cache_set_budget(RETENTION_CACHE_BYTES);
        operator_start(process->conf);
        scrub_start(process->conf);
        return 0;
    case ROLE_MERGE:
        compact_start(process, merge_parts);
        return 0;
    case ROLE_COUNT:
        return 0;
    }
    return 0;
}

static void
store_drain(struct process *process)
{
    if (process->role == ROLE_MERGE)
        compact_drain();
}

static bool
store_is_drained(struct process *process)
{
    if (process->role == ROLE_MERGE)
        return compact_is_drained();
    return ingester == NULL || ingester_is_idle(ingester);
}

static void
store_exit_process(struct process *process)
{
    if (process->role == ROLE_MERGE)
        compact_stop();
    if (ingester != NULL && !ingester_stop(ingester, STOP_TIMEOUT_NS))
        log_warn("not all rows could be written into parts; the log keeps "
            "them");
    ingester = NULL;
    if (conf_is_front(process->conf))
        return;
    operator_stop();
    scrub_stop();
    loop_timer_free(housekeeping_timer);
    housekeeping_timer = NULL;
    part_sweep_stop();
    part_cache_clear();
}

const struct module store_module = {
    .name = "store",
    .init_master = store_init_master,
    .yield_master = store_yield_master,
    .status_master = store_status_master,
    .init_process = store_init_process,
    .drain = store_drain,
    .is_drained = store_is_drained,
    .exit_process = store_exit_process,
    .child_ended = store_child_ended,
};

/* --- ingest --- */

bool
store_is_read_only(const char **why)
{
    *why = "";
    if (shared == NULL)
        return false;
    switch (atomic_load(&shared->is_read_only)) {
    case READ_ONLY_DISK:
        *why = "too little free disk space";
        return true;
    default:
        return false;
    }
}

void
store_ingest(struct ingest *ingest)
{
    const char *why;

    check(ingester != NULL);
    if (store_is_read_only(&why)) {
        metric_add(METRIC_INGEST_REFUSED_READ_ONLY, 1);
        ingest->status = INGEST_BUSY;
        ingest->retry_after_sec = 10;
        ingest->done(ingest);
        return;
    }
    if (!new_days_allow(&shared->new_days, &ingest->tenant, ingest->batch,
        clock_mono_ns())) {
        log_warn("a request with spans of too many days that are not there "
            "yet is put off");
        metric_add(METRIC_INGEST_REFUSED_NEW_DAYS, 1);
        ingest->status = INGEST_BUSY;
        ingest->is_put_off = true;
        ingest->retry_after_sec = 20;
        ingest->done(ingest);
        return;
    }
    ingester_submit(ingester, ingest);
}

void
store_span_limits(struct span_limits *limits)
{
    int64_t now = clock_wall_ns(), oldest, newest;

    if (__builtin_sub_overflow(now, store_conf->retention, &oldest) ||
        oldest < 0)
        oldest = 0;
    if (__builtin_add_overflow(now, store_conf->future_retention, &newest) ||
        newest > INT64_MAX - NS_PER_DAY)
        newest = INT64_MAX - 2 * NS_PER_DAY;
    /* Whole days: the day of the end decides. */
    limits->oldest_ns = MAX(time_day_start(time_day(oldest)), 1);
    if (store_conf->max_backfill_age != 0)
        limits->oldest_ns = MAX(limits->oldest_ns,
            now - store_conf->max_backfill_age);
    limits->newest_ns = time_day_start(time_day(newest)) + NS_PER_DAY - 1;
    limits->fields_max = (uint32_t)store_conf->max_fields;
}

uint32_t
store_trace_spans_max(void)
{
    return (uint32_t)store_conf->trace_max_spans;
}

/* --- force flush --- */

struct force_flush {
    uint64_t request;
    int64_t until_ns;
    struct loop_timer *timer;
    void (*done)(bool ok, void *arg);
    void *arg;
};

static void IMPL(loop_timer_fn)
force_flush_poll(void *arg)
{
    struct force_flush *force = arg;
    bool ok = barrier_is_reached(force->request);

    if (!ok && clock_mono_ns() < force->until_ns) {
        loop_timer_set(force->timer, FLUSH_POLL_NS);
        return;
    }
    force->done(ok, force->arg);
    loop_timer_free(force->timer);
    xfree(force);
}

void
store_force_flush(void (*done)(bool ok, void *arg), void *arg)
{
    struct force_flush *force = xcalloc(1, sizeof(*force));

    force->request = barrier_begin(false);
    force->until_ns = clock_mono_ns() + FLUSH_TIMEOUT_NS;
    force->done = done;
    force->arg = arg;
    force->timer = loop_timer_new(store_loop, force_flush_poll, force);
    loop_timer_set(force->timer, FLUSH_POLL_NS);
}
