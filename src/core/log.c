/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * No lock anywhere, so a fork in the middle of a line of another thread does
 * no harm: a line is built in its own memory and written with one write(2),
 * and another file takes the place of the old one with dup2(2).
 */

#include "core/base.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/file.h"
#include "core/log_line.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"

#ifndef SPOOR_VERSION
#define SPOOR_VERSION "0"
#endif
/* As in vm_app_version. */
#define LOG_APP_VERSION "victoria-traces-compatible-spoor-" SPOOR_VERSION

static _Atomic int log_fd = STDERR_FILENO;
static int log_file_fd = -1; /* stays the same number once it is open */
static char log_path[PATH_MAX];
static _Atomic int log_level = LOG_INFO;
/* Lines of one level that this process may write in a second. */
static struct log_limit {
    _Atomic uint64_t most; /* 0: as many as it likes */
    _Atomic int64_t window_sec;
    _Atomic uint64_t lines;
} log_limits[LOG_FATAL + 1];

/* Sites that have swallowed lines; they are static, so none ever leaves. */
static struct log_site *_Atomic log_sites;
static _Atomic int64_t log_swept_sec;

static int
log_open_file(const char *path, struct err *err)
{
    int fd = file_open(path, O_WRONLY | O_CREAT | O_APPEND, 0640, err);

    if (fd < 0)
        return err_wrap(err, "log file");
    if (log_file_fd < 0) {
        log_file_fd = fd;
    } else {
        if (dup3(fd, log_file_fd, O_CLOEXEC) < 0) {
            err_sys(err, "log file %s: dup3", path);
            file_close(fd);
            return -1;
        }
        file_close(fd);
    }
    atomic_store(&log_fd, log_file_fd);
    return 0;
}

int
log_open(const char *path, struct err *err)
{
    bool is_stdout = path != NULL && strcmp(path, "stdout") == 0;

    if (path == NULL || is_stdout || strcmp(path, "stderr") == 0) {
        log_path[0] = '\0';
        atomic_store(&log_fd, is_stdout ? STDOUT_FILENO : STDERR_FILENO);
        return 0;
    }
    if (strlen(path) >= sizeof(log_path))
        return err_set(err, ERR_INVALID, "log file %.200s...: the path is "
            "too long", path);
    if (log_open_file(path, err) != 0)
        return -1;
    memcpy(log_path, path, strlen(path) + 1);
    return 0;
}

int
log_reopen(struct err *err)
{
    return log_path[0] == '\0' ? 0 : log_open_file(log_path, err);
}

void
log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

void
log_set_json(bool json)
{
    log_line_set_json(json);
}

void
log_set_role(const char *role)
{
    log_line_set_role(role);
    fault_set_role(role);
}

bool
log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level,
        memory_order_relaxed);
}

void
log_escape(struct sb *out, struct sv text)
{
    const char *ptr = text.ptr, *end = text.len > 0 ? ptr + text.len : ptr;

    while (ptr < end) {
        unsigned char byte = (unsigned char)*ptr;
        unsigned len = sv_utf8_len(ptr, end);

        if (byte >= 0x20 && byte < 0x7f) {
            sb_add_char(out, *ptr++);
        } else if (len >= 2
            && !(byte == 0xc2 && (unsigned char)ptr[1] < 0xa0)) {
            sb_add(out, ptr, len);
            ptr += len;
        } else if (byte == '\n' || byte == '\r' || byte == '\t') {
            sb_add_char(out, '\\');
            sb_add_char(out, byte == '\n' ? 'n' : byte == '\r' ? 'r' : 't');
            ptr++;
        } else {
            sb_add_str(out, "\\x");
            sb_add_hex(out, (const uint8_t *)ptr, 1);
            ptr++;
        }
    }
}

static unsigned
series_of(const struct log_head *head)
{
    char labels[METRIC_LABELS_MAX];

    snprintf(labels, sizeof(labels), "app_version=\"" LOG_APP_VERSION
        "\",level=\"%.*s\",location=\"%.80s:%d\"",
        SV_ARG(log_level_name(head->level)), head->file, head->line);
    return metric_series(METRIC_LOG_MESSAGES, labels);
}

/* A site keeps its number; one that writes at two levels has the first. */
static void
count_line(struct log_site *site, const struct log_head *head)
{
    uint32_t series;

    if (site == NULL) {
        metric_series_add(series_of(head), 1);
        return;
    }
    series = atomic_load_explicit(&site->series, memory_order_relaxed);
    if (series == 0) {
        series = series_of(head) + 1;
        atomic_store(&site->series, series);
    }
    metric_series_add(series - 1, 1);
}

static void
emit(struct log_site *site, const struct log_head *head, struct sv message)
{
    struct sb out;
    ssize_t n;

    sb_init(&out, LOG_LINE_MAX);
    log_line_print(&out, head, message);
    count_line(site, head);
    do
        n = write(atomic_load(&log_fd), out.ptr, out.len);
    while (n < 0 && errno == EINTR);
    sb_release(&out);
}

/* "src/http/conn.c" as "http/conn.c". */
static const char *
short_file(const char *file)
{
    return strncmp(file, "src/", 4) == 0 ? file + 4 : file;
}

static void
sweep(int64_t now_sec)
{
    int64_t swept = atomic_load(&log_swept_sec);
    struct log_site *site;

    if (swept == now_sec
        || !atomic_compare_exchange_strong(&log_swept_sec, &swept, now_sec))
        return;
    for (site = atomic_load(&log_sites); site != NULL; site = site->next) {
        struct log_head head = {LOG_WARN, site->file, site->line};
        char text[80];
        uint32_t n;

        /* One that still swallows in this second is not done. */
        if (atomic_load(&site->window_sec) == now_sec)
            continue;
        n = atomic_exchange(&site->swallowed, 0);
        if (n == 0)
            continue;
        snprintf(text, sizeof(text), "%u more lines like this were not "
            "written", n);
        emit(NULL, &head, sv_from(text));
    }
}

void
log_tick(void)
{
    int saved = errno;

    if (atomic_load_explicit(&log_sites, memory_order_relaxed) != NULL)
        sweep(clock_mono_ns() / NS_PER_SEC);
    errno = saved;
}

void
log_set_limits(uint64_t errors_per_sec, uint64_t warns_per_sec)
{
    atomic_store(&log_limits[LOG_ERROR].most, errors_per_sec);
    atomic_store(&log_limits[LOG_WARN].most, warns_per_sec);
}

/* The same for all sites of a level. */
static bool
level_may_write(enum log_level level, int64_t now_sec)
{
    struct log_limit *limit = &log_limits[level];
    uint64_t most = atomic_load_explicit(&limit->most, memory_order_relaxed);
    int64_t window = atomic_load(&limit->window_sec);

    if (most == 0)
        return true;
    if (window != now_sec &&
        atomic_compare_exchange_strong(&limit->window_sec, &window, now_sec))
        atomic_store(&limit->lines, 0);
    return atomic_fetch_add(&limit->lines, 1) < most;
}

/* Counts a line of the site in this second; false: one too many. */
static bool
site_may_write(struct log_site *site, int64_t now_sec,
    const struct log_head *head)
{
    int64_t window = atomic_load(&site->window_sec);

    if (window != now_sec
        && atomic_compare_exchange_strong(&site->window_sec, &window, now_sec))
        atomic_store(&site->lines, 0);
    if (atomic_fetch_add(&site->lines, 1) < LOG_SITE_LINES_PER_SEC &&
        level_may_write(head->level, now_sec))
        return true;

    metric_add(METRIC_LOG_SUPPRESSED, 1);
    atomic_fetch_add(&site->swallowed, 1);
    if (!atomic_exchange(&site->listed, true)) {
        site->file = head->file;
        site->line = head->line;
        site->next = atomic_load(&log_sites);
        while (!atomic_compare_exchange_weak(&log_sites, &site->next, site))
            ;
    }
    return false;
}

void
log_write(struct log_site *site, enum log_level level, const char *file,
    int line, const char *fmt, ...)
{
    int saved = errno;
    int64_t now_sec = clock_mono_ns() / NS_PER_SEC;
    struct log_head head = {level, short_file(file), line};
    char text[LOG_MESSAGE_MAX];
    va_list args;
    int n;

    if (!log_is_on(level))
        return;
    if (atomic_load_explicit(&log_sites, memory_order_relaxed) != NULL)
        sweep(now_sec);
    if (site != NULL && !site_may_write(site, now_sec, &head)) {
        errno = saved;
        return;
    }
    errno = saved;
    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    n = MAX(n, 0);
    if ((size_t)n >= sizeof(text)) {
        n = sizeof(text) - 1;
        memcpy(text + n - 3, "...", 3);
    }
    emit(site, &head, log_line_cut(text, (size_t)n));
    errno = saved;
}
