/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/merge.h"

#include <fcntl.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "storage/merge_state.h"

/* Tables, plan and all of one block of the output. */
#define POOL_BYTES_MAX (GIB)
/* Of a block; a usual one takes as much. */
#define BLOCK_KEEP_BYTES (8 * MIB)

/* --- shared --- */

int
merge_no_memory(struct merge *m)
{
    return err_set(m->err, ERR_LIMIT, "%s: no memory to merge",
        m->task->path);
}

void *
merge_alloc(struct merge *m, struct pool *pool, size_t bytes)
{
    void *memory = pool_alloc(pool, bytes + 1);

    if (memory == NULL)
        (void)merge_no_memory(m);
    return memory;
}

bool
merge_is_cancelled(struct merge *m)
{
    if (m->task->cancel == NULL || !atomic_load(m->task->cancel))
        return false;
    (void)err_set(m->err, ERR_CANCELLED, "merge cancelled");
    return true;
}

/* --- blocks of the output --- */

static int
block_encode(struct merge *m, const struct merge_out *out)
{
    if (merge_collect(m, out) != 0 || merge_order(m) != 0 ||
        merge_values(m) != 0)
        return -1;
    if (m->has_twins && merge_dedupe(m) > 0 &&
        (merge_order(m) != 0 || merge_values(m) != 0))
        return -1;
    return writer_end_block(m->w);
}

/* What is ready goes to the file. */
static int
flush(struct merge *m, int fd)
{
    struct part_writer *w = m->w;

    if (file_pwrite(fd, w->out.ptr, w->out.len, w->flushed, m->err) != 0)
        return -1;
    w->flushed += w->out.len;
    sb_reset(&w->out);
    return 0;
}

/*
 * A block whose strings turn out to be more than fit is cut in two: how they
 * are spread over the rows is only estimated before.
 */
static int
block_write(struct merge *m, struct merge_out out, int fd)
{
    while (out.first < out.end) {
        struct merge_out now = out;
        struct err err = ERR_INIT, *real = m->err;
        int rc;

        for (;;) {
            m->err = &err;
            m->w->err = &err;
            rc = merge_is_cancelled(m) ? -1 : block_encode(m, &now);
            m->err = real;
            m->w->err = real;
            if (rc == 0 || err.code != ERR_LIMIT || now.end - now.first < 2)
                break;
            now.end = now.first + (now.end - now.first) / 2;
            err = (struct err)ERR_INIT;
            sb_reset(&m->w->out);
        }
        if (rc != 0) {
            if (real != NULL)
                *real = err;
            return -1;
        }
        if (flush(m, fd) != 0)
            return -1;
        for (uint32_t i = now.first; i < now.end; i++)
            m->rows_left[m->entries[i].block] -= m->entries[i].rows;
        out.first = now.end;
    }
    return 0;
}

/* --- lineage --- */

static int
compare_ranges(const void *a, const void *b)
{
    const struct part_lineage *x = a, *y = b;

    if (x->log_id != y->log_id)
        return x->log_id < y->log_id ? -1 : 1;
    return x->first_lsn < y->first_lsn ? -1 : x->first_lsn > y->first_lsn;
}

/* Ranges of all inputs; those that meet become one. */
static int
collect_ranges(struct merge *m, struct write_lineage *lineage)
{
    struct part_lineage *ranges;
    size_t total = 0, n = 0;

    for (uint32_t i = 0; i < m->ninputs; i++) {
        size_t nranges;

        (void)part_get_lineage(m->inputs[i].part, &nranges);
        total += nranges;
    }
    ranges = merge_alloc(m, m->pool, total * sizeof(*ranges));
    if (ranges == NULL)
        return -1;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        size_t nranges;
        const struct part_lineage *from =
            part_get_lineage(m->inputs[i].part, &nranges);

        memcpy(ranges + n, from, nranges * sizeof(*ranges));
        n += nranges;
    }
    qsort(ranges, n, sizeof(*ranges), compare_ranges);
    total = n;
    n = 0;
    for (size_t i = 0; i < total; i++) {
        if (n > 0 && ranges[n - 1].log_id == ranges[i].log_id &&
            ranges[i].first_lsn <= ranges[n - 1].last_lsn)
            ranges[n - 1].last_lsn = MAX(ranges[n - 1].last_lsn,
                ranges[i].last_lsn);
        else
            ranges[n++] = ranges[i];
    }
    lineage->ranges = ranges;
    lineage->nranges = (uint32_t)n;
    return 0;
}

static int
make_lineage(struct merge *m, struct write_lineage *lineage)
{
    uint64_t *inputs = merge_alloc(m, m->pool,
        m->ninputs * sizeof(*inputs));

    if (inputs == NULL)
        return -1;
    for (uint32_t i = 0; i < m->ninputs; i++)
        inputs[i] = m->inputs[i].part->info.id;
    lineage->inputs = inputs;
    lineage->ninputs = m->ninputs;
    return collect_ranges(m, lineage);
}

/* --- the whole --- */

static int
write_file(struct merge *m, int fd, struct part_info *info)
{
    struct write_lineage lineage;

    if (merge_tables(m) != 0 || merge_plan(m) != 0 ||
        make_lineage(m, &lineage) != 0)
        return -1;
    for (uint32_t i = 0; i < m->nouts; i++) {
        if (block_write(m, m->outs[i], fd) != 0)
            return -1;
    }
    intern_reset(&m->texts);
    m->w->texts = m->texts.v;
    m->w->ntexts = m->texts.n;
    if (writer_end(m->w, &lineage, info) != 0 || flush(m, fd) != 0)
        return -1;
    m->counts.rows_out = info->rows;
    m->counts.bytes_out = info->bytes;
    return m->task->sync ? file_datasync(fd, m->err) : 0;
}

static int
count_rows(struct merge *m)
{
    m->rows_left = merge_alloc(m, m->pool,
        m->nblocks * sizeof(*m->rows_left));
    if (m->rows_left == NULL)
        return -1;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        const struct merge_input *input = &m->inputs[i];

        for (uint32_t j = 0; j < input->part->footer.nblocks; j++)
            m->rows_left[input->first_block + j] =
                input->part->blocks[j].rows;
    }
    return 0;
}

static int
make_inputs(struct merge *m)
{
    const struct merge_task *task = m->task;
    uint64_t rows = 0, traces = 0;

    m->inputs = merge_alloc(m, m->pool, task->ninputs * sizeof(*m->inputs));
    if (m->inputs == NULL)
        return -1;
    memset(m->inputs, 0, task->ninputs * sizeof(*m->inputs));
    m->ninputs = (uint32_t)task->ninputs;
    for (uint32_t i = 0; i < m->ninputs; i++) {
        struct part *part = task->inputs[i];

        check(part->info.day == task->inputs[0]->info.day);
        m->inputs[i].part = part;
        m->inputs[i].first_block = m->nblocks;
        m->nblocks += part->footer.nblocks;
        rows += part->info.rows;
        traces += part->footer.traces;
    }
    m->counts.rows_in = rows;
    if (rows > MERGE_ROWS_MAX || traces > MERGE_TRACES_MAX)
        return err_set(m->err, ERR_LIMIT,
            "%llu rows, %llu traces are too many for one merge",
            (unsigned long long)rows, (unsigned long long)traces);
    return count_rows(m);
}

static int
merge_run(struct merge *m, struct part_info *info)
{
    const struct merge_task *task = m->task;
    struct write_name name = {task->part_id, task->inputs[0]->info.day, 2,
        task->node_id};
    struct err ignored = ERR_INIT;
    int fd, rc;

    if (make_inputs(m) != 0)
        return -1;
    fd = file_open(task->path, O_WRONLY | O_CREAT | O_TRUNC, 0640, m->err);
    if (fd < 0)
        return -1;
    writer_start(m->w, &name, m->err);
    rc = write_file(m, fd, info);
    file_close(fd);
    if (rc != 0 && file_unlink(task->path, &ignored) != 0)
        log_warn("%s", ignored.text);
    return rc;
}

int
merge_parts(const struct merge_task *task, struct part_info *info,
    struct merge_counts *counts, size_t *bad_input, struct err *err)
{
    struct merge *m = xcalloc(1, sizeof(*m));
    struct err local = ERR_INIT;
    int rc;

    check(task->ninputs > 0 && task->ninputs <= MERGE_INPUTS_MAX);
    m->task = task;
    m->err = err != NULL ? err : &local;
    m->w = part_writer_new();
    m->pool = pool_new(POOL_BYTES_MAX);
    m->block_pool = pool_new(POOL_BYTES_MAX);
    pool_keep(m->block_pool, BLOCK_KEEP_BYTES);
    intern_init(&m->texts, MERGE_TEXTS_MAX, m->w->seed);
    rc = merge_run(m, info);
    if (bad_input != NULL)
        *bad_input = rc != 0 && m->err->code == ERR_CORRUPT ?
            m->reading_input : SIZE_MAX;
    *counts = m->counts;
    merge_close_all(m);
    intern_release(&m->texts);
    pool_free(m->pool);
    pool_free(m->block_pool);
    part_writer_free(m->w);
    xfree(m);
    return rc;
}
