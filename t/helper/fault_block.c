/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Power loss on a real file system, at the level of blocks (design:
 * reliability 4.3).  t/powerloss.t makes a block device whose writes are
 * logged by qemu-storage-daemon (blklogwrites: the format of dm-log-writes).
 *
 *   fault_block record --mount DIR --log LOG --acks FILE [--control]
 *       a server in little lives on the mounted device; the number of log
 *       entries at each acknowledgement goes to FILE; --control: with
 *       fsync: off, so that there is something to lose
 *   fault_block replay --log LOG --acks FILE --type ext4 --mib SIZE
 *                      --dir SCRATCH [--states N] [--jobs J] [--seconds S]
 *       makes images of the device: every prefix of the log, and for each
 *       random states in which writes behind the last flush are there, torn
 *       or not there; mounts each, starts on it, reads back what was
 *       acknowledged before
 *
 * Both with the same [--seed S] [--requests N], which make the requests.
 */

#include "core/base.h"

#include <errno.h>
#include <getopt.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/num.h"
#include "fault_verify.h"
#include "fault_world.h"

#define JOBS_MAX 8u
#define ENTRIES_MAX 200000u
#define SECTOR 512u
#define LOG_MAGIC 0x6a736677736872ull
#define REORDERED 40u /* states of each prefix with dice, at most */

enum { LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4 };

struct log_super {
    uint64_t magic, version, nr_entries;
    uint32_t sector_bytes, unused;
};

struct log_entry {
    uint64_t sector, nr_sectors, flags, data_len;
};

struct acks {
    uint64_t begin; /* log entries when the server started */
    int64_t base_ns; /* when the requests were made */
    struct world_ledger ledger;
};

struct totals {
    _Atomic uint32_t states[2], lost[2], wrong[2], no_start[2], partial[2];
    _Atomic uint32_t unmountable[2], told;
};

static const uint8_t *bytes; /* the log */
static size_t *offsets;      /* of its entries */
static uint32_t nentries;
static uint64_t device_bytes;
static struct acks *acks;
static struct totals *totals;
static const char *log_path, *acks_path, *mount_dir, *scratch, *fs_type;

/* --- record --- */

static uint64_t
log_entries(void)
{
    struct log_super super;
    int fd = open(log_path, O_RDONLY | O_CLOEXEC);

    check(fd >= 0 && pread(fd, &super, sizeof(super), 0) == sizeof(super));
    close(fd);
    return super.nr_entries;
}

static int
record(void)
{
    char data[PATH_MAX], server_log[PATH_MAX];
    int status, fd;

    world_position = log_entries;
    acks->begin = log_entries();
    snprintf(data, sizeof(data), "%s/data", mount_dir);
    snprintf(server_log, sizeof(server_log), "%s.log", acks_path);
    status = world_run(&acks->ledger, data, server_log, NULL);
    for (unsigned i = 0; i < world_n; i++)
        check(atomic_load(&acks->ledger.fate[i]) == FATE_ACKED);
    fd = open(acks_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && write(fd, acks, sizeof(*acks)) == sizeof(*acks));
    close(fd);
    printf("recorded: status %d, log entries %llu to %llu\n", status,
        (unsigned long long)acks->begin, (unsigned long long)log_entries());
    return status == 0 ? 0 : 1;
}

/* --- the log --- */

static struct log_entry
entry_at(uint32_t i)
{
    struct log_entry entry;

    memcpy(&entry, bytes + offsets[i], sizeof(entry));
    return entry;
}

static void
log_load(void)
{
    struct log_super super;
    struct stat st;
    size_t at = SECTOR;
    int fd = open(log_path, O_RDONLY);

    check(fd >= 0 && fstat(fd, &st) == 0);
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    check(bytes != MAP_FAILED);
    close(fd);
    memcpy(&super, bytes, sizeof(super));
    check(super.magic == LOG_MAGIC && super.sector_bytes == SECTOR &&
        super.nr_entries < ENTRIES_MAX);
    offsets = xcalloc((size_t)super.nr_entries + 1, sizeof(*offsets));
    for (nentries = 0; nentries < super.nr_entries; nentries++) {
        struct log_entry entry;

        offsets[nentries] = at;
        entry = entry_at(nentries);
        at += SECTOR;
        if ((entry.flags & LOG_DISCARD) == 0)
            at += entry.nr_sectors * SECTOR;
        check((entry.sector + entry.nr_sectors) * SECTOR <= device_bytes &&
            at <= (size_t)st.st_size);
    }
}

static bool
is_zero(const uint8_t *ptr, size_t len)
{
    return len == 0 || (ptr[0] == 0 && memcmp(ptr, ptr + 1, len - 1) == 0);
}

/* Zeros stay holes where nothing was: most of a device is empty. */
static void
image_write(int fd, const uint8_t *ptr, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        size_t step = MIN(len - done, (size_t)4096 - (offset + done) % 4096);

        if (is_zero(ptr + done, step))
            check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                (off_t)(offset + done), (off_t)step) == 0);
        else
            check(pwrite(fd, ptr + done, step, (off_t)(offset + done)) ==
                (ssize_t)step);
        done += step;
    }
}

static void
entry_apply(int fd, uint32_t i)
{
    struct log_entry entry = entry_at(i);

    if (entry.nr_sectors == 0)
        return;
    if ((entry.flags & LOG_DISCARD) != 0)
        check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            (off_t)(entry.sector * SECTOR),
            (off_t)(entry.nr_sectors * SECTOR)) == 0);
    else
        image_write(fd, bytes + offsets[i] + SECTOR,
            entry.nr_sectors * SECTOR, entry.sector * SECTOR);
}

static void
entry_apply_torn(int fd, uint32_t i, uint64_t *seed)
{
    struct log_entry entry = entry_at(i);

    if ((entry.flags & LOG_DISCARD) != 0)
        return;
    for (uint64_t k = 0; k < entry.nr_sectors; k++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        if ((*seed >> 40) % 2 == 0)
            check(pwrite(fd, bytes + offsets[i] + SECTOR + k * SECTOR, SECTOR,
                (off_t)((entry.sector + k) * SECTOR)) == SECTOR);
    }
}

/* --- images --- */

static int
image_new(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    check(fd >= 0 && ftruncate(fd, (off_t)device_bytes) == 0);
    return fd;
}

static void
image_copy(int from, int to)
{
    off_t at = 0, end = 0;
    static char buf[64 * 1024];

    while ((at = lseek(from, end, SEEK_DATA)) >= 0) {
        end = lseek(from, at, SEEK_HOLE);
        while (at < end) {
            ssize_t n = pread(from, buf, (size_t)MIN((off_t)sizeof(buf),
                end - at), at);

            check(n > 0 && pwrite(to, buf, (size_t)n, at) == n);
            at += n;
        }
    }
}

/*
 * What a power loss behind entry `end` may leave.  base: an image of all
 * entries before the last flush.
 */
static void
image_reorder(int fd, uint32_t flushed, uint32_t end, uint64_t seed)
{
    for (uint32_t i = flushed; i < end; i++) {
        struct log_entry entry = entry_at(i);
        uint32_t dice;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        dice = (uint32_t)(seed >> 33) % 10;
        if ((entry.flags & LOG_FUA) != 0 || dice < 4)
            entry_apply(fd, i);
        else if (dice < 7)
            entry_apply_torn(fd, i, &seed);
    }
}

static int
loop_open(int image, char path[32])
{
    struct loop_config config = {.fd = (uint32_t)image};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

    check(control >= 0);
    for (unsigned tries = 0; tries < 200; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE), fd;

        if (number < 0)
            break;
        snprintf(path, 32, "/dev/loop%d", number);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
            close(control);
            return fd;
        }
        if (fd >= 0)
            close(fd);
        usleep(1000);
    }
    close(control);
    return -1;
}

static void
unmount(const char *dir, int device)
{
    for (unsigned tries = 0; umount2(dir, 0) != 0 && tries < 500; tries++)
        usleep(2000);
    ioctl(device, LOOP_CLR_FD, 0);
    close(device);
}

/* --- a state --- */

struct place {
    char mount[PATH_MAX], image[PATH_MAX], log[PATH_MAX], data[PATH_MAX];
    struct verify_result *result;
};

static void
judge(unsigned kind, uint32_t end, int status,
    const struct verify_result *result)
{
    _Atomic uint32_t *cell = totals->wrong;

    if (status != 0 || !result->is_done)
        cell = totals->no_start;
    else if (result->lost != 0)
        cell = totals->lost;
    else if (result->partial != 0)
        cell = totals->partial;
    atomic_fetch_add(&cell[kind], 1);
    if (atomic_fetch_add(&totals->told, 1) < 5)
        printf("violation: %s behind entry %u: status %d %s lost=%u "
            "doubled=%u wrong=%u halves=%u partial=%u\n", kind == 0 ? "prefix"
            : "reordered", end, status, result->text, result->lost,
            result->doubled, result->wrong, result->halves, result->partial);
    fflush(stdout);
}

static void
state_run(const struct place *place, int image, unsigned kind, uint32_t end)
{
    const char *options = strcmp(fs_type, "xfs") == 0 ? "nouuid" : "";
    char device_path[32];
    int device = loop_open(image, device_path), status;

    check(device >= 0);
    atomic_fetch_add(&totals->states[kind], 1);
    if (mount(device_path, place->mount, fs_type, MS_NOATIME, options) != 0) {
        if (atomic_fetch_add(&totals->unmountable[kind], 1) == 0)
            printf("unmountable: behind entry %u: %m\n", end);
        ioctl(device, LOOP_CLR_FD, 0);
        close(device);
        return;
    }
    unlink(place->log);
    status = world_verify(&acks->ledger, end, place->data, place->log,
        place->result);
    if (!verify_is_good(status, place->result))
        judge(kind, end, status, place->result);
    unmount(place->mount, device);
}

static uint32_t
last_flush(uint32_t end)
{
    while (end > 0 && (entry_at(end - 1).flags & LOG_FLUSH) == 0)
        end--;
    return end;
}

/* The prefix and its reordered states; base holds what is flushed. */
static void
prefix_run(const struct place *place, int base, uint32_t end,
    unsigned reordered)
{
    uint32_t flushed = last_flush(end);

    for (unsigned k = 0; k <= reordered && !world_is_late(); k++) {
        int image = image_new(place->image);

        image_copy(base, image);
        if (k == 0) {
            for (uint32_t i = flushed; i < end; i++)
                entry_apply(image, i);
        } else {
            /* Nothing is behind the flush: no choice. */
            if (flushed == end) {
                close(image);
                return;
            }
            image_reorder(image, flushed, end, end * 1000ull + k);
        }
        state_run(place, image, k == 0 ? 0 : 1, end);
        close(image);
        unlink(place->image);
    }
}

static void NORETURN
job_main(unsigned job, unsigned jobs, uint32_t step, unsigned reordered)
{
    struct place place;
    char path[PATH_MAX];
    uint32_t applied = 0, first = (uint32_t)acks->begin;
    int base;

    snprintf(place.mount, sizeof(place.mount), "%s/%u", scratch, job);
    snprintf(place.image, sizeof(place.image), "%s/%u.img", scratch, job);
    snprintf(place.log, sizeof(place.log), "%s/%u.log", scratch, job);
    snprintf(place.data, sizeof(place.data), "%s/%u/data", scratch, job);
    snprintf(path, sizeof(path), "%s/%u.base", scratch, job);
    check(mkdir(place.mount, 0700) == 0 || errno == EEXIST);
    place.result = world_shared(sizeof(*place.result));
    base = image_new(path);
    for (uint32_t end = first + job * step; end <= nentries &&
        !world_is_late(); end += jobs * step) {
        for (uint32_t flushed = last_flush(end); applied < flushed; applied++)
            entry_apply(base, applied);
        prefix_run(&place, base, end, reordered);
    }
    _exit(0);
}

/* --- all of them --- */

static void
plan(uint64_t states, uint32_t *step, unsigned *reordered)
{
    uint64_t prefixes = nentries - acks->begin + 1;

    *step = 1;
    *reordered = 0;
    if (states <= prefixes)
        *step = (uint32_t)((prefixes + states - 1) / MAX(states, 1u));
    else
        *reordered = (unsigned)MIN((states - prefixes) / prefixes + 1,
            (uint64_t)REORDERED);
    if (*step > 1) {
        /* A sample has both kinds. */
        *step *= 3;
        *reordered = 2;
    }
    printf("%u log entries, %llu of the server; every %u%s, %u reordered "
        "each\n", nentries, (unsigned long long)(nentries - acks->begin),
        *step, *step == 1 ? "st" : "th", *reordered);
    fflush(stdout);
}

static uint32_t
print_table(double seconds)
{
    static const char *const names[2] = {"prefix", "reordered"};
    uint32_t states = 0, bad = 0;

    printf("%-6s %-10s %8s %8s %8s %8s %8s %11s\n", "fs", "state", "states",
        "lost", "wrong", "partial", "no start", "unmountable");
    for (unsigned k = 0; k < 2; k++) {
        printf("%-6s %-10s %8u %8u %8u %8u %8u %11u\n", fs_type, names[k],
            totals->states[k], totals->lost[k], totals->wrong[k],
            totals->partial[k], totals->no_start[k], totals->unmountable[k]);
        states += totals->states[k];
        bad += totals->lost[k] + totals->wrong[k] + totals->partial[k] +
            totals->no_start[k];
    }
    printf("states=%u violations=%u seconds=%.1f\n", states, bad, seconds);
    return bad;
}

static int
replay(uint64_t states, unsigned jobs)
{
    int64_t start_ns = clock_mono_ns();
    uint32_t step;
    unsigned reordered;

    log_load();
    plan(states, &step, &reordered);
    for (unsigned job = 0; job < jobs; job++) {
        pid_t pid = fork();

        check(pid >= 0);
        if (pid == 0)
            job_main(job, jobs, step, reordered);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    return print_table((double)(clock_mono_ns() - start_ns) / 1e9) == 0 ? 0
        : 1;
}

static void
acks_load(void)
{
    int fd = open(acks_path, O_RDONLY);

    check(fd >= 0 && read(fd, acks, sizeof(*acks)) == sizeof(*acks));
    close(fd);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"log", required_argument, NULL, 'l'},
        {"acks", required_argument, NULL, 'a'},
        {"mount", required_argument, NULL, 'm'},
        {"dir", required_argument, NULL, 'd'},
        {"type", required_argument, NULL, 't'},
        {"control", no_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 'S'},
        {"mib", required_argument, NULL, 'M'},
        {"requests", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},
        {"states", required_argument, NULL, 'n'},
        {"jobs", required_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    uint64_t requests = 12, seed = 1, states = 100, jobs = 2, mib = 0;
    uint64_t seconds = 0;
    bool is_record;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **text = c == 'l' ? &log_path : c == 'a' ? &acks_path
            : c == 'm' ? &mount_dir : c == 'd' ? &scratch : c == 't' ? &fs_type
            : NULL;
        uint64_t *number = c == 'r' ? &requests : c == 's' ? &seed
            : c == 'n' ? &states : c == 'M' ? &mib
            : c == 'S' ? &seconds : &jobs;

        if (text != NULL)
            *text = optarg;
        else if (c == 'c')
            world_conf.fsync = FSYNC_OFF;
        else if (c == '?' || !num_parse_u64(sv_from(optarg), number))
            return 2;
    }
    if (optind + 1 != argc || log_path == NULL || acks_path == NULL ||
        jobs == 0 || jobs > JOBS_MAX || requests > WORLD_REQUESTS_MAX)
        return 2;
    if (seconds != 0)
        world_until_ns = clock_mono_ns() + (int64_t)seconds * NS_PER_SEC;
    device_bytes = mib * MIB;
    is_record = strcmp(argv[optind], "record") == 0;
    acks = world_shared(sizeof(*acks));
    totals = world_shared(sizeof(*totals));
    if (is_record)
        acks->base_ns = clock_wall_ns();
    else
        acks_load();
    fault_init();
    world_make_at(seed, (unsigned)requests, acks->base_ns);
    return is_record ? record() : replay(states, (unsigned)jobs);
}
