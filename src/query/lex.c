/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include "query/lex.h"
#include "query/text.h"

unsigned
lex_rune(const char *ptr, const char *end, uint32_t *rune)
{
    unsigned len = sv_utf8_rune(ptr, end, rune);

    if (len > 0)
        return len;
    *rune = UINT32_MAX;
    return 1;
}

static bool
is_space(uint32_t rune)
{
    return rune == ' ' || (rune >= '\t' && rune <= '\r') || rune == 0x85 ||
        rune == 0xa0 || rune == 0x1680 ||
        (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 ||
        rune == 0x2029 || rune == 0x202f || rune == 0x205f || rune == 0x3000;
}

bool
lex_is_word_rune(uint32_t rune)
{
    return rune == '.' || (rune != UINT32_MAX && text_is_token_rune(rune));
}

/* Behind spaces and comments. */
static const char *
skip_blank(const char *ptr, const char *end)
{
    while (ptr < end) {
        uint32_t rune;
        unsigned len = lex_rune(ptr, end, &rune);

        if (rune == '#') {
            const char *line = memchr(ptr, '\n', (size_t)(end - ptr));

            ptr = line == NULL ? end : line;
        } else if (is_space(rune)) {
            ptr += len;
        } else {
            break;
        }
    }
    return ptr;
}

static const char *
word_end(const char *ptr, const char *end)
{
    while (ptr < end) {
        uint32_t rune;
        unsigned len = lex_rune(ptr, end, &rune);

        if (!lex_is_word_rune(rune))
            break;
        ptr += len;
    }
    return ptr;
}

static void
lex_quoted(struct lexer *lexer, const char *start, const char *end)
{
    struct token *token = &lexer->token;
    size_t len = quote_decode(sv_make(start, (size_t)(end - start)),
        &token->text, lexer->pool, &lexer->why);

    token->kind = len == 0 ? TOKEN_BAD : TOKEN_QUOTED;
    token->raw = sv_make(start, len == 0 ? (size_t)(end - start) : len);
    lexer->next += token->raw.len;
}

static size_t
sign_len(const char *ptr, const char *end, unsigned len)
{
    if (end - ptr >= 2 && ((*ptr == '=' && ptr[1] == '~') ||
        (*ptr == '!' && (ptr[1] == '~' || ptr[1] == '='))))
        return 2;
    return len;
}

void
lexer_next(struct lexer *lexer)
{
    const char *end = lexer->text.ptr + lexer->text.len;
    const char *before = lexer->text.ptr + lexer->next;
    const char *start;
    struct token *token = &lexer->token;
    uint32_t rune;
    unsigned len;

    if (token->kind == TOKEN_BAD)
        return;
    start = skip_blank(before, end);
    token->is_touching = start == before && lexer->next > 0;
    lexer->next = (size_t)(start - lexer->text.ptr);
    if (start == end) {
        token->kind = TOKEN_END;
        token->raw = token->text = sv_make(end, 0);
        return;
    }
    len = lex_rune(start, end, &rune);
    if (rune == '"' || rune == '\'' || rune == '`') {
        lex_quoted(lexer, start, end);
        return;
    }
    if (lex_is_word_rune(rune)) {
        token->kind = TOKEN_WORD;
        token->raw = sv_make(start, (size_t)(word_end(start, end) - start));
    } else {
        token->kind = TOKEN_SIGN;
        token->raw = sv_make(start, sign_len(start, end, len));
    }
    token->text = token->raw;
    lexer->next += token->raw.len;
}

void
lexer_init(struct lexer *lexer, struct sv text, struct pool *pool)
{
    *lexer = (struct lexer){.pool = pool};
    lexer->text = text.ptr == NULL ? SV_EMPTY : text;
    lexer_next(lexer);
}

bool
lexer_at(const struct lexer *lexer, const char *text)
{
    const struct token *token = &lexer->token;

    return (token->kind == TOKEN_WORD || token->kind == TOKEN_SIGN) &&
        sv_eq_nocase(token->raw, sv_from(text));
}

uint32_t
lexer_pos(const struct lexer *lexer)
{
    return (uint32_t)(lexer->token.raw.ptr - lexer->text.ptr);
}
