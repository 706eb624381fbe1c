/* SPDX-License-Identifier: BSD-2-Clause */

/* The log: what was appended is read back; what is damaged is not. */

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/sys.h"
#include "storage/wal.h"
#include "storage/wal_direct.h"
#include "storage/wal_format.h"
#include "store_dir.h"
#include "tap.h"

#define LOG_ID UINT64_C(0x100000007)

static const uint8_t node_id[16] = {1, 2, 3};

struct seen {
    unsigned n;
    uint64_t rows;
    uint64_t lsns[64];
    size_t lens[64];
    uint32_t rejected[64];
    uint8_t first_byte[64];
};

static int IMPL(wal_entry_fn)
see(const struct wal_entry *entry, void *arg, struct err *err)
{
    struct seen *seen = arg;

    (void)err;
    check(seen->n < 64);
    seen->lsns[seen->n] = entry->first_lsn;
    seen->lens[seen->n] = entry->wire.len;
    seen->rejected[seen->n] = entry->nrejected;
    seen->first_byte[seen->n] = entry->wire.len > 0
        ? (uint8_t)entry->wire.ptr[0] : 0;
    seen->rows += entry->nrows;
    seen->n++;
    return 0;
}

static void
log_path(char path[PATH_MAX], uint64_t log_id, uint32_t number)
{
    struct wal_file_name name = {log_id, number, false};
    char dir[PATH_MAX];

    layout_wal_dir(dir);
    wal_file_path(path, PATH_MAX, dir, &name);
}

static int
read_all(uint64_t log_id, struct seen *seen, struct wal_scan *scan)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    memset(seen, 0, sizeof(*seen));
    log_path(path, log_id, 1);
    return wal_read_file(path, see, seen, scan, &err);
}

/* Four groups of three records; bodies of 10, 5000 and 100,000 bytes. */
static struct wal *
write_log(uint64_t log_id)
{
    static char body[100000];
    struct err err = ERR_INIT;
    struct wal *wal;
    char dir[PATH_MAX];
    uint64_t lsn = 1;

    layout_wal_dir(dir);
    check(wal_open(&wal, dir, log_id, node_id, &err) == 0);
    memset(body, 'b', sizeof(body));
    for (unsigned g = 0; g < 4; g++) {
        struct pool *pool = pool_new(16 * MIB);
        struct wal_record records[3];
        struct ingest ingests[3];
        struct batch batches[3];
        static const size_t lens[3] = {10, 5000, 100000};

        for (unsigned i = 0; i < 3; i++) {
            batch_init(&batches[i], pool);
            store_ingest_make(&ingests[i], &batches[i], 7,
                sv_make(body, lens[i]), (uint8_t)(g * 3 + i));
            if (i == 1)
                batch_reject(&batches[i], 4, REJECT_TIME);
            records[i] = (struct wal_record){&ingests[i], lsn};
            lsn += 7;
        }
        ok(wal_append(wal, records, 3, g % 2 == 0, &err) == 0,
            "group %u is appended", g);
        pool_free(pool);
    }
    return wal;
}

static void
flip(const char *path, off_t offset)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    check(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
    byte ^= 0x10;
    check(pwrite(fd, &byte, 1, offset) == 1);
    close(fd);
}

/* The same past the page cache, as far as this file system does it. */
static void
test_direct(void)
{
    struct wal *wal;
    struct wal_scan scan;
    struct seen seen;

    wal_direct_min = 0;
    wal = write_log(LOG_ID + 7);
    wal_direct_min = WAL_DIRECT_MIN;
    is_int(read_all(LOG_ID + 7, &seen, &scan), 0, "direct: the log is read");
    is_int(seen.n, 12, "direct: all records");
    is_int(seen.lens[2], 100000, "direct: bodies");
    is_int(scan.groups, 4, "direct: groups");
    is_int(scan.damaged + scan.torn, 0, "direct: nothing damaged");
    wal_close(wal);
}

/* No descriptor is left for it. */
static int
open_but_direct(const char *path, int flags, mode_t mode)
{
    if ((flags & O_DIRECT) == 0)
        return sys_kernel.open(path, flags, mode);
    errno = EMFILE;
    return -1;
}

static void
test_direct_not_now(void)
{
    struct wal *wal;
    struct wal_scan scan;
    struct seen seen;

    wal_direct_min = 0;
    sys.open = open_but_direct;
    wal = write_log(LOG_ID + 8);
    sys.open = sys_kernel.open;
    wal_direct_min = WAL_DIRECT_MIN;
    is_int(read_all(LOG_ID + 8, &seen, &scan), 0, "not direct: it is read");
    is_int(seen.n, 12, "not direct: all records");
    wal_close(wal);
}

static void
test_round_trip(void)
{
    struct wal *wal = write_log(LOG_ID);
    struct wal_scan scan;
    struct seen seen;

    is_int(read_all(LOG_ID, &seen, &scan), 0, "the log is read");
    is_int(seen.n, 12, "all records");
    is_int(seen.rows, 84, "all rows");
    is_int(seen.lsns[11], 1 + 11 * 7, "row positions");
    is_int(seen.lens[2], 100000, "bodies");
    is_int(seen.rejected[1], 1, "refused rows");
    is_int(scan.groups, 4, "groups");
    is_int(scan.damaged, 0, "nothing damaged");
    is_int(scan.torn, 0, "nothing torn");
    wal_close(wal);
}

/* Offset of group n: all groups of write_log() are alike. */
static off_t
group_offset(unsigned n)
{
    size_t len = sizeof(struct wal_group_header) +
        3 * sizeof(struct wal_record_header) + 10 + 5000 + 100000 + 4;

    return (off_t)(WAL_PAGE + n * ALIGN_UP(len, (size_t)WAL_PAGE));
}

static void
test_damage(void)
{
    struct wal_scan scan;
    struct seen seen;
    char path[PATH_MAX];

    log_path(path, LOG_ID, 1);
    flip(path, group_offset(1) + 3000);
    is_int(read_all(LOG_ID, &seen, &scan), 0, "a bad group is no failure");
    is_int(seen.n, 9, "the others are read");
    is_int(scan.damaged, 1, "it is reported, since a good one follows");
    flip(path, group_offset(1) + 3000);

    flip(path, group_offset(3) + 60);
    is_int(read_all(LOG_ID, &seen, &scan), 0, "a bad last group");
    is_int(seen.n, 9, "does not count");
    is_int(scan.damaged, 0, "is no damage");
    is_int(scan.torn, 1, "but torn");
    flip(path, group_offset(3) + 60);

    check(truncate(path, group_offset(2) + 9000) == 0);
    is_int(read_all(LOG_ID, &seen, &scan), 0, "a cut file");
    is_int(seen.n, 6, "keeps what is whole");
    flip(path, 20);
    is_int(read_all(LOG_ID, &seen, &scan), 0, "a bad file header");
    is_int(seen.n, 6, "takes nothing from the groups");
    is_int(scan.damaged, 1, "but is damage");
    check(truncate(path, WAL_PAGE) == 0);
    ok(read_all(LOG_ID, &seen, &scan) != 0, "without any it is an error");
    check(truncate(path, 0) == 0);
    is_int(read_all(LOG_ID, &seen, &scan), 0,
        "an empty file was never acknowledged");
}

/* A group copied to another place or another log must not pass. */
static void
test_foreign(void)
{
    struct wal *wal = write_log(LOG_ID + 1);
    struct wal_scan scan;
    struct seen seen;
    char path[PATH_MAX], copy[PATH_MAX];
    static char bytes[200000];
    ssize_t len = group_offset(1) - group_offset(0);
    int from, to;

    log_path(path, LOG_ID + 1, 1);
    from = open(path, O_RDWR);
    check(pread(from, bytes, (size_t)len, group_offset(0)) == len);
    check(pwrite(from, bytes, (size_t)len, group_offset(6)) == len);
    close(from);
    is_int(read_all(LOG_ID + 1, &seen, &scan), 0, "a misplaced copy");
    is_int(seen.n, 12, "is not read again");
    wal_close(wal);

    wal = write_log(LOG_ID + 2);
    wal_close(wal);
    log_path(copy, LOG_ID + 2, 1);
    to = open(copy, O_RDWR);
    check(pwrite(to, bytes, (size_t)len, group_offset(1)) == len);
    close(to);
    is_int(read_all(LOG_ID + 2, &seen, &scan), 0, "a group of another log");
    is_int(seen.n, 9, "is not read");
}

static void
test_release(void)
{
    struct wal *wal = write_log(LOG_ID + 3);
    struct wal_digest *digests;
    struct wal_file_name *names;
    struct err err = ERR_INIT;
    char dir[PATH_MAX], path[PATH_MAX];
    size_t n, ndigests = 0;
    unsigned logs = 0;

    is_int(wal_release(wal, 1000, false, &err), 0, "release");
    layout_wal_dir(dir);
    check(wal_list(dir, &names, &n, &err) == 0);
    for (size_t i = 0; i < n; i++)
        logs += names[i].log_id == LOG_ID + 3 && !names[i].is_digests;
    is_int(logs, 1, "the present file stays");
    xfree(names);
    is_int(wal_release(wal, 1000, true, &err), 0, "release of all");
    check(wal_list(dir, &names, &n, &err) == 0);
    for (size_t i = 0; i < n; i++) {
        if (names[i].log_id != LOG_ID + 3)
            continue;
        ok(names[i].is_digests, "only digests are left");
        wal_file_path(path, sizeof(path), dir, &names[i]);
        is_int(wal_read_digests(path, &digests, &ndigests, &err), 0,
            "they are read");
        is_int(ndigests, 12, "one for each body");
        is_int(digests[5].digest[3], 5, "the right ones");
        xfree(digests);
        flip(path, 40);
        ok(wal_read_digests(path, &digests, &ndigests, &err) != 0,
            "damage in them is seen");
    }
    xfree(names);
    wal_close(wal);
}

int
main(void)
{
    store_dir_make();
    test_round_trip();
    test_direct();
    test_direct_not_now();
    test_damage();
    test_foreign();
    test_release();
    return tap_done();
}
