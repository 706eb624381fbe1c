/* SPDX-License-Identifier: BSD-2-Clause */

/* sample: each row with a chance of one in N (reference 5.30). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "query/parser.h"
#include "query/stage_map.h"

struct stage_sample {
    struct stage stage;
    uint64_t n;
    uint64_t seed;
    _Atomic uint64_t chunks; /* so far */
};

/* "N" */
static int
sample_parse(struct parser *p, struct pipe *pipe)
{
    uint32_t pos = lexer_pos(&p->lex);

    if (parse_uint(p, &pipe->n, false, "a number of rows") == -1)
        return -1;
    if (pipe->n == 0)
        return parse_fail(p, pos, "sample needs a number above 0");
    pipe->keeps_time = true;
    return parse_pipe_end(p, "'|' or the end");
}

static void
sample_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "sample ");
    sb_add_u64(out, pipe->n);
}

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
    uint64_t v = *state += UINT64_C(0x9e3779b97f4a7c15);

    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

/*
 * Each chunk has its own numbers, and each query others.  Who sees many rows
 * learns about them, so they must not be made of a secret.
 */
static uint64_t
seed(struct stage_sample *mine)
{
    uint64_t chunk = atomic_fetch_add_explicit(&mine->chunks, 1,
        memory_order_relaxed);
    uint64_t state = mine->seed ^ (uint64_t)clock_mono_ns();

    return next_random(&state) + chunk * UINT64_C(0xd6e8feb86659fd93);
}

static int
sample_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct stage_sample *mine = (struct stage_sample *)stage;
    uint64_t state = seed(mine);
    uint64_t *bits;

    if (mine->n == 1)
        return stage_write(stage->next, lane, rows, err);
    bits = pool_zalloc(rows->pool, BITMAP_WORDS(rows->n) * sizeof(*bits) + 1);
    if (bits == NULL)
        return err_set(err, ERR_LIMIT, "query needs too much memory");
    for (uint32_t row = rows_first(rows); row < rows->n;
        row = rows_next(rows, row)) {
        if (next_random(&state) % mine->n == 0)
            bitmap_set(bits, row);
    }
    rows_select(rows, bits);
    return rows->nselected == 0 ? 0
        : stage_write(stage->next, lane, rows, err);
}

static void
sample_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops sample_ops = {
    sample_write, stage_flush_nothing, sample_free
};

static int
sample_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_sample *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &sample_ops;
    /* Without it, the clock has to do. */
    (void)sys.random(&mine->seed, sizeof(mine->seed));
    mine->n = pipe->n;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_sample = {
    sample_parse, sample_print, NULL, sample_make, NULL
};
