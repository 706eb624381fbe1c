/* SPDX-License-Identifier: BSD-2-Clause */

/* Error messages with their source line. */

#include "core/base.h"

#include "core/conf_report.h"
#include "core/conf_table.h"
#include "core/json_out.h"

/* A source line is shown from about the caret on when it is longer. */
#define LINE_SHOWN_MAX 120u
#define LINE_BEFORE_CARET 40u

/* Bytes of the well-formed UTF-8 sequence at the start of text; 0: none. */
static size_t
utf8_len(struct sv text)
{
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (len > text.len || !sv_is_utf8(sv_sub(text, 0, len)))
        return 0;
    return len;
}

void
conf_add_printable(struct sb *out, struct sv text)
{
    while (text.len > 0) {
        size_t len = utf8_len(text);
        unsigned char c = (unsigned char)text.ptr[0];
        bool is_control = c < 0x20 || c == 0x7f ||
            (c == 0xc2 && len == 2 && (unsigned char)text.ptr[1] < 0xa0);

        if (len == 0 || is_control) {
            sb_addf(out, "\\x%02x", c);
            len = 1;
        } else {
            sb_add(out, text.ptr, len);
        }
        text = sv_sub(text, len, text.len);
    }
}

void
conf_report_init(struct conf_report *report, struct sb *out)
{
    memset(report, 0, sizeof(*report));
    report->out = out;
}

void
conf_report_source(struct conf_report *report, const char *name,
    struct sv text)
{
    snprintf(report->name, sizeof(report->name), "%s", name);
    report->source = text;
    report->file = NULL;
}

void
conf_report_file(struct conf_report *report, const struct conf_text *file)
{
    conf_report_source(report, file->name, file->text);
    report->file = file;
}

static struct sv
source_line(struct sv text, unsigned number)
{
    struct sv line = SV_EMPTY;

    for (unsigned i = 0; i < number; i++) {
        if (!sv_split(&text, '\n', &line))
            return sv_make(NULL, 0);
    }
    if (sv_ends_with(line, SV("\r")))
        line.len--;
    return line;
}

/*
 * One character of the line: a tab or a control character takes one column,
 * so that the caret stands below what it means.
 */
static size_t
add_cell(struct sb *out, struct sv rest)
{
    size_t len = utf8_len(rest);
    unsigned char c = (unsigned char)rest.ptr[0];

    if (c == '\t')
        sb_add_char(out, ' ');
    else if (len == 0 || c < 0x20 || c == 0x7f ||
        (c == 0xc2 && (unsigned char)rest.ptr[1] < 0xa0))
        sb_add_char(out, '?');
    else
        sb_add(out, rest.ptr, len);
    return len == 0 ? 1 : len;
}

static void
add_source(struct conf_report *report, struct sv source,
    const struct conf_mark *mark)
{
    struct sv line = source_line(source, mark->line);
    unsigned skip = 0, column = 1, width = MAX(mark->width, 1u);

    if (line.ptr == NULL || conf_line_is_secret(line))
        return;
    if (mark->column > LINE_SHOWN_MAX - LINE_BEFORE_CARET)
        skip = mark->column - LINE_BEFORE_CARET;

    sb_addf(report->out, "%5u | ", mark->line);
    for (; line.len > 0 && column <= skip + LINE_SHOWN_MAX; column++) {
        struct sb *out = report->out;
        size_t before = out->len, len = add_cell(out, line);

        if (column <= skip)
            out->len = before;
        line = sv_sub(line, len, line.len);
    }
    sb_add_str(report->out, line.len > 0 ? "...\n      | " : "\n      | ");
    for (unsigned i = skip + 1; i < mark->column; i++)
        sb_add_char(report->out, ' ');
    sb_add_char(report->out, '^');
    for (unsigned i = 1; i < MIN(width, LINE_SHOWN_MAX) &&
        mark->column + i < column; i++)
        sb_add_char(report->out, '~');
    sb_add_char(report->out, '\n');
}

/* The kinds of messages. */
enum level {
    LEVEL_ERROR,
    LEVEL_HIDDEN, /* an error without its source line */
    LEVEL_WARNING,
};

static void
add_json(struct conf_report *report, struct sv name,
    const struct conf_mark *mark, enum level level, struct sv text)
{
    struct json_out out;

    if (sv_starts_with(text, SV("error: ")))
        text = sv_sub(text, strlen("error: "), text.len);
    json_out_init(&out, report->out);
    json_object(&out);
    json_key(&out, "severity");
    json_string(&out, level == LEVEL_WARNING ? SV("warning") : SV("error"));
    json_key(&out, "file");
    json_string(&out, name);
    if (mark != NULL) {
        json_key(&out, "line");
        json_u64(&out, mark->line);
        json_key(&out, "column");
        json_u64(&out, mark->column);
        json_key(&out, "width");
        json_u64(&out, MAX(mark->width, 1u));
    }
    json_key(&out, "message");
    json_string(&out, text);
    json_object_end(&out);
    sb_add_char(report->out, '\n');
}

PRINTF_LIKE(4, 0)
static void
report_message(struct conf_report *report, const struct conf_mark *mark,
    enum level level, const char *fmt, va_list args)
{
    unsigned *count = level == LEVEL_WARNING ? &report->nwarnings :
        &report->nerrors;
    const struct conf_text *file = mark != NULL ? mark->file : NULL;
    struct sv source = file != NULL ? file->text : report->source;
    struct sv name = sv_from(file != NULL ? file->name : report->name);
    bool is_placed = mark != NULL && mark->line > 0 && source.ptr != NULL;
    char text[1024];

    if (++*count > CONF_ERRORS_SHOWN_MAX)
        return;
    vsnprintf(text, sizeof(text), fmt, args);
    if (report->is_json) {
        add_json(report, name, is_placed ? mark : NULL, level, sv_from(text));
        return;
    }
    conf_add_printable(report->out, name);
    if (is_placed)
        sb_addf(report->out, ":%u:%u", mark->line, mark->column);
    if (level == LEVEL_WARNING)
        sb_add_str(report->out, ": warning");
    else if (is_placed)
        sb_add_str(report->out, ": error");
    sb_add_str(report->out, ": ");
    conf_add_printable(report->out, sv_from(text));
    sb_add_char(report->out, '\n');
    if (is_placed && level != LEVEL_HIDDEN)
        add_source(report, source, mark);
}

void
conf_report_error(struct conf_report *report, const struct conf_mark *mark,
    const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report_message(report, mark, LEVEL_ERROR, fmt, args);
    va_end(args);
}

void
conf_report_warning(struct conf_report *report, const struct conf_mark *mark,
    const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report_message(report, mark, LEVEL_WARNING, fmt, args);
    va_end(args);
}

void
conf_report_error_hidden(struct conf_report *report,
    const struct conf_mark *mark, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report_message(report, mark, LEVEL_HIDDEN, fmt, args);
    va_end(args);
}

void
conf_report_close(struct conf_report *report, const char *name)
{
    if (report->is_json)
        return;
    if (report->nerrors > CONF_ERRORS_SHOWN_MAX)
        sb_addf(report->out, "only the first %d errors are shown\n",
            CONF_ERRORS_SHOWN_MAX);
    conf_add_printable(report->out, sv_from(name));
    sb_addf(report->out, ": %u error%s, configuration not used\n",
        report->nerrors, report->nerrors == 1 ? "" : "s");
}
