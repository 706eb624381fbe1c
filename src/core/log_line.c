/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/log_line.h"

#include <time.h>
#include <unistd.h>

#include "core/json_out.h"
#include "core/sys.h"
#include "core/timefmt.h"

#define LOG_ROLE_MAX 32
#define LOG_FIELD_MAX 64
#define LOG_ZONE_MAX 128
#define LOG_ZONE_DIR "/usr/share/zoneinfo/"
/* Between the two ends of a message that was cut. */
#define LOG_CUT ".."

/* Keys of a JSON line, in their order; an empty one is left out. */
enum log_field { FIELD_TS, FIELD_LEVEL, FIELD_CALLER, FIELD_MSG,
    FIELD_PROCESS, LOG_FIELDS };

static const char *const log_field_names[LOG_FIELDS] = {
    "ts", "level", "caller", "msg", "process",
};

struct log_fields {
    char names[LOG_FIELDS][LOG_FIELD_MAX];
};

static char log_role[LOG_ROLE_MAX] = "spoor";
static _Atomic bool log_json;
static bool log_has_no_time;
static bool log_is_local; /* not UTC */
static size_t log_message_max = LOG_MESSAGE_MAX;
static struct log_fields log_fields = {
    {"ts", "level", "caller", "msg", "process"},
};

static const struct sv log_level_names[] = {
    [LOG_DEBUG] = {"debug", 5},
    [LOG_INFO] = {"info", 4},
    [LOG_WARN] = {"warn", 4},
    [LOG_ERROR] = {"error", 5},
    [LOG_FATAL] = {"fatal", 5},
};

struct sv
log_level_name(enum log_level level)
{
    return log_level_names[level];
}

bool
log_level_from_name(const char *name, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(log_level_names); i++) {
        if (sv_eq_nocase(sv_from(name), log_level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* --- settings --- */

static int
fields_read(const char *text, struct log_fields *out, struct err *err)
{
    struct sv rest = sv_from(text), item;

    for (unsigned i = 0; i < LOG_FIELDS; i++)
        snprintf(out->names[i], LOG_FIELD_MAX, "%s", log_field_names[i]);
    while (text[0] != '\0' && sv_split(&rest, ',', &item)) {
        struct sv name = SV_EMPTY, to = sv_trim(item);
        unsigned i = 0;

        (void)sv_split(&to, ':', &name);
        while (i < LOG_FIELDS && !sv_eq(name, sv_from(log_field_names[i])))
            i++;
        if (i == LOG_FIELDS || to.ptr == NULL)
            return err_set(err, ERR_INVALID, "has \"%.*s\", which is not "
                "OLD:NEW with OLD one of ts, level, caller, msg, process",
                (int)MIN(item.len, (size_t)LOG_FIELD_MAX), item.ptr);
        if (to.len >= LOG_FIELD_MAX)
            return err_set(err, ERR_INVALID, "has a name for \"%s\" that is "
                "too long", log_field_names[i]);
        snprintf(out->names[i], LOG_FIELD_MAX, "%.*s", SV_ARG(to));
    }
    return 0;
}

int
log_check_json_fields(const char *text, struct err *err)
{
    struct log_fields fields;

    return fields_read(text, &fields, err);
}

static bool
is_utc(const char *name)
{
    return name == NULL || name[0] == '\0' || strcmp(name, "UTC") == 0;
}

int
log_check_timezone(const char *name, struct err *err)
{
    char path[sizeof(LOG_ZONE_DIR) + LOG_ZONE_MAX];

    if (is_utc(name) || strcmp(name, "Local") == 0)
        return 0;
    snprintf(path, sizeof(path), LOG_ZONE_DIR "%s", name);
    if (strlen(name) >= LOG_ZONE_MAX || name[0] == '/' ||
        strstr(name, "..") != NULL || sys.access(path, R_OK) != 0)
        return err_set(err, ERR_INVALID, "is the time zone \"%.100s\", "
            "which is not in " LOG_ZONE_DIR, name);
    return 0;
}

static void
set_timezone(const char *name)
{
    log_is_local = !is_utc(name);
    if (log_is_local && strcmp(name, "Local") != 0)
        setenv("TZ", name, 1);
    if (log_is_local)
        tzset();
}

int
log_configure(const struct log_settings *settings, struct err *err)
{
    struct log_fields fields;

    if (fields_read(settings->json_fields != NULL ? settings->json_fields
            : "", &fields, err) != 0)
        return err_wrap(err, "log.json_fields");
    if (log_check_timezone(settings->timezone, err) != 0)
        return err_wrap(err, "log.timezone");
    log_fields = fields;
    set_timezone(settings->timezone);
    log_has_no_time = settings->has_no_time;
    log_message_max = settings->message_max == 0 ? LOG_MESSAGE_MAX
        : (size_t)MIN(settings->message_max, (uint64_t)LOG_MESSAGE_MAX);
    log_line_set_json(settings->is_json);
    log_set_limits(settings->errors_per_sec, settings->warns_per_sec);
    return 0;
}

void
log_line_set_json(bool is_json)
{
    atomic_store(&log_json, is_json);
}

void
log_line_set_role(const char *role)
{
    snprintf(log_role, sizeof(log_role), "%s", role);
}

/* --- printing --- */

struct sv
log_line_cut(char *text, size_t len)
{
    size_t most = MAX(log_message_max, 2 * sizeof(LOG_CUT));
    size_t head = (most - strlen(LOG_CUT)) / 2;
    size_t tail = most - strlen(LOG_CUT) - head;

    if (len <= most)
        return sv_make(text, len);
    memcpy(text + head, LOG_CUT, strlen(LOG_CUT));
    memmove(text + head + strlen(LOG_CUT), text + len - tail, tail);
    return sv_make(text, most);
}

/* "2026-11-21T11:50:45.123+02:00"; UTC ends in "Z". */
static size_t
print_time(char *dst, size_t size)
{
    int64_t now_ns = clock_wall_ns();
    time_t now = (time_t)(now_ns / NS_PER_SEC);
    struct tm tm;
    size_t n;
    long east;

    if (!log_is_local || localtime_r(&now, &tm) == NULL)
        return time_print_rfc3339(dst, now_ns, 3);
    n = strftime(dst, size, "%Y-%m-%dT%H:%M:%S", &tm);
    east = tm.tm_gmtoff / 60;
    n += (size_t)snprintf(dst + n, size - n, ".%03d%c%02ld:%02ld",
        (int)(now_ns % NS_PER_SEC / NS_PER_MS), east < 0 ? '-' : '+',
        labs(east) / 60, labs(east) % 60);
    return n;
}

static void
print_line(struct sb *out, const struct log_head *head, struct sv message)
{
    char now[64];

    if (!log_has_no_time) {
        sb_add(out, now, print_time(now, sizeof(now)));
        sb_add_char(out, '\t');
    }
    sb_add_sv(out, log_level_names[head->level]);
    sb_addf(out, "\t%s[%ld]\t%s:%d\t", log_role, (long)getpid(), head->file,
        head->line);
    log_escape(out, message);
}

static void
put_field(struct json_out *json, enum log_field field, struct sv value)
{
    if (log_fields.names[field][0] == '\0')
        return;
    json_key(json, log_fields.names[field]);
    json_string(json, value);
}

static void
print_json(struct sb *out, const struct log_head *head, struct sv message)
{
    char text[512];
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    if (!log_has_no_time)
        put_field(&json, FIELD_TS, sv_make(text,
            print_time(text, sizeof(text))));
    put_field(&json, FIELD_LEVEL, log_level_names[head->level]);
    snprintf(text, sizeof(text), "%s:%d", head->file, head->line);
    put_field(&json, FIELD_CALLER, sv_from(text));
    put_field(&json, FIELD_MSG, message);
    snprintf(text, sizeof(text), "%s[%ld]", log_role, (long)getpid());
    put_field(&json, FIELD_PROCESS, sv_from(text));
    json_object_end(&json);
}

void
log_line_print(struct sb *out, const struct log_head *head,
    struct sv message)
{
    if (atomic_load_explicit(&log_json, memory_order_relaxed))
        print_json(out, head, message);
    else
        print_line(out, head, message);
    sb_add_char(out, '\n');
}
