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

void sb_add(struct sb *sb, const void *ptr, size_t len);
void sb_add_sv(struct sb *sb, struct sv v);
void sb_add_str(struct sb *sb, const char *text);
void sb_add_char(struct sb *sb, char c);
void sb_add_u64(struct sb *sb, uint64_t n);
void sb_add_i64(struct sb *sb, int64_t n);
void sb_add_hex(struct sb *sb, const uint8_t *bytes, size_t len); /* lower case */
void sb_add_base64(struct sb *sb, const uint8_t *bytes, size_t len);
void sb_addf(struct sb *sb, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sb_vaddf(struct sb *sb, const char *fmt, va_list args);

/* Room for n more bytes, or NULL (failed).  Then sb_advance(). */
char *sb_reserve(struct sb *sb, size_t n);
void sb_advance(struct sb *sb, size_t n);

bool sb_failed(const struct sb *sb);
struct sv sb_sv(const struct sb *sb);
/* Hands the buffer (free with xfree) to the caller; sb is empty again. */
char *sb_detach(struct sb *sb, size_t *len);

#endif
