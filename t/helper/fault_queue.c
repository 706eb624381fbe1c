/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The durable queue under faults at every step: a process is killed, or a
 * call fails, or the power is lost (fault_disk.h), at the Nth call of all
 * that a life of it makes (fault_queue.h); then what is left is adopted and
 * compared with what was acknowledged.
 *
 *   fault_queue [--sample N] [--seed S] [--only RULE] [--control]
 *
 * --sample: about so many points of each kind; all without it.  --only: one
 * rule of SPOOR_FAULT.  --control: only losses of power, of a disk whose
 * fdatasync() does nothing: it shows that this test can see losses.
 */

#include "core/base.h"

#include <errno.h>
#include <getopt.h>
#include <sys/wait.h>

#include "core/num.h"
#include "fault_disk.h"
#include "fault_queue.h"

#define CALLS_MAX 100000u
#define POWER_CHOICES 6u

struct what {
    const char *point, *action;
    bool goes_on; /* from the Nth on */
    bool is_kill; /* what is done is done */
};

static const struct what whats[] = {
    {"sys.*", "kill", false, true}, {"queue.*", "kill", false, true},
    {"sys.pwritev", "tear", false, true}, {"sys.*", "EIO", false, false},
    {"sys.*", "ENOSPC", false, false}, {"sys.pwritev", "short", false, true},
    {"sys.*", "EINTR", false, false},
    {"sys.pwritev", "ENOSPC", true, false},
    {"sys.fallocate", "ENOSPC", true, false},
    {"sys.fdatasync", "EIO", true, false}, {"sys.fsync", "EIO", true, false},
    {"sys.open", "EMFILE", true, false}, {"sys.unlink", "EROFS", true, false},
    {"sys.flock", "ENOLCK", true, false}, {"sys.pread", "EIO", true, false},
    {"sys.opendir", "EMFILE", true, false},
};

struct totals {
    unsigned points, unnoticed, failed, died, refused_back;
    unsigned violations;
};

static struct tale *tale;
static struct tale_verdict *verdict;
static char base[64];
static unsigned told;
static bool is_control;

static void
remove_dir(const char *dir)
{
    make_remove(dir);
}

static void
tell(const char *only, int status)
{
    if (told++ < 8)
        printf("violation: --only %s: status %d acked=%u found=%u lost=%u "
            "doubled=%u wrong=%u stale_node=%u back=%u left=%u damaged=%u "
            "odd=%u\n", only, status, verdict->acked, verdict->found,
            verdict->lost, verdict->doubled, verdict->wrong,
            verdict->stale_node, verdict->back, verdict->left,
            verdict->damaged, tale->odd);
    fflush(stdout);
}

/* In a process of its own: a panic is an outcome. */
static int
judge_apart(const char *dir, uint64_t end, enum tale_done done)
{
    pid_t pid = fork();

    check(pid >= 0);
    if (pid == 0) {
        tale_judge(tale, dir, end, done, verdict);
        _exit(0);
    }
    return world_wait(pid);
}

/* --- kill and errno --- */

static int
live_with(const char *rule, const char *dir)
{
    pid_t pid = fork();

    check(pid >= 0);
    if (pid == 0) {
        if (rule != NULL)
            setenv("SPOOR_FAULT", rule, 1);
        fault_init();
        tale_run(tale, dir);
        _exit(0);
    }
    return world_wait(pid);
}

/* false: the fault came too late to be met. */
static bool
run_rule(const char *rule, bool is_kill, struct totals *totals)
{
    char dir[96];
    int status, judged;

    snprintf(dir, sizeof(dir), "%s/queue", base);
    remove_dir(dir);
    tale_reset(tale);
    memset(verdict, 0, sizeof(*verdict));
    status = live_with(rule, dir);
    if (access(dir, F_OK) != 0)
        check(mkdir(dir, 0700) == 0);
    judged = judge_apart(dir, 1, is_kill ? TALE_RETURNED : TALE_NEVER);
    totals->points++;
    totals->died += WIFSIGNALED(status);
    totals->failed += !WIFSIGNALED(status) && tale->failures > 0;
    totals->unnoticed += !WIFSIGNALED(status) && tale->failures == 0;
    totals->refused_back += verdict->refused;
    if (judged != 0 || !tale_is_good(verdict) || tale->odd > 0 ||
        (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) ||
        (!WIFSIGNALED(status) && status != 0)) {
        totals->violations++;
        tell(rule, status);
    }
    return WIFSIGNALED(status) || tale->failures > 0;
}

static void
print_row(const char *name, const struct totals *totals)
{
    printf("%-28s %7u %9u %7u %7u %12u %10u\n", name, totals->points,
        totals->unnoticed, totals->failed, totals->died,
        totals->refused_back, totals->violations);
    fflush(stdout);
}

/* Calls of the kind that a life without faults makes. */
static unsigned
count_calls(const char *kind)
{
    char path[96], dir[96];
    unsigned calls = 0;
    struct {
        char name[56];
        uint64_t calls;
    } *counts;
    int fd;

    snprintf(path, sizeof(path), "%s/counts", base);
    snprintf(dir, sizeof(dir), "%s/queue", base);
    remove_dir(dir);
    tale_reset(tale);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    check(fd >= 0 && ftruncate(fd, SYS_COUNTS_BYTES) == 0);
    setenv("SPOOR_SYS_COUNT", path, 1);
    check(live_with(NULL, dir) == 0 && tale->is_over);
    unsetenv("SPOOR_SYS_COUNT");
    counts = mmap(NULL, SYS_COUNTS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    check(counts != MAP_FAILED);
    for (unsigned i = 0; i < SYS_COUNTS_MAX; i++) {
        size_t len = strcspn(counts[i].name, "@");

        if (counts[i].name[0] != '\0' && (kind[0] == '*' ||
            (strlen(kind) == len && strncmp(counts[i].name, kind, len) == 0)))
            calls += (unsigned)counts[i].calls;
    }
    munmap(counts, SYS_COUNTS_BYTES);
    close(fd);
    unlink(path);
    return calls;
}

static unsigned
run_what(const struct what *what, uint64_t sample, uint64_t seed)
{
    struct totals totals = {0};
    bool is_named = strncmp(what->point, "queue", 5) == 0;
    unsigned calls = is_named ? CALLS_MAX : count_calls(strchr(what->point,
        '.') + 1);
    unsigned step = sample == 0 ? 1 : MAX(1, (is_named ? 400 : calls) /
        (unsigned)sample);
    char rule[96], name[96];

    for (unsigned n = 1 + (unsigned)(seed % step); n <= calls; n += step) {
        if (what->goes_on || what->is_kill)
            snprintf(rule, sizeof(rule), "%s:%s:%u", what->point,
                what->action, n);
        else
            snprintf(rule, sizeof(rule), "%s:%s:%u-%u", what->point,
                what->action, n, n);
        if (!run_rule(rule, what->is_kill, &totals) && is_named)
            break;
    }
    snprintf(name, sizeof(name), "%s %s%s", what->point, what->action,
        what->goes_on ? " and on" : "");
    print_row(name, &totals);
    return totals.violations;
}

/* --- power loss --- */

static void
record(void)
{
    char dir[96];
    pid_t pid;

    disk_make();
    tale_reset(tale);
    snprintf(dir, sizeof(dir), "%s/live", base);
    check(mkdir(dir, 0700) == 0);
    pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        fault_init();
        disk_begin(dir);
        if (is_control)
            sys.fdatasync = sys_kernel.fdatasync;
        snprintf(dir, sizeof(dir), "%s/live/queue", base);
        tale_run(tale, dir);
        _exit(0);
    }
    check(world_wait(pid) == 0 && tale->is_over);
}

static void
run_state(uint32_t end, enum disk_state state, uint64_t seed,
    struct totals *totals)
{
    static const char *const names[] = {"all", "none", "ordered", "any"};
    char dir[96], only[64];
    int status;

    snprintf(dir, sizeof(dir), "%s/state", base);
    remove_dir(dir);
    disk_make_state(dir, end, state, seed);
    snprintf(dir, sizeof(dir), "%s/state/queue", base);
    if (access(dir, F_OK) != 0)
        check(mkdir(dir, 0700) == 0);
    memset(verdict, 0, sizeof(*verdict));
    status = judge_apart(dir, end, TALE_SYNCED);
    /* A torn write may look like damage; then its file is kept. */
    verdict->damaged = 0;
    totals->points++;
    if (status == 0 && tale_is_good(verdict))
        return;
    totals->violations++;
    snprintf(only, sizeof(only), "%u:%s:%llu", end, names[state],
        (unsigned long long)seed);
    tell(only, status);
}

static unsigned
run_power(uint64_t sample, uint64_t seed)
{
    struct totals totals = {0};
    unsigned step;

    record();
    step = sample == 0 ? 1 : MAX(1, disk->nops * (2 + POWER_CHOICES) /
        (unsigned)sample);
    for (uint64_t i = seed % step; i < (uint64_t)disk->nops *
        (2 + POWER_CHOICES); i += step) {
        uint32_t end = (uint32_t)(i / (2 + POWER_CHOICES));
        unsigned choice = (unsigned)(i % (2 + POWER_CHOICES));

        run_state(end, choice == 0 ? DISK_ALL : choice == 1 ? DISK_NONE
            : choice % 2 == 0 ? DISK_ORDERED : DISK_ANY, seed * 1000 + i,
            &totals);
    }
    print_row("power loss", &totals);
    return totals.violations;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"sample", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},
        {"only", required_argument, NULL, 'o'},
        {"control", no_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    uint64_t sample = 0, seed = 1;
    struct totals only_totals = {0};
    const char *only = NULL;
    unsigned bad = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'o')
            only = optarg;
        else if (c == 'c')
            is_control = true;
        else if (c == '?' || !num_parse_u64(sv_from(optarg), c == 'n'
            ? &sample : &seed))
            return 2;
    }
    log_set_level(only != NULL ? LOG_INFO : LOG_FATAL);
    snprintf(base, sizeof(base), "/dev/shm/spoor-queue-%d", (int)getpid());
    check(mkdir(base, 0700) == 0);
    tale = world_shared(sizeof(*tale));
    verdict = world_shared(sizeof(*verdict));
    printf("%-28s %7s %9s %7s %7s %12s %10s\n", "fault", "points",
        "unnoticed", "failed", "died", "refused back", "violations");
    if (only != NULL) {
        run_rule(only, strstr(only, "kill") != NULL, &only_totals);
        print_row(only, &only_totals);
        return only_totals.violations != 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(whats) && !is_control; i++)
        bad += run_what(&whats[i], sample, seed);
    bad += run_power(sample, seed);
    printf("acknowledged in a life: %u parcels; violations=%u\n",
        TALE_PARCELS, bad);
    if (bad == 0 || is_control)
        remove_dir(base);
    return bad == 0 ? 0 : 1;
}
