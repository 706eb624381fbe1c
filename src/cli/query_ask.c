/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/query_ask.h"

#include <time.h>

#include "cli/cli.h"
#include "cli/server_options.h"
#include "cli/tail_gap.h"
#include "cli/text.h"
#include "core/num.h"
#include "core/timefmt.h"

/* Until the first byte, and between two. */
#define ASK_TIMEOUT_NS (120 * NS_PER_SEC)
#define FORM_BYTES_MAX (8 * MIB)
#define ERROR_BYTES_MAX MIB
#define MESSAGE_SHOWN_MAX 4000u
/* Of the query's line, before and behind the caret. */
#define CARET_BEFORE 60u
#define CARET_BEHIND 40u

/* --- errors --- */

/* The number behind "position ", counted in characters from 1; 0: none. */
static uint64_t
position_of(struct sv message)
{
    static const char word[] = "position ";
    const char *found = memmem(message.ptr, message.len, word,
        sizeof(word) - 1);
    struct sv rest;
    uint64_t position;
    size_t len = 0;

    if (found == NULL)
        return 0;
    rest = sv_sub(message, (size_t)(found - message.ptr) + sizeof(word) - 1,
        SIZE_MAX);
    while (len < rest.len && rest.ptr[len] >= '0' && rest.ptr[len] <= '9')
        len++;
    return num_parse_u64(sv_sub(rest, 0, len), &position) ? position : 0;
}

/* Where the character number n, from 1, begins; the length if it is behind. */
static size_t
character_at(struct sv text, uint64_t n)
{
    size_t i = 0;

    while (i < text.len && n > 1) {
        i++;
        while (i < text.len && ((unsigned char)text.ptr[i] & 0xc0) == 0x80)
            i++;
        n--;
    }
    return i;
}

static void
add_caret(struct sb *out, struct sv query, uint64_t position)
{
    size_t at = character_at(query, position), from = at, to = at;
    struct sv before;

    while (from > 0 && query.ptr[from - 1] != '\n' &&
        at - from < CARET_BEFORE)
        from--;
    while (from < at && ((unsigned char)query.ptr[from] & 0xc0) == 0x80)
        from++;
    while (to < query.len && query.ptr[to] != '\n' && to - at < CARET_BEHIND)
        to++;
    before = sv_sub(query, from, at - from);
    sb_add_str(out, "\n  ");
    text_add(out, before);
    text_add(out, sv_sub(query, at, to - at));
    sb_add_str(out, "\n  ");
    for (unsigned i = text_columns(before); i > 0; i--)
        sb_add_char(out, ' ');
    sb_add_char(out, '^');
}

void
query_ask_complain(struct sv message, const char *query)
{
    uint64_t position = position_of(message);
    struct sb out;

    sb_init(&out, ERROR_BYTES_MAX);
    text_add(&out, sv_sub(text_strip(message), 0, MESSAGE_SHOWN_MAX));
    if (position > 0)
        add_caret(&out, sv_from(query), position);
    cli_fail("%.*s", SV_ARG(sb_sv(&out)));
    sb_release(&out);
}

/* --- the request --- */

static void
form_add(struct sb *form, const char *name, const char *value)
{
    if (value == NULL)
        return;
    if (form->len > 0)
        sb_add_char(form, '&');
    sb_add_str(form, name);
    sb_add_char(form, '=');
    cli_escape(form, value);
}

static void
form_make(struct sb *form, const struct query_ask *ask)
{
    form_add(form, "query", ask->query);
    form_add(form, ask->is_tail ? "start_offset" : "start", ask->start);
    form_add(form, "end", ask->end);
    form_add(form, "limit", ask->limit);
    if (ask->is_csv)
        form_add(form, "format", "csv");
}

static int
answer_status(const struct query_ask *ask,
    const struct http_client_reply *reply)
{
    struct sv body = sb_sv(&reply->body);

    if (reply->status == 400 || reply->status == 422)
        query_ask_complain(body, ask->query);
    else
        cli_print_answer(reply->status, body);
    return CLI_ERROR;
}

/* An error may repeat what the server says. */
static int
fail(const char *message)
{
    struct sb out;

    sb_init(&out, ERROR_BYTES_MAX);
    text_add(&out, sv_from(message));
    cli_fail("%.*s", SV_ARG(sb_sv(&out)));
    sb_release(&out);
    return CLI_ERROR;
}

/* How the request ended. */
struct ended {
    int rc;
    int http_status; /* 0: no reply */
    struct err err;
};

static void
ask_once(const struct query_ask *ask, struct http_client *client,
    struct http_client_reply *reply, struct ended *ended)
{
    struct http_client_req req = {.method = "POST",
        .target = ask->is_tail ? "/select/logsql/tail"
            : "/select/logsql/query",
        .content_type = "application/x-www-form-urlencoded",
        .headers = ask->headers.v};
    struct sb form;

    sb_init(&form, FORM_BYTES_MAX);
    form_make(&form, ask);
    req.body = sb_sv(&form);
    sb_reset(&reply->body);
    reply->status = 0;
    err_reset(&ended->err);
    ended->rc = http_client_do(client, &req, reply, &ended->err);
    ended->http_status = reply->status;
    sb_release(&form);
}

/* --- a tail goes on --- */

#define RETRY_FIRST_NS (1 * NS_PER_SEC)
#define RETRY_LAST_NS (10 * NS_PER_SEC)
/* start_offset of the server. */
#define TAIL_SINCE_NS (5 * NS_PER_SEC)
/* So soon Ctrl-C is seen meanwhile. */
#define RETRY_POLL_NS (100 * NS_PER_MS)

static bool
is_cancelled(const struct query_ask *ask)
{
    return ask->cancel != NULL && *ask->cancel;
}

static void
wait_a_while(const struct query_ask *ask, int64_t ns)
{
    int64_t until_ns = clock_mono_ns() + ns;
    struct timespec poll = {.tv_nsec = RETRY_POLL_NS};

    while (clock_mono_ns() < until_ns && !is_cancelled(ask))
        (void)nanosleep(&poll, NULL);
}

/* A server that restarts, or a proxy before it, answers other than 200. */
static bool
may_come_back(const struct ended *ended)
{
    if (ended->rc != 0 && ended->err.code == ERR_CANCELLED)
        return false;
    return ended->rc != 0 || ended->http_status == 200 ||
        ended->http_status == 429 || ended->http_status >= 500;
}

/*
 * Asks again when the connection is cut, once there was one, until Ctrl-C or
 * an answer that will not change.
 */
static void
tail_on(const struct query_ask *ask, struct http_client *client,
    struct http_client_reply *reply, struct ended *ended)
{
    struct query_ask again = *ask;
    int64_t wait_ns = RETRY_FIRST_NS, since_ns = TAIL_SINCE_NS;
    bool was_there = false, is_told = false;
    struct tail_gap *gap;
    char offset[32];

    if (ask->start != NULL &&
        !time_parse_duration(sv_from(ask->start), &since_ns))
        since_ns = TAIL_SINCE_NS;
    gap = tail_gap_new(reply->on_data, reply->arg, since_ns);
    reply->on_data = tail_gap_data;
    reply->arg = gap;
    for (;;) {
        ask_once(&again, client, reply, ended);
        if (ended->http_status == 200) {
            was_there = true;
            is_told = false;
            wait_ns = RETRY_FIRST_NS;
        }
        if (!was_there || !tail_gap_may_go_on(gap) || !may_come_back(ended))
            break;
        if (!is_told)
            (void)fail(ended->rc != 0 ? ended->err.text
                : "the server has ended the tail");
        if (!is_told)
            (void)cli_fail("trying again; rows that are missed meanwhile "
                "are shown then");
        is_told = true;
        wait_a_while(ask, wait_ns);
        wait_ns = MIN(2 * wait_ns, RETRY_LAST_NS);
        if (is_cancelled(ask)) {
            ended->rc = err_set(&ended->err, ERR_CANCELLED, "interrupted");
            break;
        }
        snprintf(offset, sizeof(offset), "%lldms",
            (long long)(tail_gap_cut(gap) / NS_PER_MS));
        again.start = offset;
    }
    tail_gap_free(gap);
}

static int
run(const struct query_ask *ask, struct http_client *client,
    struct rows_print *print, struct query_asked *asked)
{
    struct http_client_reply reply = {.on_data = rows_print_data,
        .arg = print, .cancel = ask->cancel, .is_endless = ask->is_tail};
    struct ended ended = {.err = ERR_INIT};
    int status = CLI_OK;

    sb_init(&reply.body, ERROR_BYTES_MAX);
    if (ask->is_tail)
        tail_on(ask, client, &reply, &ended);
    else
        ask_once(ask, client, &reply, &ended);
    if (ended.rc == 0 && reply.status != 200)
        status = answer_status(ask, &reply);
    else if (ended.rc == 0)
        ended.rc = rows_print_end(print, &ended.err);
    asked->is_partial = reply.is_partial;
    if (ended.rc != 0 && ended.err.code == ERR_CANCELLED) {
        struct err ignored = ERR_INIT;

        rows_print_cut(print);
        if (rows_print_end(print, &ignored) != 0)
            err_reset(&ignored);
        status = CLI_ERROR;
    } else if (ended.rc != 0) {
        status = fail(ended.err.text);
    }
    sb_release(&reply.body);
    return status;
}

int
query_ask(const struct query_ask *ask, struct query_asked *asked)
{
    int64_t begin_ns = clock_mono_ns();
    struct http_client *client;
    struct rows_print *print;
    struct err err = ERR_INIT;
    int status;

    memset(asked, 0, sizeof(*asked));
    if (server_connect(&client, cli_url(ask->url), ASK_TIMEOUT_NS, &err) != 0)
        return cli_fail("%s", err.text);
    print = rows_print_new(&ask->print);
    status = run(ask, client, print, asked);
    asked->rows = rows_print_rows(print);
    asked->bytes = rows_print_bytes(print);
    asked->took_ns = clock_mono_ns() - begin_ns;
    if (asked->is_partial)
        cli_fail("the answer is not whole: the server left damaged data out");
    rows_print_free(print);
    http_client_free(client);
    return status == CLI_OK && asked->rows == 0 ? CLI_NOT_FOUND : status;
}
