/* SPDX-License-Identifier: BSD-2-Clause */

/* replace and replace_regexp (reference 5.28, 5.29). */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/regexp.h"
#include "query/regexp_syntax.h"
#include "query/stage_map.h"

/* Each of them may take long. */
#define POLL_MATCHES 8u

/* A literal of a template and the group behind it. */
struct template_step {
    struct sv literal;
    uint32_t group; /* UINT32_MAX: none */
};

struct replace_spec {
    struct sv old;  /* a text, or the regular expression's source */
    struct sv made; /* a text, or the template */
    struct sv field;
    uint64_t limit; /* 0: none */
    struct regexp *regexp;
    struct template_step *steps;
    uint32_t nsteps;
};

/* --- templates: $1 ${1} $name ${name} $$ --- */

static bool
is_name_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' &&
        (c | 0x20) <= 'z') || c == '_';
}

/* The name behind a '$': its length with braces, or 0. */
static size_t
take_name(struct sv text, struct sv *name)
{
    bool has_brace = text.len > 0 && text.ptr[0] == '{';
    size_t from = has_brace, end = from;

    while (end < text.len && is_name_char(text.ptr[end]))
        end++;
    if (end == from || (has_brace && (end == text.len ||
        text.ptr[end] != '}')))
        return 0;
    *name = sv_sub(text, from, end - from);
    return end + has_brace;
}

/* A group that is not there is an empty text. */
static uint32_t
group_of(const struct regexp *regexp, struct sv name)
{
    uint64_t number = 0;
    bool is_number = true;

    for (size_t i = 0; i < name.len; i++) {
        is_number &= name.ptr[i] >= '0' && name.ptr[i] <= '9';
        if (is_number && number < REGEXP_SOURCE_MAX)
            number = 10 * number + (uint64_t)(name.ptr[i] - '0');
    }
    if (is_number)
        return number < regexp_ngroups(regexp) ? (uint32_t)number
            : UINT32_MAX;
    for (uint32_t i = 1; i < regexp_ngroups(regexp); i++) {
        if (sv_eq(regexp_group_name(regexp, i), name))
            return i;
    }
    return UINT32_MAX;
}

static int
add_step(struct parser *p, struct replace_spec *spec, uint32_t *cap,
    struct template_step step)
{
    spec->steps = parse_grow(p, spec->steps, spec->nsteps, cap,
        sizeof(*spec->steps));
    if (spec->steps == NULL)
        return -1;
    spec->steps[spec->nsteps++] = step;
    return 0;
}

/* "$$" is a dollar, as is one that no name follows. */
static int
take_template(struct parser *p, struct replace_spec *spec)
{
    struct sv rest = spec->made;
    uint32_t cap = 0;

    while (rest.len > 0) {
        size_t dollar = sv_find_byte(rest, '$'), len;
        struct template_step step = {sv_sub(rest, 0, dollar), UINT32_MAX};
        struct sv name;

        rest = sv_sub(rest, dollar, SIZE_MAX);
        len = rest.len == 0 ? 0 : take_name(sv_sub(rest, 1, SIZE_MAX), &name);
        if (len > 0)
            step.group = group_of(spec->regexp, name);
        else if (rest.len > 0)
            step.literal.len++;
        if (len == 0 && sv_starts_with(rest, SV("$$")))
            len = 1;
        rest = sv_sub(rest, 1 + len, SIZE_MAX);
        if (add_step(p, spec, &cap, step) == -1)
            return -1;
    }
    return 0;
}

/* --- parsing --- */

/* '("old", "new")' */
static int
take_operands(struct parser *p, struct replace_spec *spec)
{
    if (parse_want(p, "(", "before the old text") == -1 ||
        parse_text(p, &spec->old, "the old text") == -1 ||
        parse_want(p, ",", "after the old text") == -1 ||
        parse_text(p, &spec->made, "the new text") == -1)
        return -1;
    return parse_want(p, ")", "after the new text");
}

/* '[if (FILTER)] ("old", "new") [at a] [limit N]' */
static int
replace_parse(struct parser *p, struct pipe *pipe)
{
    struct replace_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    uint32_t pos;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_if(p, &pipe->filter) == -1)
        return -1;
    pos = lexer_pos(&p->lex);
    if (take_operands(p, spec) == -1)
        return -1;
    if (pipe->type->ops == &pipe_replace_regexp &&
        (parse_regexp(p, &spec->regexp, spec->old, pos) == -1 ||
        take_template(p, spec) == -1))
        return -1;
    if (parse_word_name(p, "at", &spec->field) == -1 ||
        (parse_take(p, "limit") && parse_uint(p, &spec->limit, true,
            "a number after 'limit'") == -1))
        return -1;
    pipe->keeps_time = !sv_eq(spec->field, SV("_time"));
    return parse_pipe_end(p, "'at', 'limit' or '|'");
}

static void
replace_print(struct sb *out, const struct pipe *pipe)
{
    const struct replace_spec *spec = pipe->spec;

    sb_add_str(out, pipe->type->name);
    print_if(out, pipe->filter);
    sb_add_str(out, " (");
    print_quoted(out, spec->old);
    sb_add_str(out, ", ");
    print_quoted(out, spec->made);
    sb_add_char(out, ')');
    print_word_name(out, "at", spec->field);
    if (spec->limit > 0) {
        sb_add_str(out, " limit ");
        sb_add_u64(out, spec->limit);
    }
}

/* --- running --- */

static int
map_replace(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct replace_spec *spec = arg;
    struct sv rest = in[0].text;
    struct sb *text = NULL;

    for (uint64_t n = 0; spec->old.len > 0 && (spec->limit == 0 ||
        n < spec->limit); n++) {
        const char *found = memmem(rest.ptr, rest.len, spec->old.ptr,
            spec->old.len);

        if (found == NULL)
            break;
        if (text == NULL)
            text = map_text(out);
        sb_add(text, rest.ptr, (size_t)(found - rest.ptr));
        sb_add_sv(text, spec->made);
        rest = sv_sub(rest, (size_t)(found - rest.ptr) + spec->old.len,
            SIZE_MAX);
    }
    if (text == NULL)
        return map_set(out, spec->field, in[0].text, err);
    sb_add_sv(text, rest);
    return map_set_text(out, spec->field, err);
}

static void
add_template(struct sb *text, const struct replace_spec *spec,
    const struct sv *groups)
{
    for (uint32_t i = 0; i < spec->nsteps; i++) {
        const struct template_step *step = &spec->steps[i];

        sb_add_sv(text, step->literal);
        if (step->group != UINT32_MAX && groups[step->group].ptr != NULL)
            sb_add_sv(text, groups[step->group]);
    }
}

static int
map_replace_regexp(const void *arg, const struct map_field *in,
    UNUSED uint32_t nin, struct map_out *out, struct err *err)
{
    const struct replace_spec *spec = arg;
    struct sv groups[REGEXP_GROUPS_MAX + 1], value = in[0].text;
    struct sb *text = map_text(out);
    struct regexp_subject subject;
    uint64_t n = 0;
    size_t at = 0;
    int found;

    /* Nothing matches in a field that is not there. */
    if (value.len == 0)
        return map_set(out, spec->field, value, err);
    if (regexp_subject_open(&subject, value, err) != 0)
        return -1;
    while ((found = regexp_next(spec->regexp, &subject, groups, err)) > 0) {
        size_t start = (size_t)(groups[0].ptr - subject.value.ptr);

        sb_add(text, subject.value.ptr + at, start - at);
        add_template(text, spec, groups);
        at = start + groups[0].len;
        n++;
        if (n == spec->limit || sb_failed(text))
            break;
        if (n % POLL_MATCHES == 0 && map_poll(out, err) != 0) {
            found = -1;
            break;
        }
    }
    sb_add_sv(text, sv_sub(value, at, SIZE_MAX));
    regexp_subject_close(&subject);
    if (found < 0)
        return -1;
    return n == 0 ? map_set(out, spec->field, value, err)
        : map_set_text(out, spec->field, err);
}

static struct mapper
replace_mapper(const struct pipe *pipe)
{
    const struct replace_spec *spec = pipe->spec;

    return (struct mapper){.sources = &spec->field, .nsources = 1, .targets = &spec->field,
        .ntargets = 1, .is_pure = true, .spec = spec,
        .map = spec->regexp != NULL ? map_replace_regexp : map_replace};
}

const struct pipe_ops pipe_replace = {
    replace_parse, replace_print, map_needed, map_make, replace_mapper
};
const struct pipe_ops pipe_replace_regexp = {
    replace_parse, replace_print, map_needed, map_make, replace_mapper
};
