/* SPDX-License-Identifier: BSD-2-Clause */

/* running_stats and total_stats: syntax and what they read. */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/stage_running.h"

static int
find_function(struct parser *p, const struct running_spec *spec,
    struct running_fn *out)
{
    struct sv word = p->lex.token.raw;
    const struct function_name *type;
    const char *wanted = spec->is_total
        ? "count(), sum(), min(), max(), first() or last()"
        : "count(), sum(), min(), max() or last()";

    if (p->lex.token.kind != TOKEN_WORD)
        return parse_unexpected(p, wanted);
    type = function_name_find(word);
    out->fn.type = type;
    if (sv_eq_nocase(word, SV("last"))) {
        out->kind = RUNNING_LAST;
        out->fn.name = SV("last");
    } else if (spec->is_total && sv_eq_nocase(word, SV("first"))) {
        out->kind = RUNNING_FIRST;
        out->fn.name = SV("first");
    } else if (type != NULL && (strcmp(type->name, "count") == 0 ||
        strcmp(type->name, "sum") == 0 || strcmp(type->name, "min") == 0 ||
        strcmp(type->name, "max") == 0)) {
        out->kind = RUNNING_ACC;
        out->fn.name = sv_from(type->name);
        out->fn.kind = type->kind;
    } else {
        return parse_unexpected(p, wanted);
    }
    lexer_next(&p->lex);
    return 0;
}

static int
take_args(struct parser *p, struct running_fn *out)
{
    struct stats_fn *fn = &out->fn;
    uint32_t pos = lexer_pos(&p->lex), cap = 0;
    bool has_all = false;

    if (parse_want(p, "(", "after the name of a function") == -1)
        return -1;
    while (!parse_take(p, ")")) {
        fn->args = parse_grow(p, fn->args, fn->nargs, &cap,
            sizeof(*fn->args));
        if (fn->args == NULL || parse_pattern(p, &fn->args[fn->nargs]) == -1)
            return -1;
        has_all |= fn->args[fn->nargs].is_prefix &&
            fn->args[fn->nargs].name.len == 0;
        fn->nargs++;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return parse_unexpected(p, "',' or ')'");
    }
    if (out->kind != RUNNING_ACC &&
        (fn->nargs != 1 || fn->args[0].is_prefix))
        return parse_fail(p, pos, "%.*s() takes the name of one field",
            SV_ARG(fn->name));
    if (has_all)
        fn->nargs = 0;
    return out->kind == RUNNING_ACC || !parse_take(p, "offset") ? 0 :
        parse_uint(p, &out->offset, true, "a number after 'offset'");
}

static void
print_fn(struct sb *out, const struct running_fn *fn)
{
    sb_add_sv(out, fn->fn.name);
    sb_add_char(out, '(');
    if (fn->fn.nargs == 0)
        sb_add_char(out, '*');
    print_patterns(out, fn->fn.args, fn->fn.nargs);
    sb_add_char(out, ')');
    if (fn->offset > 0) {
        sb_add_str(out, " offset ");
        sb_add_u64(out, fn->offset);
    }
}

static int
take_result(struct parser *p, const struct running_spec *spec,
    struct running_fn *out)
{
    uint32_t pos = lexer_pos(&p->lex);
    struct word word;
    struct sb sb;

    if (!parse_take(p, "as") && (parse_at_end(p) || parse_at(p, ","))) {
        sb_init(&sb, PARSE_TEXT_MAX);
        print_fn(&sb, out);
        if (parse_keep(p, &sb, &out->fn.result) == -1)
            return -1;
    } else {
        if (parse_word(p, &word, STOP_NAME, "a name for the result") == -1)
            return -1;
        out->fn.result = word.text;
    }
    for (uint32_t i = 0; i < spec->nby; i++) {
        if (sv_eq(spec->by[i], out->fn.result))
            return parse_fail(p, pos,
                "the result is named '%s', as a field of 'by' is",
                parse_show(out->fn.result).text);
    }
    for (uint32_t i = 0; i < spec->nfns; i++) {
        if (sv_eq(spec->fns[i].fn.result, out->fn.result))
            return parse_fail(p, pos, "two results are named '%s'",
                parse_show(out->fn.result).text);
    }
    return 0;
}

static int
running_parse(struct parser *p, struct pipe *pipe)
{
    struct running_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    struct values by = {NULL, 0, 0, false};
    uint32_t cap = 0;
    bool has_by = parse_take(p, "by");

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    spec->is_total = pipe->type->ops == &pipe_total_stats;
    if ((has_by || parse_at(p, "(")) && parse_plain_names(p, &by) == -1)
        return -1;
    spec->by = by.items;
    spec->nby = by.n;
    do {
        struct running_fn *fn;

        spec->fns = parse_grow(p, spec->fns, spec->nfns, &cap,
            sizeof(*spec->fns));
        if (spec->fns == NULL)
            return -1;
        fn = &spec->fns[spec->nfns];
        *fn = (struct running_fn){.kind = RUNNING_ACC};
        if (find_function(p, spec, fn) == -1 || take_args(p, fn) == -1 ||
            take_result(p, spec, fn) == -1)
            return -1;
        spec->nfns++;
    } while (parse_take(p, ","));
    return 0;
}

static void
running_print(struct sb *out, const struct pipe *pipe)
{
    const struct running_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    for (uint32_t i = 0; i < spec->nby; i++) {
        sb_add_str(out, i == 0 ? " by (" : ", ");
        print_word(out, spec->by[i]);
    }
    if (spec->nby > 0)
        sb_add_char(out, ')');
    for (uint32_t i = 0; i < spec->nfns; i++) {
        sb_add_str(out, i == 0 ? " " : ", ");
        print_fn(out, &spec->fns[i]);
        sb_add_str(out, " as ");
        print_word(out, spec->fns[i].fn.result);
    }
}

static int
running_needed(struct needed *needed, const struct pipe *pipe,
    struct pool *pool)
{
    const struct running_spec *spec = pipe->spec;

    for (uint32_t i = 0; i < spec->nfns; i++)
        needed_remove(needed,
            &(struct field_pattern){spec->fns[i].fn.result, false});
    for (uint32_t i = 0; i < spec->nby; i++) {
        if (needed_add_name(needed, spec->by[i], pool) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < spec->nfns; i++) {
        const struct stats_fn *fn = &spec->fns[i].fn;
        static const struct field_pattern all = {{"", 0}, true};

        for (uint32_t k = 0; k < fn->nargs; k++) {
            if (needed_add(needed, &fn->args[k], pool) != 0)
                return -1;
        }
        if (fn->nargs == 0 && fn->kind != STATS_COUNT &&
            needed_add(needed, &all, pool) != 0)
            return -1;
    }
    return needed_add_name(needed, SV("_time"), pool);
}

const struct pipe_ops pipe_running_stats = {
    running_parse, running_print, running_needed, stage_new_running, NULL
};
const struct pipe_ops pipe_total_stats = {
    running_parse, running_print, running_needed, stage_new_running, NULL
};
