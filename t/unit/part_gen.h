/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parts for tests and benchmarks: a memtable filled from batches, encoded,
 * written to a file below $TMPDIR or /tmp.
 */

#ifndef SPOOR_T_UNIT_PART_GEN_H
#define SPOOR_T_UNIT_PART_GEN_H

#include "core/base.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"
#include "storage/memtable.h"
#include "storage/memtable_format.h"
#include "storage/merge.h"
#include "storage/part.h"

#define PART_GEN_ID UINT64_C(0x0000010000000007)

struct part_gen {
    struct memtable *mt;
    struct memtable_writer *mw;
    struct part_writer *pw;
    char path[256];
    uint32_t *rows;
    uint32_t nrows;
    uint32_t day;
    struct sv file;
    struct part_info info;
};

static const struct part_lineage part_gen_lineage = {77, 1000, 200000};
static const uint8_t part_gen_node[16] = "0123456789abcde";

static void UNUSED
part_gen_init(struct part_gen *gen)
{
    const char *tmp = getenv("TMPDIR");

    memset(gen, 0, sizeof(*gen));
    gen->mt = memtable_init(aligned_alloc(4096, MEMTABLE_BYTES), 77, 1000);
    gen->mw = memtable_writer_new();
    memtable_writer_attach(gen->mw, gen->mt);
    gen->pw = part_writer_new();
    gen->rows = xmalloc(MEMTABLE_ROWS_MAX * sizeof(uint32_t));
    snprintf(gen->path, sizeof(gen->path), "%s/spoor-part-%d.l1",
        tmp == NULL ? "/tmp" : tmp, (int)getpid());
}

/* An empty memtable again. */
static void UNUSED
part_gen_reset(struct part_gen *gen)
{
    memtable_init(gen->mt, 77, 1000);
    memtable_writer_attach(gen->mw, gen->mt);
}

static void UNUSED
part_gen_free(struct part_gen *gen)
{
    unlink(gen->path);
    part_writer_free(gen->pw);
    memtable_writer_free(gen->mw);
    free(gen->mt);
    xfree(gen->rows);
}

/* False when the memtable was full before the batch's end. */
static bool UNUSED
part_gen_add(struct part_gen *gen, struct tenant tenant,
    const struct batch *batch)
{
    uint32_t n = memtable_append(gen->mw, &tenant, batch, 0);

    memtable_commit(gen->mt, memtable_rows(gen->mt));
    return n == batch->nspans;
}

/* Takes the rows of the day of the memtable's first row. */
static void UNUSED
part_gen_rows(struct part_gen *gen)
{
    uint32_t n = memtable_rows(gen->mt);

    gen->nrows = 0;
    gen->day = time_day(gen->mt->end_ns[0]);
    for (uint32_t row = 0; row < n; row++)
        if (time_day(gen->mt->end_ns[row]) == gen->day)
            gen->rows[gen->nrows++] = row;
}

static int UNUSED
part_gen_encode(struct part_gen *gen, struct err *err)
{
    part_gen_rows(gen);
    return part_encode(gen->pw, gen->mt, gen->rows, gen->nrows, PART_GEN_ID,
        gen->day, part_gen_node, &part_gen_lineage, &gen->file, &gen->info,
        err);
}

static void UNUSED
part_gen_write(const struct part_gen *gen, const void *ptr, size_t len)
{
    int fd = open(gen->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    check(fd >= 0);
    check(write(fd, ptr, len) == (ssize_t)len);
    check(close(fd) == 0);
}

/* The part at `path` as one of level 2, in the place of gen's own file. */
static void UNUSED
part_gen_merge(const struct part_gen *gen, const char *path)
{
    struct part *input = NULL;
    char merged[sizeof(gen->path) + 8];
    struct merge_task task = {&input, 1, PART_GEN_ID + 1, part_gen_node,
        merged, false, NULL};
    struct merge_counts counts;
    struct part_info info;
    struct err err = ERR_INIT;
    size_t bad;

    snprintf(merged, sizeof(merged), "%s.merged", gen->path);
    check(part_open(&input, path, &err) == 0);
    check(merge_parts(&task, &info, &counts, &bad, &err) == 0);
    part_close(input);
    check(rename(merged, gen->path) == 0);
}

#endif
