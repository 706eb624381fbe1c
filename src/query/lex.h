/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Tokens of LogsQL (reference 2.1, 2.2).  The text is borrowed; decoded
 * quotes are in the pool or, without escapes, views of the text.
 */

#ifndef SPOOR_QUERY_LEX_H
#define SPOOR_QUERY_LEX_H

#include "core/base.h"
#include "core/pool.h"
#include "core/sv.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* a run of token runes and dots */
    TOKEN_QUOTED, /* "...", '...' or `...` */
    TOKEN_SIGN,   /* anything else: one rune, or =~ !~ != */
    TOKEN_BAD,    /* a badly quoted string; lexer.why says more */
};

struct token {
    enum token_kind kind;
    bool is_touching; /* nothing stands between it and the token before */
    struct sv raw;    /* as written; empty at the end */
    struct sv text;   /* QUOTED: decoded, else raw */
};

/* A plain value: a copy is a place to come back to. */
struct lexer {
    struct sv text;
    size_t next;
    struct token token; /* the present one */
    struct pool *pool;
    const char *why;
};

/* Stands at the first token then. */
void lexer_init(struct lexer *lexer, struct sv text, struct pool *pool);
/* At the end and at a bad token it stays there. */
void lexer_next(struct lexer *lexer);
/* An unquoted token of that text; letters in either case. */
bool lexer_at(const struct lexer *lexer, const char *text);
/*
 * The rune at ptr and its length; a byte that is no UTF-8 is UINT32_MAX of
 * length 1.
 */
unsigned lex_rune(const char *ptr, const char *end, uint32_t *rune);
/* Part of a TOKEN_WORD. */
bool lex_is_word_rune(uint32_t rune);
/* Byte offset of the present token. */
uint32_t lexer_pos(const struct lexer *lexer);

/*
 * Decodes the quoted string that text begins with (lex_quote.c): its length
 * with the quotes, or 0 with *why.
 */
size_t quote_decode(struct sv text, struct sv *out, struct pool *pool,
    const char **why);

#endif
