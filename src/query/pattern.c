/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/pattern.h"

#include "core/num.h"
#include "query/lex.h"
#include "span/flat.h"

/* --- literals --- */

static void
add_rune(struct sb *out, uint32_t rune)
{
    if (rune < 0x80) {
        sb_add_char(out, (char)rune);
        return;
    }
    if (rune < 0x800) {
        sb_add_char(out, (char)(0xc0 | rune >> 6));
    } else {
        if (rune < 0x10000) {
            sb_add_char(out, (char)(0xe0 | rune >> 12));
        } else {
            sb_add_char(out, (char)(0xf0 | rune >> 18));
            sb_add_char(out, (char)(0x80 | (rune >> 12 & 0x3f)));
        }
        sb_add_char(out, (char)(0x80 | (rune >> 6 & 0x3f)));
    }
    sb_add_char(out, (char)(0x80 | (rune & 0x3f)));
}

/* "#38", "#x26" */
static bool
numeric_entity(struct sv name, uint32_t *rune)
{
    bool is_hex = name.len > 1 && (name.ptr[1] == 'x' || name.ptr[1] == 'X');
    uint64_t v = 0;

    name = sv_sub(name, is_hex ? 2 : 1, SIZE_MAX);
    if (name.len == 0 || name.len > 8)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c >= '0' && c <= '9')
            v = v * (is_hex ? 16 : 10) + (uint64_t)(c - '0');
        else if (is_hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v * 16 + (uint64_t)((c | 0x20) - 'a' + 10);
        else
            return false;
    }
    if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return false;
    *rune = (uint32_t)v;
    return true;
}

/* The entity that text begins with, "&lt;": its length, or 0. */
static size_t
take_entity(struct sv text, uint32_t *rune)
{
    static const struct {
        struct sv name;
        uint32_t rune;
    } entities[] = {
        {{"lt", 2}, '<'}, {{"gt", 2}, '>'}, {{"amp", 3}, '&'},
        {{"quot", 4}, '"'}, {{"apos", 4}, '\''}, {{"nbsp", 4}, 0xa0},
    };
    size_t end = sv_find_byte(sv_sub(text, 0, 16), ';');
    struct sv name = sv_sub(text, 1, end - 1);

    if (end >= text.len || text.ptr[end] != ';' || name.len == 0)
        return 0;
    if (name.ptr[0] == '#')
        return numeric_entity(name, rune) ? end + 1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (sv_eq(entities[i].name, name)) {
            *rune = entities[i].rune;
            return end + 1;
        }
    }
    return 0;
}

static int
decode_literal(struct parser *p, struct sv text, struct sv *out)
{
    struct sb sb;

    *out = text;
    if (sv_find_byte(text, '&') == text.len)
        return 0;
    sb_init(&sb, PARSE_TEXT_MAX);
    while (text.len > 0) {
        uint32_t rune;
        size_t len = text.ptr[0] == '&' ? take_entity(text, &rune) : 0;

        if (len > 0)
            add_rune(&sb, rune);
        else
            sb_add_char(&sb, text.ptr[0]);
        text = sv_sub(text, MAX(len, (size_t)1), SIZE_MAX);
    }
    return parse_keep(p, &sb, out);
}

/* --- placeholders --- */

/* What stands between '<' and '>'. */
static void
take_placeholder(struct parser *p, struct sv text, struct pattern_step *step)
{
    size_t colon = sv_find_byte(text, ':');

    step->has_field = true;
    if (colon < text.len) {
        step->option = sv_sub(text, 0, colon);
        text = sv_sub(text, colon + 1, SIZE_MAX);
    }
    if (text.len > 0 && !sv_eq(text, SV("_")) && !sv_eq(text, SV("*")))
        step->name = flat_name(text, p->pool);
}

static int
take_step(struct parser *p, struct sv *rest, struct pattern_step *step,
    uint32_t pos)
{
    size_t open = sv_find_byte(*rest, '<'), close;

    *step = (struct pattern_step){.option = SV_EMPTY, .name = SV_EMPTY};
    if (decode_literal(p, sv_sub(*rest, 0, open), &step->literal) == -1)
        return -1;
    if (open == rest->len) {
        rest->len = 0;
        return 0;
    }
    *rest = sv_sub(*rest, open + 1, SIZE_MAX);
    close = sv_find_byte(*rest, '>');
    if (close == rest->len)
        return parse_fail(p, pos, "expected '>' behind '<%s' "
            "(a '<' that is no placeholder is written '&lt;')",
            parse_show(*rest).text);
    take_placeholder(p, sv_sub(*rest, 0, close), step);
    *rest = sv_sub(*rest, close + 1, SIZE_MAX);
    return 0;
}

int
parse_placeholders(struct parser *p, struct pattern *out)
{
    struct word word;
    struct sv rest;
    uint32_t cap = 0;

    *out = (struct pattern){.source = SV_EMPTY};
    if (parse_word(p, &word, STOP_NAME, "a text with <names>") == -1)
        return -1;
    out->source = rest = word.text;
    while (rest.len > 0) {
        out->steps = parse_grow(p, out->steps, out->n, &cap,
            sizeof(*out->steps));
        if (out->steps == NULL ||
            take_step(p, &rest, &out->steps[out->n], word.pos) == -1)
            return -1;
        out->n++;
    }
    return 0;
}

/* --- quoted values --- */

size_t
pattern_quoted(struct sv value, struct sv *out, struct pool *pool)
{
    const char *why;
    size_t i = 1;
    char quote;

    if (value.len < 2)
        return 0;
    quote = value.ptr[0];
    if (quote != '"' && quote != '\'' && quote != '`')
        return 0;
    while (i < value.len && value.ptr[i] != quote)
        i += value.ptr[i] == '\\' && quote != '`' ? 2 : 1;
    /* Nothing is kept of what does not end. */
    return i >= value.len ? 0
        : quote_decode(sv_sub(value, 0, i + 1), out, pool, &why);
}
