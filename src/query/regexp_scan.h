/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Where the translation of a regular expression stands, and its parts that
 * both files need.  Of query/regexp_syntax.c and query/regexp_class.c only.
 */

#ifndef SPOOR_QUERY_REGEXP_SCAN_H
#define SPOOR_QUERY_REGEXP_SCAN_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"
#include "query/regexp_syntax.h"

/* What a quantifier may follow. */
enum atom {
    ATOM_NONE,
    ATOM_LITERAL, /* one character */
    ATOM_OTHER,
};

struct frame {
    size_t pos;      /* of the '(' */
    unsigned repeat; /* the greatest product of counts within */
};

struct scan {
    struct regexp_syntax *out;
    struct sv source;
    size_t at;
    struct err *err;
    enum atom atom;
    unsigned atom_repeat; /* product of counts within the atom */
    unsigned depth;
    struct frame frames[REGEXP_DEPTH_MAX + 1];
    struct sb run;        /* literals outside of groups, so far */
    size_t run_last;      /* where its last character begins */
    bool is_fold;         /* (?i) is on outside of groups */
    bool has_choice;      /* a '|' outside of groups */
    bool is_plain;        /* nothing but literals so far */
};

/* --- query/regexp_class.c --- */

/* "position N: what"; returns -1. */
int scan_refuse(struct scan *scan, size_t pos, const char *what);
/* The byte that is `ahead` of scan->at; -1 behind the end. */
int scan_peek(const struct scan *scan, size_t ahead);
/* Whether text stands at scan->at. */
bool scan_is_at(const struct scan *scan, const char *text);
/* An ASCII letter or digit. */
bool scan_is_alnum(uint32_t c);

/* Writes one character, inside or outside of a class. */
void scan_emit_char(struct scan *scan, uint32_t c);
/* Takes the character at scan->at as it stands. */
int scan_take_rune(struct scan *scan, uint32_t *c) WARN_UNUSED;
/*
 * The escapes that are one character.  pos is that of the backslash,
 * scan->at is behind the letter.
 */
int scan_take_escaped(struct scan *scan, size_t pos, int letter, uint32_t *c)
    WARN_UNUSED;
/*
 * \d \w \s \p and their opposites, of ASCII but for \p.  1: it is another
 * escape, and nothing was taken.
 */
int scan_class_escape(struct scan *scan, size_t pos, bool is_in_class)
    WARN_UNUSED;
/* A class, at its '['. */
int scan_class(struct scan *scan) WARN_UNUSED;

#endif
