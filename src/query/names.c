/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "core/conf_near.h"
#include "query/acc.h"
#include "query/parser.h"

const struct function_name function_names[] = {
#define FUNCTION(name, kind, acc, is_old, traits, syntax, example, doc) \
    {name, kind, &acc, is_old, traits, syntax, example, doc},
#define FUNCTION_SOON(name, is_old, traits, doc) \
    {name, STATS_OTHER, NULL, is_old, traits, "", "", doc},
#include "query/functions.def"
#undef FUNCTION
#undef FUNCTION_SOON
};
const size_t nfunction_names = ARRAY_LEN(function_names);

static const char *const filter_names[] = {
    "in", "contains_all", "contains_any", "seq", "exact", "i", "re", "range",
    "string_range", "len_range", "ipv4_range", "value_type", "eq_field",
    "le_field", "lt_field",
};

const struct function_name *
function_name_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(function_names); i++) {
        if (sv_eq_nocase(sv_from(function_names[i].name), word))
            return &function_names[i];
    }
    return NULL;
}

bool
filter_name_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(filter_names); i++) {
        if (sv_eq_nocase(sv_from(filter_names[i]), word))
            return true;
    }
    return false;
}

static struct sv
near_best(const struct conf_near *near)
{
    return near->best.ptr == NULL ? SV_EMPTY : near->best;
}

struct sv
function_name_near(struct sv word)
{
    struct conf_near near;

    conf_near_init(&near, word);
    for (size_t i = 0; i < ARRAY_LEN(function_names); i++)
        conf_near_offer(&near, sv_from(function_names[i].name));
    return near_best(&near);
}

struct sv
filter_name_near(struct sv word)
{
    struct conf_near near;

    conf_near_init(&near, word);
    for (size_t i = 0; i < ARRAY_LEN(filter_names); i++)
        conf_near_offer(&near, sv_from(filter_names[i]));
    return near_best(&near);
}
