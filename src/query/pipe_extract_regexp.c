/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * extract_regexp: the named groups of the first match (reference 5.9).  A dot
 * matches newlines, too, as it does in versions since 1.30 (reference 11.4).
 */

#include "core/base.h"
#include "query/pipe_type.h"

#include "query/parser.h"
#include "query/regexp.h"
#include "query/regexp_syntax.h"
#include "query/stage_map.h"
#include "span/flat.h"

struct groups_spec {
    struct sv source;
    struct regexp *regexp;
    struct sv src;
    enum map_keep keep;
    struct sv *targets;
    uint32_t *groups; /* of the targets */
    uint32_t ntargets;
};

/* --- parsing --- */

static int
take_groups(struct parser *p, struct groups_spec *spec, uint32_t pos)
{
    uint32_t n = regexp_ngroups(spec->regexp);

    spec->targets = pool_alloc(p->pool, n * sizeof(*spec->targets));
    spec->groups = pool_alloc(p->pool, n * sizeof(*spec->groups));
    if (spec->targets == NULL || spec->groups == NULL)
        return parse_no_memory(p);
    for (uint32_t i = 1; i < n; i++) {
        struct sv name = regexp_group_name(spec->regexp, i);

        if (name.len == 0)
            continue;
        spec->groups[spec->ntargets] = i;
        spec->targets[spec->ntargets++] = flat_name(name, p->pool);
    }
    if (spec->ntargets == 0)
        return parse_fail(p, pos,
            "the regular expression needs a group with a name: "
            "'(?P<name>...)'");
    return 0;
}

/* '[if (FILTER)] "re" [from a] [keep_...|skip_...]' */
static int
groups_parse(struct parser *p, struct pipe *pipe)
{
    struct groups_spec *spec = pool_zalloc(p->pool, sizeof(*spec));
    uint32_t pos;

    if (spec == NULL)
        return parse_no_memory(p);
    pipe->spec = spec;
    if (parse_if(p, &pipe->filter) == -1)
        return -1;
    pos = lexer_pos(&p->lex);
    if (parse_text(p, &spec->source, "a regular expression") == -1 ||
        parse_regexp(p, &spec->regexp, spec->source, pos) == -1 ||
        take_groups(p, spec, pos) == -1 ||
        parse_word_name(p, "from", &spec->src) == -1 ||
        parse_keep_mode(p, &spec->keep) == -1)
        return -1;
    return parse_targets_end(p, pipe, spec->targets, spec->ntargets);
}

static void
groups_print(struct sb *out, const struct pipe *pipe)
{
    const struct groups_spec *spec = pipe->spec;

    sb_add_str(out, "extract_regexp");
    print_if(out, pipe->filter);
    sb_add_char(out, ' ');
    print_quoted(out, spec->source);
    print_word_name(out, "from", spec->src);
    print_keep_mode(out, spec->keep);
}

/* --- running --- */

static int
map_groups(const void *arg, const struct map_field *in, UNUSED uint32_t nin,
    struct map_out *out, struct err *err)
{
    const struct groups_spec *spec = arg;
    struct sv groups[REGEXP_GROUPS_MAX + 1];
    struct regexp_subject subject;
    int found;

    if (regexp_subject_open(&subject, in[0].text, err) != 0)
        return -1;
    found = regexp_next(spec->regexp, &subject, groups, err);
    regexp_subject_close(&subject);
    for (uint32_t i = 0; i < spec->ntargets && found > 0; i++) {
        struct sv text = groups[spec->groups[i]];

        if (text.ptr != NULL && map_set(out, spec->targets[i], text,
                err) != 0)
            return -1;
    }
    return found < 0 ? -1 : 0;
}

static struct mapper
groups_mapper(const struct pipe *pipe)
{
    const struct groups_spec *spec = pipe->spec;

    return (struct mapper){.keep = spec->keep, .sources = &spec->src, .nsources = 1,
        .targets = spec->targets, .ntargets = spec->ntargets,
        .is_pure = true, .spec = spec, .map = map_groups};
}

const struct pipe_ops pipe_extract_regexp = {
    groups_parse, groups_print, map_needed, map_make, groups_mapper
};
