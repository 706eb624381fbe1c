/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * top: the tuples with the most hits.  They are counted as those of uniq
 * are, from codes and indexes; only the best ones are ordered.
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/mem.h"
#include "core/num.h"
#include "query/parser.h"
#include "query/pipe_old.h"
#include "query/stage_uniq.h"

#define TOP_DEFAULT 10u

/* pipe->names, pipe->hits, pipe->n; pipe->result is the rank's name. */

/* --- syntax --- */

static int
take_limit(struct parser *p, struct pipe *pipe)
{
    uint32_t pos = lexer_pos(&p->lex);

    pipe->n = TOP_DEFAULT;
    if (p->lex.token.kind != TOKEN_WORD || p->lex.token.raw.ptr[0] < '0' ||
        p->lex.token.raw.ptr[0] > '9')
        return 0;
    if (parse_uint(p, &pipe->n, false, "a number of rows") == -1)
        return -1;
    return pipe->n > 0 ? 0 : parse_fail(p, pos,
        "'top' needs a number above 0");
}

static int
take_hits(struct parser *p, struct sv *out)
{
    (void)parse_take(p, "as");
    return parse_name(p, out, STOP_NAME);
}

/* "hits" behind it is no name. */
static int
take_rank(struct parser *p, struct sv *out)
{
    *out = SV("rank");
    return parse_at(p, "hits") ? 0 : parse_rank(p, out);
}

static int
top_parse(struct parser *p, struct pipe *pipe)
{
    struct sv hits = SV("hits"), rank = SV_EMPTY;

    if (take_limit(p, pipe) == -1 || parse_by_names(p, pipe) == -1)
        return -1;
    while (!parse_at_end(p)) {
        int result;

        if (parse_take(p, "hits"))
            result = take_hits(p, &hits);
        else if (parse_take(p, "rank"))
            result = take_rank(p, &rank);
        else
            return parse_unexpected(p, "'hits', 'rank' or '|'");
        if (result == -1)
            return -1;
    }
    if (parse_new_name(p, pipe, hits, &pipe->hits) == -1)
        return -1;
    return rank.len == 0 ? 0 : parse_new_name(p, pipe, rank, &pipe->result);
}

static void
top_print(struct sb *out, const struct pipe *pipe)
{
    sb_add_str(out, "top ");
    sb_add_u64(out, pipe->n);
    sb_add_str(out, " by (");
    print_patterns(out, pipe->names, pipe->nnames);
    sb_add_char(out, ')');
    if (!sv_eq(pipe->hits, SV("hits"))) {
        sb_add_str(out, " hits as ");
        print_word(out, pipe->hits);
    }
    if (pipe->result.len > 0) {
        sb_add_str(out, " rank as ");
        print_word(out, pipe->result);
    }
}

/* --- the best ones: a heap whose root is the worst of them --- */

struct best {
    const struct keys *keys;
    const uint64_t *hits;
    uint32_t *ids;
    uint32_t n;
    struct sv *texts; /* of two tuples */
};

/*
 * Equal hits: the bytes of the key.  A key of several texts has the length of
 * each in front of it.
 */
static int
compare_texts(const struct best *best, uint32_t a, uint32_t b)
{
    uint32_t n = best->keys->ncolumns;
    const struct sv *x = best->texts, *y = x + n;

    keys_texts(best->keys, a, best->texts);
    keys_texts(best->keys, b, best->texts + n);
    for (uint32_t i = 0; i < n; i++) {
        int order;

        if (n > 1 && x[i].len != y[i].len)
            return x[i].len < y[i].len ? -1 : 1;
        order = sv_cmp(x[i], y[i]);
        if (order != 0)
            return order;
    }
    return 0;
}

/* < 0: a comes first. */
static int
compare(const struct best *best, uint32_t a, uint32_t b)
{
    if (best->hits[a] != best->hits[b])
        return best->hits[a] > best->hits[b] ? -1 : 1;
    return compare_texts(best, a, b);
}

static void
sift_down(struct best *best, uint32_t at)
{
    uint32_t id = best->ids[at], child;

    while ((child = 2 * at + 1) < best->n) {
        if (child + 1 < best->n &&
            compare(best, best->ids[child], best->ids[child + 1]) < 0)
            child++;
        if (compare(best, id, best->ids[child]) >= 0)
            break;
        best->ids[at] = best->ids[child];
        at = child;
    }
    best->ids[at] = id;
}

/* The first of them in ids, in their order. */
static int
find_best(struct best *best, uint32_t max, const struct query_run *run,
    struct err *err)
{
    uint32_t count = best->keys->count, n = MIN(max, count);

    for (best->n = 0; best->n < n; best->n++)
        best->ids[best->n] = best->n;
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(best, i);
    for (uint32_t id = n; id < count; id++) {
        if (id % STAGE_POLL_ROWS == 0 && run_poll(run, err) != 0)
            return -1;
        if (compare(best, id, best->ids[0]) >= 0)
            continue;
        best->ids[0] = id;
        sift_down(best, 0);
    }
    /* The worst one goes to the end, again and again. */
    while (best->n > 1) {
        uint32_t worst = best->ids[0];

        if (best->n % STAGE_POLL_ROWS == 0 && run_poll(run, err) != 0)
            return -1;
        best->n--;
        best->ids[0] = best->ids[best->n];
        best->ids[best->n] = worst;
        sift_down(best, 0);
    }
    best->n = n;
    return 0;
}

/* --- giving them --- */

static int
emit_best(struct stage_uniq *mine, const struct best *best,
    struct emit *emit, struct err *err)
{
    uint32_t nnames = mine->pipe->nnames;
    struct sv *texts = xcalloc((size_t)nnames + 2, sizeof(*texts));
    char hits[24], rank[24];
    int result = 0;

    for (uint32_t i = 0; i < best->n && result == 0 && !emit->is_done; i++) {
        if (i % STAGE_POLL_ROWS == 0 &&
            run_poll(mine->stage.run, err) != 0) {
            result = -1;
            break;
        }
        keys_texts(best->keys, best->ids[i], texts);
        texts[nnames] = sv_make(hits,
            num_print_u64(hits, best->hits[best->ids[i]]));
        texts[nnames + 1] = sv_make(rank, num_print_u64(rank, i + 1u));
        result = emit_row(emit, texts, err);
    }
    if (result == 0)
        result = emit_end(emit, err);
    xfree(texts);
    return result;
}

static int
top_emit(struct stage_uniq *mine, struct uniq_lane *all, struct err *err)
{
    const struct pipe *pipe = mine->pipe;
    uint32_t nnames = pipe->nnames, max = (uint32_t)MIN(pipe->n, UINT32_MAX);
    struct sv *names = xcalloc(3 * (size_t)nnames + 2, sizeof(*names));
    struct best best = {&all->keys, all->hits.items, NULL, 0,
        names + nnames + 2};
    struct hold_array ids = {NULL, 0};
    struct emit emit;
    int result = hold_grow_raw(&all->hold, &ids, MIN(max, all->keys.count),
        sizeof(uint32_t), err);

    for (uint32_t i = 0; i < nnames; i++)
        names[i] = pipe->names[i].name;
    names[nnames] = pipe->hits;
    names[nnames + 1] = pipe->result;
    best.ids = ids.items;
    emit_begin(&emit, mine->stage.next, names,
        nnames + 1 + (pipe->result.len > 0));
    if (result == 0)
        result = find_best(&best, max, mine->stage.run, err);
    if (result == 0)
        result = emit_best(mine, &best, &emit, err);
    emit_free(&emit);
    hold_drop(&all->hold, &ids, sizeof(uint32_t));
    xfree(names);
    return result;
}

static int
top_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_uniq *mine = stage_uniq_new(pipe);

    mine->emit = top_emit;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_top = {
    top_parse, top_print, needed_before_uniq, top_make, NULL
};
