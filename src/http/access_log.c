/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A line has these columns with a TAB between, "-" for what is not there:
 *
 *     time        when the reply ended, RFC 3339, UTC, with milliseconds
 *     peer        address and port
 *     user        whose credentials it had, or the name of its certificate
 *     protocol    HTTP/1.0, HTTP/1.1, HTTP/2, gRPC
 *     method
 *     target      path and query as they were sent; secrets are "***"
 *     status      of HTTP, for calls of gRPC that of gRPC
 *     in          bytes of the body as received
 *     out         bytes of the reply's body
 *     seconds     from the first byte of the head to the end of the reply
 *     listener    the address that it came to, as it is written in the file
 *     note        "partial": data is left out; "broken": the client did not
 *                 get all; "partial,broken"
 *
 * Bytes are escaped as in the log (core/log.h), which has TAB as \t.  With
 * log.format json a line is an object with the columns as its members.
 */

#include "core/base.h"
#include "http/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/json_out.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/jail.h"
#include "event/loop.h"
#include "event/task.h"

/* What one line may be: everything escaped. */
#define LINE_BYTES_MAX (16 * KIB)

static struct {
    char path[PATH_MAX]; /* "": no access log */
    int fd;              /* keeps its number once it is open */
    bool is_json;
    struct process *process;
    struct loop_timer *timer;
    struct sb lines;     /* not written yet */
    bool is_writing;     /* a thread has the lines before them */
} access_log = {.fd = -1};

/* --- the file --- */

static int
open_file(const char *path, struct err *err)
{
    int fd = file_open(path, O_WRONLY | O_CREAT | O_APPEND, 0640, err);

    if (fd < 0)
        return err_wrap(err, "access log");
    if (access_log.fd < 0) {
        access_log.fd = fd;
        return 0;
    }
    if (dup3(fd, access_log.fd, O_CLOEXEC) < 0) {
        err_sys(err, "access log %s: dup3", path);
        file_close(fd);
        return -1;
    }
    file_close(fd);
    return 0;
}

/* Children open it again, as the user they are. */
static void
give_file(const struct conf *conf)
{
    struct jail jail;

    if (jail_resolve(&jail, conf, NULL) == 0)
        jail_give(&jail, conf->access_log);
}

int
access_log_open(const struct conf *conf, struct err *err)
{
    const char *path = conf->access_log;

    access_log.is_json = conf->log_format == CONF_LOG_JSON;
    if (path[0] == '\0') {
        access_log.path[0] = '\0';
        return 0;
    }
    if (strlen(path) >= sizeof(access_log.path))
        return err_set(err, ERR_INVALID, "log.access_file: the path is too "
            "long");
    if (open_file(path, err) != 0)
        return -1;
    snprintf(access_log.path, sizeof(access_log.path), "%s", path);
    give_file(conf);
    return 0;
}

int
access_log_reopen(struct err *err)
{
    return access_log.path[0] == '\0' ? 0 : open_file(access_log.path, err);
}

bool
access_log_is_on(void)
{
    return access_log.path[0] != '\0';
}

/* --- what a line says --- */

const char *
access_protocol(const struct stream *stream)
{
    if (stream->is_grpc)
        return "gRPC";
    return stream->req.version == HTTP_2 ? "HTTP/2"
        : stream->req.version == HTTP_1_1 ? "HTTP/1.1" : "HTTP/1.0";
}

/* Names of arguments that are secrets or whose name says so. */
static bool
is_secret(struct sv name)
{
    static const struct sv words[] = {{"authkey", 7}, {"password", 8},
        {"passwd", 6}, {"secret", 6}, {"token", 5}, {"api_key", 7},
        {"apikey", 6}, {"credential", 10}, {"signature", 9}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (size_t at = 0; at + words[i].len <= name.len; at++) {
            if (sv_eq_nocase(sv_sub(name, at, words[i].len), words[i]))
                return true;
        }
    }
    return false;
}

/* Long names hold no secret that anybody reads. */
#define NAME_BYTES_MAX 256

/* Escapes in a name do not hide it. */
static bool
is_secret_arg(struct sv name)
{
    struct pool *pool;
    bool is_valid, found;

    if (sv_find_byte(name, '%') == name.len)
        return is_secret(name);
    if (name.len > NAME_BYTES_MAX)
        return true;
    pool = pool_new(64 * KIB);
    found = is_secret(http_unescape(pool, name, true, &is_valid));
    pool_free(pool);
    return found;
}

void
access_print_query(struct sb *out, struct sv query, size_t bytes_max)
{
    size_t start = out->len;
    struct sv pair;
    bool is_first = true;

    while (sv_split(&query, '&', &pair)) {
        size_t equals = sv_find_byte(pair, '=');
        size_t room = bytes_max - MIN(out->len - start, bytes_max);

        if (room == 0) {
            sb_add_str(out, "...");
            return;
        }
        if (!is_first)
            sb_add_char(out, '&');
        is_first = false;
        if (is_secret_arg(sv_sub(pair, 0, equals))) {
            sb_add_sv(out, sv_sub(pair, 0, MIN(equals, room)));
            sb_add_str(out, "=***");
        } else {
            sb_add_sv(out, sv_sub(pair, 0, room));
        }
        if (pair.len > room) {
            sb_add_str(out, "...");
            return;
        }
    }
}

/* Path and query as they were sent, without secrets. */
static void
print_target(struct sb *out, const struct http_req *req)
{
    struct sv path = req->raw_path;

    sb_add_sv(out, sv_sub(path, 0, ACCESS_PATH_BYTES_MAX));
    if (path.len > ACCESS_PATH_BYTES_MAX)
        sb_add_str(out, "...");
    if (req->query.len == 0)
        return;
    sb_add_char(out, '?');
    access_print_query(out, req->query, ACCESS_QUERY_BYTES_MAX);
}

static const char *
note_of(const struct stream *stream, const struct access_end *end)
{
    bool is_partial = reply_has_extra(stream, SV("Spoor-Partial"));

    if (is_partial)
        return end->is_broken ? "partial,broken" : "partial";
    return end->is_broken ? "broken" : "";
}

/* --- a line --- */

struct line {
    char time[32];
    struct sv target;
    const struct http_req *req;
    const char *protocol;
    const char *listener;
    const char *note;
    int status;
    uint64_t sent;
    double seconds;
};

/* Of credentials, or of a certificate. */
static struct sv
user_of(const struct http_req *req)
{
    if (req->user != NULL)
        return sv_from(req->user);
    return req->tls_name != NULL ? sv_from(req->tls_name) : SV_EMPTY;
}

static void
add_column(struct sb *out, struct sv text)
{
    if (text.len == 0)
        sb_add_char(out, '-');
    log_escape(out, text);
    sb_add_char(out, '\t');
}

static void
print_columns(struct sb *out, const struct line *line)
{
    const struct http_req *req = line->req;

    add_column(out, sv_from(line->time));
    add_column(out, sv_from(req->peer));
    add_column(out, user_of(req));
    add_column(out, sv_from(line->protocol));
    add_column(out, sv_sub(req->method_name, 0, 32));
    add_column(out, line->target);
    sb_addf(out, "%d\t%zu\t%llu\t%.6f\t", line->status, req->body.len,
        (unsigned long long)line->sent, line->seconds);
    add_column(out, sv_from(line->listener));
    sb_add_str(out, line->note[0] != '\0' ? line->note : "-");
}

static void
add_member(struct json_out *json, const char *key, struct sv text)
{
    if (text.len == 0)
        return;
    json_key(json, key);
    json_string(json, text);
}

static void
print_object(struct sb *out, const struct line *line)
{
    const struct http_req *req = line->req;
    struct json_out json;

    json_out_init(&json, out);
    json_object(&json);
    add_member(&json, "time", sv_from(line->time));
    add_member(&json, "peer", sv_from(req->peer));
    add_member(&json, "user", user_of(req));
    add_member(&json, "protocol", sv_from(line->protocol));
    add_member(&json, "method", sv_sub(req->method_name, 0, 32));
    add_member(&json, "target", line->target);
    json_key(&json, "status");
    json_i64(&json, line->status);
    json_key(&json, "in");
    json_u64(&json, req->body.len);
    json_key(&json, "out");
    json_u64(&json, line->sent);
    json_key(&json, "seconds");
    json_double(&json, line->seconds);
    add_member(&json, "listener", sv_from(line->listener));
    add_member(&json, "note", sv_from(line->note));
    json_object_end(&json);
}

void
access_print(struct sb *out, const struct stream *stream,
    const struct access_end *end, bool is_json)
{
    const struct http_req *req = &stream->req;
    struct sb target, plain;
    struct line line = {
        .req = req,
        .protocol = access_protocol(stream),
        .listener = req->listener != NULL ? req->listener->address : "",
        .note = note_of(stream, end),
        .status = stream->is_grpc ? (int)stream->grpc_status : stream->status,
        .sent = stream->sent_bytes,
        .seconds = (double)end->took_ns / (double)NS_PER_SEC,
    };

    line.time[time_print_rfc3339(line.time, clock_wall_ns(), 3)] = '\0';
    sb_init(&target, LINE_BYTES_MAX);
    print_target(&target, req);
    /* JSON leaves most controls of Unicode as they are. */
    sb_init(&plain, LINE_BYTES_MAX);
    if (is_json)
        log_escape(&plain, sb_sv(&target));
    line.target = is_json ? sb_sv(&plain) : sb_sv(&target);
    if (is_json)
        print_object(out, &line);
    else
        print_columns(out, &line);
    sb_add_char(out, '\n');
    sb_release(&plain);
    sb_release(&target);
}

/* --- writing --- */

static void
write_lines(struct sv lines)
{
    while (lines.len > 0) {
        ssize_t n = write(access_log.fd, lines.ptr, lines.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) { /* a full disk: the next lines may find room */
            metric_add(METRIC_ACCESS_LOG_DROPPED, 1);
            return;
        }
        lines = sv_sub(lines, (size_t)n, lines.len);
    }
}

static void
IMPL(task_fn) write_run(void *arg)
{
    struct sb *lines = arg;

    write_lines(sb_sv(lines));
}

static void arm(void);

static void
IMPL(task_fn) write_done(void *arg)
{
    struct sb *lines = arg;

    sb_release(lines);
    xfree(lines);
    access_log.is_writing = false;
    if (access_log.lines.len > 0)
        arm();
}

static void
IMPL(loop_timer_fn) on_timer(UNUSED void *arg)
{
    struct sb *lines;

    if (access_log.lines.len == 0 || access_log.is_writing)
        return;
    lines = xcalloc(1, sizeof(*lines));
    *lines = access_log.lines;
    sb_init(&access_log.lines, ACCESS_LOG_BYTES_MAX);
    access_log.is_writing = true;
    if (task_post(access_log.process->tasks, write_run, write_done, lines,
            NULL) == 0)
        return;
    write_run(lines);
    write_done(lines);
}

static void
arm(void)
{
    loop_timer_set(access_log.timer, ACCESS_LOG_NS);
}

void
access_log_start(struct process *process)
{
    if (!access_log_is_on())
        return;
    access_log.process = process;
    access_log.timer = loop_timer_new(process->loop, on_timer, NULL);
    sb_init(&access_log.lines, ACCESS_LOG_BYTES_MAX);
}

void
access_log_stop(void)
{
    if (access_log.process == NULL)
        return;
    loop_timer_free(access_log.timer);
    write_lines(sb_sv(&access_log.lines));
    sb_release(&access_log.lines);
    access_log.process = NULL;
}

void
access_log_add(const struct stream *stream, const struct access_end *end)
{
    struct sb *lines = &access_log.lines;
    struct sb line;

    if (access_log.process == NULL)
        return;
    sb_init(&line, LINE_BYTES_MAX);
    access_print(&line, stream, end, access_log.is_json);
    if (sb_failed(&line) || lines->len + line.len > ACCESS_LOG_BYTES_MAX) {
        metric_add(METRIC_ACCESS_LOG_DROPPED, 1);
    } else {
        if (lines->len == 0 && !access_log.is_writing)
            arm();
        sb_add_sv(lines, sb_sv(&line));
    }
    sb_release(&line);
}
