/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any frames as what a client of HTTP/2 sends, gRPC calls among them.
 *
 *   input    = options (u8), bytes of the connection behind the preface
 *   options  = 1: the preface is not sent; 2: also all at once;
 *              the rest: bytes of a slice, less one
 *   commands = frames of these types, which are obeyed and not sent:
 *              f0  time passes, 2^n ms; f1 late replies are made
 *              f2  the client takes no replies; f3 it does again
 *              f4  its side ends; f5 the connection breaks; f6 drain
 *              f7  the last one or two frames again, 8 n times; two have
 *                  a new stream each time
 *
 * Frame by frame and in slices the same requests reach the handlers with the
 * same bytes; the replies are frames that a client understands, each gRPC
 * call has exactly one status, and nothing is left behind.
 */

#include "core/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/compress.h"
#include "core/conf.h"
#include "core/log.h"
#include "core/num.h"
#include "fake_event.h"
#include "h2_frames.h"
#include "h2_replies.h"
#include "http/body.h"
#include "http/grpc.h"
#include "http/h2.h"
#include "http/http.h"

#define HANDLED_MAX 4096
/* Beyond what each kind of flood is allowed. */
#define REPEATS_MAX 1100u
#define MESSAGE_BYTES_MAX (64 * KIB)
/* Two large replies use it up. */
#define REPLIES_BYTES_MAX (1 * MIB)
/* Four bodies of BODY_STEP: one client can use it up. */
#define BODIES_BYTES_MAX (4 * BODY_STEP)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max,
    unsigned seed);

static struct process process;
static struct server server;

/* --- handlers --- */

struct late {
    TAILQ_ENTRY(late) link;
    struct http_req *req;
};

/* What a run was. */
struct run {
    uint64_t handled[HANDLED_MAX];
    unsigned nhandled;
    bool was_late; /* by the true clock: no two runs are the same */
};

static TAILQ_HEAD(, late) lates = TAILQ_HEAD_INITIALIZER(lates);
static struct run *run;

static uint64_t
hash_sv(struct sv text, uint64_t seed)
{
    return XXH3_64bits_withSeed(text.len == 0 ? "" : text.ptr, text.len,
        seed + 1);
}

/* Notes the request; all that a handler may look at is read. */
static void
handled(struct http_req *req)
{
    uint64_t hash = hash_sv(req->method_name, 0);

    hash = hash_sv(req->path, hash_sv(req->raw_path, hash));
    hash = hash_sv(req->body, hash_sv(req->query, hash));
    check(req->nheaders <= HTTP_HEADERS_MAX + 1);
    for (uint32_t i = 0; i < req->nheaders; i++)
        hash = hash_sv(req->headers[i].name,
            hash_sv(req->headers[i].value, hash));
    if (run->nhandled < HANDLED_MAX)
        run->handled[run->nhandled] = hash;
    run->nhandled++;
}

static void
handle_echo(struct http_req *req)
{
    handled(req);
    http_reply(req, 200, "application/octet-stream", req->body);
}

/* "a", and as many bytes more as "b" says. */
static void
handle_form(struct http_req *req)
{
    uint32_t account, project;
    struct err err = ERR_INIT;
    struct sb text;
    uint64_t n = 0;

    handled(req);
    if (http_tenant(req, &account, &project, &err) != 0) {
        http_reply_error(req, 400, "%s", err.text);
        return;
    }
    (void)num_parse_u64(http_arg(req, "b"), &n);
    sb_init(&text, 2 * MIB);
    sb_add_sv(&text, http_arg(req, "a"));
    for (uint64_t i = 0; i < MIN(n, 128 * KIB); i++)
        sb_add_char(&text, 'b');
    http_reply_sb(req, 200, "text/html", &text);
}

struct big {
    size_t left;
};

static void
big_abort(struct http_req *req, UNUSED void *arg)
{
    http_abandon(req);
}

static void
big_write(struct http_req *req, void *arg)
{
    static const char block[16 * KIB];
    struct big *big = arg;

    while (big->left > 0) {
        size_t n = MIN(big->left, sizeof(block));

        big->left -= n;
        if (big->left == 1) {
            http_reply_break(req);
            return;
        }
        if (!http_reply_write(req, block, n) && big->left > 0) {
            http_on_drain(req, big_write, big);
            return;
        }
    }
    http_reply_end(req);
}

static void
handle_big(struct http_req *req)
{
    struct big *big = pool_zalloc(req->pool, sizeof(*big));
    uint64_t n = 0;

    check(big != NULL);
    handled(req);
    if (num_parse_u64(http_arg(req, "n"), &n))
        big->left = (size_t)MIN(n, 2 * MIB);
    if (n % 2 == 0)
        http_on_abort(req, big_abort, NULL);
    http_reply_begin(req, 200, "application/octet-stream");
    big_write(req, big);
}

static void
late_end(struct late *late)
{
    TAILQ_REMOVE(&lates, late, link);
    xfree(late);
}

static void
late_abort(struct http_req *req, void *arg)
{
    late_end(arg);
    http_abandon(req);
}

/* Queries are told when the client has left, inserts are not. */
static void
handle_late(struct http_req *req)
{
    struct late *late = xcalloc(1, sizeof(*late));

    handled(req);
    late->req = req;
    TAILQ_INSERT_TAIL(&lates, late, link);
    if ((req->route->flags & ROUTE_SELECT) != 0)
        http_on_abort(req, late_abort, late);
}

static void
reply_lates(void)
{
    struct late *late;

    while ((late = TAILQ_FIRST(&lates)) != NULL) {
        struct http_req *req = late->req;

        late_end(late);
        if (grpc_is_call(req))
            grpc_fail(req, GRPC_UNAVAILABLE, "%.*s", SV_ARG(req->body));
        else
            http_reply(req, 200, "text/plain", SV("late"));
    }
    fake_settle();
}

/* As an insert does: decompresses within a limit, then answers. */
static void
handle_call(struct http_req *req)
{
    struct err err = ERR_INIT;
    enum encoding encoding;
    struct sb plain;
    struct sv message;

    handled(req);
    if (!grpc_message(req, &message, &encoding))
        return;
    check(message.len + GRPC_PREFIX_BYTES == req->body.len);
    sb_init(&plain, MESSAGE_BYTES_MAX);
    if (decompress(encoding, message, MESSAGE_BYTES_MAX, &plain, &err) != 0) {
        sb_release(&plain);
        http_reply_error(req, 400, "%s", err.text);
        return;
    }
    check(plain.len <= MESSAGE_BYTES_MAX);
    grpc_reply(req, &plain);
}

static const struct route routes[] = {
    {"/echo", HTTP_POST, ROUTE_BODY | ROUTE_INSERT | ROUTE_CORS, handle_echo,
        NULL, ""},
    {"/form", HTTP_GET | HTTP_POST, ROUTE_BODY | ROUTE_SELECT, handle_form,
        NULL, ""},
    {"/a/*/b", HTTP_GET, ROUTE_SELECT, handle_form, NULL, ""},
    {"/big", HTTP_GET, ROUTE_SELECT, handle_big, NULL, ""},
    {"/late", HTTP_GET, ROUTE_SELECT, handle_late, NULL, ""},
    {"/keep", HTTP_POST, ROUTE_BODY | ROUTE_INSERT, handle_late, NULL, ""},
    {"/p.S/Call", HTTP_POST, ROUTE_BODY | ROUTE_INSERT | ROUTE_GRPC,
        handle_call, NULL, ""},
    {"/p.S/Late", HTTP_POST, ROUTE_BODY | ROUTE_INSERT | ROUTE_GRPC,
        handle_late, NULL, ""},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* --- a connection --- */

static void
fake_output(struct sv bytes)
{
    replies_read(bytes);
}

static void
IMPL(server_conn_ops) old_none(UNUSED struct server_conn *conn)
{
    panic("a connection that was replaced");
}

static size_t
old_unread(UNUSED const struct server_conn *conn, UNUSED int64_t *since_ns)
{
    panic("a connection that was replaced");
}

static const struct server_conn_ops old_ops = {
    old_none, old_none, old_none, old_none, old_unread};

/* Stands for http.c: who does not read is cut, when this callback ends. */
static void
IMPL(loop_post_fn) cut(UNUSED void *arg)
{
    struct server_conn *conn = TAILQ_FIRST(&server.conns);
    int64_t since_ns;

    if (conn != NULL && conn->ops->unread(conn, &since_ns) >
        REPLIES_BYTES_MAX)
        conn->ops->kill(conn);
}

static struct loop_later cut_later = {.fn = cut};

bool
http_has_reply_room(UNUSED const struct process *ours)
{
    if (replies_queued_total() <= REPLIES_BYTES_MAX)
        return true;
    loop_later_add(&fake_loop, &cut_later);
    return false;
}

static void
check_bounds(void)
{
    const struct h2_conn *h2 = (const void *)TAILQ_FIRST(&server.conns);

    check(body_budget_used() <= BODIES_BYTES_MAX);
    if (h2 == NULL)
        return;
    check(h2->session_bytes <= H2_SESSION_BYTES_MAX + 64 * KIB);
    check(h2->nstreams <= H2_STREAMS_MAX + H2_RESETS_BURST * 10);
}

static void
obey(uint8_t command, uint8_t n)
{
    struct server_conn *conn = TAILQ_FIRST(&server.conns);

    switch (command) {
    case COMMAND_TIME:
        fake_advance(NS_PER_MS << (n & 15));
        conn = TAILQ_FIRST(&server.conns);
        if (conn != NULL)
            conn->ops->check_reader(conn);
        break;
    case COMMAND_REPLY:
        reply_lates();
        break;
    case COMMAND_STALL:
    case COMMAND_TAKE:
        fake_is_stalled = command == COMMAND_STALL;
        break;
    case COMMAND_END:
        fake_eof();
        break;
    case COMMAND_BREAK:
        fake_close((n & 1) != 0 ? CONN_CLOSE_TIMEOUT : CONN_CLOSE_PEER);
        break;
    default:
        server.is_draining = true;
        if (conn != NULL)
            conn->ops->drain(conn);
    }
    fake_settle();
}

static void
feed(struct sv bytes, size_t slice)
{
    for (size_t at = 0; at < bytes.len; at += MIN(slice, bytes.len - at)) {
        fake_feed((const uint8_t *)bytes.ptr + at,
            MIN(slice, bytes.len - at));
        check_bounds();
    }
}

static void
begin(bool with_preface)
{
    struct server_conn old;
    struct conn *conn;

    /* Long ago: the deadlines of calls are made with the true clock. */
    fake_loop.now_ns = NS_PER_SEC;
    server = (struct server){.process = &process};
    TAILQ_INIT(&server.conns);
    TAILQ_INIT(&server.waiting);
    replies_begin();
    conn = fake_open();
    old.listener = conn_listener(conn);
    server_conn_add(&server, &old, &old_ops);
    h2_take(conn, &old, with_preface ? SV(H2_PREFACE) : SV_EMPTY);
    fake_settle();
}

/* The client has left; nothing of it may stay. */
static void
end(void)
{
    struct server_conn *conn = TAILQ_FIRST(&server.conns);

    if (conn != NULL)
        conn->ops->kill(conn);
    fake_settle();
    reply_lates();
    check(server.nconns == 0 && server.nrequests == 0 && fake_busy == 0);
    check(TAILQ_EMPTY(&fake_loop.timers) && fake_conn == NULL);
    check(body_budget_used() == 0 && replies_queued_total() == 0);
    sb_release(&fake_out);
    replies_end();
    /* What is kept for the next ones would hide uses after their end. */
    h2_clear();
    body_cache_clear();
}

/* The frame again, on a stream that is that much higher. */
static void
feed_again(struct sv frame, uint32_t higher, size_t slice)
{
    static char copy[FRAME_HEAD_BYTES + 1 * KIB];
    uint8_t *p = (uint8_t *)copy;
    uint32_t id;

    if (frame.len < FRAME_HEAD_BYTES || frame.len > sizeof(copy))
        return;
    memcpy(copy, frame.ptr, frame.len);
    id = (uint32_t)p[7] << 8 | p[8];
    if (id != 0)
        id += higher;
    p[7] = (uint8_t)(id >> 8);
    p[8] = (uint8_t)id;
    replies_allow(sv_make(copy, frame.len));
    feed(sv_make(copy, frame.len), slice);
}

static void
repeat(const struct sv last[2], uint8_t n, size_t slice)
{
    for (uint32_t i = 1; i <= MIN(n * 8u, REPEATS_MAX); i++) {
        if (n % 2 == 0)
            feed_again(last[1], i * 2, slice);
        feed_again(last[0], n % 2 == 0 ? i * 2 : 0, slice);
    }
}

/* Slice 0: nothing is cut, not even into frames. */
static void
serve(struct run *out, const uint8_t *data, size_t size, size_t slice)
{
    struct sv frame, rest = sv_make((const char *)data + 1, size - 1);
    struct sv last[2] = {SV_EMPTY, SV_EMPTY};
    size_t whole = 0;
    uint8_t command, n;

    out->nhandled = 0;
    out->was_late = false;
    run = out;
    begin((data[0] & 1) == 0);
    while (frames_next(&rest, &frame, &command, &n)) {
        replies_allow(frame);
        if (command == 0 && slice == 0) {
            whole += frame.len;
            continue;
        }
        if (slice == 0)
            feed(sv_make(frame.ptr - whole, whole), SIZE_MAX);
        whole = 0;
        if (command == 0) {
            feed(frame, slice);
            last[1] = last[0];
            last[0] = frame;
        } else if (command == COMMAND_REPEAT) {
            repeat(last, n, MAX(slice, 1));
        } else {
            obey(command, n);
        }
        check_bounds();
    }
    feed(sv_make((const char *)data + size - whole, whole), SIZE_MAX);
    end();
}

static const char *
IMPL(http_error_body_fn) note_late(UNUSED struct http_req *req, int status,
    UNUSED const char *text, UNUSED struct sb *out)
{
    run->was_late |= status == 408;
    return NULL;
}

int
LLVMFuzzerInitialize(UNUSED int *argc, UNUSED char ***argv)
{
    static const char *const flags[] = {
        "opentelemetry.traces.maxRequestSize", "128KiB", NULL};
    struct conf_source source = {.flags = flags};
    struct sb messages;
    struct conf *conf;

    sb_init(&messages, 64 * KIB);
    check(conf_load(&conf, &source, &messages) == 0);
    sb_release(&messages);
    log_set_level(LOG_FATAL);
    process.role = ROLE_WORKER;
    process.conf = conf;
    process.loop = &fake_loop;
    http_routes = routes;
    http_set_error_body(ROUTE_INSERT, note_late);
    body_budget_set(BODIES_BYTES_MAX);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, sliced;

    if (size < 1)
        return 0;
    serve(&whole, data, size, SIZE_MAX);
    serve(&sliced, data, size, (size_t)(data[0] >> 2) + 1);
    check(whole.was_late || sliced.was_late ||
        (whole.nhandled == sliced.nhandled && memcmp(whole.handled,
            sliced.handled, MIN(whole.nhandled, HANDLED_MAX) *
                sizeof(whole.handled[0])) == 0));
    if ((data[0] & 2) != 0)
        serve(&sliced, data, size, 0);
    return 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max,
    unsigned seed)
{
    return frames_mutate(data, size, size_max, seed);
}
