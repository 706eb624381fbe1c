/* SPDX-License-Identifier: BSD-2-Clause */

/* generate_sequence: _msg from 0 on, instead of rows (reference 11.4). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "core/num.h"
#include "query/parser.h"
#include "query/stage_map.h"

struct stage_sequence {
    struct stage stage;
    uint64_t n;
};

/* "N" */
static int
sequence_parse(struct parser *p, struct pipe *pipe)
{
    if (parse_uint(p, &pipe->n, false, "a number of rows") == -1)
        return -1;
    return parse_pipe_end(p, "'|' or the end");
}

static void
sequence_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "generate_sequence ");
    sb_add_u64(out, pipe->n);
}

static int
sequence_needed(struct needed *needed, UNUSED const struct pipe *pipe,
    UNUSED struct pool *pool)
{
    *needed = (struct needed){NULL, 0, false};
    return 0;
}

/* No row is wanted. */
static int
sequence_write(UNUSED struct stage *stage, UNUSED unsigned lane,
    UNUSED struct rows *rows, UNUSED struct err *err)
{
    return 1;
}

static int
sequence_flush(struct stage *stage, struct err *err)
{
    const struct stage_sequence *mine = (struct stage_sequence *)stage;
    const struct sv name = SV("_msg");
    struct emit emit;
    int result = 0;

    emit_begin(&emit, stage->next, &name, 1);
    for (uint64_t i = 0; i < mine->n && result == 0 && !emit.is_done; i++) {
        char number[24];
        struct sv text = sv_make(number, num_print_u64(number, i));

        if (i % STAGE_POLL_ROWS == 0)
            result = run_poll(stage->run, err);
        if (result == 0)
            result = emit_row(&emit, &text, err);
    }
    if (result == 0)
        result = emit_end(&emit, err);
    emit_free(&emit);
    return result;
}

static void
sequence_free(struct stage *stage)
{
    xfree(stage);
}

static const struct stage_ops sequence_ops = {
    sequence_write, sequence_flush, sequence_free
};

static int
sequence_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_sequence *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &sequence_ops;
    mine->n = pipe->n;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_generate_sequence = {
    sequence_parse, sequence_print, sequence_needed, sequence_make, NULL
};
