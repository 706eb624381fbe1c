/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * String builder: a growing buffer that names its maximum when it is made.
 * Once the maximum would be passed (or memory refused) the builder turns
 * failed, keeps what it has and ignores further appends; check sb_failed()
 * once at the end.  The content is always followed by a NUL.
 */

#ifndef SPOOR_CORE_SB_H
#define SPOOR_CORE_SB_H

#include "core/base.h"
#include "core/sv.h"

struct sb {
    char *ptr;   /* never NULL after sb_init */
    size_t len;
    size_t cap;  /* private */
    size_t max;  /* private */
    bool failed; /* private: use sb_failed */
};

void sb_init(struct sb *sb, size_t max);
void sb_release(struct sb *sb); /* frees the content; accepts a zeroed sb */
void sb_reset(struct sb *sb);   /* empty again, memory kept, failure cleared */

/* Private: the case that needs more memory; false turns the builder failed. */
bool sb_grow(struct sb *sb, size_t n);

static inline void
sb_add(struct sb *sb, const void *ptr, size_t len)
{
    if (len == 0)
        return;
    if (UNLIKELY(sb->failed || len > sb->cap - sb->len) && !sb_grow(sb, len))
        return;
    memcpy(sb->ptr + sb->len, ptr, len);
    sb->len += len;
    sb->ptr[sb->len] = '\0';
}

static inline void
sb_add_sv(struct sb *sb, struct sv v)
{
    sb_add(sb, v.ptr, v.len);
}

static inline void
sb_add_str(struct sb *sb, const char *text)
{
    sb_add(sb, text, strlen(text));
}

static inline void
sb_add_char(struct sb *sb, char c)
{
    if (UNLIKELY(sb->failed || sb->len == sb->cap) && !sb_grow(sb, 1))
        return;
    sb->ptr[sb->len++] = c;
    sb->ptr[sb->len] = '\0';
}

void sb_add_u64(struct sb *sb, uint64_t n);
void sb_add_i64(struct sb *sb, int64_t n);
void sb_add_hex(struct sb *sb, const uint8_t *bytes, size_t len); /* lower case */
void sb_add_base64(struct sb *sb, const uint8_t *bytes, size_t len);
void sb_addf(struct sb *sb, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sb_vaddf(struct sb *sb, const char *fmt, va_list args);

/*
 * Room for n more bytes (and the NUL), or NULL (failed).  Then sb_advance()
 * by what was written, at most n.
 */
char *sb_reserve(struct sb *sb, size_t n);
void sb_advance(struct sb *sb, size_t n);

static inline bool
sb_failed(const struct sb *sb)
{
    return sb->failed;
}

static inline struct sv
sb_sv(const struct sb *sb)
{
    return (struct sv){sb->ptr, sb->len};
}

/* Hands the buffer (free with xfree) to the caller; sb is empty again. */
char *sb_detach(struct sb *sb, size_t *len);

#endif
