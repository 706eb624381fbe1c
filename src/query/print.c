/* SPDX-License-Identifier: BSD-2-Clause */

/* Canonical text (reference 3.10): what is parsed again gives the same. */

#include "core/base.h"

#include "core/timefmt.h"
#include "query/parser.h"
#include "query/pipe_type.h"

/* --- words --- */

static bool
is_reserved(struct sv word)
{
    static const char *const words[] = {
        "and", "or", "not", "now", "offset", "by", "options",
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(word, sv_from(words[i])))
            return true;
    }
    return filter_name_find(word) != NULL || pipe_type_find(word) != NULL ||
        function_name_find(word) != NULL;
}

static bool
is_plain(struct sv word)
{
    const char *end = word.ptr + word.len;

    for (const char *s = word.ptr; s < end;) {
        uint32_t rune;

        s += lex_rune(s, end, &rune);
        if (!lex_is_word_rune(rune))
            return false;
    }
    return word.len > 0 && !is_reserved(word);
}

static void
print_byte(struct sb *out, unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        sb_add_char(out, '\\');
        sb_add_char(out, (char)c);
        break;
    case '\n':
        sb_add_str(out, "\\n");
        break;
    case '\r':
        sb_add_str(out, "\\r");
        break;
    case '\t':
        sb_add_str(out, "\\t");
        break;
    default:
        if (c < 0x20 || c >= 0x7f)
            sb_addf(out, "\\x%02x", c);
        else
            sb_add_char(out, (char)c);
    }
}

void
print_quoted(struct sb *out, struct sv text)
{
    const char *end = text.ptr + text.len;

    sb_add_char(out, '"');
    for (const char *s = text.ptr; s < end;) {
        unsigned len = sv_utf8_len(s, end);

        if (len > 1)
            sb_add(out, s, len);
        else
            print_byte(out, (unsigned char)*s);
        s += MAX(len, 1u);
    }
    sb_add_char(out, '"');
}

void
print_word(struct sb *out, struct sv text)
{
    if (is_plain(text))
        sb_add_sv(out, text);
    else
        print_quoted(out, text);
}

void
print_pattern(struct sb *out, const struct field_pattern *pattern)
{
    struct sb name;

    if (!pattern->is_prefix) {
        print_word(out, pattern->name);
        return;
    }
    if (pattern->name.len == 0) {
        sb_add_char(out, '*');
        return;
    }
    /* The star belongs inside the quotes (reference 2.5). */
    sb_init(&name, PARSE_TEXT_MAX);
    sb_add_sv(&name, pattern->name);
    sb_add_char(&name, '*');
    print_quoted(out, sb_sv(&name));
    sb_release(&name);
}

/* --- filters --- */

static void
print_values(struct sb *out, const struct sv *values, uint32_t n)
{
    sb_add_char(out, '(');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            sb_add_str(out, ", ");
        print_word(out, values[i]);
    }
    sb_add_char(out, ')');
}

static void
print_list(struct sb *out, const char *name, const struct filter *filter)
{
    sb_add_str(out, name);
    if (filter->subquery == NULL) {
        print_values(out, filter->values, filter->nvalues);
        return;
    }
    sb_add_char(out, '(');
    query_print(out, filter->subquery);
    sb_add_char(out, ')');
}

static void
print_call(struct sb *out, const char *name, struct sv text, const char *end)
{
    sb_add_str(out, name);
    print_word(out, text);
    sb_add_str(out, end);
}

static void
print_tag(struct sb *out, const struct stream_tag *tag)
{
    static const char *const ops[] = {
        [STREAM_EQ] = "=", [STREAM_NE] = "!=", [STREAM_RE] = "=~",
        [STREAM_NOT_RE] = "!~", [STREAM_IN] = " in ",
        [STREAM_NOT_IN] = " not_in ",
    };

    print_word(out, tag->label);
    sb_add_str(out, ops[tag->op]);
    if (tag->is_any)
        sb_add_str(out, "(*)");
    else if (tag->op == STREAM_IN || tag->op == STREAM_NOT_IN)
        print_values(out, tag->values, tag->nvalues);
    else
        print_quoted(out, tag->values[0]);
}

static void
print_stream(struct sb *out, const struct filter *filter)
{
    sb_add_char(out, '{');
    for (uint32_t i = 0; i < filter->nstream; i++) {
        if (i > 0)
            sb_add_str(out, " or ");
        for (uint32_t k = 0; k < filter->stream[i].ntags; k++) {
            if (k > 0)
                sb_add_char(out, ',');
            print_tag(out, &filter->stream[i].tags[k]);
        }
    }
    sb_add_char(out, '}');
}

static void
print_instant(struct sb *out, int64_t ns)
{
    char text[32];

    print_word(out, sv_make(text, time_print_rfc3339(text, ns, 9)));
}

/* One that was made by filter_new_time(): nine digits are an instant. */
static void
print_time(struct sb *out, const struct filter *filter)
{
    if (filter->time_min == INT64_MIN) {
        sb_add_str(out, "<=");
        print_instant(out, filter->time_max);
    } else if (filter->time_max == INT64_MAX) {
        sb_add_str(out, ">=");
        print_instant(out, filter->time_min);
    } else {
        sb_add_char(out, '[');
        print_instant(out, filter->time_min);
        sb_add_str(out, ", ");
        print_instant(out, filter->time_max);
        sb_add_char(out, ']');
    }
}

static void
print_stream_id(struct sb *out, const struct filter *filter)
{
    if (filter->subquery == NULL && filter->nvalues == 1)
        sb_add_sv(out, filter->values[0]);
    else
        print_list(out, "in", filter);
}

/* Behind "field:". */
static void
print_operator(struct sb *out, const struct filter *filter)
{
    static const char *const prefixes[] = {
        [FILTER_PHRASE] = "", [FILTER_PREFIX] = "",
        [FILTER_PHRASE_NOCASE] = "i(", [FILTER_PREFIX_NOCASE] = "i(",
        [FILTER_EXACT] = "=", [FILTER_EXACT_PREFIX] = "=",
        [FILTER_VALUE_TYPE] = "value_type(", [FILTER_EQ_FIELD] = "eq_field(",
        [FILTER_LE_FIELD] = "le_field(", [FILTER_LT_FIELD] = "lt_field(",
    };

    switch (filter->kind) {
    case FILTER_PHRASE:
    case FILTER_EXACT:
        print_call(out, prefixes[filter->kind], filter->text, "");
        break;
    case FILTER_PREFIX:
        if (filter->text.len == 0)
            sb_add_char(out, '*');
        else
            print_call(out, "", filter->text, "*");
        break;
    case FILTER_EXACT_PREFIX:
        print_call(out, "=", filter->text, "*");
        break;
    case FILTER_PREFIX_NOCASE:
        print_call(out, "i(", filter->text, "*)");
        break;
    case FILTER_SUBSTRING:
        sb_add_char(out, '*');
        print_call(out, "", filter->text, "*");
        break;
    case FILTER_IN:
        print_list(out, "in", filter);
        break;
    case FILTER_CONTAINS_ALL:
        print_list(out, "contains_all", filter);
        break;
    case FILTER_CONTAINS_ANY:
        print_list(out, "contains_any", filter);
        break;
    case FILTER_SEQ:
        print_list(out, "seq", filter);
        break;
    case FILTER_REGEXP:
        sb_add_char(out, '~');
        print_quoted(out, filter->text);
        break;
    case FILTER_TIME:
        print_time(out, filter);
        break;
    case FILTER_STREAM_ID:
        print_stream_id(out, filter);
        break;
    default:
        if (filter->kind < ARRAY_LEN(prefixes) &&
            prefixes[filter->kind] != NULL)
            print_call(out, prefixes[filter->kind], filter->text, ")");
        break;
    }
}

static void
print_leaf(struct sb *out, const struct filter *filter)
{
    if (filter->kind == FILTER_STREAM) {
        print_stream(out, filter);
        return;
    }
    if (filter->is_field_prefix) {
        /* A star within the quotes is a part of the name. */
        if (filter->field.len > 0)
            print_quoted(out, filter->field);
        sb_add_str(out, "*:");
    } else if (!sv_eq(filter->field, SV("_msg"))) {
        print_word(out, filter->field);
        sb_add_char(out, ':');
    }
    if (filter->written.len > 0)
        sb_add_sv(out, filter->written);
    else
        print_operator(out, filter);
}

static void
print_inner(struct sb *out, const struct filter *filter)
{
    bool is_list = filter->kind == FILTER_AND || filter->kind == FILTER_OR;

    if (is_list)
        sb_add_char(out, '(');
    filter_print(out, filter);
    if (is_list)
        sb_add_char(out, ')');
}

void
filter_print(struct sb *out, const struct filter *filter)
{
    switch (filter->kind) {
    case FILTER_ALL:
        sb_add_char(out, '*');
        break;
    case FILTER_NONE:
        sb_add_str(out, "!*");
        break;
    case FILTER_AND:
    case FILTER_OR:
        for (uint32_t i = 0; i < filter->nitems; i++) {
            if (i > 0)
                sb_add_str(out, filter->kind == FILTER_AND ? " " : " or ");
            if (filter->kind == FILTER_AND)
                print_inner(out, filter->items[i]);
            else
                filter_print(out, filter->items[i]);
        }
        break;
    case FILTER_NOT:
        sb_add_char(out, '!');
        print_inner(out, filter->items[0]);
        break;
    case FILTER_TIME:
        if (filter->written.len == 0 && filter->time_min == INT64_MIN &&
            filter->time_max == INT64_MAX)
            sb_add_char(out, '*');
        else
            print_leaf(out, filter);
        break;
    default:
        print_leaf(out, filter);
        break;
    }
}
