/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Damage to every file of a data directory that nobody uses (design:
 * reliability 4.4): flipped bits, files cut off, emptied, deleted, swapped,
 * replaced by older copies.
 *
 *   fault_flips [--dir D] [--flips N] [--others N] [--seed S] [--jobs J]
 *               [--seconds S]
 *
 * Without --dir, directories are made: one that was closed in an orderly way
 * and one whose worker was killed, so that there is a log.  For each damage a
 * server starts on it and is asked everything that was asked before the
 * damage: each answer must be the same, or say that something is missing, or
 * be an error.
 */

#include "core/base.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <sys/stat.h>

#include "core/num.h"
#include "fault_answers.h"
#include "fault_world.h"
#include "storage/wal.h"

#define JOBS_MAX 16u
#define FILES_MAX 1024u
#define SETS 4u

enum outcome {
    HARMLESS, /* equal answers, and nothing to say: unused bytes */
    REPAIRED, /* equal answers, and the log says what was wrong */
    PARTIAL,  /* an answer says that something is missing, or fails */
    TAIL,     /* rows that only a log had; the server's log says so */
    GONE,     /* a whole log is: as if it had been removed in order */
    SILENT, CRASH, REFUSED, HANG, /* violations */
    OUTCOMES,
};

static const char *const outcome_names[OUTCOMES] = {"harmless", "repaired",
    "partial", "log lost", "log gone", "SILENT", "CRASH", "NO START", "HANG"};

enum damage {
    FLIP, CUT, EMPTY, ZEROS, LONGER, DELETE, SWAP, STALE, DAMAGES,
};

static const char *const damage_names[DAMAGES] = {"flipped bit", "cut",
    "empty", "zeros", "longer", "deleted", "swapped", "stale copy"};

enum file_kind { NODE, LOCK, MANIFEST, L1, L2, DIGESTS, WAL, OTHER, KINDS };

static const char *const kind_names[KINDS] = {"NODE", "LOCK", "MANIFEST",
    "part L1", "part L2", "digests", "log", "other"};

struct file {
    char name[96];
    uint64_t bytes;
    enum file_kind kind;
};

/* A directory, its copy before the last requests, and its answers. */
struct set {
    char dir[96], stale[96];
    struct file files[FILES_MAX];
    uint32_t nfiles;
    struct answers *answers;
};

struct totals {
    _Atomic uint32_t cell[KINDS][DAMAGES][OUTCOMES];
    _Atomic uint32_t told;
};

static struct set sets[SETS];
static unsigned nsets;
static struct totals *totals;
static char base[64];

static uint32_t
dice(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void
command(const char *fmt, const char *a, const char *b)
{
    char text[400];

    snprintf(text, sizeof(text), fmt, a, b);
    if (system(text) != 0) {
        fprintf(stderr, "fault_flips: %s\n", text);
        exit(2);
    }
}

static void
copy_tree(const char *from, const char *to)
{
    command("rm -rf %2$s && cp -a %1$s %2$s", from, to);
}

/* --- sets --- */

static enum file_kind
kind_of(const char *name)
{
    size_t len = strlen(name);

    if (strcmp(name, "NODE") == 0)
        return NODE;
    if (strcmp(name, "LOCK") == 0)
        return LOCK;
    if (len > 9 && strcmp(name + len - 9, "/MANIFEST") == 0)
        return MANIFEST;
    if (len > 3 && strcmp(name + len - 3, ".l1") == 0)
        return L1;
    if (len > 3 && strcmp(name + len - 3, ".l2") == 0)
        return L2;
    if (len > 4 && strcmp(name + len - 4, ".dig") == 0)
        return DIGESTS;
    if (len > 4 && strcmp(name + len - 4, ".wal") == 0)
        return WAL;
    return OTHER;
}

static void
find_files(struct set *set, const char *below)
{
    char path[256];
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%s", set->dir, below);
    dir = opendir(path);
    check(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        struct file *file = &set->files[set->nfiles];
        char name[400];
        struct stat st;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s%s%s", below,
            below[0] != '\0' ? "/" : "", entry->d_name);
        check(strlen(name) < sizeof(file->name));
        snprintf(path, sizeof(path), "%s/%.100s", set->dir, name);
        check(stat(path, &st) == 0);
        if (S_ISDIR(st.st_mode)) {
            find_files(set, name);
            continue;
        }
        check(set->nfiles < FILES_MAX);
        memcpy(file->name, name, strlen(name) + 1);
        file->bytes = (uint64_t)st.st_size;
        file->kind = kind_of(name);
        set->nfiles++;
    }
    closedir(dir);
}

static void
set_open(struct set *set)
{
    char copy[128], log_path[128];
    int status;

    find_files(set, "");
    set->answers = world_shared(sizeof(*set->answers));
    snprintf(copy, sizeof(copy), "%s/first", base);
    snprintf(log_path, sizeof(log_path), "%s/first.log", base);
    copy_tree(set->dir, copy);
    status = ask(copy, log_path, set->answers, true);
    check(status == 0 && set->answers->is_done);
    for (uint32_t i = 0; i < set->answers->n; i++)
        check(!set->answers->v[i].is_marked);
    printf("%s: %u files, %u traces, %u questions\n", set->dir, set->nfiles,
        set->answers->ntraces, set->answers->n);
    fflush(stdout);
}

/*
 * Half of the requests, a copy, the rest; then closed in an orderly way,
 * killed with rows that only the log has, or with a log that parts cover.
 */
enum end { CLOSED, KILLED, COVERED };

static void
set_make(struct set *set, const char *name, uint64_t seed, enum end end)
{
    struct world_ledger *ledger = world_shared(sizeof(*ledger));
    char log_path[128];
    unsigned n = end == KILLED ? 23 : 24;
    const char *fault = end == COVERED ? "ingest.after_reply:crash:11" : NULL;

    snprintf(set->dir, sizeof(set->dir), "%s/%s", base, name);
    snprintf(set->stale, sizeof(set->stale), "%s/%s.stale", base, name);
    snprintf(log_path, sizeof(log_path), "%s/%s.log", base, name);
    world_make(seed, n);
    world_n = n / 2;
    check(world_run(ledger, set->dir, log_path, NULL) == 0);
    copy_tree(set->dir, set->stale);
    world_n = n;
    world_ends_killed = end == KILLED;
    check(world_run(ledger, set->dir, log_path, fault) == 0 ||
        end == COVERED);
    world_ends_killed = false;
    munmap(ledger, sizeof(*ledger));
    set_open(set);
}

/* --- damage --- */

struct damage_case {
    unsigned set, file;
    enum damage damage;
    uint64_t place;
    unsigned bit;
    unsigned other; /* file to swap with */
};

static struct sv
slurp(const char *path)
{
    struct stat st;
    char *bytes;
    int fd = open(path, O_RDONLY);

    check(fd >= 0 && fstat(fd, &st) == 0);
    bytes = xmalloc((size_t)st.st_size + 1);
    check(read(fd, bytes, (size_t)st.st_size) == st.st_size);
    close(fd);
    return sv_make(bytes, (size_t)st.st_size);
}

static void
spew(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    check(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static void
damage_do(const struct damage_case *one, const char *dir)
{
    const struct set *set = &sets[one->set];
    const struct file *file = &set->files[one->file];
    char path[256], other[256];
    struct sv text;
    char *bytes;

    snprintf(path, sizeof(path), "%s/%s", dir, file->name);
    text = slurp(path);
    bytes = (char *)(uintptr_t)text.ptr;
    switch (one->damage) {
    case FLIP:
        bytes[one->place] ^= (char)(1 << one->bit);
        spew(path, bytes, text.len);
        break;
    case CUT:
        check(truncate(path, (off_t)one->place) == 0);
        break;
    case EMPTY:
        check(truncate(path, 0) == 0);
        break;
    case ZEROS:
        memset(bytes, 0, text.len);
        spew(path, bytes, text.len);
        break;
    case LONGER:
        bytes[text.len] = 'x';
        spew(path, bytes, text.len + 1);
        break;
    case DELETE:
        check(unlink(path) == 0);
        break;
    case SWAP:
        snprintf(other, sizeof(other), "%s/%s", dir,
            set->files[one->other].name);
        check(renameat2(AT_FDCWD, path, AT_FDCWD, other,
            RENAME_EXCHANGE) == 0);
        break;
    case STALE:
        snprintf(other, sizeof(other), "%s/%s", set->stale, file->name);
        command("cp -a %s %s", other, path);
        break;
    case DAMAGES:
        break;
    }
    xfree(bytes);
}

static bool
log_has(const char *log_path, const char *word)
{
    struct sv text = slurp(log_path);
    bool has = memmem(text.ptr, text.len, word, strlen(word)) != NULL;

    xfree((void *)(uintptr_t)text.ptr);
    return has;
}

static enum outcome
judge(const struct damage_case *one, int status,
    struct answers *answers, const char *log_path)
{
    const struct answers *right = sets[one->set].answers;
    bool differs = false, silent = false, said;

    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? HANG : CRASH;
    if (answers->no_start || !answers->is_done)
        return REFUSED;
    for (uint32_t i = 0; i < right->n; i++) {
        bool same = answers->v[i].sum == right->v[i].sum;

        differs |= !same || answers->v[i].is_marked;
        silent |= !same && !answers->v[i].is_marked;
        if (!same && !answers->v[i].is_marked && answers->text[0] == '\0')
            snprintf(answers->text, sizeof(answers->text), "question %u", i);
    }
    said = log_has(log_path, "\twarn\t") || log_has(log_path, "\terror\t");
    if (silent && sets[one->set].files[one->file].kind == WAL && said)
        return TAIL;
    if (silent && sets[one->set].files[one->file].kind == WAL &&
        one->damage == DELETE)
        return GONE;
    if (silent)
        return SILENT;
    return differs ? PARTIAL : said ? REPAIRED : HARMLESS;
}

static void
case_run(const struct damage_case *one, const char *dir,
    const char *log_path, struct answers *answers)
{
    const struct set *set = &sets[one->set];
    const struct file *file = &set->files[one->file];
    enum outcome outcome;

    copy_tree(set->dir, dir);
    unlink(log_path);
    damage_do(one, dir);
    memcpy(answers->ids, set->answers->ids, sizeof(answers->ids));
    answers->ntraces = set->answers->ntraces;
    outcome = judge(one, ask(dir, log_path, answers, false), answers,
        log_path);
    atomic_fetch_add(&totals->cell[file->kind][one->damage][outcome], 1);
    if (outcome >= SILENT && atomic_fetch_add(&totals->told, 1) < 20) {
        char copy[160];

        printf("violation: %s: %s of %s/%s, byte %llu bit %u, other %s: "
            "%s\n", outcome_names[outcome], damage_names[one->damage],
            set->dir, file->name, (unsigned long long)one->place, one->bit,
            set->files[one->other].name, answers->text);
        snprintf(copy, sizeof(copy), "%s.%u", log_path, totals->told);
        rename(log_path, copy);
        printf("log: %s\n", copy);
        fflush(stdout);
    }
}

/* --- all of them --- */

static bool
pick_other(struct damage_case *one, uint64_t *seed)
{
    const struct set *set = &sets[one->set];
    unsigned first = dice(seed) % set->nfiles;

    for (unsigned i = 0; i < set->nfiles; i++) {
        unsigned k = (first + i) % set->nfiles;

        if (k != one->file && set->files[k].kind == set->files[one->file].kind)
        {
            one->other = k;
            return true;
        }
    }
    return false;
}

/* A kind first, so that small files have their share. */
static bool
pick_file(struct damage_case *one, uint64_t *seed)
{
    enum file_kind kind = dice(seed) % KINDS;
    unsigned first;

    one->set = dice(seed) % nsets;
    first = dice(seed) % sets[one->set].nfiles;
    for (unsigned i = 0; i < sets[one->set].nfiles; i++) {
        one->file = (first + i) % sets[one->set].nfiles;
        if (sets[one->set].files[one->file].kind == kind)
            return true;
    }
    return false;
}

/* Manifests and logs end in zeros; nine of ten places are before them. */
static uint64_t
pick_place(const struct damage_case *one, uint64_t *seed)
{
    const struct set *set = &sets[one->set];
    char path[256];
    struct sv text;
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", set->dir,
        set->files[one->file].name);
    text = slurp(path);
    len = text.len;
    while (len > 1 && text.ptr[len - 1] == '\0')
        len--;
    if (dice(seed) % 10 == 0)
        len = text.len;
    xfree((void *)(uintptr_t)text.ptr);
    return dice(seed) % len;
}

static bool
case_make(struct damage_case *one, bool flip, uint64_t *seed)
{
    const struct file *file;
    char path[256];

    memset(one, 0, sizeof(*one));
    if (!pick_file(one, seed))
        return false;
    file = &sets[one->set].files[one->file];
    one->damage = flip ? FLIP : CUT + dice(seed) % (DAMAGES - CUT);
    one->bit = dice(seed) % 8;
    if (one->damage == FLIP || one->damage == CUT) {
        if (file->bytes == 0)
            return false;
        one->place = pick_place(one, seed);
    }
    if (one->damage == SWAP)
        return pick_other(one, seed);
    if (one->damage == STALE) {
        snprintf(path, sizeof(path), "%s/%s", sets[one->set].stale,
            file->name);
        return sets[one->set].stale[0] != '\0' && access(path, F_OK) == 0;
    }
    return true;
}

static void NORETURN
job_main(unsigned job, unsigned jobs, const struct damage_case *cases,
    size_t n)
{
    struct answers *answers = world_shared(sizeof(*answers));
    char dir[96], log_path[96];

    snprintf(dir, sizeof(dir), "%s/%u", base, job);
    snprintf(log_path, sizeof(log_path), "%s/%u.log", base, job);
    for (size_t i = job; i < n && !world_is_late(); i += jobs)
        case_run(&cases[i], dir, log_path, answers);
    _exit(0);
}

static void
print_table(double seconds)
{
    uint32_t sums[OUTCOMES] = {0}, all = 0, flips = 0, bad = 0;

    printf("%-22s %7s", "damage", "cases");
    for (unsigned o = 0; o < OUTCOMES; o++)
        printf(" %9s", outcome_names[o]);
    printf("\n");
    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned d = 0; d < DAMAGES; d++) {
            uint32_t n = 0;
            char name[48];

            for (unsigned o = 0; o < OUTCOMES; o++)
                n += totals->cell[k][d][o];
            if (n == 0)
                continue;
            snprintf(name, sizeof(name), "%s %s", kind_names[k],
                damage_names[d]);
            printf("%-22s %7u", name, n);
            for (unsigned o = 0; o < OUTCOMES; o++) {
                printf(" %9u", totals->cell[k][d][o]);
                sums[o] += totals->cell[k][d][o];
            }
            printf("\n");
            all += n;
            flips += d == FLIP ? n : 0;
        }
    }
    printf("%-22s %7u", "all", all);
    for (unsigned o = 0; o < OUTCOMES; o++) {
        printf(" %9u", sums[o]);
        bad += o >= SILENT ? sums[o] : 0;
    }
    printf("\ncases=%u flips=%u violations=%u seconds=%.1f\n", all, flips, bad,
        seconds);
}

static struct damage_case *
make_cases(uint64_t seed, size_t flips, size_t others)
{
    struct damage_case *cases = xcalloc(flips + others, sizeof(*cases));

    for (size_t i = 0; i < flips + others;)
        i += case_make(&cases[i], i < flips, &seed);
    return cases;
}

static uint32_t
violations(void)
{
    uint32_t bad = 0;

    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned d = 0; d < DAMAGES; d++) {
            for (unsigned o = SILENT; o < OUTCOMES; o++)
                bad += totals->cell[k][d][o];
        }
    }
    return bad;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"flips", required_argument, NULL, 'f'},
        {"others", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},
        {"jobs", required_argument, NULL, 'j'},
        {"seconds", required_argument, NULL, 'S'}, {NULL, 0, NULL, 0}};
    uint64_t flips = 300, others = 100, seed = 1, jobs = 2, seconds = 0;
    int64_t start_ns = clock_mono_ns();
    struct damage_case *cases;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        uint64_t *number = c == 'f' ? &flips : c == 'o' ? &others
            : c == 's' ? &seed : c == 'S' ? &seconds : &jobs;

        if (c == 'd' && nsets < SETS)
            snprintf(sets[nsets++].dir, sizeof(sets[0].dir), "%s", optarg);
        else if (c == '?' || !num_parse_u64(sv_from(optarg), number))
            return 2;
    }
    if (seconds != 0)
        world_until_ns = clock_mono_ns() + (int64_t)seconds * NS_PER_SEC;
    if (jobs == 0 || jobs > JOBS_MAX)
        return 2;
    snprintf(base, sizeof(base), "/dev/shm/spoor-flips-%d", (int)getpid());
    check(mkdir(base, 0700) == 0);
    totals = world_shared(sizeof(*totals));
    fault_init();
    for (unsigned i = 0; i < nsets; i++)
        set_open(&sets[i]);
    if (nsets == 0) {
        set_make(&sets[nsets++], "closed", seed, CLOSED);
        set_make(&sets[nsets++], "killed", seed, KILLED);
        set_make(&sets[nsets++], "covered", seed, COVERED);
    }
    cases = make_cases(seed, flips, others);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        check(pid >= 0);
        if (pid == 0)
            job_main(job, (unsigned)jobs, cases, flips + others);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    print_table((double)(clock_mono_ns() - start_ns) / 1e9);
    xfree(cases);
    if (violations() == 0)
        command("rm -rf %s%s", base, "");
    return violations() == 0 ? 0 : 1;
}
