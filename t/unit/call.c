/* SPDX-License-Identifier: BSD-2-Clause */

/* Calls that never block against a server that plays a script. */

#include "core/base.h"

#include <fcntl.h>
#include <signal.h>

#include "call_ask.h"

static int
call(const char *method, struct sv data, struct err *err)
{
    struct http_call_conf conf = conf_of(method, data);

    return call_with(&conf, err);
}

/* --- replies --- */

static void
test_replies(void)
{
    static const char *const headers[] = {"AccountID: 7", NULL};
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "5\r\n\r\nhello", 0},
        {REQUEST, 0, 0}, {SAY, "HTTP/1.1 503 x\r\nRetry-After: 7\r\n"
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n"
            "T: u\r\n\r\n", 0},
        {REQUEST, 0, 0}, {SAY, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 x"
            "\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 0},
        {REQUEST, 0, 0}, {SAY, "HTTP/1.1 307 x\r\nLocation: http://b/\r\n"
            "Content-Length: 0\r\n\r\n", 0},
        {REQUEST, 0, 0}, {SAY, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
            "Connection: close\r\n\r\nend", 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SAY, "HTTP/1.0 200 OK\r\n\r\nuntil the end", 0}, {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SAY, OK_HEAD "1\r\n\r\nzHTTP/1.1 200 not asked for\r\n\r\n", 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "0\r\n\r\n", 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct http_call_conf conf = conf_of("POST", SV("body"));
    struct err err = ERR_INIT;

    conf.content_type = "text/plain";
    conf.headers = headers;
    begin(play);
    is_int(call("GET", SV_EMPTY, &err), 1, "a reply");
    is_int(result.status, 200, "its status");
    is_str(body.ptr, "hello", "its body");
    is_str(text, "", "which is no text of an error");
    is_int(result.retry_after_sec, -1, "no Retry-After");
    is_int(result.received, 43, "its size");
    ok(strstr(server.seen, "GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:") ==
        server.seen, "what was sent");
    is_int(result.sent, strlen(server.seen), "its size");
    is_int(call_with(&conf, &err), 1, "chunks");
    is_int(result.status, 503, "their status");
    is_int(result.retry_after_sec, 7, "Retry-After");
    is_str(text, "abcde", "its text");
    is_int(body.len, 0, "the reader does not get it");
    ok(strstr(server.seen, "\r\nContent-Type: text/plain\r\nAccountID: 7\r\n"
        "Content-Length: 4\r\n\r\n") != NULL, "fields that were sent");
    is_int(call("POST", SV_EMPTY, &err), 1, "interim replies");
    is_int(result.status, 204, "are skipped, and 204 has no body");
    ok(strstr(server.seen, "Content-Length: 0\r\n") != NULL,
        "Content-Length: 0");
    is_int(call("GET", SV_EMPTY, &err), 1, "a redirection");
    is_int(result.status, 307, "is not followed");
    is_int(call("GET", SV_EMPTY, &err), 1, "a reply that closes");
    is_str(body.ptr, "end", "its body");
    is_int(server.naccepted, 1, "all on one connection");
    is_int(call("GET", SV_EMPTY, &err), 1, "a reply until the end");
    is_str(body.ptr, "until the end", "its body");
    is_int(call("POST", SV("x"), &err), 1, "a reply with something behind");
    is_str(body.ptr, "z", "its body");
    is_int(call("POST", SV("x"), &err), 1, "which no request is told");
    is_int(server.naccepted, 4, "because that connection is not kept");
    end();
}

/* Each split of the reply in two, and one of single bytes. */
static void
test_slices(void)
{
    static const char reply[] = "HTTP/1.1 100 Continue\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "6\r\nabcdef\r\n1\r\ng\r\n0\r\nA: b\r\n\r\n";
    static struct play play[4 * sizeof(reply) + 2];
    static char halves[sizeof(reply)][2][sizeof(reply)];
    struct err err = ERR_INIT;
    size_t n = 0, good = 0;

    play[n++] = (struct play){ACCEPT, 0, 0};
    for (size_t at = 1; at < sizeof(reply) - 1; at++) {
        memcpy(halves[at][0], reply, at);
        snprintf(halves[at][1], sizeof(reply), "%s", reply + at);
        play[n++] = (struct play){REQUEST, 0, 0};
        play[n++] = (struct play){SAY, halves[at][0], 0};
        play[n++] = (struct play){REST_MS, 0, 1};
        play[n++] = (struct play){SAY, halves[at][1], 0};
    }
    play[n++] = (struct play){REQUEST, 0, 0};
    play[n++] = (struct play){SLICES, reply, 1};
    play[n++] = (struct play){UNTIL, 0, 0};
    begin(play);
    for (size_t at = 1; at < sizeof(reply); at++)
        good += call("POST", SV("x"), &err) == 1 && result.status == 200 &&
            strcmp(body.ptr, "abcdefg") == 0;
    is_int(good, sizeof(reply) - 1, "a reply in two pieces, and in many");
    is_int(server.naccepted, 1, "on one connection");
    end();
}

static void
check_bad(const char *reply, enum err_code code, const char *what)
{
    struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, reply, 0}, {CLOSE, 0, 0},
        {END, 0, 0},
    };
    struct err err = ERR_INIT;

    begin(play);
    is_int(call("POST", SV("x"), &err), -1, "%s", what);
    is_int(err.code, code, "%s", err.text);
    is_int(result.status, 0, "no status");
    is_int(result.fate, CALL_MAYBE_DONE, "the server had the request");
    end();
}

static void
test_bad_replies(void)
{
    static char text_of[40000];
    int n = snprintf(text_of, sizeof(text_of), "HTTP/1.1 200 OK\r\n");

    check_bad("", ERR_SYSTEM, "no reply");
    check_bad("HTTP/1.1 200", ERR_SYSTEM, "half a head");
    check_bad(OK_HEAD "5\r\n\r\nab", ERR_SYSTEM, "half a body");
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5\r\nabcde\r\n", ERR_SYSTEM, "no last chunk");
    check_bad("SSH-2.0-x\r\n\r\n", ERR_INVALID, "another protocol");
    check_bad("\x15\x03\x01", ERR_INVALID, "TLS");
    check_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        ERR_INVALID, "a bad chunk");
    check_bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n"
              "\r\nx", ERR_INVALID, "two lengths");
    check_bad("HTTP/1.1 101 x\r\n\r\n", ERR_INVALID, "another protocol");
    check_bad("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 99 x\r\n\r\n", ERR_INVALID,
        "no status");
    while (n < 39000)
        n += snprintf(text_of + n, sizeof(text_of) - (size_t)n,
            "A: %0500d\r\n", 0);
    check_bad(text_of, ERR_INVALID, "an oversize head");
    n = 0;
    for (int i = 0; i < 20; i++)
        n += snprintf(text_of + n, sizeof(text_of) - (size_t)n,
            "HTTP/1.1 100 x\r\n\r\n");
    check_bad(text_of, ERR_INVALID, "interim replies without an end");
}

/* The status is enough of a reply that says no. */
static void
test_cut_errors(void)
{
    static char big[200000];
    struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SAY, "HTTP/1.1 429 x\r\nContent-Length: 9\r\n\r\nslow", 0},
        {CLOSE, 0, 0}, {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, big, 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct err err = ERR_INIT;
    int n = snprintf(big, sizeof(big), "HTTP/1.1 500 x\r\n\r\n");

    memset(big + n, 'x', sizeof(big) - (size_t)n - 1);
    begin(play);
    is_int(call("POST", SV("x"), &err), 1, "a text that breaks off");
    is_int(result.status, 429, "its status");
    is_str(text, "slow", "what there was of it");
    is_int(call("POST", SV("x"), &err), 1, "a very long text");
    is_int(result.status, 500, "its status");
    is_int(result.text.len, CALL_TEXT_MAX, "its begin");
    end();
}

/* --- the reader --- */

static void
test_reader(void)
{
    static char big[3 * MIB];
    struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, big, 0}, {UNTIL, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, big, 0}, {UNTIL, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, big, 0},
        {REQUEST, 0, 0}, {SAY, OK_HEAD "3\r\n\r\nabc", 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct http_call_conf conf = conf_of("GET", SV_EMPTY);
    struct err err = ERR_INIT;
    int n = snprintf(big, sizeof(big), OK_HEAD "3000000\r\n\r\n");

    memset(big + n, 'x', 3000000);
    big[n + 3000000] = '\0';
    begin(play);
    enough_at = 2;
    is_int(call("GET", SV_EMPTY, &err), 1, "enough");
    is_int(ndata, 2, "says the reader");
    enough_at = 0;
    fail_at = 3;
    is_int(call("GET", SV_EMPTY, &err), -1, "a reader that fails");
    is_int(err.code, ERR_CORRUPT, "%s", err.text);
    fail_at = 0;
    is_int(call("GET", SV_EMPTY, &err), 1, "a large body");
    is_int(body.len, 3000000, "all of it");
    conf.on_data = NULL;
    is_int(call_with(&conf, &err), 1, "no reader");
    is_int(server.naccepted, 3, "the connection of whole replies is kept");
    end();
}

/* --- sending, and what is known of it --- */

static char large[64 * MIB];

static void
test_large(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "2\r\n\r\nok", 0},
        {REQUEST, 0, 0}, {SAY, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n",
            0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct err err = ERR_INIT;

    begin(play);
    is_int(call("POST", sv_make(large, sizeof(large)), &err), 1, "64 MiB");
    is_int(server.bodies, sizeof(large), "they arrived");
    ok(result.sent > sizeof(large), "they were counted");
    is_int(call("POST", sv_make(large, 10 * MIB), &err), 1, "and 10 more");
    is_int(result.fate, CALL_MAYBE_DONE, "all sent");
    is_int(result.status, 503, "refused");
    is_int(server.naccepted, 1, "one connection");
    end();
}

static void
test_early(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {HEAD, 0, 0}, {TAKE, 0, 100000},
        {SAY, "HTTP/1.1 100 Continue\r\n\r\n", 0}, {TAKE, 0, 100000},
        {SAY, "HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\nbig", 0},
        {REST_MS, 0, 50}, {ACCEPT, 0, 0},
        {HEAD, 0, 0}, {SAY, "HTTP/1.1 413 x\r\nConnection: close\r\n"
            "Content-Length: 3\r\n\r\nbig", 0}, {REST_MS, 0, 50}, {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {HEAD, 0, 0}, {SAY, OK_HEAD "2\r\n\r\nok", 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct err err = ERR_INIT;

    begin(play);
    for (int i = 0; i < 2; i++) {
        is_int(call("POST", sv_make(large, sizeof(large)), &err), 1,
            "an answer before the body was read");
        is_int(result.status, 413, "its status");
        is_str(text, "big", "its text");
        is_int(result.fate, CALL_NOT_SENT, "not all was sent");
        ok(result.sent < sizeof(large), "indeed");
    }
    is_int(call("POST", sv_make(large, sizeof(large)), &err), -1,
        "yes to a request that is not there");
    is_int(err.code, ERR_INVALID, "%s", err.text);
    is_int(result.fate, CALL_NOT_SENT, "is not believed");
    end();
}

/* The server ends at each step of a new connection. */
static void
check_break(const struct play *play, struct sv data, enum http_call_fate fate,
    const char *what)
{
    struct err err = ERR_INIT;

    begin(play);
    is_int(call("POST", data, &err), -1, "%s", what);
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    ok(strstr(err.text, http_peer_name(peer)) != NULL, "it names the peer");
    is_int(result.fate, fate, "fate");
    is_int(server.naccepted, 1, "it is not sent again");
    end();
}

static void
test_breaks(void)
{
    static const struct play in_body[] = {{ACCEPT, 0, 0}, {HEAD, 0, 0},
        {TAKE, 0, 70000}, {CLOSE, 0, 0}, {END, 0, 0}};
    static const struct play in_body_rst[] = {{ACCEPT, 0, 0}, {HEAD, 0, 0},
        {TAKE, 0, 70000}, {RESET, 0, 0}, {END, 0, 0}};
    static const struct play half[] = {{ACCEPT, 0, 0}, {HEAD, 0, 0},
        {HALF, 0, 0}, {REST_MS, 0, 100}, {UNTIL, 0, 0}, {END, 0, 0}};
    static const struct play half_head[] = {{ACCEPT, 0, 0}, {HEAD, 0, 0},
        {SAY, "HTTP/1.1 2", 0}, {RESET, 0, 0}, {END, 0, 0}};
    static const struct play at_once[] = {{ACCEPT, 0, 0}, {RESET, 0, 0},
        {END, 0, 0}};
    static const struct play after[] = {{ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {RESET, 0, 0}, {END, 0, 0}};
    static const struct play after_half[] = {{ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {HALF, 0, 0}, {UNTIL, 0, 0}, {END, 0, 0}};
    struct sv most = sv_make(large, sizeof(large));

    check_break(in_body, most, CALL_NOT_SENT, "closed in the body");
    check_break(in_body_rst, most, CALL_NOT_SENT, "reset in the body");
    check_break(half, most, CALL_NOT_SENT, "no answer to come");
    check_break(half_head, most, CALL_NOT_SENT, "half an early answer");
    check_break(at_once, most, CALL_NOT_SENT, "accepted and reset");
    check_break(after, SV("x"), CALL_MAYBE_DONE, "reset after the request");
    check_break(after_half, SV("x"), CALL_MAYBE_DONE, "closed after it");
}

/* --- kept connections --- */

static void
test_stale(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\na", 0},
        {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\nb", 0},
        {REQUEST, 0, 0}, {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\nc", 0},
        {REQUEST, 0, 0}, {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\nd", 0},
        {HEAD, 0, 0}, {TAKE, 0, 100000}, {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\ne", 0},
        {HEAD, 0, 0}, {SAY, "H", 0}, {CLOSE, 0, 0},
        {END, 0, 0},
    };
    struct err err = ERR_INIT;

    begin(play);
    is_int(call("POST", SV("x"), &err), 1, "first");
    usleep(50000); /* the server's end arrives */
    is_int(call("POST", SV("x"), &err), 1, "closed while idle: seen before");
    is_str(body.ptr, "b", "answered");
    is_int(call("GET", SV_EMPTY, &err), 1, "closed under a GET: sent again");
    is_str(body.ptr, "c", "answered");
    is_int(call("POST", SV("x"), &err), -1, "closed under a POST: not again");
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    is_int(result.fate, CALL_MAYBE_DONE, "it may be done");
    is_int(call("POST", SV("x"), &err), 1, "a new connection");
    is_int(call("POST", sv_make(large, sizeof(large)), &err), 1,
        "closed before a POST was whole: sent again");
    is_str(body.ptr, "e", "answered");
    is_int(server.bodies > sizeof(large), true, "all of it");
    is_int(call("GET", SV_EMPTY, &err), -1, "a byte of an answer came");
    is_int(server.naccepted, 5, "so it is not sent again: %s", err.text);
    end();
}

static int
open_files(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Idle connections to an address that is no more are closed. */
static void
test_addresses(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\na", 0},
        {UNTIL, 0, 0}, {ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SAY, OK_HEAD "1\r\n\r\nb", 0}, {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct sockaddr_storage addresses[3];
    struct sockaddr_in *in = (struct sockaddr_in *)&addresses[0];
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addresses[1];
    struct sockaddr_in *last = (struct sockaddr_in *)&addresses[2];
    struct http_peer_conf conf = {.host = "node.invalid"};
    struct err err = ERR_INIT;
    int closed_port, before;

    memset(addresses, 0x55, sizeof(addresses));
    server_begin(&server, play, NULL);
    peer = peer_at(server.port, &conf);
    is_int(call("POST", SV("x"), &err), -1, "no address");
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    is_int(result.fate, CALL_NOT_SENT, "nothing was sent");
    close(listen_local(&closed_port));
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)closed_port);
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = in6addr_loopback;
    in6->sin6_scope_id = 0;
    in6->sin6_port = htons((uint16_t)closed_port);
    http_peer_set_addresses(peer, addresses, 2);
    is_int(call("POST", SV("x"), &err), -1, "nobody there");
    is_int(err.code, ERR_SYSTEM, "%s", err.text);
    ok(strstr(err.text, "node.invalid:") != NULL, "the peer");
    ok(strstr(err.text, "([::1]:") != NULL ||
        strstr(err.text, "family") != NULL, "the last address");
    *last = *in;
    last->sin_port = 0;
    before = open_files();
    http_peer_set_addresses(peer, addresses, 3);
    is_int(call("POST", SV("x"), &err), 1, "the third address answers");
    is_int(open_files(), before + 2, "the connection is kept");
    http_peer_set_addresses(peer, addresses, 3);
    is_int(open_files(), before + 2, "with the same addresses");
    http_peer_set_addresses(peer, addresses, 2);
    usleep(20000);
    is_int(open_files() <= before + 1, true, "not with others");
    http_peer_set_addresses(peer, &addresses[2], 1);
    is_int(call("POST", SV("x"), &err), 1, "back again");
    is_str(body.ptr, "b", "a new connection");
    end();
}

/* --- other --- */

static void
test_own_texts(void)
{
    struct http_call_conf conf = conf_of("GET", SV_EMPTY);
    struct http_peer_conf like = {.host = "::1", .port = "x"};
    struct http_peer *other;
    struct err err = ERR_INIT;

    is_int(http_peer_new(&other, &like, &err), -1, "%s", "a bad port");
    is_int(err.code, ERR_INVALID, "%s", err.text);
    peer = peer_at(1, &like);
    is_str(http_peer_name(peer), "[::1]:1", "the name of an IPv6 peer");
    conf.target = "/\r\nX: y";
    is_int(call_with(&conf, &err), -1, "a target with a line end");
    is_int(err.code, ERR_INVALID, "%s", err.text);
    is_int(result.fate, CALL_NOT_SENT, "is not sent");
    http_peer_release(peer);
}

static void
test_give_up(void)
{
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct http_call_conf conf = conf_of("POST", SV("x"));
    struct http_call *one;
    struct err err = ERR_INIT;
    int before;

    begin(play);
    before = open_files();
    one = http_call_new(peer, &conf);
    http_call_free(one);
    one = http_call_new(peer, &conf);
    is_int(http_call_step(one, &err), 0, "under way");
    http_call_free(one);
    usleep(20000);
    is_int(open_files() <= before + 1, true, "given up: closed");
    http_call_free(NULL);
    end();
}

static void
test_lines(void)
{
    static const struct { struct sv text; const char *line; } lines[] = {
        {{"", 0}, ""},
        {{" too\r\nlarge \n", 13}, "too large"},
        {SV("<html>\r\n<head><title>401 Authorization\nRequired</title>"
            "</head>"), "401 Authorization Required"},
        {SV("<html><title>x"), "<html><title>x"},
        {SV("</title><title></title>"), ""},
    };
    char line[CALL_LINE_MAX + 1], many[1000];

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct http_call_result got = {.text = lines[i].text};

        http_call_line(&got, line);
        is_str(line, lines[i].line, "a line of '%.*s'",
            SV_ARG(lines[i].text));
    }
    memset(many, 'x', sizeof(many));
    http_call_line(&(struct http_call_result){
        .text = sv_make(many, sizeof(many))}, line);
    is_int(strlen(line), CALL_LINE_MAX, "a long one is cut");
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    sb_init(&body, 64 * MIB);
    test_replies();
    test_slices();
    test_bad_replies();
    test_cut_errors();
    test_reader();
    test_large();
    test_early();
    test_breaks();
    test_stale();
    test_addresses();
    test_own_texts();
    test_give_up();
    test_lines();
    sb_release(&body);
    return tap_done();
}
