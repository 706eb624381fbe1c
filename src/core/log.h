/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The log.  A line is: RFC 3339 time with ms, TAB, level, TAB, role and pid,
 * TAB, file:line, TAB, message (or the same as a JSON object).  Bytes below
 * 0x20, 0x7f and 0x80-0x9f of the message are escaped, so nothing a peer
 * sends can forge a line or reach a terminal.  A line is one write(2) to a
 * descriptor that appends, so lines of all processes stay whole.  Each call
 * site may write at most 10 lines a second, and each process as many errors
 * and warnings as the settings say; what was swallowed is said once a second,
 * by the next line of any site or by log_tick().
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
    _Atomic uint32_t series; /* of vm_log_messages_total, + 1 */
    const char *file;
    int line;
    struct log_site *next;
};

/* How lines look; all zero: the defaults. */
struct log_settings {
    bool is_json;
    bool has_no_time;         /* the one who keeps the log adds it */
    const char *timezone;     /* "Europe/Berlin", "Local"; NULL: UTC */
    const char *json_fields;  /* "ts:time,msg:message"; NULL: as they are */
    uint64_t errors_per_sec;  /* 0: no limit, as the next */
    uint64_t warns_per_sec;
    uint64_t message_max;     /* longer ones are cut in the middle; 0 or more
                                 than LOG_MESSAGE_MAX: at that */
};

/*
 * ERR_INVALID: there is no such time zone, or json_fields names no field;
 * nothing is changed then.  Strings are copied.  The time zone is that of the
 * process (TZ), so threads must not run yet.
 */
int log_configure(const struct log_settings *settings, struct err *err)
    WARN_UNUSED;
/* The same without effect; err->text continues "log.timezone". */
int log_check_timezone(const char *name, struct err *err) WARN_UNUSED;
int log_check_json_fields(const char *text, struct err *err) WARN_UNUSED;

/*
 * path NULL or "stderr": standard error; "stdout".  Borrowed strings are copied.  May
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
