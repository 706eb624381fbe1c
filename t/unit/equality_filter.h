/* SPDX-License-Identifier: BSD-2-Clause */

/* Random filters for t/unit/equality.c. */

#ifndef SPOOR_T_UNIT_EQUALITY_FILTER_H
#define SPOOR_T_UNIT_EQUALITY_FILTER_H

#include "core/base.h"

#include <ctype.h>

#include "core/sb.h"
#include "equality_data.h"
#include "query/text.h"

#define QUERY_KIDS_MAX 3u
#define QUERY_TEXT_MAX (256 * KIB)
/* Longer texts are cut before they become part of a query. */
#define PIECE_MAX 300u

enum node_kind { NODE_LEAF, NODE_AND, NODE_OR, NODE_NOT };

struct node {
    enum node_kind kind;
    struct sv text; /* LEAF */
    struct node *kids[QUERY_KIDS_MAX];
    uint32_t nkids;
};

struct maker {
    struct world *world;
    struct span_gen *random;
    struct pool *pool; /* queries */
    const struct sample_row *row; /* what filters are made of, mostly */
    struct sb sb;
};

static struct sv
maker_keep(struct maker *m)
{
    struct sv text = sb_sv(&m->sb);
    char *copy = pool_dup(m->pool, text.ptr, text.len);

    check(!sb_failed(&m->sb) && copy != NULL);
    sb_reset(&m->sb);
    return sv_make(copy, text.len);
}

static uint32_t
below(struct maker *m, uint32_t n)
{
    return gen_below(m->random, n);
}

static bool
one_in(struct maker *m, uint32_t n)
{
    return gen_below(m->random, n) == 0;
}

/* --- words of the language --- */

static void
add_quoted(struct maker *m, struct sv text)
{
    sb_add_char(&m->sb, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '"' || c == '\\')
            sb_addf(&m->sb, "\\%c", c);
        else if (c < ' ' || c > '~')
            sb_addf(&m->sb, "\\x%02x", c);
        else
            sb_add_char(&m->sb, (char)c);
    }
    sb_add_char(&m->sb, '"');
}

static const char *const plain_fields[] = {
    "name", "resource_attr:service.name", "duration", "trace_id", "span_id",
    "parent_span_id", "kind", "status_code", "_time", "_stream",
    "_stream_id", "start_time_unix_nano", "end_time_unix_nano", "flags",
    "scope_name", "status_message", "_msg",
    "span_attr:http.response.status_code", "span_attr:http.route",
    "span_attr:db.query.text", "span_attr:db.response.returned_rows",
    "span_attr:server.address", "span_attr:key.7", "span_attr:key.12",
    "event:0:event_name", "event:0:event_attr:exception.type",
    "link:0:link_trace_id", "event:1:event_time_unix_nano", "no.such.field",
    "span_attr:none",
};

/* A field and a text that some row has there, or some other text. */
static struct flat_field
pick(struct maker *m)
{
    const struct world *world = m->world;
    struct flat_field field = {SV("name"), SV("nothing")};

    if (m->row != NULL && m->row->to > m->row->from && !one_in(m, 5))
        field = world->samples[m->row->from +
            below(m, m->row->to - m->row->from)];
    else if (world->nsamples > 0)
        field = world->samples[below(m, world->nsamples)];
    if (one_in(m, 8))
        field.name = sv_from(plain_fields[below(m,
            ARRAY_LEN(plain_fields))]);
    else if (one_in(m, 12) && world->nsamples > 0)
        field.text = world->samples[below(m, world->nsamples)].text;
    return field;
}

/* The same, where a time or a stream cannot be asked for. */
static struct flat_field
pick_plain(struct maker *m)
{
    struct flat_field field = pick(m);

    if (sv_eq(field.name, SV("_time")) || sv_eq(field.name, SV("_stream")) ||
        sv_eq(field.name, SV("_stream_id")))
        field.name = SV("end_time_unix_nano");
    return field;
}

static struct sv
pick_name(struct maker *m)
{
    if (m->world->nsamples == 0 || one_in(m, 2))
        return sv_from(plain_fields[below(m, ARRAY_LEN(plain_fields))]);
    return m->world->samples[below(m, m->world->nsamples)].name;
}

static void
add_name(struct maker *m)
{
    add_quoted(m, pick_name(m));
}

/* A part of a text. */
static struct sv
piece_of(struct maker *m, struct sv text)
{
    uint32_t len = (uint32_t)MIN(text.len, PIECE_MAX), at;

    if (len < 2 || one_in(m, 2))
        return sv_sub(text, 0, len);
    at = below(m, len);
    return sv_sub(text, at, 1 + below(m, len - at));
}

/* Where a word begins, so that the piece is one or more words, mostly. */
static struct sv
words_of(struct maker *m, struct sv text)
{
    struct sv piece = piece_of(m, text);
    size_t from = 0, to = piece.len;

    while (from < to && !isalnum((unsigned char)piece.ptr[from]))
        from++;
    while (from < to && from > 0 && isalnum((unsigned char)piece.ptr[from]))
        from++;
    while (to > from && !isalnum((unsigned char)piece.ptr[to - 1]))
        to--;
    return to > from ? sv_sub(piece, from, to - from) : piece;
}

static bool
is_ascii(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    }
    return text.len > 0;
}

/* --- leaves --- */

static void
add_list(struct maker *m, const char *name, struct sv first)
{
    uint32_t n = 1 + below(m, 4), at = below(m, n);

    sb_addf(&m->sb, "%s(", name);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            sb_add_str(&m->sb, ", ");
        add_quoted(m, i == at ? first : piece_of(m, pick(m).text));
    }
    sb_add_char(&m->sb, ')');
}

static void
add_regexp(struct maker *m, struct sv text)
{
    static const char *const patterns[] = {"^[a-f0-9]{8}", "[0-9]+$", "^$",
        "GET|POST", "(?i)get", "\\d{3}", "^.{3,9}$", "value-[1-4]", ".*",
        "\\.", "[^a-z]", "x+", "^-?[0-9.]+$"};
    struct sv piece = piece_of(m, text);
    struct sv pattern = sv_from(patterns[below(m, ARRAY_LEN(patterns))]);
    char buf[4 * PIECE_MAX];
    size_t n = 0;

    if (is_ascii(piece) && !one_in(m, 3)) {
        if (one_in(m, 3))
            buf[n++] = '^';
        for (size_t i = 0; i < piece.len; i++) {
            if (!isalnum((unsigned char)piece.ptr[i]) && piece.ptr[i] != ' ')
                buf[n++] = '\\';
            buf[n++] = one_in(m, 9) && isalnum((unsigned char)piece.ptr[i])
                ? '.' : piece.ptr[i];
        }
        if (one_in(m, 3))
            buf[n++] = '$';
        pattern = sv_make(buf, n);
    }
    sb_add_char(&m->sb, '~');
    add_quoted(m, pattern);
}

static void
add_number(struct maker *m, struct sv text)
{
    static const char *const numbers[] = {"0", "1", "-1", "200", "503", "42",
        "1ms", "10ms", "1s", "1e9", "100KiB", "9223372036854775807",
        "2026-11-21T12:00:00Z", "10.0.0.1", "0.5", "-5", "1795219200000000000"};

    double number;

    if (operand_parse(text, &number) && !one_in(m, 3))
        add_quoted(m, text);
    else
        sb_add_str(&m->sb, numbers[below(m, ARRAY_LEN(numbers))]);
}

static void
add_range(struct maker *m, struct sv text)
{
    static const char *const ops[] = {">", ">=", "<", "<="};

    if (one_in(m, 2)) {
        sb_add_str(&m->sb, ops[below(m, 4)]);
        if (one_in(m, 4))
            add_quoted(m, piece_of(m, text));
        else
            add_number(m, text);
        return;
    }
    sb_add_str(&m->sb, one_in(m, 2) ? "range(" : "range[");
    add_number(m, text);
    sb_add_str(&m->sb, ", ");
    add_number(m, pick(m).text);
    sb_add_char(&m->sb, one_in(m, 2) ? ')' : ']');
}

/* "2026-11-21T12:34:56.789Z" of a time in the world, or a little beside. */
static void
add_time(struct maker *m)
{
    const struct world *world = m->world;
    int64_t width = MAX(world->max_end - world->min_end, 1);
    int64_t ns = world->min_end + (int64_t)(gen_next(m->random) %
        (uint64_t)(width + width / 8 + 1)) - width / 16;
    char buf[FLAT_TIME_MAX];

    if (world->min_end > world->max_end)
        ns = SPAN_GEN_BASE_NS;
    if (one_in(m, 3))
        ns -= ns % (60 * NS_PER_SEC);
    sb_add(&m->sb, buf, flat_time(buf, ns));
}

static void
add_time_filter(struct maker *m)
{
    switch (below(m, 6)) {
    case 0:
        sb_add_str(&m->sb, "_time:>=");
        add_time(m);
        break;
    case 1:
        sb_add_str(&m->sb, "_time:<");
        add_time(m);
        break;
    default:
        sb_add_str(&m->sb, "_time:[");
        add_time(m);
        sb_add_str(&m->sb, ", ");
        add_time(m);
        sb_add_str(&m->sb, one_in(m, 2) ? ")" : "]");
    }
}

static void
add_stream(struct maker *m)
{
    static const char *const ops[] = {"=", "!=", "=~", "!~"};
    const struct world *world = m->world;
    bool is_service = one_in(m, 2);
    struct sv label = is_service ? SV("resource_attr:service.name")
        : SV("name"), text = SV("service-3");

    for (uint32_t i = 0, k = m->row != NULL && !one_in(m, 4) ? m->row->from
        : below(m, world->nsamples + 1); i < world->nsamples; i++) {
        struct flat_field field = world->samples[(i + k) % world->nsamples];

        if (sv_eq(field.name, label)) {
            text = sv_sub(field.text, 0, MIN(field.text.len, PIECE_MAX));
            break;
        }
    }
    sb_add_char(&m->sb, '{');
    add_quoted(m, label);
    if (one_in(m, 4)) {
        sb_add_str(&m->sb, one_in(m, 2) ? " in (" : " not_in (");
        add_quoted(m, text);
        sb_add_str(&m->sb, ", \"service-1\")");
    } else {
        uint32_t op = below(m, 4);

        sb_add_str(&m->sb, ops[op]);
        add_quoted(m, op >= 2 ? SV("(service-[0-3]|GET.*|SELECT.*7|.*a.*)")
            : text);
    }
    if (one_in(m, 5))
        sb_addf(&m->sb, " or name=\"%s\"", "GET");
    sb_add_char(&m->sb, '}');
}

static void
add_stream_id(struct maker *m)
{
    const struct world *world = m->world;
    uint32_t n = 1 + below(m, 3), i = 0;

    sb_add_str(&m->sb, "_stream_id:in(");
    for (uint32_t at = below(m, world->nsamples + 1); n > 0 && i <
        world->nsamples; i++, at++) {
        struct flat_field field = world->samples[at % world->nsamples];

        if (!sv_eq(field.name, SV("_stream_id")))
            continue;
        add_quoted(m, field.text);
        sb_add_str(&m->sb, ", ");
        n--;
    }
    sb_add_str(&m->sb, "\"0123456789abcdef0123456789abcdef"
        "0123456789abcdef\")");
}

/* Words, phrases and lists of them. */
static void
add_words(struct maker *m, struct sv text)
{
    struct sv words = words_of(m, text);

    switch (below(m, 6)) {
    case 0:
        add_list(m, one_in(m, 2) ? "contains_any" : "contains_all", words);
        break;
    case 1:
        add_list(m, "seq", words);
        break;
    case 2:
        sb_add_str(&m->sb, "i(");
        add_quoted(m, words);
        sb_add_str(&m->sb, one_in(m, 2) ? "*)" : ")");
        break;
    default:
        add_quoted(m, words);
        if (one_in(m, 3))
            sb_add_char(&m->sb, '*');
    }
}

/* The text, or how it begins. */
static void
add_exact(struct maker *m, struct sv text)
{
    sb_add_char(&m->sb, '=');
    if (text.len > 2000 || one_in(m, 3)) {
        add_quoted(m, piece_of(m, text));
        if (one_in(m, 2))
            sb_add_char(&m->sb, '*');
    } else {
        add_quoted(m, text);
    }
}

/* All but value_type(), which asks for the form. */
static void
add_function_filter(struct maker *m, struct sv text)
{
    switch (below(m, 4)) {
    case 0:
        sb_addf(&m->sb, "len_range(%u, %u)", below(m, 12),
            below(m, 12) + below(m, 30));
        break;
    case 1:
        sb_addf(&m->sb, "ipv4_range(%s)", one_in(m, 2) ? "10.0.0.0/8"
            : "0.0.0.0, 200.0.0.255");
        break;
    case 2:
        sb_add_str(&m->sb, "string_range(");
        add_quoted(m, piece_of(m, text));
        sb_add_str(&m->sb, ", ");
        add_quoted(m, piece_of(m, pick(m).text));
        sb_add_char(&m->sb, ')');
        break;
    default:
        sb_addf(&m->sb, "%s(", one_in(m, 3) ? "eq_field"
            : one_in(m, 2) ? "le_field" : "lt_field");
        add_name(m);
        sb_add_char(&m->sb, ')');
    }
}

static void
add_field_leaf(struct maker *m)
{
    static const char *const day_parts[] = {"day_range[00:00, 12:30)",
        "day_range[08:00, 18:00]", "week_range[Mon, Fri]",
        "week_range[Sat, Sun]"};
    struct flat_field field = pick_plain(m);
    uint32_t kind = below(m, 22);

    if (kind == 21) {
        sb_addf(&m->sb, "_time:%s", day_parts[below(m, 4)]);
        return;
    }
    add_quoted(m, field.name);
    sb_add_char(&m->sb, ':');
    if (kind < 6)
        add_words(m, field.text);
    else if (kind < 9)
        add_exact(m, field.text);
    else if (kind < 11)
        add_regexp(m, field.text);
    else if (kind < 14)
        add_range(m, field.text);
    else if (kind < 18)
        add_function_filter(m, field.text);
    else if (kind == 18)
        add_list(m, "in", sv_sub(field.text, 0, MIN(field.text.len, 2000u)));
    else if (kind == 19)
        sb_add_char(&m->sb, '*');
    else
        sb_add_str(&m->sb, one_in(m, 2) ? "\"\"" : "=\"\"");
}

static struct node *
make_leaf(struct maker *m)
{
    struct node *node = pool_zalloc(m->pool, sizeof(*node));

    if (one_in(m, 8))
        add_stream(m);
    else if (one_in(m, 30))
        add_stream_id(m);
    else if (one_in(m, 12))
        add_time_filter(m);
    else if (one_in(m, 30))
        sb_add_char(&m->sb, '*');
    else
        add_field_leaf(m);
    node->text = maker_keep(m);
    return node;
}

static struct node *
make_node(struct maker *m, unsigned depth)
{
    struct node *node;
    uint32_t kind = depth == 0 ? 0 : below(m, 6);

    if (kind < 3)
        return make_leaf(m);
    node = pool_zalloc(m->pool, sizeof(*node));
    node->kind = kind == 3 ? NODE_AND : kind == 4 ? NODE_OR : NODE_NOT;
    node->nkids = node->kind == NODE_NOT ? 1 : 2 + below(m, 2);
    for (uint32_t i = 0; i < node->nkids; i++)
        node->kids[i] = make_node(m, depth - 1);
    return node;
}

#endif
