/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/complete.h"

#include "cli/cli.h"
#include "cli/server_options.h"
#include "core/json_in.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/timefmt.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/text.h"

#define ASK_TIMEOUT_NS NS_PER_SEC
#define ANSWER_BYTES_MAX (4 * MIB)
#define POOL_BYTES_MAX (64 * MIB)
#define TARGET_BYTES_MAX (64 * KIB)
#define KEEP_NS (60 * NS_PER_SEC)
#define SINCE "1d" /* fields and values of the last day */

/* --- where the cursor stands --- */

static bool
is_word_byte(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 0x80 || (byte > ' ' && strchr("|(){}[],\"'`", c) == NULL);
}

/* The start of the last pipe, and whether a quote is open (its place). */
struct line_scan {
    size_t pipe;      /* behind the last '|'; 0: there is none */
    bool has_pipe;
    size_t quote;     /* SIZE_MAX: none is open */
    unsigned depth;   /* of parentheses, since the pipe */
    bool in_stream;   /* an open brace */
};

static struct line_scan
scan_line(struct sv line)
{
    struct line_scan scan = {0, false, SIZE_MAX, 0, false};
    char quote = '\0';

    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];

        if (quote != '\0') {
            if (c == '\\' && quote != '`')
                i++;
            else if (c == quote)
                quote = '\0';
            continue;
        }
        switch (c) {
        case '"': case '\'': case '`':
            quote = c;
            scan.quote = i;
            break;
        case '|':
            scan.pipe = i + 1;
            scan.has_pipe = true;
            scan.depth = 0;
            break;
        case '(': scan.depth++; break;
        case ')': scan.depth -= scan.depth > 0; break;
        case '{': scan.in_stream = true; break;
        case '}': scan.in_stream = false; break;
        default: break;
        }
    }
    if (quote == '\0')
        scan.quote = SIZE_MAX;
    return scan;
}

/* The last word, or what stands behind an open quote. */
static void
word_find(struct complete_place *out, struct sv line,
    const struct line_scan *scan)
{
    if (scan->quote != SIZE_MAX) {
        out->start = scan->quote;
        out->word = sv_sub(line, scan->quote + 1, SIZE_MAX);
        return;
    }
    out->start = line.len;
    while (out->start > 0 && is_word_byte(line.ptr[out->start - 1]))
        out->start--;
    out->word = sv_sub(line, out->start, SIZE_MAX);
}

/* "field" or "a:b" in front of a colon and an operator: the field. */
static bool
field_before(struct sv front, struct sv *field)
{
    size_t end = front.len;

    while (end > 0 && strchr("=~!<>", front.ptr[end - 1]) != NULL)
        end--;
    if (end == 0 || front.ptr[end - 1] != ':')
        return false;
    front = sv_sub(front, 0, end - 1);
    if (front.len > 1 && front.ptr[front.len - 1] == '"') {
        size_t start = front.len - 1;

        while (start > 0 && front.ptr[start - 1] != '"')
            start--;
        *field = sv_sub(front, start, front.len - 1 - start);
        return start > 0;
    }
    end = front.len;
    while (end > 0 && is_word_byte(front.ptr[end - 1]) &&
        front.ptr[end - 1] != ':')
        end--;
    *field = sv_sub(front, end, SIZE_MAX);
    return field->len > 0;
}

/* A word as "name:=va" is a field and the beginning of its value. */
static bool
value_find(struct complete_place *out, struct sv line, bool is_quoted)
{
    struct sv word = out->word;
    size_t value = word.len;

    if (field_before(sv_sub(line, 0, out->start), &out->field))
        return true;
    while (value > 0 && word.ptr[value - 1] != ':')
        value--;
    if (is_quoted || value == 0)
        return false;
    while (value < word.len && strchr("=~!<>", word.ptr[value]) != NULL)
        value++;
    if (!field_before(sv_sub(line, 0, out->start + value), &out->field))
        return false;
    out->start += value;
    out->word = sv_sub(word, value, SIZE_MAX);
    return true;
}

static bool
is_filter_pipe(struct sv name)
{
    return sv_eq(name, SV("filter")) || sv_eq(name, SV("where"));
}

/* Behind a '|': its pipe's name, or what the pipe takes. */
static void
pipe_find(struct complete_place *out, struct sv line,
    const struct line_scan *scan)
{
    struct sv rest = sv_sub(line, scan->pipe, SIZE_MAX), name;
    size_t len = 0;

    while (rest.len > 0 && rest.ptr[0] == ' ')
        rest = sv_sub(rest, 1, SIZE_MAX);
    while (len < rest.len && is_word_byte(rest.ptr[len]))
        len++;
    name = sv_sub(rest, 0, len);
    if (rest.ptr + len >= line.ptr + line.len) {
        out->kind = COMPLETE_PIPE;
        return;
    }
    if (is_filter_pipe(name)) {
        out->kind = value_find(out, line, scan->quote != SIZE_MAX)
            ? COMPLETE_VALUE : COMPLETE_FIELD;
        return;
    }
    out->kind = sv_eq(name, SV("stats")) && scan->depth == 0
        ? COMPLETE_FUNCTION : COMPLETE_NAME;
}

void
complete_find(struct complete_place *out, struct sv line)
{
    struct line_scan scan = scan_line(line);

    memset(out, 0, sizeof(*out));
    if (line.len > 0 && line.ptr[0] == '\\' &&
        memchr(line.ptr, ' ', line.len) == NULL) {
        *out = (struct complete_place){COMPLETE_COMMAND, line, SV_EMPTY, 0};
        return;
    }
    word_find(out, line, &scan);
    if (scan.has_pipe) {
        pipe_find(out, line, &scan);
        return;
    }
    if (scan.in_stream) {
        out->kind = COMPLETE_NAME;
        return;
    }
    out->kind = value_find(out, line, scan.quote != SIZE_MAX)
        ? COMPLETE_VALUE : COMPLETE_FIELD;
}

/* --- what the server has --- */

struct completer {
    const char *url;
    const char *const *headers;
    struct pool *pool;      /* of the words */
    struct sv words[COMPLETE_MAX];
    uint32_t nwords;
    struct pool *kept_pool; /* of the last answer */
    struct sb kept_target;
    int64_t kept_until_ns;
    struct sv kept[COMPLETE_MAX * 10];
    uint32_t nkept;
};

struct completer *
completer_new(const char *url, const char *const *headers)
{
    struct completer *completer = xcalloc(1, sizeof(*completer));

    completer->url = url;
    completer->headers = headers;
    completer->pool = pool_new(POOL_BYTES_MAX);
    completer->kept_pool = pool_new(POOL_BYTES_MAX);
    sb_init(&completer->kept_target, TARGET_BYTES_MAX);
    return completer;
}

void
completer_free(struct completer *completer)
{
    pool_free(completer->pool);
    pool_free(completer->kept_pool);
    sb_release(&completer->kept_target);
    xfree(completer);
}

/* {"values":[{"value":"...","hits":N},...]} */
static void
values_read(struct completer *completer, struct sv body)
{
    struct json_in in;
    struct sv key, value;

    completer->nkept = 0;
    json_in_init(&in, body, completer->kept_pool);
    if (!json_enter_object(&in) || !json_next_key(&in, &key) ||
        !json_enter_array(&in))
        return;
    while (json_next_item(&in)) {
        if (!json_enter_object(&in))
            return;
        while (json_next_key(&in, &key)) {
            if (!sv_eq(key, SV("value"))) {
                if (!json_skip(&in))
                    return;
                continue;
            }
            if (!json_read_string(&in, &value))
                return;
            if (completer->nkept < ARRAY_LEN(completer->kept))
                completer->kept[completer->nkept++] = value;
        }
    }
}

static void
ask(struct completer *completer, const char *target)
{
    struct http_client_req req = {.method = "GET", .target = target,
        .headers = completer->headers};
    struct http_client_reply reply = {0};
    struct http_client *client;
    struct err err = ERR_INIT;
    char *copy;

    if (server_connect(&client, cli_url(completer->url), ASK_TIMEOUT_NS,
        &err) != 0)
        return;
    sb_init(&reply.body, ANSWER_BYTES_MAX);
    if (http_client_do(client, &req, &reply, &err) == 0 &&
        reply.status == 200) {
        copy = pool_dup(completer->kept_pool, reply.body.ptr, reply.body.len);
        if (copy != NULL)
            values_read(completer, sv_make(copy, reply.body.len));
    }
    sb_release(&reply.body);
    http_client_free(client);
}

/* The values of an endpoint, from the last answer if that is fresh. */
static void
fetch(struct completer *completer, const char *endpoint, struct sv field)
{
    int64_t now_ns = clock_mono_ns();
    struct sb target;

    sb_init(&target, TARGET_BYTES_MAX);
    sb_addf(&target, "/select/logsql/%s?query=*&start=%s&limit=%u", endpoint,
        SINCE, (unsigned)ARRAY_LEN(completer->kept));
    if (field.len > 0) {
        char *name = xmemdup0(field.ptr, field.len);

        sb_add_str(&target, "&field=");
        cli_escape(&target, name);
        xfree(name);
    }
    if (now_ns >= completer->kept_until_ns ||
        !sv_eq(sb_sv(&target), sb_sv(&completer->kept_target))) {
        pool_reset(completer->kept_pool);
        completer->nkept = 0;
        ask(completer, target.ptr);
        sb_reset(&completer->kept_target);
        sb_add_sv(&completer->kept_target, sb_sv(&target));
        completer->kept_until_ns = now_ns + KEEP_NS;
    }
    sb_release(&target);
}

/* --- words --- */

static void
offer(struct completer *completer, struct sv prefix, struct sv word)
{
    if (completer->nwords < COMPLETE_MAX && sv_starts_with(word, prefix))
        completer->words[completer->nwords++] = word;
}

static void
offer_tables(struct completer *completer, const struct complete_place *place)
{
    if (place->kind == COMPLETE_COMMAND) {
        for (size_t i = 0; shell_commands[i] != NULL; i++)
            offer(completer, place->word, sv_from(shell_commands[i]));
    }
    if (place->kind == COMPLETE_PIPE) {
        for (size_t i = 0; i < npipe_types; i++) {
            if (pipe_types[i].ops != NULL)
                offer(completer, place->word, sv_from(pipe_types[i].name));
        }
    }
    if (place->kind == COMPLETE_PIPE || place->kind == COMPLETE_FUNCTION) {
        for (size_t i = 0; i < nfunction_names; i++) {
            offer(completer, place->word, sv_from(function_names[i].name));
        }
    }
}

/* As it has to stand in a query. */
static struct sv
quoted(struct completer *completer, struct sv text, bool is_field)
{
    struct sb sb;
    struct sv out;
    char *copy;

    sb_init(&sb, 64 * KIB);
    if (is_field)
        print_word(&sb, text);
    else
        print_quoted(&sb, text);
    copy = sb_failed(&sb) ? NULL :
        pool_dup(completer->pool, sb.ptr, sb.len);
    out = copy == NULL ? SV_EMPTY : sv_make(copy, sb.len);
    sb_release(&sb);
    return out;
}

static void
offer_kept(struct completer *completer, const struct complete_place *place)
{
    for (uint32_t i = 0; i < completer->nkept &&
        completer->nwords < COMPLETE_MAX; i++) {
        struct sv text = completer->kept[i];

        if (!sv_starts_with(text, place->word) || text.len == 0)
            continue;
        if (place->kind == COMPLETE_FIELD || place->kind == COMPLETE_VALUE)
            text = quoted(completer, text, place->kind == COMPLETE_FIELD);
        offer(completer, SV_EMPTY, text);
    }
}

static int
by_text(const void *a, const void *b)
{
    return sv_cmp(*(const struct sv *)a, *(const struct sv *)b);
}

const struct sv *
complete_words(struct completer *completer,
    const struct complete_place *place, uint32_t *n)
{
    pool_reset(completer->pool);
    completer->nwords = 0;
    offer_tables(completer, place);
    if (place->kind == COMPLETE_FIELD || place->kind == COMPLETE_NAME ||
        place->kind == COMPLETE_FUNCTION) {
        fetch(completer, "field_names", SV_EMPTY);
        offer_kept(completer, place);
    }
    if (place->kind == COMPLETE_VALUE) {
        fetch(completer, "field_values", place->field);
        offer_kept(completer, place);
    }
    qsort(completer->words, completer->nwords, sizeof(*completer->words),
        by_text);
    *n = completer->nwords;
    return completer->words;
}
