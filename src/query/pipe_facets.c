/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * facets: for each field the values with the most hits.  A field with too
 * many values, or with one that is too long, is given up at once, and is not
 * read any more by the lane that found out.
 */

#include "core/base.h"
#include "query/pipe_facets.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/num.h"
#include "query/parser.h"
#include "query/pipe_old.h"
#include "query/pipe_type.h"

#define LIMIT_DEFAULT 10u
#define VALUES_DEFAULT 1000u
#define LEN_DEFAULT 128u
/* Numbers of values have 32 bits. */
#define VALUES_MAX (KEYS_NONE / 2)

/* --- syntax --- */

static int
take_option(struct parser *p, struct facets_spec *spec)
{
    if (parse_take(p, "max_values_per_field"))
        return parse_uint(p, &spec->max_values, false,
            "a number after 'max_values_per_field'");
    if (parse_take(p, "max_value_len"))
        return parse_uint(p, &spec->max_len, false,
            "a number after 'max_value_len'");
    if (!parse_take(p, "keep_const_fields"))
        return parse_unexpected(p, "'max_values_per_field', "
            "'max_value_len', 'keep_const_fields' or '|'");
    spec->keeps_const = true;
    return 0;
}

static int
facets_parse(struct parser *p, struct pipe *pipe)
{
    struct facets_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    uint32_t pos = lexer_pos(&p->lex);

    if (spec == NULL)
        return parse_no_memory(p);
    *spec = (struct facets_spec){LIMIT_DEFAULT, VALUES_DEFAULT, LEN_DEFAULT,
        false};
    pipe->spec = spec;
    if (p->lex.token.kind == TOKEN_WORD && p->lex.token.raw.ptr[0] >= '0' &&
        p->lex.token.raw.ptr[0] <= '9' &&
        parse_uint(p, &spec->limit, false, "a number of values") == -1)
        return -1;
    if (spec->limit == 0)
        return parse_fail(p, pos, "'facets' needs a number above 0");
    while (!parse_at_end(p)) {
        if (take_option(p, spec) == -1)
            return -1;
    }
    spec->max_values = MIN(spec->max_values, VALUES_MAX);
    return 0;
}

static void
print_option(struct sb *out, const char *name, uint64_t v, uint64_t usual)
{
    if (v == usual)
        return;
    sb_add_str(out, name);
    sb_add_u64(out, v);
}

static void
facets_print(struct sb *out, const struct pipe *pipe)
{
    const struct facets_spec *spec = pipe->spec;

    sb_add_str(out, "facets ");
    sb_add_u64(out, spec->limit);
    print_option(out, " max_values_per_field ", spec->max_values,
        VALUES_DEFAULT);
    print_option(out, " max_value_len ", spec->max_len, LEN_DEFAULT);
    if (spec->keeps_const)
        sb_add_str(out, " keep_const_fields");
}

/* --- one field of a lane --- */

static void
facet_drop(struct facets_lane *lane, struct facet *facet)
{
    if (facet->is_made)
        keys_drop(&facet->keys);
    facet->is_made = false;
    hold_drop(&lane->hold, &facet->hits, sizeof(uint64_t));
}

void
facet_kill(struct facets_lane *lane, struct facet *facet)
{
    facet_drop(lane, facet);
    facet->is_dead = true;
}

static void
lane_free(struct facets_lane *lane)
{
    struct facet **facets;

    if (lane == NULL)
        return;
    facets = lane->facets.items;
    for (size_t i = 0; i < lane->facets.cap; i++) {
        if (facets[i] != NULL)
            facet_drop(lane, facets[i]);
    }
    hold_drop(&lane->hold, &lane->facets, sizeof(*facets));
    keys_drop(&lane->names);
    hold_free(&lane->hold);
    xfree(lane);
}

int
facets_lane_get(struct stage_facets *mine, unsigned i, struct facets_lane **out,
    struct err *err)
{
    struct facets_lane *lane = mine->lanes[i];

    *out = lane;
    if (lane != NULL)
        return 0;
    lane = mine->lanes[i] = *out = xcalloc(1, sizeof(*lane));
    hold_init(&lane->hold, &mine->stage.run->budget);
    return keys_init(&lane->names, &lane->hold, 1, NULL, err);
}

struct facet *
facet_get(struct stage_facets *mine, struct facets_lane *lane,
    struct sv name, struct err *err)
{
    struct facet **facets, *facet;
    uint32_t id;

    if (keys_find(&lane->names, &name, &id, err) != 0 ||
        hold_grow(&lane->hold, &lane->facets, (size_t)id + 1,
            sizeof(*facets), err) != 0)
        return NULL;
    facets = lane->facets.items;
    if (facets[id] != NULL)
        return facets[id];
    facet = hold_alloc(&lane->hold, sizeof(*facet), err);
    if (facet == NULL)
        return NULL;
    memset(facet, 0, sizeof(*facet));
    facets[id] = facet;
    if (keys_init(&facet->keys, &lane->hold, 1, NULL, err) != 0)
        return NULL;
    facet->is_made = true;
    /* One for the empty value, which does not count. */
    facet->keys.max = (uint32_t)mine->spec->max_values + 1;
    return facet;
}

bool
facet_is_beyond(const struct stage_facets *mine, struct facet *facet)
{
    for (; facet->nchecked < facet->keys.count; facet->nchecked++) {
        struct sv text;

        keys_texts(&facet->keys, facet->nchecked, &text);
        facet->has_empty |= text.len == 0;
        if (text.len > mine->spec->max_len)
            return true;
    }
    return facet->keys.is_over ||
        facet->keys.count - facet->has_empty > mine->spec->max_values;
}

static int
add_hits(struct facets_lane *lane, struct facet *facet,
    const struct key_ids *ids, const struct picks *picks, struct err *err)
{
    uint64_t *hits;

    if (hold_grow(&lane->hold, &facet->hits, facet->keys.count,
            sizeof(*hits), err) != 0)
        return -1;
    hits = facet->hits.items;
    for (uint32_t i = 0; i < ids->nruns; i++)
        hits[ids->runs[i].id] += ids->runs[i].n;
    if (ids->nruns > 0)
        return 0;
    if (ids->ids == NULL) {
        hits[ids->one] += picks->n;
        return 0;
    }
    for (uint32_t i = 0; i < picks->n; i++)
        hits[ids->ids[picks_row(picks, i)]]++;
    return 0;
}

/* What add_field() takes from a chunk. */
struct intake {
    struct stage_facets *mine;
    struct facets_lane *lane;
    struct rows *rows;
    struct picks picks;
};

static int
add_field(struct intake *in, struct sv name, struct err *err)
{
    struct facet *facet = facet_get(in->mine, in->lane, name, err);
    struct keys_input input = {NULL, &in->picks, in->rows->n, in->rows->pool};
    const struct column *column;
    struct key_ids ids;

    if (facet == NULL)
        return -1;
    if (facet->is_dead)
        return 0;
    if (rows_column(in->rows, name, &column, err) != 0)
        return -1;
    input.columns = column;
    if (keys_map_runs(&facet->keys, &input, &ids, err) != 0)
        return -1;
    if (facet_is_beyond(in->mine, facet)) {
        facet_kill(in->lane, facet);
        return 0;
    }
    return add_hits(in->lane, facet, &ids, &in->picks, err);
}

static int
facets_write(struct stage *stage, unsigned lane, struct rows *rows,
    struct err *err)
{
    struct intake in = {.mine = (struct stage_facets *)stage, .rows = rows};
    const struct sv *names;
    uint32_t n;

    if (rows->nselected == 0)
        return 0;
    if (facets_lane_get(in.mine, lane, &in.lane, err) != 0 ||
        picks_make(&in.picks, rows, err) != 0 ||
        rows_names(rows, &names, &n, err) != 0)
        return -1;
    in.lane->rows += rows->nselected;
    for (uint32_t i = 0; i < n; i++) {
        if (run_poll(stage->run, err) != 0 ||
            add_field(&in, names[i], err) != 0)
            return -1;
    }
    return 0;
}

/* --- the answer --- */

static int
merge_facet(struct stage_facets *mine, struct facets_lane *to,
    const struct facets_lane *from, uint32_t i, struct err *err)
{
    const struct facet *add = ((struct facet **)from->facets.items)[i];
    struct hold_array map = {NULL, 0};
    struct facet *facet;
    struct sv name;
    int result;

    if (add == NULL)
        return 0;
    keys_texts(&from->names, i, &name);
    facet = facet_get(mine, to, name, err);
    if (facet == NULL)
        return -1;
    if (add->is_dead && !facet->is_dead)
        facet_kill(to, facet);
    if (facet->is_dead)
        return 0;
    result = keys_merge(&facet->keys, &add->keys, &map, mine->stage.run, err);
    if (result == 0 && facet_is_beyond(mine, facet)) {
        facet_kill(to, facet);
    } else if (result == 0) {
        const uint64_t *more = add->hits.items;

        result = hold_grow(&to->hold, &facet->hits, facet->keys.count,
            sizeof(*more), err);
        for (uint32_t k = 0; k < add->keys.count && result == 0; k++)
            ((uint64_t *)facet->hits.items)[((uint32_t *)map.items)[k]] +=
                more[k];
    }
    hold_drop(&to->hold, &map, sizeof(uint32_t));
    return result;
}

struct facet_value {
    struct sv text;
    uint64_t hits;
};

static int
compare_values(const void *a_ptr, const void *b_ptr)
{
    const struct facet_value *a = a_ptr, *b = b_ptr;

    if (a->hits != b->hits)
        return a->hits > b->hits ? -1 : 1;
    return sv_cmp(a->text, b->text);
}

/* A field with the same value in every row tells nothing. */
static bool
is_const(const struct facets_lane *all, const struct facet *facet)
{
    const uint64_t *hits = facet->hits.items;

    return facet->keys.count == 1 && hits[0] == all->rows;
}

struct output {
    const struct facets_spec *spec;
    struct facets_lane *all;
    struct emit emit;
};

static int
emit_facet(struct output *out, const struct facet *facet, struct sv name,
    struct err *err)
{
    uint32_t count = facet->keys.count, n = 0;
    struct hold_array array = {NULL, 0};
    struct facet_value *values;
    int result = hold_grow_raw(&out->all->hold, &array, count,
        sizeof(*values), err);

    if (result != 0)
        return -1;
    values = array.items;
    for (uint32_t i = 0; i < count; i++) {
        keys_texts(&facet->keys, i, &values[n].text);
        values[n].hits = ((uint64_t *)facet->hits.items)[i];
        n += values[n].text.len > 0 && values[n].hits > 0;
    }
    if (n > 1)
        qsort(values, n, sizeof(*values), compare_values);
    for (uint32_t i = 0; i < n && i < out->spec->limit && result == 0 &&
        !out->emit.is_done; i++) {
        char number[24];

        result = emit_row(&out->emit, (struct sv[]){name, values[i].text,
            sv_make(number, num_print_u64(number, values[i].hits))}, err);
    }
    hold_drop(&out->all->hold, &array, sizeof(*values));
    return result;
}

struct named {
    struct sv name;
    const struct facet *facet;
};

static int
compare_named(const void *a, const void *b)
{
    return sv_cmp(((const struct named *)a)->name,
        ((const struct named *)b)->name);
}

static int
emit_all(struct stage_facets *mine, struct facets_lane *all, struct err *err)
{
    static const struct sv names[] = {
        {"field_name", 10}, {"field_value", 11}, {"hits", 4}
    };
    struct output out = {mine->spec, all, {0}};
    uint32_t n = all->names.count;
    struct named *named = xcalloc((size_t)n + 1, sizeof(*named));
    int result = 0;

    for (uint32_t i = 0; i < n; i++) {
        keys_texts(&all->names, i, &named[i].name);
        named[i].facet = ((struct facet **)all->facets.items)[i];
    }
    qsort(named, n, sizeof(*named), compare_named);
    emit_begin(&out.emit, mine->stage.next, names, 3);
    for (uint32_t i = 0; i < n && result == 0; i++) {
        const struct facet *facet = named[i].facet;

        result = run_poll(mine->stage.run, err);
        if (result == 0 && !facet->is_dead &&
            (mine->spec->keeps_const || !is_const(all, facet)))
            result = emit_facet(&out, facet, named[i].name, err);
    }
    if (result == 0)
        result = emit_end(&out.emit, err);
    emit_free(&out.emit);
    xfree(named);
    return result;
}

int
facets_join_lanes(struct stage_facets *mine, struct facets_lane **out,
    struct err *err)
{
    struct facets_lane *all = NULL;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++) {
        struct facets_lane *lane = mine->lanes[i];

        if (lane == NULL)
            continue;
        if (all == NULL) {
            all = lane;
            continue;
        }
        all->rows += lane->rows;
        for (uint32_t k = 0; k < lane->names.count; k++) {
            if (merge_facet(mine, all, lane, k, err) != 0)
                return -1;
        }
        lane_free(lane);
        mine->lanes[i] = NULL;
    }
    *out = all;
    return 0;
}

static int
facets_flush(struct stage *stage, struct err *err)
{
    struct stage_facets *mine = (struct stage_facets *)stage;
    struct facets_lane *all;

    if (facets_join_lanes(mine, &all, err) != 0)
        return -1;
    return all == NULL ? 0 : emit_all(mine, all, err);
}

static void
facets_free(struct stage *stage)
{
    struct stage_facets *mine = (struct stage_facets *)stage;

    for (unsigned i = 0; i < QUERY_LANES_MAX; i++)
        lane_free(mine->lanes[i]);
    xfree(mine);
}

static const struct stage_ops facets_ops = {
    facets_write, facets_flush, facets_free
};

static int
facets_make(struct stage **out, const struct pipe *pipe,
    UNUSED struct query_run *run, UNUSED struct err *err)
{
    struct stage_facets *mine = xcalloc(1, sizeof(*mine));

    mine->stage.ops = &facets_ops;
    mine->stage.state = &facets_state;
    mine->spec = pipe->spec;
    *out = &mine->stage;
    return 0;
}

const struct pipe_ops pipe_facets = {
    facets_parse, facets_print, needed_before_any, facets_make, NULL
};
