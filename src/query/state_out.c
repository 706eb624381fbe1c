/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/state.h"

#include "query/query.h"

int
state_bad(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "a partial result is damaged");
}

size_t
state_piece(const struct query_run *run)
{
    return run->env == NULL || run->env->state_piece == 0 ? STATE_PIECE
        : run->env->state_piece;
}

void
state_out_init(struct state_out *out, const struct stage *stage, state_fn fn,
    void *arg)
{
    struct query_budget *budget = &stage->run->budget;
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    size_t left = budget->max - MIN(used, budget->max);

    *out = (struct state_out){.budget = budget, .fn = fn, .arg = arg,
        .piece = state_piece(stage->run)};
    sb_init(&out->sb, MIN(STATE_BYTES_MAX, MAX(left, STATE_PIECE / 16)));
    state_out_begin(out);
}

void
state_out_release(struct state_out *out)
{
    if (out->taken > 0)
        budget_give(out->budget, out->taken);
    out->taken = 0;
    sb_release(&out->sb);
}

void
state_out_begin(struct state_out *out)
{
    sb_reset(&out->sb);
    sb_add_char(&out->sb, STATE_VERSION);
}

int
state_out_check(struct state_out *out, struct err *err)
{
    size_t more = out->sb.len - MIN(out->sb.len, out->taken);

    if (sb_failed(&out->sb))
        return err_set(err, ERR_LIMIT, "a partial result needs more than "
            "%zu MiB of memory", out->budget->max / MIB);
    if (more == 0)
        return 0;
    if (budget_take(out->budget, more, err) != 0)
        return -1;
    out->taken += more;
    return 0;
}

int
state_out_give(struct state_out *out, struct err *err)
{
    if (state_out_check(out, err) != 0 ||
        out->fn(out->arg, sb_sv(&out->sb), err) != 0)
        return -1;
    state_out_begin(out);
    return 0;
}

bool
state_in_begin(struct enc_reader *in, struct sv state)
{
    *in = enc_reader_make(state.ptr, state.len);
    return enc_read8(in) == STATE_VERSION;
}
