/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/pipe_type.h"

#include "core/assert.h"
#include "core/conf_near.h"
#include "query/parser.h"
#include "query/pipe_old.h"

const struct pipe_ops pipe_fields = {
    parse_patterns, pipe_print_patterns, needed_before_fields,
    stage_new_fields, NULL
};
const struct pipe_ops pipe_delete = {
    parse_patterns, pipe_print_patterns, needed_before_delete,
    stage_new_fields, NULL
};
const struct pipe_ops pipe_copy = {
    parse_pairs, pipe_print_pairs, needed_before_pairs, stage_new_fields, NULL
};
const struct pipe_ops pipe_rename = {
    parse_pairs, pipe_print_pairs, needed_before_pairs, stage_new_fields, NULL
};
const struct pipe_ops pipe_limit = {
    parse_limit, pipe_print_n, NULL, stage_new_limit, NULL
};
const struct pipe_ops pipe_offset = {
    parse_offset, pipe_print_n, NULL, stage_new_offset, NULL
};
const struct pipe_ops pipe_sort = {
    parse_sort, pipe_print_sort, needed_before_sort, stage_new_sort, NULL
};
const struct pipe_ops pipe_filter = {
    parse_filter_pipe, pipe_print_filter, needed_before_filter,
    stage_new_filter, NULL
};
const struct pipe_ops pipe_uniq = {
    parse_uniq, pipe_print_uniq, needed_before_uniq, stage_new_uniq, NULL
};
const struct pipe_ops pipe_field_names = {
    parse_field_names, pipe_print_field_names, needed_before_any,
    stage_new_names, NULL
};
const struct pipe_ops pipe_stats = {
    parse_stats, pipe_print_stats, needed_before_stats, stage_new_stats, NULL
};

const struct pipe_type pipe_types[] = {
#define PIPE(name, aliases, kind, ops, traits, syntax, example, doc) \
    {name, aliases, kind, &ops, traits, syntax, example, doc},
#define PIPE_SOON(name, aliases, traits, doc) \
    {name, aliases, PIPE_OTHER, NULL, traits, "", "", doc},
#include "query/pipes.def"
#undef PIPE
#undef PIPE_SOON
};
const size_t npipe_types = ARRAY_LEN(pipe_types);

static bool
has_alias(const char *aliases, struct sv word)
{
    struct sv rest = sv_from(aliases), alias;

    while (sv_split(&rest, ' ', &alias)) {
        if (alias.len > 0 && sv_eq_nocase(alias, word))
            return true;
    }
    return false;
}

const struct pipe_type *
pipe_type_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(pipe_types); i++) {
        if (sv_eq_nocase(sv_from(pipe_types[i].name), word) ||
            has_alias(pipe_types[i].aliases, word))
            return &pipe_types[i];
    }
    return NULL;
}

const struct pipe_type *
pipe_type_of_kind(enum pipe_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(pipe_types); i++) {
        if (pipe_types[i].kind == kind)
            return &pipe_types[i];
    }
    panic("pipe of kind %d", (int)kind);
}

struct sv
pipe_name_near(struct sv word)
{
    struct conf_near near;

    conf_near_init(&near, word);
    for (size_t i = 0; i < ARRAY_LEN(pipe_types); i++) {
        struct sv rest = sv_from(pipe_types[i].aliases), alias;

        conf_near_offer(&near, sv_from(pipe_types[i].name));
        while (sv_split(&rest, ' ', &alias))
            conf_near_offer(&near, alias);
    }
    return near.best.ptr == NULL ? SV_EMPTY : near.best;
}
