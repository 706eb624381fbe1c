/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "core/conf_near.h"
#include "query/acc.h"
#include "query/parse_function.h"

const struct function_name function_names[] = {
#define FUNCTION(name, kind, acc, is_old, traits, syntax, example, doc) \
    {name, kind, &acc, is_old, traits, syntax, example, doc},
#include "query/functions.def"
#undef FUNCTION
};
const size_t nfunction_names = ARRAY_LEN(function_names);

const struct filter_name filter_names[] = {
#define FILTER_FORM(name, syntax, example, doc) \
    {name, NULL, syntax, example, doc},
#define FILTER_CALL(name, call, syntax, example, doc) \
    {name, call, syntax, example, doc},
#include "query/filters.def"
#undef FILTER_FORM
#undef FILTER_CALL
};
const size_t nfilter_names = ARRAY_LEN(filter_names);

const struct function_name *
function_name_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(function_names); i++) {
        if (sv_eq_nocase(sv_from(function_names[i].name), word))
            return &function_names[i];
    }
    return NULL;
}

const struct filter_name *
filter_name_find(struct sv word)
{
    for (size_t i = 0; i < ARRAY_LEN(filter_names); i++) {
        if (filter_names[i].call != NULL &&
            sv_eq_nocase(sv_from(filter_names[i].name), word))
            return &filter_names[i];
    }
    return NULL;
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
    for (size_t i = 0; i < ARRAY_LEN(filter_names); i++) {
        if (filter_names[i].call != NULL)
            conf_near_offer(&near, sv_from(filter_names[i].name));
    }
    return near_best(&near);
}
