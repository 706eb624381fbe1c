/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Power loss on a simulated disk (design: reliability 4.3; fault_disk.h).
 *
 *   fault_power [--requests N] [--seed S] [--states N] [--jobs J]
 *               [--seconds S] [--control] [--only OPERATION:STATE:SEED]
 *
 * A server in little lives one life on a disk that is noted.  Then, for each
 * operation, states that a power loss behind it may leave are made, a server
 * starts on each, and what was acknowledged before is read back.
 * --states: how many at most.  --control runs with fsync: off, where losses
 * are expected: it shows that this test can see them.
 */

#include "core/base.h"

#include <errno.h>
#include <getopt.h>

#include "core/num.h"
#include "fault_disk.h"
#include "fault_verify.h"
#include "fault_world.h"

#define JOBS_MAX 16u
#define CHOICES 14u /* states of one operation with dice, at most */

enum { STATES = 4 };
static const char *const state_names[STATES] = {"all", "none", "ordered",
    "any"};

struct totals {
    _Atomic uint32_t states[STATES], lost[STATES], wrong[STATES],
        no_start[STATES], damaged[STATES];
    _Atomic uint32_t told;
};

struct case_of {
    uint32_t end;
    enum disk_state state;
    uint64_t seed;
};

static struct totals *totals;
static struct world_ledger *ledger;
static char base[64];
static struct case_of *cases;
static size_t ncases;

static void
remove_dir(const char *dir)
{
    char command[160];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s failed\n", command);
}

/* --- the life that is noted --- */

static void
record(void)
{
    char dir[96], log_path[96];
    pid_t pid;
    int status;

    snprintf(dir, sizeof(dir), "%s/live", base);
    snprintf(log_path, sizeof(log_path), "%s/live.log", base);
    disk_make();
    pid = fork();
    if (pid == 0) {
        world_output(log_path);
        fault_init();
        disk_begin(dir);
        world_conf.data_path = strdup(dir);
        world_master(ledger);
    }
    status = world_wait(pid);
    check(status == 0);
    for (unsigned i = 0; i < world_n; i++)
        check(atomic_load(&ledger->fate[i]) == FATE_ACKED);
}

/* --- a state --- */

static unsigned
acked_before(uint64_t position)
{
    unsigned n = 0;

    for (unsigned i = 0; i < world_n; i++)
        n += atomic_load(&ledger->position[i]) <= position;
    return n;
}

static void
judge(const struct case_of *one, int status,
    const struct verify_result *result, const char *log_path)
{
    if (status != 0 || !result->is_done)
        atomic_fetch_add(&totals->no_start[one->state], 1);
    else if (result->lost != 0)
        atomic_fetch_add(&totals->lost[one->state], 1);
    else if (result->partial != 0)
        atomic_fetch_add(&totals->damaged[one->state], 1);
    else
        atomic_fetch_add(&totals->wrong[one->state], 1);
    if (atomic_fetch_add(&totals->told, 1) < 5)
        printf("violation: --only %u:%s:%llu: %u acknowledged: status %d "
            "%s lost=%u doubled=%u wrong=%u halves=%u partial=%u found=%llu "
            "scan=%llu parts=%llu (%s)\n", one->end,
            state_names[one->state], (unsigned long long)one->seed,
            acked_before(one->end), status, result->text, result->lost,
            result->doubled, result->wrong, result->halves, result->partial,
            (unsigned long long)result->found_rows,
            (unsigned long long)result->scan_rows,
            (unsigned long long)result->part_rows, log_path);
    fflush(stdout);
}

/* Unacknowledged requests may be there or not, but whole. */
static void
case_run(const struct case_of *one, const char *dir, const char *log_path,
    struct verify_result *result)
{
    remove_dir(dir);
    unlink(log_path);
    disk_make_state(dir, one->end, one->state, one->seed);
    atomic_fetch_add(&totals->states[one->state], 1);
    /* What the first start made of it is started again now and then. */
    for (unsigned i = 0; i < (one->seed % 4 == 0 ? 2u : 1u); i++) {
        int status = world_verify(ledger, one->end, dir, log_path, result);

        if (!verify_is_good(status, result)) {
            judge(one, status, result, log_path);
            return;
        }
    }
}

static void NORETURN
job_main(unsigned job, unsigned jobs)
{
    struct verify_result *result = world_shared(sizeof(*result));
    char dir[96], log_path[96];

    snprintf(dir, sizeof(dir), "%s/%u", base, job);
    snprintf(log_path, sizeof(log_path), "%s/%u.log", base, job);
    for (size_t i = job; i < ncases && !world_is_late(); i += jobs)
        case_run(&cases[i], dir, log_path, result);
    _exit(0);
}

/* --- all of them --- */

static void
make_cases(uint64_t seed, size_t max)
{
    size_t all;

    cases = xcalloc((size_t)(disk->nops + 1) * (2 + CHOICES),
        sizeof(*cases));
    for (uint32_t end = 0; end <= disk->nops; end++) {
        cases[ncases++] = (struct case_of){end, DISK_ALL, 0};
        cases[ncases++] = (struct case_of){end, DISK_NONE, 0};
        for (uint64_t i = 0; i < CHOICES; i++)
            cases[ncases++] = (struct case_of){end, i % 2 == 0 ? DISK_ORDERED
                : DISK_ANY, seed * 1000 + end * 50 + i};
    }
    all = ncases;
    for (size_t i = all; i > 1; i--) {
        struct case_of swapped = cases[i - 1];
        size_t j;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        j = (size_t)(seed >> 33) % i;
        cases[i - 1] = cases[j];
        cases[j] = swapped;
    }
    ncases = MIN(ncases, max);
    printf("%u operations, %zu of %zu states\n", disk->nops, ncases, all);
    fflush(stdout);
}

static uint32_t
print_table(double seconds)
{
    uint32_t states = 0, bad = 0;

    printf("%-10s %9s %9s %9s %9s %9s\n", "unsynced", "states", "lost",
        "wrong", "partial", "no start");
    for (unsigned s = 0; s < STATES; s++) {
        printf("%-10s %9u %9u %9u %9u %9u\n", state_names[s],
            totals->states[s], totals->lost[s], totals->wrong[s],
            totals->damaged[s], totals->no_start[s]);
        states += totals->states[s];
        bad += totals->lost[s] + totals->wrong[s] + totals->damaged[s] +
            totals->no_start[s];
    }
    printf("states=%u violations=%u seconds=%.1f\n", states, bad, seconds);
    return bad;
}

static int
parse_only(char *text)
{
    char *state = strchr(text, ':'), *seed;
    uint64_t end, number;

    if (state == NULL || (seed = strchr(state + 1, ':')) == NULL)
        return -1;
    *state++ = *seed++ = '\0';
    if (!num_parse_u64(sv_from(text), &end) ||
        !num_parse_u64(sv_from(seed), &number))
        return -1;
    cases = xcalloc(1, sizeof(*cases));
    for (unsigned s = 0; s < STATES; s++) {
        if (strcmp(state, state_names[s]) == 0) {
            cases[ncases++] = (struct case_of){(uint32_t)end, s, number};
            return 0;
        }
    }
    return -1;
}

static void
run_jobs(unsigned jobs)
{
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        check(pid >= 0);
        if (pid == 0)
            job_main(job, jobs);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"requests", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},
        {"states", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"seconds", required_argument, NULL, 'S'},
        {"control", no_argument, NULL, 'c'},
        {"only", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
    uint64_t requests = 12, seed = 1, states = SIZE_MAX, jobs = 2, seconds = 0;
    int64_t start_ns = clock_mono_ns();
    uint32_t bad;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t *number = c == 'r' ? &requests : c == 's' ? &seed
            : c == 'n' ? &states : c == 'S' ? &seconds : &jobs;

        if (c == 'c')
            world_conf.fsync = FSYNC_OFF;
        else if (c == '?' || (c == 'o' ? parse_only(optarg) != 0
            : !num_parse_u64(sv_from(optarg), number)))
            return 2;
    }
    if (seconds != 0)
        world_until_ns = clock_mono_ns() + (int64_t)seconds * NS_PER_SEC;
    if (jobs == 0 || jobs > JOBS_MAX || requests > WORLD_REQUESTS_MAX)
        return 2;
    snprintf(base, sizeof(base), "/dev/shm/spoor-power-%d", (int)getpid());
    check(mkdir(base, 0700) == 0);
    totals = world_shared(sizeof(*totals));
    ledger = world_shared(sizeof(*ledger));
    fault_init();
    world_make(seed, (unsigned)requests);
    record();
    if (ncases == 0)
        make_cases(seed, states);
    run_jobs((unsigned)jobs);
    bad = print_table((double)(clock_mono_ns() - start_ns) / 1e9);
    if (bad == 0 || world_conf.fsync == FSYNC_OFF)
        remove_dir(base);
    return bad == 0 ? 0 : 1;
}
