/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A partition at boot, with merged parts: what a merge that was cut short, a
 * stale manifest or a lost one left, and that every row counts once.
 */

#include "core/base.h"

#include "core/file.h"
#include "core/mem.h"
#include "storage/day.h"
#include "storage/manifest.h"
#include "storage/merge.h"
#include "storage/shared.h"

#include "part_gen.h"
#include "store_dir.h"
#include "tap.h"

#define LOG UINT64_C(0x0000000100000001)
#define ROWS 5u /* of a level-1 part */

static struct part_gen gen;
static uint32_t day = 20261121;
static struct wal_file_name logs[1];
static size_t nlogs;

static int64_t
noon(void)
{
    return time_day_start(day) + NS_PER_DAY / 2;
}

/* A file with the rows [first, first + ROWS) of the log. */
static void
make_level1(uint64_t id, uint64_t first)
{
    struct part_lineage lineage = {LOG, first, first + ROWS};
    struct pool *pool = pool_new(64 * MIB);
    struct err err = ERR_INIT;
    struct tenant tenant = {0, 0};
    uint32_t rows[ROWS];
    struct batch batch;
    char path[PATH_MAX];

    part_gen_reset(&gen);
    batch_init(&batch, pool);
    check(batch_add_resource(&batch, NULL) != NULL &&
        batch_add_scope(&batch, NULL) != NULL);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct span *span = batch_add_span(&batch, NULL);

        span->trace_id.b[0] = (uint8_t)(1 + first % 7);
        span->span_id.b[0] = (uint8_t)(i + 1);
        span->span_id.b[1] = (uint8_t)first;
        span->start_ns = noon() + (int64_t)(first + i) * 1000;
        span->end_ns = span->start_ns + 500;
        span->name = SV("work");
        rows[i] = i;
    }
    check(part_gen_add(&gen, tenant, &batch));
    if (part_encode(gen.pw, gen.mt, rows, ROWS, id, day, part_gen_node,
        &lineage, &gen.file, &gen.info, &err) != 0)
        fail("part: %s", err.text);
    layout_part(path, day, id, 1);
    check(file_replace(path, gen.file.ptr, gen.file.len, 0640, &err) == 0);
    pool_free(pool);
}

static void
path_of(char path[PATH_MAX], uint64_t id)
{
    layout_part(path, day, id, id >= 100 ? 2 : 1);
}

/* A level-2 file (ids from 100 on) of the n parts from the id on. */
static void
make_level2(uint64_t id, const uint64_t *inputs, size_t n)
{
    struct part *parts[8] = {NULL};
    struct merge_task task = {.inputs = parts, .ninputs = n, .part_id = id,
        .node_id = part_gen_node};
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    for (size_t i = 0; i < n; i++) {
        path_of(path, inputs[i]);
        check(part_open(&parts[i], path, &err) == 0);
    }
    path_of(path, id);
    task.path = path;
    if (merge_parts(&task, &info, &counts, NULL, &err) != 0)
        fail("merge: %s", err.text);
    for (size_t i = 0; i < n; i++)
        part_close(parts[i]);
}

static void
remove_part(uint64_t id)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    path_of(path, id);
    check(file_unlink(path, &err) == 0);
}

static void
remove_parts(const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        remove_part(ids[i]);
}

static bool
has_file(uint64_t id)
{
    char path[PATH_MAX];

    path_of(path, id);
    return access(path, F_OK) == 0;
}

/* The manifest lists these, whatever their files are like now. */
static void
list(const uint64_t *ids, size_t n, const uint64_t *drop, size_t ndrop)
{
    struct manifest_part parts[8];
    struct manifest_edit edit = {.add = parts, .nadd = n, .drop = drop,
        .ndrop = ndrop};
    struct err err = ERR_INIT;

    memset(parts, 0, sizeof(parts));
    for (size_t i = 0; i < n; i++) {
        struct part *part;
        char path[PATH_MAX];
        size_t nranges;

        path_of(path, ids[i]);
        check(part_open(&part, path, &err) == 0);
        parts[i].info = *part_get_info(part);
        if (ids[i] < 100)
            parts[i].lineage = *part_get_lineage(part, &nranges);
        part_close(part);
    }
    check(manifest_append(day, &edit, false, &err) == 0);
}

/* A new day for each case. */
static void
next_day(void)
{
    struct err err = ERR_INIT;

    day += 10000; /* years */
    nlogs = 0;
    check(layout_create_partition(day, &err) == 0);
}

/*
 * After day_tidy(): exactly these are listed, all have files, and no other
 * part has one.
 */
static void
expect(const uint64_t *ids, size_t n, uint64_t nbad, const char *name)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    uint64_t bad = 0;
    size_t found = 0, files = 0;

    if (day_tidy(day, logs, nlogs, &err) != 0)
        fail("%s: %s", name, err.text);
    check(manifest_read(&manifest, day, &err) == 0);
    for (size_t i = 0; i < manifest.nparts; i++) {
        bad += manifest.parts[i].is_bad;
        for (size_t k = 0; k < n; k++)
            found += manifest.parts[i].info.id == ids[k] &&
                !manifest.parts[i].is_bad && has_file(ids[k]);
    }
    for (uint64_t id = 1; id < 120; id++)
        files += has_file(id);
    ok(found == n && manifest.nparts == n + nbad && bad == nbad &&
        files == n, "%s: %zu of %zu listed, %zu in all, %llu bad, %zu files",
        name, found, n, manifest.nparts, (unsigned long long)bad, files);
    manifest_release(&manifest);
}

static const uint64_t l1[] = {1, 2, 3};
static const uint64_t merged[] = {100};

/* Three neighbours, and one part of them all. */
static void
make_merge(void)
{
    next_day();
    for (uint64_t id = 1; id <= 3; id++)
        make_level1(id, 10 + id * ROWS);
    make_level2(100, l1, 3);
}

static void
test_cut_short(void)
{
    struct err err = ERR_INIT;
    char path[PATH_MAX], tmp[PATH_MAX + 8];

    make_merge();
    list(l1, 3, NULL, 0);
    path_of(path, 100);
    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    check(file_rename(path, tmp, &err) == 0);
    expect(l1, 3, 0, "a merge that was not renamed");
    ok(access(tmp, F_OK) != 0, "its file is removed");

    make_merge();
    list(l1, 3, NULL, 0);
    expect(l1, 3, 0, "a merge that was not listed");

    make_merge();
    list(l1, 3, NULL, 0);
    list(merged, 1, l1, 3);
    expect(merged, 1, 0, "inputs that were not removed");

    make_merge();
    list(l1, 3, NULL, 0);
    list(merged, 1, l1, 3);
    remove_parts(l1, 2);
    expect(merged, 1, 0, "one that was not removed");
    expect(merged, 1, 0, "once more");
}

static void
test_stale_manifest(void)
{
    static const uint64_t more[] = {100, 4};
    static const uint64_t again[] = {101};

    make_merge();
    list(l1, 3, NULL, 0);
    remove_parts(l1, 3);
    expect(merged, 1, 0, "the manifest of before the merge");

    make_merge();
    list(l1, 3, NULL, 0);
    remove_parts(l1, 2);
    expect(merged, 1, 0, "with an input that is there");

    make_merge();
    list(l1, 3, NULL, 0);
    make_level1(4, 10 + 4 * ROWS);
    make_level2(101, more, 2);
    remove_parts(l1, 3);
    remove_parts(more, 2);
    expect(again, 1, 0, "of before two merges");
}

static void
remove_manifest(void)
{
    struct partition *partition = partition_lock(day);
    struct err err = ERR_INIT;
    char path[PATH_MAX];

    layout_manifest(path, day);
    check(file_unlink(path, &err) == 0);
    partition->manifest_end = 0;
    partition_unlock(partition);
}

static void
test_no_manifest(void)
{
    static const uint64_t both[] = {100, 4};
    static const uint64_t again[] = {101};

    make_merge();
    make_level1(4, 10 + 4 * ROWS);
    remove_manifest();
    expect(both, 2, 0, "no manifest, inputs left over");

    make_merge();
    make_level1(4, 10 + 4 * ROWS);
    make_level2(101, both, 2);
    remove_manifest();
    expect(again, 1, 0, "no manifest, two merges, all files");
}

static void
test_lost_output(void)
{
    make_merge();
    list(merged, 1, NULL, 0);
    remove_part(100);
    expect(l1, 3, 1, "the output is lost, its inputs are not");

    make_merge();
    list(merged, 1, NULL, 0);
    remove_parts(l1, 3);
    remove_part(100);
    expect(NULL, 0, 1, "all is lost, and known to be");
}

/* What a log would write again must not be kept, what it would not must. */
static void
test_log(void)
{
    static const uint64_t ids[] = {100, 4};
    struct manifest manifest;
    struct err err = ERR_INIT;

    logs[0] = (struct wal_file_name){.log_id = LOG};
    next_day();
    nlogs = 1;
    make_level1(4, 30);
    list(NULL, 0, NULL, 0);
    expect(NULL, 0, 0, "a part that its log will write again");

    make_merge();
    nlogs = 1;
    make_level1(4, 10);
    list(NULL, 0, NULL, 0);
    remove_parts(l1, 3);
    expect(ids, 2, 0, "merged rows, and others of before them");
    check(manifest_read(&manifest, day, &err) == 0);
    is_int(manifest_flushed_lsn(&manifest, LOG), 10 + 4 * ROWS,
        "the log is replayed behind them");
    manifest_release(&manifest);
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(1, &err) == 0);
    memcpy(shared->node_id, part_gen_node, sizeof(shared->node_id));
    part_gen_init(&gen);
    test_cut_short();
    test_stale_manifest();
    test_no_manifest();
    test_lost_output();
    test_log();
    part_gen_free(&gen);
    return tap_done();
}
