/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * String view: a borrowed run of bytes, not terminated, any content.
 */

#ifndef SPOOR_CORE_SV_H
#define SPOOR_CORE_SV_H

#include "core/base.h"

struct sv {
    const char *ptr;
    size_t len;
};

#define SV(literal) ((struct sv){"" literal, sizeof(literal) - 1})
#define SV_EMPTY ((struct sv){"", 0})
/* printf("%.*s", SV_ARG(v)) */
#define SV_ARG(v) (int)MIN((v).len, (size_t)INT_MAX), (v).ptr

static inline struct sv
sv_make(const void *ptr, size_t len)
{
    return (struct sv){(const char *)ptr, len};
}

static inline struct sv
sv_from(const char *text)
{
    return (struct sv){text, strlen(text)};
}

static inline bool
sv_eq(struct sv a, struct sv b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sv_eq_nocase(struct sv a, struct sv b);        /* ASCII only */
int sv_cmp(struct sv a, struct sv b);               /* memcmp order, then length */
bool sv_starts_with(struct sv v, struct sv prefix);
bool sv_ends_with(struct sv v, struct sv suffix);
/* Position of the first byte c, or v.len. */
size_t sv_find_byte(struct sv v, char c);
struct sv sv_trim(struct sv v);                     /* spaces and tabs */
struct sv sv_sub(struct sv v, size_t from, size_t len); /* clipped to v */
/*
 * Cuts the part before sep off *rest; false when *rest is used up (its ptr is
 * NULL).  "a,b" gives "a" and "b"; "a," gives "a" and ""; "" gives "".
 */
bool sv_split(struct sv *rest, char sep, struct sv *part);
/* Well-formed UTF-8 (RFC 3629, no surrogates, no overlong forms). */
bool sv_is_utf8(struct sv v);
/*
 * Length (1 to 4) of the well-formed UTF-8 sequence that starts at ptr, which
 * is before end; 0 if there is none.
 */
unsigned sv_utf8_len(const char *ptr, const char *end);
/* The same, and the code point; *rune is left alone where there is none. */
unsigned sv_utf8_rune(const char *ptr, const char *end, uint32_t *rune);

#endif
