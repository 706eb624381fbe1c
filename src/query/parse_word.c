/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "core/num.h"
#include "core/sb.h"
#include "query/parser.h"
#include "query/text.h"
#include "span/flat.h"

/* --- errors --- */

static int
fail_at(struct parser *p, enum err_code code, uint32_t pos, const char *text)
{
    uint64_t n = text_length(sv_sub(p->lex.text, 0, pos)) + 1;

    return err_set(p->err, code, "position %llu: %s", (unsigned long long)n,
        text);
}

int
parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return fail_at(p, ERR_INVALID, pos, text);
}

int
parse_too_many(struct parser *p, uint32_t pos, unsigned max, const char *what)
{
    char text[128];

    snprintf(text, sizeof(text), "more than %u %s", max, what);
    return fail_at(p, ERR_LIMIT, pos, text);
}

int
parse_unsupported(struct parser *p, uint32_t pos, const char *what,
    struct sv name)
{
    char text[sizeof(p->err->text)];

    snprintf(text, sizeof(text), "%s '%s' is not supported yet", what,
        parse_show(name).text);
    return fail_at(p, ERR_UNSUPPORTED, pos, text);
}

struct shown
parse_show(struct sv word)
{
    struct shown out;
    const char *end = word.ptr + word.len;
    size_t n = 0;

    for (const char *s = word.ptr; s < end;) {
        unsigned len = sv_utf8_len(s, end);

        if (n + 8 > sizeof(out.text)) {
            memcpy(out.text + n, "...", 3);
            n += 3;
            break;
        }
        if (len == 0 || (unsigned char)*s < 0x20 || *s == 0x7f) {
            out.text[n++] = '?';
            s++;
            continue;
        }
        memcpy(out.text + n, s, len);
        n += len;
        s += len;
    }
    out.text[n] = '\0';
    return out;
}

int
parse_unexpected(struct parser *p, const char *wanted)
{
    uint32_t pos = lexer_pos(&p->lex);

    if (p->lex.token.kind == TOKEN_BAD)
        return parse_fail(p, pos, "badly quoted string: %s", p->lex.why);
    if (p->lex.token.kind == TOKEN_END)
        return parse_fail(p, pos, "expected %s, found the end", wanted);
    return parse_fail(p, pos, "expected %s, found '%s'", wanted,
        parse_show(p->lex.token.raw).text);
}

int
parse_no_memory(struct parser *p)
{
    return err_set(p->err, ERR_LIMIT, "the query needs too much memory");
}

/* --- tokens --- */

bool
parse_at(const struct parser *p, const char *token)
{
    return lexer_at(&p->lex, token);
}

bool
parse_take(struct parser *p, const char *token)
{
    if (!lexer_at(&p->lex, token))
        return false;
    lexer_next(&p->lex);
    return true;
}

int
parse_want(struct parser *p, const char *token, const char *where)
{
    char wanted[64];

    if (parse_take(p, token))
        return 0;
    snprintf(wanted, sizeof(wanted), "'%s' %s", token, where);
    return parse_unexpected(p, wanted);
}

bool
parse_at_end(const struct parser *p)
{
    return p->lex.token.kind == TOKEN_END || parse_at(p, "|") ||
        parse_at(p, ")");
}

int
parse_enter(struct parser *p)
{
    char text[128];

    if (++p->depth <= QUERY_DEPTH_MAX)
        return 0;
    snprintf(text, sizeof(text),
        "more than %d parentheses, NOTs and subqueries in each other",
        QUERY_DEPTH_MAX);
    return fail_at(p, ERR_LIMIT, lexer_pos(&p->lex), text);
}

void
parse_leave(struct parser *p)
{
    p->depth--;
}

int
parse_count(struct parser *p)
{
    char text[128];

    if (++p->nodes <= QUERY_NODES_MAX)
        return 0;
    snprintf(text, sizeof(text),
        "the query has more than %d filters, pipes and values",
        QUERY_NODES_MAX);
    return fail_at(p, ERR_LIMIT, lexer_pos(&p->lex), text);
}

void *
parse_grow(struct parser *p, void *items, uint32_t n, uint32_t *cap,
    size_t size)
{
    void *more;
    uint32_t want;

    if (parse_count(p) == -1)
        return NULL;
    if (n < *cap)
        return items;
    want = *cap == 0 ? 4 : *cap * 2;
    more = pool_zalloc(p->pool, want * size);
    if (more == NULL) {
        parse_no_memory(p);
        return NULL;
    }
    if (n > 0)
        memcpy(more, items, n * size);
    *cap = want;
    return more;
}

int
parse_keep(struct parser *p, struct sb *sb, struct sv *out)
{
    char *copy = sb_failed(sb) ? NULL : pool_dup(p->pool, sb->ptr, sb->len);

    *out = sv_make(copy, sb->len);
    sb_release(sb);
    return copy == NULL ? parse_no_memory(p) : 0;
}

/* --- words --- */

static bool
at_stop(const struct parser *p, const char *stops)
{
    const struct token *token = &p->lex.token;

    if (token->kind == TOKEN_END || token->kind == TOKEN_BAD)
        return true;
    return token->kind == TOKEN_SIGN && token->raw.len == 1 &&
        token->raw.ptr[0] != '\0' && strchr(stops, token->raw.ptr[0]) != NULL;
}

int
parse_word(struct parser *p, struct word *out, const char *stops,
    const char *what)
{
    struct sv raw = p->lex.token.raw;

    if (at_stop(p, stops))
        return parse_unexpected(p, what);
    out->pos = lexer_pos(&p->lex);
    out->is_quoted = p->lex.token.kind == TOKEN_QUOTED;
    out->text = p->lex.token.text;
    lexer_next(&p->lex);
    while (p->lex.token.is_touching && !at_stop(p, stops)) {
        raw.len = (size_t)(p->lex.token.raw.ptr + p->lex.token.raw.len -
            raw.ptr);
        out->is_quoted = false;
        out->text = raw;
        lexer_next(&p->lex);
    }
    if (p->lex.token.kind == TOKEN_BAD)
        return parse_unexpected(p, what);
    return 0;
}

int
parse_name(struct parser *p, struct sv *out, const char *stops)
{
    struct word word;

    if (parse_word(p, &word, stops, "a field name") == -1)
        return -1;
    *out = flat_name(word.text, p->pool);
    if (sv_ends_with(word.text, SV("*")) || sv_ends_with(*out, SV("*")))
        return parse_fail(p, word.pos,
            "a name with '*' cannot stand here: '%s'",
            parse_show(word.text).text);
    return 0;
}

struct field_pattern
parse_to_pattern(struct parser *p, struct sv text)
{
    if (sv_ends_with(text, SV("*")))
        return (struct field_pattern){sv_sub(text, 0, text.len - 1), true};
    return (struct field_pattern){flat_name(text, p->pool), false};
}

int
parse_pattern(struct parser *p, struct field_pattern *out)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, "a field name") == -1)
        return -1;
    *out = parse_to_pattern(p, word.text);
    return 0;
}

int
parse_uint(struct parser *p, uint64_t *out, bool is_plain, const char *what)
{
    struct word word;

    if (parse_word(p, &word, STOP_NAME, what) == -1)
        return -1;
    if (is_plain ? num_parse_u64(word.text, out) : uint_parse(word.text, out))
        return 0;
    return parse_fail(p, word.pos, "expected %s, found '%s'", what,
        parse_show(word.text).text);
}

int
parse_values(struct parser *p, struct values *out)
{
    *out = (struct values){NULL, 0, 0, false};
    if (!parse_take(p, "("))
        return parse_unexpected(p, "'('");
    if (parse_take(p, "*")) {
        out->is_any = true;
        return parse_take(p, ")");
    }
    while (!parse_take(p, ")")) {
        struct word word;

        if (p->lex.token.kind != TOKEN_BAD && at_stop(p, STOP_ARGUMENT))
            return 0;
        if (parse_word(p, &word, STOP_ARGUMENT, "a value") == -1)
            return -1;
        out->items = parse_grow(p, out->items, out->n, &out->cap,
            sizeof(*out->items));
        if (out->items == NULL)
            return -1;
        out->items[out->n++] = word.text;
        if (!parse_take(p, ",") && !parse_at(p, ")"))
            return 0;
    }
    return 1;
}
