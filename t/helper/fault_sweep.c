/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Kill and errno at the Nth call of every kind (design: reliability 4.2).
 *
 *   fault_sweep [--requests N] [--seed S] [--sample POINTS] [--jobs J]
 *               [--seconds S] [--from POINT] [--kind K] [--keep]
 *
 * A first run counts the calls of each kind.  Then, for each kind, each call
 * of it and each thing that can happen there, a server in little
 * (fault_world.h) lives a life with that fault, is started again without it,
 * and everything is read back (fault_verify.h): what was acknowledged
 * is there, once, equal; the data directory has no damage.  Prints a table of
 * faults and outcomes; ends with 1 if there is a violation.
 */

#include "core/base.h"

#include <errno.h>
#include <getopt.h>
#include <sys/prctl.h>

#include "core/num.h"
#include "fault_verify.h"
#include "fault_world.h"

#define KINDS_MAX 32u
#define POINTS_MAX 200000u
#define JOBS_MAX 16u
#define CALLS_MAX 5000u

enum outcome {
    UNNOTICED, /* no request was refused, nobody died */
    REFUSED,   /* clients had to send again */
    DIED,      /* a process did; others went on */
    ENDED,     /* the server did, or it refused to start while it lasted */
    LOST, DOUBLED, WRONG, NO_START, DAMAGED, PANIC, /* violations */
    OUTCOMES,
};

static const char *const outcome_names[OUTCOMES] = {"unnoticed", "refused",
    "died", "ended", "LOST", "DOUBLED", "WRONG", "NO START", "DAMAGED",
    "PANIC"};

struct kind {
    char name[32];
    uint32_t calls;
};

struct what {
    const char *word;   /* of SPOOR_FAULT */
    const char *suffix; /* behind the number; "" goes on failing */
    const char *kinds;  /* NULL: all */
};

static const struct what whats[] = {
    {"kill", "", NULL},
    {"crash", "", NULL},
    {"tear", "", " pwritev "},
    {"EIO", "=", NULL},
    {"EIO", "", NULL},
    {"ENOSPC", "=", " open pwritev fallocate mkdir rename link fdatasync "
        "fsync "},
    {"ENOSPC", "", " open pwritev mkdir rename fdatasync "},
    {"EMFILE", "=", " open opendir "},
    {"EMFILE", "", " open opendir "},
    {"EINTR", "=", " open read pread pwritev fdatasync fsync fallocate "
        "flock "},
    {"short", "=", " read pread pwritev "},
    {"short", "", " read pread pwritev "},
};

struct point {
    uint16_t kind, what;
    uint32_t nth;
};

struct totals {
    _Atomic uint32_t cell[KINDS_MAX][ARRAY_LEN(whats)][OUTCOMES];
    _Atomic uint32_t done, violations;
};

static struct kind kinds[KINDS_MAX];
static unsigned nkinds;
static struct point *points;
static size_t npoints, first_point;
static struct totals *totals;
static char base[64];
static const char *only_kind;
static bool keep;

/* --- one point --- */

static void
run_command(const char *fmt, const char *arg)
{
    char command[256];

    snprintf(command, sizeof(command), fmt, arg);
    if (system(command) != 0)
        fprintf(stderr, "fault_sweep: %s failed\n", command);
}

/* Ends what a killed master left behind. */
static void
reap(void)
{
    int status;

    while (waitpid(-1, &status, WNOHANG) >= 0) {
        char path[64], line[256];
        FILE *children;

        snprintf(path, sizeof(path), "/proc/self/task/%d/children",
            (int)getpid());
        children = fopen(path, "re");
        if (children != NULL && fgets(line, sizeof(line), children) != NULL) {
            for (char *at = line, *end; ; at = end) {
                long pid = strtol(at, &end, 10);

                if (end == at)
                    break;
                kill((pid_t)pid, SIGKILL);
            }
        }
        if (children != NULL)
            fclose(children);
        usleep(200);
    }
}

static enum outcome
judge(int status, const struct world_ledger *ledger)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGKILL ? ENDED : PANIC;
    if (WEXITSTATUS(status) == 6)
        return PANIC;
    if (WEXITSTATUS(status) != 0)
        return ENDED;
    if (atomic_load(&ledger->deaths) != 0)
        return DIED;
    return atomic_load(&ledger->refusals) != 0 ? REFUSED : UNNOTICED;
}

static enum outcome
judge_verified(int status, const struct verify_result *result)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM)
        return PANIC;
    if (status != 0 || !result->is_done)
        return NO_START;
    if (result->lost != 0)
        return LOST;
    if (result->doubled != 0 || result->count_differs)
        return DOUBLED;
    if (result->partial != 0)
        return DAMAGED;
    return WRONG;
}

static void
explain(const char *fault, enum outcome outcome,
    const struct verify_result *result, const char *dir)
{
    printf("violation: %s: %s: %s lost=%u doubled=%u wrong=%u halves=%u "
        "partial=%u found=%llu scan=%llu parts=%llu (%s)\n", fault,
        outcome_names[outcome], result->text, result->lost, result->doubled,
        result->wrong, result->halves, result->partial,
        (unsigned long long)result->found_rows,
        (unsigned long long)result->scan_rows,
        (unsigned long long)result->part_rows, dir);
    fflush(stdout);
}

/* A life with the fault, then one or two starts without. */
static enum outcome
live(const char *fault, const char *dir, const char *log_path,
    struct verify_result *result)
{
    unsigned starts = 1 + (atomic_load(&totals->done) % 4 == 0);
    struct world_ledger *ledger = world_shared(sizeof(*ledger));
    int status = world_run(ledger, dir, log_path, fault);
    enum outcome outcome = judge(status, ledger);

    reap();
    for (unsigned i = 0; i < starts && outcome < LOST; i++) {
        status = world_verify(ledger, UINT64_MAX, dir, log_path, result);
        if (!verify_is_good(status, result))
            outcome = judge_verified(status, result);
        else if (i + 1 == starts && !world_check(dir, log_path))
            outcome = DAMAGED;
    }
    munmap(ledger, sizeof(*ledger));
    return outcome;
}

static void
fault_text(const struct point *point, char text[96])
{
    const struct what *what = &whats[point->what];

    if (what->suffix[0] == '=')
        snprintf(text, 96, "sys.%s:%s:%u-%u", kinds[point->kind].name,
            what->word, point->nth, point->nth);
    else
        snprintf(text, 96, "sys.%s:%s:%u", kinds[point->kind].name,
            what->word, point->nth);
}

static void
point_run(const struct point *point, const char *dir, const char *log_path,
    struct verify_result *result)
{
    enum outcome outcome;
    char fault[96];

    fault_text(point, fault);
    run_command("rm -rf %s", dir);
    unlink(log_path);
    outcome = live(fault, dir, log_path, result);
    atomic_fetch_add(&totals->cell[point->kind][point->what][outcome], 1);
    atomic_fetch_add(&totals->done, 1);
    if (outcome >= LOST) {
        explain(fault, outcome, result, dir);
        if (atomic_fetch_add(&totals->violations, 1) < 3 || keep) {
            char copy[256];

            snprintf(copy, sizeof(copy), "%s.%s", log_path, fault);
            rename(log_path, copy);
            printf("log: %s\n", copy);
            fflush(stdout);
        }
    }
}

static void NORETURN
job_main(unsigned job, unsigned jobs)
{
    struct verify_result *result = world_shared(sizeof(*result));
    char dir[96], log_path[96];

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(dir, sizeof(dir), "%s/%u", base, job);
    snprintf(log_path, sizeof(log_path), "%s/%u.log", base, job);
    for (size_t i = first_point + job; i < npoints && !world_is_late(); i += jobs)
        point_run(&points[i], dir, log_path, result);
    _exit(0);
}

/* --- points --- */

static bool
in_list(const char *list, const char *name)
{
    char word[48];

    snprintf(word, sizeof(word), " %s ", name);
    return list == NULL || strstr(list, word) != NULL;
}

static void
count_kind(const char *name, uint64_t calls)
{
    size_t len = strcspn(name, "@");
    unsigned k;

    for (k = 0; k < nkinds; k++) {
        if (strlen(kinds[k].name) == len &&
            memcmp(kinds[k].name, name, len) == 0)
            break;
    }
    check(k < KINDS_MAX && len < sizeof(kinds[k].name));
    if (k == nkinds)
        memcpy(kinds[nkinds++].name, name, len);
    kinds[k].calls += (uint32_t)calls;
}

/* An untouched run: how many calls of each kind, and the oracle's control. */
static int
count_calls(void)
{
    struct { char name[56]; uint64_t calls; } entries[SYS_COUNTS_MAX];
    struct verify_result *result = world_shared(sizeof(*result));
    char path[96], dir[96], log_path[96];
    enum outcome outcome;
    int fd;

    snprintf(path, sizeof(path), "%s/counts", base);
    snprintf(dir, sizeof(dir), "%s/0", base);
    snprintf(log_path, sizeof(log_path), "%s/0.log", base);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    setenv("SPOOR_SYS_COUNT", path, 1);
    outcome = live(NULL, dir, log_path, result);
    unsetenv("SPOOR_SYS_COUNT");
    check(pread(fd, entries, sizeof(entries), 0) == sizeof(entries));
    close(fd);
    for (unsigned i = 0; i < SYS_COUNTS_MAX; i++) {
        if (entries[i].name[0] != '\0' && strncmp(entries[i].name, "close",
            5) != 0)
            count_kind(entries[i].name, entries[i].calls);
    }
    printf("control: %s, %llu rows by id, %llu by scan, %llu in parts\n",
        outcome_names[outcome], (unsigned long long)result->found_rows,
        (unsigned long long)result->scan_rows,
        (unsigned long long)result->part_rows);
    printf("calls:");
    for (unsigned k = 0; k < nkinds; k++)
        printf(" %s %u", kinds[k].name, kinds[k].calls);
    printf("\n");
    if (outcome != UNNOTICED)
        explain("none", outcome, result, dir);
    munmap(result, sizeof(*result));
    return outcome == UNNOTICED ? 0 : -1;
}

static void
make_points(size_t sample, uint64_t seed)
{
    points = xmalloc(POINTS_MAX * sizeof(*points));
    for (uint16_t k = 0; k < nkinds; k++) {
        for (uint16_t w = 0; w < ARRAY_LEN(whats); w++) {
            if (!in_list(whats[w].kinds, kinds[k].name) ||
                (only_kind != NULL && strcmp(only_kind, kinds[k].name) != 0))
                continue;
            for (uint32_t n = 1; n <= MIN(kinds[k].calls, CALLS_MAX); n++) {
                check(npoints < POINTS_MAX);
                points[npoints++] = (struct point){k, w, n};
            }
        }
    }
    /* In any order, so that a run that ends early is a sample. */
    for (size_t i = npoints; i > 1; i--) {
        struct point swapped = points[i - 1];
        size_t j;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        j = (size_t)(seed >> 33) % i;
        points[i - 1] = points[j];
        points[j] = swapped;
    }
    if (sample != 0 && sample < npoints)
        npoints = sample;
}

static void
print_table(double seconds)
{
    uint32_t sums[OUTCOMES] = {0}, all = 0;

    printf("%-24s %7s", "fault", "points");
    for (unsigned o = 0; o < OUTCOMES; o++)
        printf(" %9s", outcome_names[o]);
    printf("\n");
    for (unsigned k = 0; k < nkinds; k++) {
        for (unsigned w = 0; w < ARRAY_LEN(whats); w++) {
            uint32_t n = 0;
            char name[64];

            for (unsigned o = 0; o < OUTCOMES; o++)
                n += totals->cell[k][w][o];
            if (n == 0)
                continue;
            snprintf(name, sizeof(name), "%s %s%s", kinds[k].name,
                whats[w].word, whats[w].suffix[0] == '=' ? " once" : "");
            printf("%-24s %7u", name, n);
            for (unsigned o = 0; o < OUTCOMES; o++) {
                printf(" %9u", totals->cell[k][w][o]);
                sums[o] += totals->cell[k][w][o];
            }
            printf("\n");
            all += n;
        }
    }
    printf("%-24s %7u", "all", all);
    for (unsigned o = 0; o < OUTCOMES; o++)
        printf(" %9u", sums[o]);
    printf("\npoints=%u violations=%u seconds=%.1f\n", all,
        totals->violations, seconds);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"requests", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},
        {"sample", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"from", required_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 'S'},
        {"kind", required_argument, NULL, 'k'},
        {"keep", no_argument, NULL, 'K'}, {NULL, 0, NULL, 0}};
    uint64_t requests = 12, seed = 1, sample = 0, jobs = 4, seconds = 0,
        from = 0;
    int64_t start_ns = clock_mono_ns();
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t *number = c == 'r' ? &requests : c == 's' ? &seed
            : c == 'n' ? &sample : c == 'f' ? &from : c == 'S' ? &seconds : &jobs;

        if (c == 'k')
            only_kind = optarg;
        else if (c == 'K')
            keep = true;
        else if (c == '?' || !num_parse_u64(sv_from(optarg), number))
            return 2;
    }
    if (seconds != 0)
        world_until_ns = clock_mono_ns() + (int64_t)seconds * NS_PER_SEC;
    if (jobs == 0 || jobs > JOBS_MAX || requests > WORLD_REQUESTS_MAX)
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    snprintf(base, sizeof(base), "/dev/shm/spoor-sweep-%d", (int)getpid());
    check(mkdir(base, 0700) == 0);
    totals = world_shared(sizeof(*totals));
    fault_init();
    world_make(seed, (unsigned)requests);
    if (count_calls() != 0)
        return 1;
    make_points(sample, seed);
    first_point = MIN(npoints, (size_t)from);
    printf("%zu points, %llu requests, seed %llu\n", npoints,
        (unsigned long long)requests, (unsigned long long)seed);
    fflush(stdout);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        check(pid >= 0);
        if (pid == 0)
            job_main(job, (unsigned)jobs);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    print_table((double)(clock_mono_ns() - start_ns) / 1e9);
    if (!keep && totals->violations == 0)
        run_command("rm -rf %s", base);
    return totals->violations == 0 &&
        (totals->done == npoints - first_point || world_is_late()) ? 0 : 1;
}
