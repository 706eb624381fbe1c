/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Errors at the Nth call of a start and of everything that is asked then:
 * an answer is the same, or it says that something is missing, or is an
 * error; and what an error left behind is a directory that answers all when
 * it is started again: an error of a moment must not be taken for damage.
 *
 *   fault_reads [--seed S] [--sample POINTS] [--jobs J] [--seconds S]
 */

#include "core/base.h"

#include <errno.h>
#include <getopt.h>
#include <sys/stat.h>

#include "core/num.h"
#include "fault_answers.h"
#include "fault_verify.h"
#include "fault_world.h"

#define JOBS_MAX 16u
#define KINDS_MAX 32u
#define POINTS_MAX 200000u
#define SETS 2u

enum outcome {
    EQUAL, SAID, REFUSED, /* all answers; some said it; no start meanwhile */
    SILENT, PANIC, HANG, NO_START, DAMAGED, /* violations */
    OUTCOMES,
};

static const char *const outcome_names[OUTCOMES] = {"equal", "said",
    "no start", "SILENT", "PANIC", "HANG", "NO RESTART", "DAMAGED"};

struct what {
    const char *word, *kinds; /* NULL: all */
    bool once;
};

static const struct what whats[] = {
    {"EIO", NULL, true},
    {"EIO", NULL, false},
    {"EMFILE", " open opendir ", true},
    {"EMFILE", " open opendir ", false},
    {"ENOSPC", " open pwritev rename mkdir fdatasync fallocate ", false},
    {"EINTR", " open read pread pwritev fdatasync fsync ", true},
    {"short", " read pread pwritev ", true},
    {"short", " read pread pwritev ", false},
};

struct kind {
    char name[32];
    uint32_t calls[SETS];
};

struct point {
    uint16_t set, kind, what;
    uint32_t nth;
};

struct totals {
    _Atomic uint32_t cell[KINDS_MAX][ARRAY_LEN(whats)][OUTCOMES];
    _Atomic uint32_t told;
};

static char dirs[SETS][96];
static struct answers *right[SETS];
static struct kind kinds[KINDS_MAX];
static unsigned nkinds;
static struct point *points;
static size_t npoints;
static struct totals *totals;
static char base[64];

static void
copy_tree(const char *from, const char *to)
{
    char text[400];

    snprintf(text, sizeof(text), "rm -rf %s && cp -a %s %s", to, from, to);
    check(system(text) == 0);
}

/* --- directories --- */

/* Merged and closed, or with a log that nobody recovered. */
static void
dir_make(unsigned set, uint64_t seed)
{
    struct world_ledger *ledger = world_shared(sizeof(*ledger));
    char log_path[96];

    snprintf(dirs[set], sizeof(dirs[set]), "%s/set%u", base, set);
    snprintf(log_path, sizeof(log_path), "%s/set%u.log", base, set);
    world_make(seed + set, set == 0 ? 12 : 11);
    world_ends_killed = set == 1;
    check(world_run(ledger, dirs[set], log_path, NULL) == 0);
    munmap(ledger, sizeof(*ledger));
}

static void
count_call(unsigned set, const char *name, uint64_t calls)
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
    kinds[k].calls[set] += (uint32_t)calls;
}

/* What is right, and how many calls it takes. */
static void
dir_ask(unsigned set)
{
    struct { char name[56]; uint64_t calls; } entries[SYS_COUNTS_MAX];
    char path[96], copy[96], log_path[96];
    int fd;

    snprintf(path, sizeof(path), "%s/counts%u", base, set);
    snprintf(copy, sizeof(copy), "%s/copy", base);
    snprintf(log_path, sizeof(log_path), "%s/copy.log", base);
    right[set] = world_shared(sizeof(*right[set]));
    copy_tree(dirs[set], copy);
    check(ask(copy, log_path, right[set], true) == 0);
    copy_tree(dirs[set], copy);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    setenv("SPOOR_SYS_COUNT", path, 1);
    check(ask(copy, log_path, right[set], false) == 0);
    unsetenv("SPOOR_SYS_COUNT");
    check(pread(fd, entries, sizeof(entries), 0) == sizeof(entries));
    close(fd);
    for (unsigned i = 0; i < SYS_COUNTS_MAX; i++) {
        if (entries[i].name[0] != '\0' &&
            strncmp(entries[i].name, "close", 5) != 0)
            count_call(set, entries[i].name, entries[i].calls);
    }
    for (uint32_t i = 0; i < right[set]->n; i++)
        check(!right[set]->v[i].is_marked);
}

/* --- a point --- */

static enum outcome
judge(int status, const struct answers *answers, const struct answers *good)
{
    bool said = false;

    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? HANG : PANIC;
    if (answers->no_start || !answers->is_done)
        return REFUSED;
    for (uint32_t i = 0; i < good->n; i++) {
        if (answers->v[i].is_marked)
            said = true;
        else if (answers->v[i].sum != good->v[i].sum)
            return SILENT;
    }
    return said ? SAID : EQUAL;
}

static void
point_run(const struct point *point, const char *dir, const char *log_path,
    struct answers *answers)
{
    const struct what *what = &whats[point->what];
    enum outcome outcome, again;
    char fault[96];
    int n;

    n = snprintf(fault, sizeof(fault), "sys.%s:%s:%u",
        kinds[point->kind].name, what->word, point->nth);
    if (what->once)
        snprintf(fault + n, sizeof(fault) - (size_t)n, "-%u", point->nth);
    copy_tree(dirs[point->set], dir);
    unlink(log_path);
    memcpy(answers->ids, right[point->set]->ids, sizeof(answers->ids));
    answers->ntraces = right[point->set]->ntraces;
    setenv("SPOOR_FAULT", fault, 1);
    outcome = judge(ask(dir, log_path, answers, false), answers,
        right[point->set]);
    unsetenv("SPOOR_FAULT");
    again = judge(ask(dir, log_path, answers, false), answers,
        right[point->set]);
    if (outcome < SILENT && again != EQUAL)
        outcome = again == SAID || again == SILENT ? DAMAGED
            : again == REFUSED ? NO_START : again;
    atomic_fetch_add(&totals->cell[point->kind][point->what][outcome], 1);
    if (outcome >= SILENT && atomic_fetch_add(&totals->told, 1) < 8) {
        char copy[256];

        snprintf(copy, sizeof(copy), "%s.%s", log_path, fault);
        rename(log_path, copy);
        printf("violation: %s: set %u, %s %s (%s)\n", outcome_names[outcome],
            point->set, fault, answers->text, copy);
        fflush(stdout);
    }
}

static void NORETURN
job_main(unsigned job, unsigned jobs)
{
    struct answers *answers = world_shared(sizeof(*answers));
    char dir[96], log_path[96];

    snprintf(dir, sizeof(dir), "%s/%u", base, job);
    snprintf(log_path, sizeof(log_path), "%s/%u.log", base, job);
    for (size_t i = job; i < npoints && !world_is_late(); i += jobs)
        point_run(&points[i], dir, log_path, answers);
    _exit(0);
}

/* --- all of them --- */

static bool
has_kind(const struct what *what, const char *name)
{
    char word[48];

    snprintf(word, sizeof(word), " %s ", name);
    return what->kinds == NULL || strstr(what->kinds, word) != NULL;
}

static void
make_points(size_t sample, uint64_t seed)
{
    points = xmalloc(POINTS_MAX * sizeof(*points));
    for (uint16_t set = 0; set < SETS; set++) {
        for (uint16_t k = 0; k < nkinds; k++) {
            for (uint16_t w = 0; w < ARRAY_LEN(whats); w++) {
                for (uint32_t n = 1; n <= kinds[k].calls[set] &&
                    has_kind(&whats[w], kinds[k].name); n++) {
                    check(npoints < POINTS_MAX);
                    points[npoints++] = (struct point){set, k, w, n};
                }
            }
        }
    }
    for (size_t i = npoints; i > 1; i--) {
        struct point swapped = points[i - 1];
        size_t j;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        j = (size_t)(seed >> 33) % i;
        points[i - 1] = points[j];
        points[j] = swapped;
    }
    printf("%zu points", npoints);
    npoints = MIN(npoints, sample);
    printf(", %zu of them run\n", npoints);
    fflush(stdout);
}

static uint32_t
print_table(double seconds)
{
    uint32_t sums[OUTCOMES] = {0}, all = 0, bad = 0;

    printf("%-20s %7s", "error", "points");
    for (unsigned o = 0; o < OUTCOMES; o++)
        printf(" %10s", outcome_names[o]);
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
                whats[w].word, whats[w].once ? " once" : "");
            printf("%-20s %7u", name, n);
            for (unsigned o = 0; o < OUTCOMES; o++) {
                printf(" %10u", totals->cell[k][w][o]);
                sums[o] += totals->cell[k][w][o];
            }
            printf("\n");
            all += n;
        }
    }
    printf("%-20s %7u", "all", all);
    for (unsigned o = 0; o < OUTCOMES; o++) {
        printf(" %10u", sums[o]);
        bad += o >= SILENT ? sums[o] : 0;
    }
    printf("\npoints=%u violations=%u seconds=%.1f\n", all, bad, seconds);
    return bad;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"sample", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'},
        {"seconds", required_argument, NULL, 'S'}, {NULL, 0, NULL, 0}};
    uint64_t seed = 1, sample = SIZE_MAX, jobs = 2, seconds = 0;
    int64_t start_ns = clock_mono_ns();
    uint32_t bad;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?' || !num_parse_u64(sv_from(optarg), c == 's' ? &seed
            : c == 'n' ? &sample : c == 'S' ? &seconds : &jobs))
            return 2;
    }
    if (seconds != 0)
        world_until_ns = clock_mono_ns() + (int64_t)seconds * NS_PER_SEC;
    if (jobs == 0 || jobs > JOBS_MAX)
        return 2;
    snprintf(base, sizeof(base), "/dev/shm/spoor-reads-%d", (int)getpid());
    check(mkdir(base, 0700) == 0);
    totals = world_shared(sizeof(*totals));
    fault_init();
    for (unsigned set = 0; set < SETS; set++) {
        dir_make(set, seed);
        dir_ask(set);
    }
    make_points(sample, seed);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        check(pid >= 0);
        if (pid == 0)
            job_main(job, (unsigned)jobs);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    bad = print_table((double)(clock_mono_ns() - start_ns) / 1e9);
    if (bad == 0) {
        char text[96];

        snprintf(text, sizeof(text), "rm -rf %s", base);
        check(system(text) == 0);
    }
    return bad == 0 ? 0 : 1;
}
