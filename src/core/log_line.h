/* SPDX-License-Identifier: BSD-2-Clause */

/* Private to core/log*.c: how a line looks. */

#ifndef SPOOR_CORE_LOG_LINE_H
#define SPOOR_CORE_LOG_LINE_H

#include "core/base.h"
#include "core/log.h"

/* A message where every byte is escaped, and what stands before it. */
#define LOG_LINE_MAX (6 * LOG_MESSAGE_MAX + 1024)

/* What a line says beside its message. */
struct log_head {
    enum log_level level;
    const char *file;
    int line;
};

/* "info" */
struct sv log_level_name(enum log_level level);

/* The line with its newline. */
void log_line_print(struct sb *out, const struct log_head *head,
    struct sv message);
void log_line_set_role(const char *role);
void log_line_set_json(bool is_json);
/* log.c; lines a second of this process, 0: no limit. */
void log_set_limits(uint64_t errors_per_sec, uint64_t warns_per_sec);
/* Cuts it in the middle if it is longer than the settings allow. */
struct sv log_line_cut(char *text, size_t len);

#endif
