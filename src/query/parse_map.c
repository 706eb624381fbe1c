/* SPDX-License-Identifier: BSD-2-Clause */

/* Syntax that the pipes of stage_map.h share. */

#include "core/base.h"

#include "query/parser.h"
#include "query/regexp.h"
#include "query/stage_map.h"

int
parse_if(struct parser *p, struct filter **out)
{
    *out = NULL;
    if (!parse_take(p, "if"))
        return 0;
    if (parse_enter(p) == -1 || parse_want(p, "(", "after 'if'") == -1)
        return -1;
    /* "if ()" is every row. */
    if (!parse_at(p, ")") && parse_first_filter(p, out) == -1)
        return -1;
    parse_leave(p);
    return parse_want(p, ")", "after the filter of 'if'");
}

int
parse_keep_mode(struct parser *p, enum map_keep *out)
{
    *out = MAP_REPLACE;
    if (parse_take(p, "keep_original_fields"))
        *out = MAP_KEEP_ORIGINAL;
    else if (parse_take(p, "skip_empty_results"))
        *out = MAP_SKIP_EMPTY;
    if (*out != MAP_REPLACE && (parse_at(p, "keep_original_fields") ||
        parse_at(p, "skip_empty_results")))
        return parse_fail(p, lexer_pos(&p->lex),
            "only one of 'keep_original_fields' and 'skip_empty_results' "
            "may be given");
    return 0;
}

int
parse_word_name(struct parser *p, const char *word, struct sv *out)
{
    *out = SV("_msg");
    return parse_take(p, word) ? parse_name(p, out, STOP_NAME) : 0;
}

int
parse_as_name(struct parser *p, struct sv *out)
{
    *out = SV("_msg");
    if (!parse_take(p, "as") && parse_at_end(p))
        return 0;
    return parse_name(p, out, STOP_NAME);
}

int
parse_text(struct parser *p, struct sv *out, const char *what)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, what) == -1)
        return -1;
    *out = word.text;
    return 0;
}

int
parse_regexp(struct parser *p, struct regexp **out, struct sv source,
    uint32_t pos)
{
    struct err err = ERR_INIT;

    if (regexp_compile(out, source, REGEXP_CAPTURES | REGEXP_DOT_NEWLINE,
            p->pool, &err) == 0)
        return 0;
    return parse_fail(p, pos, "%s", err.text);
}

int
parse_pipe_end(struct parser *p, const char *wanted)
{
    return parse_at_end(p) ? 0 : parse_unexpected(p, wanted);
}

int
parse_targets_end(struct parser *p, struct pipe *pipe,
    const struct sv *targets, uint32_t n)
{
    pipe->keeps_time = true;
    for (uint32_t i = 0; i < n; i++)
        pipe->keeps_time &= !sv_eq(targets[i], SV("_time"));
    return parse_pipe_end(p, "'from', 'keep_original_fields', "
        "'skip_empty_results' or '|'");
}

void
print_if(struct sb *out, const struct filter *filter)
{
    if (filter == NULL)
        return;
    sb_add_str(out, " if (");
    filter_print(out, filter);
    sb_add_char(out, ')');
}

void
print_keep_mode(struct sb *out, enum map_keep keep)
{
    if (keep == MAP_KEEP_ORIGINAL)
        sb_add_str(out, " keep_original_fields");
    else if (keep == MAP_SKIP_EMPTY)
        sb_add_str(out, " skip_empty_results");
}

void
print_word_name(struct sb *out, const char *word, struct sv name)
{
    if (sv_eq(name, SV("_msg")))
        return;
    sb_addf(out, " %s ", word);
    print_word(out, name);
}
