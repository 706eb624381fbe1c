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
#include "core/json_out.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/num.h"
#include "core/timefmt.h"

/* A message where every byte is escaped, and what stands before it. */
#define LOG_LINE_MAX (6 * LOG_MESSAGE_MAX + 1024)

#define LOG_ROLE_MAX 32

static _Atomic int log_fd = STDERR_FILENO;
static int log_file_fd = -1; /* stays the same number once it is open */
static char log_path[PATH_MAX];
static char log_role[LOG_ROLE_MAX] = "spoor";
static _Atomic int log_level = LOG_INFO;
static _Atomic bool log_json;

/* Sites that have swallowed lines; they are static, so none ever leaves. */
static struct log_site *_Atomic log_sites;
static _Atomic int64_t log_swept_sec;

static const struct {
    struct sv name;
    enum metric_id metric;
} log_levels[] = {
    [LOG_DEBUG] = {{"debug", 5}, METRIC_LOG_MESSAGES_DEBUG},
    [LOG_INFO] = {{"info", 4}, METRIC_LOG_MESSAGES_INFO},
    [LOG_WARN] = {{"warn", 4}, METRIC_LOG_MESSAGES_WARN},
    [LOG_ERROR] = {{"error", 5}, METRIC_LOG_MESSAGES_ERROR},
    [LOG_FATAL] = {{"fatal", 5}, METRIC_LOG_MESSAGES_FATAL},
};

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
    if (path == NULL || strcmp(path, "stderr") == 0) {
        log_path[0] = '\0';
        atomic_store(&log_fd, STDERR_FILENO);
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
    atomic_store(&log_json, json);
}

void
log_set_role(const char *role)
{
    snprintf(log_role, sizeof(log_role), "%s", role);
    fault_set_role(role);
}

bool
log_level_from_name(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(log_levels); i++) {
        if (sv_eq_nocase(sv_from(name), log_levels[i].name)) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
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

/* What a line says beside its message. */
struct log_head {
    enum log_level level;
    const char *file;
    int line;
};

static void
print_line(struct sb *out, const struct log_head *head, struct sv message)
{
    char now[32];

    sb_add(out, now, time_print_rfc3339(now, clock_wall_ns(), 3));
    sb_add_char(out, '\t');
    sb_add_sv(out, log_levels[head->level].name);
    sb_addf(out, "\t%s[%ld]\t%s:%d\t", log_role, (long)getpid(), head->file,
        head->line);
    log_escape(out, message);
}

static void
print_json(struct sb *out, const struct log_head *head, struct sv message)
{
    char text[512];
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    json_key(&json, "ts");
    json_string(&json, sv_make(text,
        time_print_rfc3339(text, clock_wall_ns(), 3)));
    json_key(&json, "level");
    json_string(&json, log_levels[head->level].name);
    json_key(&json, "caller");
    snprintf(text, sizeof(text), "%s:%d", head->file, head->line);
    json_string(&json, sv_from(text));
    json_key(&json, "role");
    json_string(&json, sv_from(log_role));
    json_key(&json, "pid");
    json_i64(&json, getpid());
    json_key(&json, "msg");
    json_string(&json, message);
    json_object_end(&json);
}

static void
emit(const struct log_head *head, struct sv message)
{
    struct sb out;
    ssize_t n;

    sb_init(&out, LOG_LINE_MAX);
    if (atomic_load_explicit(&log_json, memory_order_relaxed))
        print_json(&out, head, message);
    else
        print_line(&out, head, message);
    sb_add_char(&out, '\n');
    metric_add(log_levels[head->level].metric, 1);
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
        emit(&head, sv_from(text));
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

/* Counts a line of the site in this second; false: one too many. */
static bool
site_may_write(struct log_site *site, int64_t now_sec, const char *file,
    int line)
{
    int64_t window = atomic_load(&site->window_sec);

    if (window != now_sec
        && atomic_compare_exchange_strong(&site->window_sec, &window, now_sec))
        atomic_store(&site->lines, 0);
    if (atomic_fetch_add(&site->lines, 1) < LOG_SITE_LINES_PER_SEC)
        return true;

    atomic_fetch_add(&site->swallowed, 1);
    if (!atomic_exchange(&site->listed, true)) {
        site->file = short_file(file);
        site->line = line;
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
    if (site != NULL && !site_may_write(site, now_sec, file, line)) {
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
    emit(&head, sv_make(text, (size_t)n));
    errno = saved;
}
