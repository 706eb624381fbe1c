/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Columns and their widths come from the first rows; then a row is printed
 * as it comes, so that memory is bounded however many there are.
 */

#include "core/base.h"
#include "cli/rows_print.h"

#include "cli/rows_read.h"
#include "cli/text.h"
#include "core/mem.h"

/* Rows, and bytes of them, that are looked at for columns. */
#define SAMPLE_ROWS 500u
#define SAMPLE_BYTES (4 * MIB)
#define POOL_BYTES_MAX (512 * MIB)
#define LINE_BYTES_MAX (256 * MIB)
#define OUT_BYTES_MAX (512 * MIB)
#define COLUMNS_MAX 200u
/* A longer text is cut in a table. */
#define COLUMN_WIDTH_MAX 60u
#define LONG_NAME_MAX 40u

struct print_column {
    struct sv name;
    unsigned width;
};

struct rows_print {
    struct rows_print_conf conf;
    enum rows_format format; /* what AUTO became */
    struct sb line;          /* the last one, while it is not whole */
    struct sb out;
    struct pool *pool;       /* of the sample's rows */
    struct pool *names;      /* of the columns */
    struct row *sample;
    uint32_t nsample;
    struct print_column *columns;
    uint32_t ncolumns;
    bool is_settled;
    bool is_broken; /* nobody reads */
    bool has_lead;  /* 0xc2, which may begin a control character */
    uint64_t rows;
    uint64_t bytes;
};

bool
rows_format_parse(const char *text, enum rows_format *out, bool *is_csv)
{
    static const struct {
        const char *name;
        enum rows_format format;
    } names[] = {
        {"auto", ROWS_AUTO}, {"table", ROWS_TABLE}, {"long", ROWS_LONG},
        {"logfmt", ROWS_LOGFMT}, {"json", ROWS_RAW}, {"csv", ROWS_RAW},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, text) == 0) {
            *out = names[i].format;
            *is_csv = strcmp(text, "csv") == 0;
            return true;
        }
    }
    return false;
}

struct rows_print *
rows_print_new(const struct rows_print_conf *conf)
{
    struct rows_print *print = xcalloc(1, sizeof(*print));

    print->conf = *conf;
    print->format = conf->format;
    sb_init(&print->line, LINE_BYTES_MAX);
    sb_init(&print->out, OUT_BYTES_MAX);
    print->pool = pool_new(POOL_BYTES_MAX);
    print->names = pool_new(POOL_BYTES_MAX);
    print->sample = xcalloc(SAMPLE_ROWS, sizeof(*print->sample));
    print->columns = xcalloc(COLUMNS_MAX, sizeof(*print->columns));
    return print;
}

void
rows_print_free(struct rows_print *print)
{
    if (print == NULL)
        return;
    sb_release(&print->line);
    sb_release(&print->out);
    pool_free(print->pool);
    pool_free(print->names);
    xfree(print->sample);
    xfree(print->columns);
    xfree(print);
}

uint64_t
rows_print_rows(const struct rows_print *print)
{
    return print->rows;
}

uint64_t
rows_print_bytes(const struct rows_print *print)
{
    return print->bytes;
}

/* --- columns --- */

static struct print_column *
column_find(const struct rows_print *print, struct sv name)
{
    for (uint32_t i = 0; i < print->ncolumns; i++) {
        if (sv_eq(print->columns[i].name, name))
            return &print->columns[i];
    }
    return NULL;
}

static void
column_see(struct rows_print *print, const struct row_field *field)
{
    struct print_column *column = column_find(print, field->name);
    char *name;

    if (column == NULL) {
        if (print->ncolumns == COLUMNS_MAX)
            return;
        name = pool_dup(print->names, field->name.ptr, field->name.len);
        if (name == NULL)
            return;
        column = &print->columns[print->ncolumns++];
        column->name = sv_make(name, field->name.len);
        column->width = text_columns(column->name);
    }
    column->width = MIN(MAX(column->width, text_columns(field->text)),
        COLUMN_WIDTH_MAX);
}

/* From the rows of the sample. */
static void
columns_settle(struct rows_print *print)
{
    size_t width = 0;

    for (uint32_t i = 0; i < print->nsample; i++) {
        for (uint32_t k = 0; k < print->sample[i].n; k++)
            column_see(print, &print->sample[i].fields[k]);
    }
    for (uint32_t i = 0; i < print->ncolumns; i++)
        width += print->columns[i].width + 2;
    if (print->format == ROWS_AUTO)
        print->format = width > print->conf.width + 2 ? ROWS_LONG
            : ROWS_TABLE;
    print->is_settled = true;
}

/* --- one row --- */

static void
add_color(const struct rows_print *print, struct sb *out, const char *code)
{
    if (print->conf.has_color)
        sb_addf(out, "\033[%sm", code);
}

static void
trim_line(struct sb *out)
{
    while (out->len > 0 && out->ptr[out->len - 1] == ' ')
        out->len--;
    sb_add_char(out, '\n');
}

static void
print_head(struct rows_print *print)
{
    struct sb *out = &print->out;

    add_color(print, out, "1");
    for (uint32_t i = 0; i < print->ncolumns; i++) {
        if (i > 0)
            sb_add_str(out, "  ");
        if (i + 1 < print->ncolumns)
            text_add_columns(out, print->columns[i].name,
                print->columns[i].width);
        else
            text_add(out, print->columns[i].name);
    }
    add_color(print, out, "0");
    trim_line(out);
}

static struct sv
row_text(const struct row *row, struct sv name)
{
    for (uint32_t i = 0; i < row->n; i++) {
        if (sv_eq(row->fields[i].name, name))
            return row->fields[i].text;
    }
    return SV_EMPTY;
}

static void
print_table_row(struct rows_print *print, const struct row *row)
{
    struct sb *out = &print->out;

    for (uint32_t i = 0; i < print->ncolumns; i++) {
        if (i > 0)
            sb_add_str(out, "  ");
        text_add_columns(out, row_text(row, print->columns[i].name),
            print->columns[i].width);
    }
    /* Fields that no row of the sample had. */
    for (uint32_t i = 0; i < row->n; i++) {
        if (column_find(print, row->fields[i].name) != NULL)
            continue;
        sb_add_str(out, "  ");
        text_add(out, row->fields[i].name);
        sb_add_char(out, '=');
        text_add(out, row->fields[i].text);
    }
    trim_line(out);
}

static void
print_long_row(struct rows_print *print, const struct row *row)
{
    struct sb *out = &print->out;
    unsigned width = 0;

    add_color(print, out, "2");
    sb_addf(out, "-- %llu --", (unsigned long long)print->rows);
    add_color(print, out, "0");
    sb_add_char(out, '\n');
    for (uint32_t i = 0; i < row->n; i++)
        width = MAX(width, text_columns(row->fields[i].name));
    width = MIN(width, LONG_NAME_MAX);
    for (uint32_t i = 0; i < row->n; i++) {
        unsigned used = text_columns(row->fields[i].name);

        add_color(print, out, "36");
        text_add(out, row->fields[i].name);
        add_color(print, out, "0");
        for (; used < width; used++)
            sb_add_char(out, ' ');
        sb_add_str(out, "  ");
        text_add(out, row->fields[i].text);
        sb_add_char(out, '\n');
    }
}

/* The second byte of U+0080 to U+009F, whose first is 0xc2. */
static bool
is_upper(char c)
{
    return ((unsigned char)c & 0xe0) == 0x80;
}

/* Quoted if it has a blank, a quote, a backslash or a control character. */
static void
add_logfmt_text(struct sb *out, struct sv text)
{
    bool has_quotes = false;

    for (size_t i = 0; i < text.len && !has_quotes; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        has_quotes = c <= ' ' || c == '"' || c == '\\' || c == 0x7f;
    }
    if (!has_quotes) {
        text_add(out, text);
        return;
    }
    sb_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '"' || c == '\\')
            sb_addf(out, "\\%c", c);
        else if (c == '\n')
            sb_add_str(out, "\\n");
        else if (c < ' ' || c == 0x7f)
            sb_addf(out, "\\x%02x", c);
        else if (c == 0xc2 && i + 1 < text.len && is_upper(text.ptr[i + 1]))
            sb_addf(out, "\\u%04x", (unsigned char)text.ptr[++i]);
        else
            sb_add_char(out, (char)c);
    }
    sb_add_char(out, '"');
}

static void
print_logfmt_row(struct rows_print *print, const struct row *row)
{
    for (uint32_t i = 0; i < row->n; i++) {
        if (i > 0)
            sb_add_char(&print->out, ' ');
        text_add(&print->out, row->fields[i].name);
        sb_add_char(&print->out, '=');
        add_logfmt_text(&print->out, row->fields[i].text);
    }
    sb_add_char(&print->out, '\n');
}

static int
out_write(struct rows_print *print, struct err *err)
{
    FILE *file = print->conf.out;

    if (sb_failed(&print->out))
        return err_set(err, ERR_LIMIT, "a row is too large");
    if (print->out.len > 0 &&
        fwrite(print->out.ptr, 1, print->out.len, file) != print->out.len)
        print->is_broken = true;
    sb_reset(&print->out);
    return 0;
}

static int
print_row(struct rows_print *print, const struct row *row, struct err *err)
{
    print->rows++;
    switch (print->format) {
    case ROWS_LONG: print_long_row(print, row); break;
    case ROWS_LOGFMT: print_logfmt_row(print, row); break;
    default: print_table_row(print, row); break;
    }
    return out_write(print, err);
}

/* --- the sample and what comes behind --- */

static int
sample_print(struct rows_print *print, struct err *err)
{
    if (print->nsample == 0)
        return 0;
    columns_settle(print);
    if (print->format == ROWS_TABLE)
        print_head(print);
    for (uint32_t i = 0; i < print->nsample; i++) {
        if (print_row(print, &print->sample[i], err) != 0)
            return -1;
    }
    print->nsample = 0;
    pool_reset(print->pool);
    return 0;
}

static int
line_take(struct rows_print *print, struct sv line, struct err *err)
{
    struct row row;
    char *copy;

    if (text_strip(line).len == 0)
        return 0;
    /* Rows of the sample outlive their buffer. */
    copy = pool_dup(print->pool, line.ptr, line.len);
    if (copy == NULL)
        return err_set(err, ERR_LIMIT, "a row is too large");
    if (row_read(&row, sv_make(copy, line.len), print->pool, err) != 0)
        return -1;
    if (print->is_settled) {
        int rc = print_row(print, &row, err);

        pool_reset(print->pool);
        return rc;
    }
    print->sample[print->nsample++] = row;
    if (print->nsample == SAMPLE_ROWS ||
        pool_used(print->pool) > SAMPLE_BYTES)
        return sample_print(print, err);
    return 0;
}

static int
lines_take(struct rows_print *print, struct sv data, struct err *err)
{
    while (data.len > 0 && !print->is_broken) {
        const char *end = memchr(data.ptr, '\n', data.len);
        size_t len = end == NULL ? data.len : (size_t)(end - data.ptr);
        struct sv line = sv_sub(data, 0, len);

        if (end == NULL || print->line.len > 0) {
            sb_add_sv(&print->line, line);
            if (sb_failed(&print->line))
                return err_set(err, ERR_LIMIT, "a row is too large");
            line = sb_sv(&print->line);
        }
        if (end == NULL)
            return 0;
        if (line_take(print, line, err) != 0)
            return -1;
        sb_reset(&print->line);
        data = sv_sub(data, len + 1, SIZE_MAX);
    }
    return 0;
}

/* Control characters are "?", as in text_add(); but lines and tabulators. */
static int
screen_take(struct rows_print *print, struct sv data, struct err *err)
{
    struct sb *out = &print->out;

    for (size_t i = 0; i < data.len; i++) {
        unsigned char c = (unsigned char)data.ptr[i];
        bool had_lead = print->has_lead;

        print->has_lead = c == 0xc2;
        if (had_lead && is_upper(data.ptr[i])) {
            sb_add_char(out, '?');
            continue;
        }
        if (had_lead)
            sb_add_char(out, '\xc2');
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
            sb_add_char(out, '?');
        else if (!print->has_lead)
            sb_add_char(out, (char)c);
    }
    return out_write(print, err);
}

static int
raw_take(struct rows_print *print, struct sv data, struct err *err)
{
    for (size_t i = 0; i < data.len; i++)
        print->rows += data.ptr[i] == '\n';
    if (print->conf.is_screen)
        return screen_take(print, data, err);
    if (fwrite(data.ptr, 1, data.len, print->conf.out) != data.len)
        print->is_broken = true;
    return 0;
}

int
rows_print_data(void *arg, struct sv data, struct err *err)
{
    struct rows_print *print = arg;

    print->bytes += data.len;
    if (print->format == ROWS_RAW ? raw_take(print, data, err) != 0
        : lines_take(print, data, err) != 0)
        return -1;
    if (print->conf.is_live) {
        if (sample_print(print, err) != 0)
            return -1;
        if (fflush(print->conf.out) != 0)
            print->is_broken = true;
    }
    return print->is_broken ? 1 : 0;
}

void
rows_print_cut(struct rows_print *print)
{
    sb_reset(&print->line);
}

int
rows_print_end(struct rows_print *print, struct err *err)
{
    if (print->line.len > 0 &&
        line_take(print, sb_sv(&print->line), err) != 0)
        return -1;
    sb_reset(&print->line);
    if (sample_print(print, err) != 0)
        return -1;
    if (fflush(print->conf.out) != 0)
        print->is_broken = true;
    return 0;
}
