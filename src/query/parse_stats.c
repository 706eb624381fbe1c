/* SPDX-License-Identifier: BSD-2-Clause */

/* stats: groups, buckets and functions (reference 5.32, 6.1, 7.1). */

#include "core/base.h"

#include <math.h>

#include "query/parser.h"
#include "query/text.h"

/* --- buckets --- */

static bool
unit_parse(struct sv text, struct stats_by *by)
{
    static const struct {
        const char *name;
        enum bucket_kind bucket;
        int64_t ns;
    } units[] = {
        {"nanosecond", BUCKET_STEP, 1},
        {"microsecond", BUCKET_STEP, NS_PER_US},
        {"millisecond", BUCKET_STEP, NS_PER_MS},
        {"second", BUCKET_STEP, NS_PER_SEC},
        {"minute", BUCKET_STEP, 60 * NS_PER_SEC},
        {"hour", BUCKET_STEP, 3600 * NS_PER_SEC},
        {"day", BUCKET_STEP, NS_PER_DAY},
        {"week", BUCKET_WEEK, 7 * NS_PER_DAY},
        {"month", BUCKET_MONTH, 0},
        {"year", BUCKET_YEAR, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!sv_eq(text, sv_from(units[i].name)))
            continue;
        by->bucket = units[i].bucket;
        by->step_ns = units[i].ns;
        by->step = (double)units[i].ns;
        return true;
    }
    return false;
}

/* A number, duration or size; no exponent, base or name of a number. */
static bool
step_parse(struct sv text, double *step, int64_t *ns)
{
    *ns = 0;
    if (duration_parse(text, ns)) {
        *step = (double)*ns;
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (memchr("eExXobnN", text.ptr[i], 8) != NULL)
            return false;
    }
    if (!number_parse(text, step) || !isfinite(*step))
        return false;
    if (*step == trunc(*step) && fabs(*step) < 9.2e18)
        *ns = (int64_t)*step;
    return true;
}

/* "/24" */
static bool
mask_parse(struct sv text, struct stats_by *by)
{
    uint64_t bits;

    if (text.len < 2 || text.ptr[0] != '/' ||
        !uint_parse(sv_sub(text, 1, text.len), &bits) || bits > 32)
        return false;
    by->bucket = BUCKET_IPV4;
    by->step_ns = bits == 0 ? 0 : (int64_t)(UINT32_MAX << (32 - bits));
    return true;
}

static bool
is_plain_step(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || strchr("\"'`#*", c) != NULL)
            return false;
    }
    return true;
}

/* Behind "name:". */
static int
take_bucket(struct parser *p, struct stats_by *by)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "the size of a bucket") == -1)
        return -1;
    by->bucket = BUCKET_STEP;
    if (!is_plain_step(word.text) || (!unit_parse(word.text, by) &&
        !mask_parse(word.text, by) &&
        (!step_parse(word.text, &by->step, &by->step_ns) || by->step < 0)))
        return parse_fail(p, word.pos,
            "'%s' is no size of a bucket, as 1h, 100, 10MiB, /24 or week; "
            "put a field name with ':' in quotes",
            parse_show(word.text).text);
    if (by->bucket == BUCKET_STEP && by->step == 0)
        by->bucket = BUCKET_NONE;
    by->step_text = word.text;
    if (!parse_take(p, "offset"))
        return 0;
    if (parse_word(p, &word, STOP_NAME, "the offset of a bucket") == -1)
        return -1;
    if (!is_plain_step(word.text) ||
        !step_parse(word.text, &by->offset, &by->offset_ns))
        return parse_fail(p, word.pos, "'%s' is no offset of a bucket",
            parse_show(word.text).text);
    by->offset_text = word.text;
    return 0;
}

static int
take_by(struct parser *p, struct stats_by *by)
{
    by->step_text = by->offset_text = SV_EMPTY;
    if (parse_name(p, &by->name, STOP_BY) == -1)
        return -1;
    return parse_take(p, ":") ? take_bucket(p, by) : 0;
}

/* "[by] (a, b:10)"; nothing when there is no "by" and no parenthesis. */
static int
take_bys(struct parser *p, struct stats_spec *stats)
{
    uint32_t cap = 0;
    bool has_by = parse_take(p, "by");

    if (!has_by && !parse_at(p, "("))
        return 0;
    if (parse_want(p, "(", "after 'by'") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        stats->by = parse_grow(p, stats->by, stats->nby, &cap,
            sizeof(*stats->by));
        if (stats->by == NULL || take_by(p, &stats->by[stats->nby]) == -1)
            return -1;
        stats->nby++;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    return 0;
}

/* --- functions --- */

static int
find_function(struct parser *p, const struct function_name **out)
{
    struct sv word = p->lex.token.raw, near;
    uint32_t pos = lexer_pos(&p->lex);

    if (p->lex.token.kind != TOKEN_WORD)
        return parse_unexpected(p, "a stats function");
    *out = function_name_find(word);
    if (*out == NULL) {
        near = function_name_near(word);
        return near.len == 0 ?
            parse_fail(p, pos, "unknown stats function '%s'",
                parse_show(word).text) :
            parse_fail(p, pos,
                "unknown stats function '%s'; did you mean '%.*s'?",
                parse_show(word).text, SV_ARG(near));
    }
    lexer_next(&p->lex);
    return 0;
}

static int
take_phi(struct parser *p, struct stats_fn *fn)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "a quantile as 0.95") == -1)
        return -1;
    if (!number_parse(word.text, &fn->phi) ||
        !(fn->phi >= 0 && fn->phi <= 1))
        return parse_fail(p, word.pos,
            "'%s' is no quantile from 0 to 1", parse_show(word.text).text);
    if (!parse_take(p, ",") && !parse_at(p, ")"))
        return parse_unexpected(p, "',' or ')'");
    return 0;
}

/* The field by which row_max() and its like choose a row. */
static int
take_key(struct parser *p, struct stats_fn *fn)
{
    uint32_t pos = lexer_pos(&p->lex);
    struct field_pattern key;

    if (parse_at(p, ")"))
        return parse_unexpected(p, "the name of a field");
    fn->keys = pool_zalloc(p->pool, sizeof(*fn->keys));
    if (fn->keys == NULL)
        return parse_no_memory(p);
    if (parse_pattern(p, &key) == -1)
        return -1;
    if (key.is_prefix)
        return parse_fail(p, pos, "the first name of %.*s() has no '*'",
            SV_ARG(fn->name));
    fn->keys[fn->nkeys++].name = key.name;
    if (!parse_take(p, ",") && !parse_at(p, ")"))
        return parse_unexpected(p, "',' or ')'");
    return 0;
}

/* How many there may be. */
static int
check_args(struct parser *p, const struct stats_fn *fn, uint32_t pos)
{
    unsigned traits = fn->type->traits;

    if (traits & FUNCTION_NONE && fn->nargs > 0)
        return parse_fail(p, pos, "%s() takes no names", fn->type->name);
    if (traits & FUNCTION_PLAIN && fn->nargs == 0)
        return parse_fail(p, pos, traits & FUNCTION_KEY ?
            "%s() needs the names of two fields" :
            "%s() needs the name of a field", fn->type->name);
    if (traits & FUNCTION_ONE && fn->nargs > 1)
        return parse_fail(p, pos, traits & FUNCTION_KEY ?
            "%s() takes the names of two fields" :
            "%s() takes the name of one field", fn->type->name);
    return 0;
}

/* A star alone stands for all fields: no arguments. */
static int
take_args(struct parser *p, struct stats_fn *fn,
    const struct function_name *name)
{
    uint32_t pos = lexer_pos(&p->lex), cap = 0;
    bool has_all = false;

    if (parse_want(p, "(", "after the name of a function") == -1)
        return -1;
    if (name->traits & FUNCTION_PHI && take_phi(p, fn) == -1)
        return -1;
    if (name->traits & FUNCTION_KEY && take_key(p, fn) == -1)
        return -1;
    while (!parse_take(p, ")")) {
        struct field_pattern arg;

        fn->args = parse_grow(p, fn->args, fn->nargs, &cap,
            sizeof(*fn->args));
        if (fn->args == NULL || parse_pattern(p, &arg) == -1)
            return -1;
        if (arg.is_prefix && name->traits & FUNCTION_PLAIN)
            return parse_fail(p, pos, "%s() takes names without '*'",
                name->name);
        has_all = has_all || (arg.is_prefix && arg.name.len == 0);
        fn->args[fn->nargs++] = arg;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    if (check_args(p, fn, pos) == -1)
        return -1;
    if (has_all)
        fn->nargs = 0;
    return 0;
}

static int
take_condition(struct parser *p, struct filter **filter, const char *word)
{
    char where[40];

    snprintf(where, sizeof(where), "after '%s'", word);
    if (parse_enter(p) == -1 || parse_want(p, "(", where) == -1)
        return -1;
    if (!parse_at(p, ")") && parse_first_filter(p, filter) == -1)
        return -1;
    parse_leave(p);
    snprintf(where, sizeof(where), "after the filter of '%s'", word);
    return parse_want(p, ")", where);
}

/* "sort by (...)" and "limit N". */
static int
take_modifiers(struct parser *p, struct stats_fn *fn)
{
    unsigned traits = fn->type->traits;

    if (parse_at(p, "sort") && traits & FUNCTION_SORT) {
        lexer_next(&p->lex);
        (void)parse_take(p, "by");
        if (parse_sort_fields(p, &fn->keys, &fn->nkeys) == -1)
            return -1;
    }
    if (parse_at(p, "limit") && !(traits & FUNCTION_LIMIT))
        return parse_fail(p, lexer_pos(&p->lex), "%s() has no limit",
            fn->type->name);
    return !parse_take(p, "limit") ? 0 :
        parse_uint(p, &fn->limit, true, "a number after 'limit'");
}

/* The name that was given, or the canonical text. */
static int
take_result(struct parser *p, struct stats_fn *fn)
{
    struct word word;
    struct sb sb;

    if (!parse_take(p, "as") && (parse_at_end(p) || parse_at(p, ","))) {
        sb_init(&sb, PARSE_TEXT_MAX);
        print_function(&sb, fn);
        return parse_keep(p, &sb, &fn->result);
    }
    if (parse_word(p, &word, STOP_NAME, "a name for the result") == -1)
        return -1;
    fn->result = word.text;
    return 0;
}

static int
check_result(struct parser *p, const struct stats_spec *stats,
    const struct stats_fn *fn, uint32_t pos)
{
    for (uint32_t i = 0; i < stats->nby; i++) {
        if (sv_eq(stats->by[i].name, fn->result))
            return parse_fail(p, pos,
                "the result is named '%s', as a field of 'by' is",
                parse_show(fn->result).text);
    }
    for (uint32_t i = 0; i < stats->nfns; i++) {
        if (sv_eq(stats->fns[i].result, fn->result))
            return parse_fail(p, pos, "two results are named '%s'",
                parse_show(fn->result).text);
    }
    return 0;
}

/* Room for one more. */
static struct stats_fn *
add_function(struct parser *p, struct stats_spec *stats, uint32_t *cap)
{
    stats->fns = parse_grow(p, stats->fns, stats->nfns, cap,
        sizeof(*stats->fns));
    return stats->fns == NULL ? NULL : &stats->fns[stats->nfns];
}

/*
 * The filter of a case: rows that pass it and none of the cases before.
 * *others passes the rows of no case so far.
 */
static int
take_case(struct parser *p, struct stats_fn *fn, struct filter **others)
{
    bool is_default = parse_take(p, "default");
    struct filter *own = NULL, *not_own;

    if (is_default) {
        fn->filter = *others;
        return 0;
    }
    if (!parse_take(p, "case") && !parse_take(p, "if"))
        return parse_unexpected(p, "'case' or 'default'");
    if (take_condition(p, &own, "case") == -1)
        return -1;
    if (own == NULL)
        own = filter_new(p->pool, FILTER_ALL, SV("_msg"), 0);
    not_own = own == NULL ? NULL : filter_new_not(p->pool, own, own->pos);
    if (not_own == NULL)
        return parse_no_memory(p);
    if (*others == NULL) {
        fn->filter = own;
        *others = not_own;
        return 0;
    }
    fn->filter = filter_new_list(p->pool, FILTER_AND,
        (struct filter *[]){own, *others}, 2);
    *others = filter_new_list(p->pool, FILTER_AND,
        (struct filter *[]){*others, not_own}, 2);
    return fn->filter == NULL || *others == NULL ? parse_no_memory(p) : 0;
}

/*
 * Behind "switch": one function for each case, of which each row is in one.
 * The canonical text has them as functions with "if (...)".
 */
static int
take_switch(struct parser *p, struct stats_spec *stats, uint32_t *cap)
{
    struct stats_fn fn = stats->fns[stats->nfns], *next = NULL;
    struct filter *others = NULL;

    if (parse_want(p, "(", "after 'switch'") == -1)
        return -1;
    do {
        uint32_t pos = lexer_pos(&p->lex);

        if (next != NULL)
            stats->nfns++;
        next = add_function(p, stats, cap);
        if (next == NULL)
            return -1;
        *next = fn;
        if (take_case(p, next, &others) == -1 ||
            take_result(p, next) == -1 ||
            check_result(p, stats, next, pos) == -1)
            return -1;
    } while (parse_take(p, ","));
    return parse_want(p, ")", "after the cases of 'switch'");
}

/* "switch" followed by a parenthesis: alone it is the result's name. */
static bool
at_switch(const struct parser *p)
{
    struct parser next = *p;

    lexer_next(&next.lex);
    return parse_at(p, "switch") && parse_at(&next, "(");
}

static int
take_function(struct parser *p, struct stats_spec *stats, uint32_t *cap)
{
    struct stats_fn *fn = &stats->fns[stats->nfns];
    uint32_t pos = lexer_pos(&p->lex);
    const struct function_name *name = NULL;

    if (find_function(p, &name) == -1)
        return -1;
    fn->kind = name->kind;
    fn->type = name;
    fn->name = sv_from(name->name);
    fn->phi = 0.5;
    if (take_args(p, fn, name) == -1)
        return -1;
    if (take_modifiers(p, fn) == -1)
        return -1;
    if (at_switch(p)) {
        lexer_next(&p->lex);
        return take_switch(p, stats, cap);
    }
    if (parse_take(p, "if") &&
        take_condition(p, &fn->filter, "if") == -1)
        return -1;
    return take_result(p, fn) == -1 ? -1 : check_result(p, stats, fn, pos);
}

int
parse_stats(struct parser *p, struct pipe *pipe)
{
    struct stats_spec *stats = pool_zalloc(p->pool, sizeof(*stats));
    uint32_t cap = 0;

    if (stats == NULL)
        return parse_no_memory(p);
    pipe->stats = stats;
    if (take_bys(p, stats) == -1)
        return -1;
    do {
        if (add_function(p, stats, &cap) == NULL ||
            take_function(p, stats, &cap) == -1)
            return -1;
        stats->nfns++;
    } while (parse_take(p, ","));
    return 0;
}
