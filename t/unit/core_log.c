/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/log.h"

#include <errno.h>
#include <regex.h>

#include "core/file.h"
#include "core/metrics.h"
#include "tap.h"

static char path[] = "/tmp/spoor-log-XXXXXX";
static struct sb sb;

static const char *
written(void)
{
    struct err err;

    sb_reset(&sb);
    if (file_read_all(path, &sb, &err) != 0)
        fail("%s", err.text);
    if (truncate(path, 0) != 0)
        bail_out("truncate");
    return sb.ptr;
}

static bool
matches(const char *text, const char *pattern)
{
    regex_t regex;
    bool found;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        bail_out(pattern);
    found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    if (!found)
        diag("  text: %s", text);
    return found;
}

static unsigned
lines_of(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void
test_lines(void)
{
    char large[9000];
    uint64_t before = metric_get(METRIC_LOG_MESSAGES);

    errno = EBADF;
    log_warn("disk %d%%", 97);
    is_int(errno, EBADF, "errno is kept");
    is_int(metric_get(METRIC_LOG_MESSAGES) - before, 1, "counted");
    ok(matches(written(), "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:"
        "[0-9]{2}\\.[0-9]{3}Z\twarn\tworker 2\\[[0-9]+\\]\t"
        "t/unit/core_log\\.c:[0-9]+\tdisk 97%\n$"), "a line");
    log_debug("not shown");
    is_str(written(), "", "below the level");
    log_set_level(LOG_DEBUG);
    log_debug("shown");
    ok(matches(written(), "\tdebug\t.*\tshown\n$"), "at the level");
    log_set_level(LOG_ERROR);
    log_warn("not shown");
    log_error("shown");
    ok(matches(written(), "^[^\n]*\terror\t.*\tshown\n$"), "above the level");
    log_set_level(LOG_INFO);

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    log_info("%s", large);
    ok(matches(written(), "xxx\\.\\.\\.\n$"), "a long message is cut");
    memset(large, '\x01', sizeof(large) - 1);
    log_info("%s", large);
    ok(sb_failed(&sb) == false && lines_of(written()) == 1,
        "also when every byte is escaped");
    log_info("%s", "");
    ok(matches(written(), "\t\n$"), "an empty message");
}

static void
test_escapes(void)
{
    struct sb out;

    log_info("a\nb\tc\rd\x1b[31m\x7f" "e");
    ok(matches(written(), "\ta\\\\nb\\\\tc\\\\rd\\\\x1b\\[31m\\\\x7fe\n$"),
        "controls");
    sb_init(&out, 1000);
    log_escape(&out, SV("gr\xc3\xbc\xc3\x9f \xc2\x9b" "31m \x9b \xff \xc3"));
    is_str(out.ptr, "gr\xc3\xbc\xc3\x9f \\xc2\\x9b31m \\x9b \\xff \\xc3",
        "C1 controls and wrong bytes; UTF-8 stays");
    sb_reset(&out);
    log_escape(&out, sv_make(NULL, 0));
    is_str(out.ptr, "", "nothing");
    sb_release(&out);
}

static void
test_json(void)
{
    log_set_json(true);
    log_info("a \"b\"\n\x1b\xc2\x9b");
    log_set_json(false);
    ok(matches(written(), "^\\{\"ts\":\"[^\"]+Z\",\"level\":\"info\","
        "\"caller\":\"t/unit/core_log\\.c:[0-9]+\","
        "\"msg\":\"a \\\\\"b\\\\\"\\\\n\\\\u001b\\\\u009b\","
        "\"process\":\"worker 2\\[[0-9]+\\]\"\\}\n$"), "a JSON line");
}

static void
configure(const struct log_settings *settings)
{
    struct err err = ERR_INIT;

    is_int(log_configure(settings, &err), 0, "settings %s", err.text);
}

static void
test_settings(void)
{
    struct log_settings settings = {.has_no_time = true,
        .message_max = 20};
    struct log_settings json = {.is_json = true,
        .json_fields = "ts:time, msg:message,process:"};
    struct log_settings zone = {.timezone = "Asia/Kolkata"};
    struct log_settings limited = {.errors_per_sec = 3};
    struct err err = ERR_INIT;
    unsigned n;

    configure(&settings);
    log_info("0123456789 0123456789");
    ok(matches(written(), "^info\tworker 2\\[[0-9]+\\]\tt/unit/core_log\\.c:"
        "[0-9]+\t012345678\\.\\.\\.*123456789\n$"), "no time, cut: %s", sb.ptr);
    configure(&json);
    log_warn("x");
    ok(matches(written(), "^\\{\"time\":\"[^\"]+Z\",\"level\":\"warn\","
        "\"caller\":\"t/unit/core_log\\.c:[0-9]+\",\"message\":\"x\"\\}\n$"),
        "other names: %s", sb.ptr);
    if (log_check_timezone("Asia/Kolkata", &err) == 0) {
        configure(&zone);
        log_info("x");
        ok(matches(written(), "^[^\t]*\\.[0-9]{3}\\+05:30\tinfo\t"),
            "a time zone: %s", sb.ptr);
    } else {
        skip("no time zones are installed", 2);
        err_reset(&err);
    }
    configure(&limited);
    written();
    for (unsigned i = 0; i < 5; i++) {
        log_error("one");
        log_error("two");
        log_warn("not limited");
    }
    n = 0;
    for (const char *at = written(); (at = strstr(at, "\terror\t")) != NULL;
         at++)
        n++;
    ok(n == 3 || n == 6, "errors are limited: %u", n);
    configure(&(struct log_settings){0});
    usleep(1100000);
    log_tick();
    written();

    is_int(log_check_timezone("../../../etc/passwd", &err), -1, "%s",
        err.text);
    err_reset(&err);
    is_int(log_check_timezone("Mars/Olympus", &err), -1, "%s", err.text);
    err_reset(&err);
    is_int(log_check_json_fields("ts", &err), -1, "%s", err.text);
    err_reset(&err);
    is_int(log_check_json_fields("tss:x", &err), -1, "%s", err.text);
    err_reset(&err);
    is_int(log_check_json_fields("", &err), 0, "nothing is fine");
    json.json_fields = "x:y";
    is_int(log_configure(&json, &err), -1, "%s", err.text);
    log_info("x");
    ok(matches(written(), "Z\tinfo\t"), "which changes nothing");
}

static void
test_rate(void)
{
    unsigned n;

    written();
    for (unsigned i = 0; i < 1000; i++)
        log_info("again");
    n = lines_of(written());
    /* A second may end between: then twice as many, and what was swallowed. */
    ok(n == LOG_SITE_LINES_PER_SEC || n == 2 * LOG_SITE_LINES_PER_SEC + 1,
        "a site is limited (%u lines)", n);
    log_info("another site");
    ok(lines_of(written()) >= 1, "another is not");
    usleep(1100000);
    log_tick();
    ok(matches(written(), "^[^\n]*\twarn\t[^\n]*\tt/unit/core_log\\.c:[0-9]+"
        "\t[0-9]+ more lines like this were not written\n$"),
        "what was swallowed is said");
    log_tick();
    is_str(written(), "", "once");
}

static void
test_reopen(void)
{
    char moved[64];
    struct err err = ERR_INIT;

    snprintf(moved, sizeof(moved), "%s.1", path);
    log_info("old");
    is_int(rename(path, moved), 0, "moved");
    log_info("still old");
    is_int(log_reopen(&err), 0, "reopened %s", err.text);
    log_info("new");
    ok(matches(written(), "^[^\n]*\tnew\n$"), "the new file has the new line");
    sb_reset(&sb);
    is_int(file_read_all(moved, &sb, &err), 0, "read the old one");
    is_int(lines_of(sb.ptr), 2, "it has the old lines");
    unlink(moved);
    is_int(log_open("/nonexistent/x", &err), -1, "a path that cannot be: %s",
        err.text);
    log_info("kept");
    ok(matches(written(), "\tkept\n$"), "keeps the old log");
    is_int(log_open("stderr", &err), 0, "back to standard error");
    is_int(log_reopen(&err), 0, "which needs no reopening");
    is_int(log_open(path, &err), 0, "and to the file again");
    log_info("third");
    ok(matches(written(), "^[^\n]*\tthird\n$"), "works");
}

int
main(void)
{
    enum log_level level = LOG_DEBUG;
    struct err err = ERR_INIT;

    close(mkstemp(path));
    sb_init(&sb, MIB);
    is_int(log_open(path, &err), 0, "opened %s", err.text);
    log_set_role("worker 2");
    ok(log_level_from_name("WARN", &level) && level == LOG_WARN, "WARN");
    ok(log_level_from_name("fatal", &level) && level == LOG_FATAL, "fatal");
    ok(!log_level_from_name("loud", &level), "loud");
    test_lines();
    test_escapes();
    test_json();
    test_settings();
    test_rate();
    test_reopen();
    is_int(log_open(NULL, &err), 0, "closed");
    unlink(path);
    sb_release(&sb);
    return tap_done();
}
