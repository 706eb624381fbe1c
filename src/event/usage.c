/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A cell holds totals over all processes that ever had it: its present owner
 * stores base + its own, and when it ends, the master stores base + what
 * wait4(2) says and makes that the next base.  One store each, so a reader
 * never sees a dip.
 *
 * /proc/self/io may be closed to a process that changed its user; what
 * getrusage(2) knows of disks then counts, and of system calls nothing does.
 */

#include "core/base.h"
#include "event/usage.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/num.h"
#include "core/shm.h"
#include "core/sv.h"
#include "core/timefmt.h"
#include "event/loop.h"

#define USAGE_TICK_NS NS_PER_SEC
/* Descriptors are counted one by one, so not each time. */
#define USAGE_FDS_TICKS 5
/* The files of /proc/self that are read. */
#define USAGE_TEXT_MAX (4 * KIB)
/* Beside the slots: merge, retention, recovery at boot, master. */
#define USAGE_OTHERS 4
#define USAGE_SECTOR 512

struct usage_cell {
    _Alignas(64) _Atomic uint32_t role; /* + 1; 0: nobody has it */
    uint64_t base[USAGE_TOTALS]; /* the master's, except in its own cell */
    _Atomic uint64_t totals[USAGE_TOTALS];
    _Atomic uint64_t levels[USAGE_LEVELS];
};

struct usage_region {
    int64_t start_wall_ns;
    int64_t start_mono_ns;
    unsigned nslots;
    struct usage_cell cells[];
};

static struct usage_region *region;
static struct usage_cell *own;
static struct loop_timer *tick_timer;
static unsigned ticks;

static int
share_metrics(unsigned ncells, struct err *err)
{
    size_t bytes = metrics_bytes(ncells);
    void *shared;

    if (shm_new(&shared, "spoor-metrics", bytes, err) != 0)
        return -1;
    if (shm_reserve(shared, bytes, err) != 0) {
        shm_free(shared, bytes);
        return -1;
    }
    metrics_attach(shared, ncells);
    return 0;
}

int
usage_create(unsigned nslots, struct err *err)
{
    unsigned ncells = nslots + USAGE_OTHERS;
    size_t bytes = sizeof(*region) + ncells * sizeof(region->cells[0]);
    void *shared;

    if (share_metrics(ncells, err) != 0 ||
        shm_new(&shared, "spoor-usage", bytes, err) != 0)
        return -1;
    if (shm_reserve(shared, bytes, err) != 0) {
        shm_free(shared, bytes);
        return -1;
    }
    region = shared;
    region->nslots = nslots;
    region->start_wall_ns = clock_wall_ns();
    region->start_mono_ns = clock_mono_ns();
    return 0;
}

unsigned
usage_cell(enum role role, unsigned slot)
{
    unsigned nslots = region != NULL ? region->nslots : 0;

    if (slot != SLOT_NONE) {
        check(slot < nslots || region == NULL);
        return slot;
    }
    return nslots + (role == ROLE_MERGE ? 0 : role == ROLE_RETENTION ? 1 : 2);
}

unsigned
usage_cell_of_master(void)
{
    return (region != NULL ? region->nslots : 0) + USAGE_OTHERS - 1;
}

/* --- measuring --- */

/* The whole file in text, terminated; false if it cannot be read. */
static bool
read_text(const char *path, char text[USAGE_TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, text, USAGE_TEXT_MAX - 1);
    close(fd);
    text[MAX(n, 0)] = '\0';
    return n > 0;
}

/* The number behind "\nName:"; 0 if there is none. */
static uint64_t
number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

static void
set_total(enum usage_total which, uint64_t n)
{
    n += own->base[which];
    if (n > atomic_load(&own->totals[which]))
        atomic_store(&own->totals[which], n);
}

static uint64_t
timeval_ns(const struct timeval *tv)
{
    return (uint64_t)tv->tv_sec * (uint64_t)NS_PER_SEC +
        (uint64_t)tv->tv_usec * 1000;
}

static void
rusage_totals(const struct rusage *rusage, uint64_t totals[USAGE_TOTALS])
{
    memset(totals, 0, USAGE_TOTALS * sizeof(*totals));
    totals[USAGE_USER_NS] = timeval_ns(&rusage->ru_utime);
    totals[USAGE_SYSTEM_NS] = timeval_ns(&rusage->ru_stime);
    totals[USAGE_MINOR_FAULTS] = (uint64_t)rusage->ru_minflt;
    totals[USAGE_MAJOR_FAULTS] = (uint64_t)rusage->ru_majflt;
    totals[USAGE_STORAGE_READ] = (uint64_t)rusage->ru_inblock * USAGE_SECTOR;
    totals[USAGE_STORAGE_WRITTEN] =
        (uint64_t)rusage->ru_oublock * USAGE_SECTOR;
}

static void
measure_totals(void)
{
    uint64_t totals[USAGE_TOTALS];
    char text[USAGE_TEXT_MAX];
    struct rusage rusage;

    if (getrusage(RUSAGE_SELF, &rusage) == 0) {
        rusage_totals(&rusage, totals);
        for (unsigned i = 0; i < USAGE_TOTALS; i++)
            set_total(i, totals[i]);
    }
    if (!read_text("/proc/self/io", text))
        return;
    set_total(USAGE_READ_BYTES, number_of(text, "rchar:"));
    set_total(USAGE_WRITE_BYTES, number_of(text, "wchar:"));
    set_total(USAGE_READ_CALLS, number_of(text, "syscr:"));
    set_total(USAGE_WRITE_CALLS, number_of(text, "syscw:"));
    set_total(USAGE_STORAGE_READ, number_of(text, "\nread_bytes:"));
    set_total(USAGE_STORAGE_WRITTEN, number_of(text, "\nwrite_bytes:"));
}

static void
measure_fds(uint64_t table)
{
    struct rlimit limit;
    uint64_t n = 0;

    for (uint64_t fd = 0; fd < table; fd++)
        n += fcntl((int)fd, F_GETFD) >= 0;
    atomic_store(&own->levels[USAGE_FDS], n);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        atomic_store(&own->levels[USAGE_MAX_FDS], limit.rlim_cur);
}

static void
measure_levels(void)
{
    char text[USAGE_TEXT_MAX];

    if (!read_text("/proc/self/status", text))
        return;
    atomic_store(&own->levels[USAGE_ANON],
        number_of(text, "\nRssAnon:") * KIB);
    atomic_store(&own->levels[USAGE_FILE],
        number_of(text, "\nRssFile:") * KIB);
    atomic_store(&own->levels[USAGE_SHARED],
        number_of(text, "\nRssShmem:") * KIB);
    atomic_store(&own->levels[USAGE_THREADS], number_of(text, "\nThreads:"));
    if (ticks++ % USAGE_FDS_TICKS == 0)
        measure_fds(number_of(text, "\nFDSize:"));
}

static void
measure(void)
{
    measure_totals();
    measure_levels();
}

static void IMPL(loop_timer_fn)
usage_tick(void *arg)
{
    (void)arg;
    measure();
    log_tick();
    loop_timer_set(tick_timer, USAGE_TICK_NS);
}

void
usage_begin(enum role role, unsigned cell, struct loop *loop)
{
    if (region == NULL)
        return;
    check(cell < region->nslots + USAGE_OTHERS);
    metrics_take_stripe(cell);
    own = &region->cells[cell];
    measure();
    atomic_store(&own->role, (uint32_t)role + 1);
    tick_timer = loop_timer_new(loop, usage_tick, NULL);
    loop_timer_set(tick_timer, USAGE_TICK_NS);
}

void
usage_abandon(void)
{
    loop_timer_free(tick_timer);
    tick_timer = NULL;
    own = NULL;
    ticks = 0;
}

void
usage_end(void)
{
    loop_timer_free(tick_timer);
    tick_timer = NULL;
    if (own != NULL)
        measure_totals();
}

/* --- the end of others --- */

void
usage_ended(unsigned cell, const struct rusage *rusage)
{
    uint64_t totals[USAGE_TOTALS];
    struct usage_cell *gone;

    if (region == NULL)
        return;
    check(cell < region->nslots + USAGE_OTHERS);
    gone = &region->cells[cell];
    rusage_totals(rusage, totals);
    for (unsigned i = 0; i < USAGE_TOTALS; i++) {
        uint64_t n = MAX(gone->base[i] + totals[i],
            atomic_load(&gone->totals[i]));

        atomic_store(&gone->totals[i], n);
        gone->base[i] = n;
    }
    for (unsigned i = 0; i < USAGE_LEVELS; i++)
        atomic_store(&gone->levels[i], 0);
    atomic_store(&gone->role, 0);
    metrics_clear_gauges(cell);
}

/* --- reading --- */

static uint64_t
fds_left(const struct usage_cell *cell)
{
    uint64_t most = atomic_load(&cell->levels[USAGE_MAX_FDS]);
    uint64_t open = atomic_load(&cell->levels[USAGE_FDS]);

    return most > open ? most - open : 0;
}

bool
usage_read(struct usage_sum *out)
{
    uint64_t left = UINT64_MAX;

    memset(out, 0, sizeof(*out));
    if (region == NULL)
        return false;
    out->start_ns = region->start_wall_ns;
    out->age_ns = clock_mono_ns() - region->start_mono_ns;
    for (unsigned k = 0; k < region->nslots + USAGE_OTHERS; k++) {
        const struct usage_cell *cell = &region->cells[k];
        uint32_t role;

        for (unsigned i = 0; i < USAGE_TOTALS; i++)
            out->totals[i] += atomic_load(&cell->totals[i]);
        for (unsigned i = 0; i < USAGE_LEVELS; i++) {
            uint64_t n = atomic_load(&cell->levels[i]);

            out->levels[i] = i == USAGE_SHARED ? MAX(out->levels[i], n)
                                               : out->levels[i] + n;
        }
        role = atomic_load(&cell->role);
        if (role > 0 && role <= ROLE_COUNT)
            out->processes[role - 1]++;
        if (role > 0)
            left = MIN(left, fds_left(cell));
    }
    out->levels[USAGE_MAX_FDS] = out->levels[USAGE_FDS] +
        (left == UINT64_MAX ? 0 : left);
    return true;
}
