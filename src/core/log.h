/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The log.  A line is: RFC 3339 time with ms, TAB, level, TAB, role and pid,
 * TAB, file:line, TAB, message (or the same as a JSON object).  Bytes below
 * 0x20, 0x7f and 0x80-0x9f of the message are escaped, so nothing a peer
 * sends can forge a line or reach a terminal.  Each call site may write at
 * most 10 lines a second; what it swallowed is said once a second, by the next
 * line of any site or by log_tick().
 */

#ifndef SPOOR_CORE_LOG_H
#define SPOOR_CORE_LOG_H

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"
#include "core/sv.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

#define LOG_SITE_LINES_PER_SEC 10

/* A longer message is cut and ends in "...". */
#define LOG_MESSAGE_MAX 4096

/* Zeroed at first; all members are private. */
struct log_site {
    _Atomic int64_t window_sec;
    _Atomic uint32_t lines;
    _Atomic uint32_t swallowed;
    _Atomic bool listed;
    const char *file;
    int line;
    struct log_site *next;
};

/*
 * path NULL or "stderr": standard error.  Borrowed strings are copied.  May
 * be called again with another path; on failure the old log stays open.
 */
int log_open(const char *path, struct err *err) WARN_UNUSED;
int log_reopen(struct err *err) WARN_UNUSED; /* SIGUSR1 */
void log_set_level(enum log_level level);
void log_set_json(bool json);
/* Shown in every line of this process: "worker 2". */
void log_set_role(const char *role);
bool log_level_from_name(const char *name, enum log_level *out);
bool log_is_on(enum log_level level);
/* Says what sites have swallowed; cheap, call it about once a second. */
void log_tick(void);

/*
 * Appends text with everything that could forge a line or reach a terminal
 * escaped: \n, \r, \t, else \xNN.  Well-formed UTF-8 stays.
 */
void log_escape(struct sb *out, struct sv text);

void log_write(struct log_site *site, enum log_level level, const char *file,
    int line, const char *fmt, ...) PRINTF_LIKE(5, 6);

#define log_at(level, ...) \
    do { \
        static struct log_site log_site_; \
        if (log_is_on(level)) \
            log_write(&log_site_, level, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
