/* SPDX-License-Identifier: BSD-2-Clause */

/* Each limit of a call, one after the other. */

#include "core/base.h"

#include <signal.h>

#include "call_ask.h"

static char large[64 * MIB];

static void
check_late(struct http_call_conf *conf, enum http_call_fate fate,
    const char *what)
{
    int64_t start_ns = clock_mono_ns();
    struct err err = ERR_INIT;

    is_int(call_with(conf, &err), -1, "%s", what);
    is_int(err.code, ERR_TIMEOUT, "%s", err.text);
    ok(clock_mono_ns() - start_ns >= 80 * MS &&
        clock_mono_ns() - start_ns < 4000 * MS, "in time");
    is_int(result.fate, fate, "fate");
}

static void
test_times(void)
{
    static const struct play silent[] = {{ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {UNTIL, 0, 0}, {END, 0, 0}};
    static const struct play deaf[] = {{ACCEPT, 0, 0}, {HEAD, 0, 0},
        {REST_MS, 0, 400}, {END, 0, 0}};
    static const struct play stops[] = {{ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SAY, OK_HEAD "9\r\n\r\nab", 0}, {UNTIL, 0, 0}, {END, 0, 0}};
    static const struct play slow[] = {{ACCEPT, 0, 0}, {REQUEST, 0, 0},
        {SLICES, OK_HEAD "1000000\r\n\r\n" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            1}, {UNTIL, 0, 0}, {END, 0, 0}};
    struct http_call_conf conf = conf_of("POST", SV("x"));

    conf.answer_ns = 100 * MS;
    begin(silent);
    check_late(&conf, CALL_MAYBE_DONE, "no answer");
    end();
    conf = conf_of("POST", sv_make(large, sizeof(large)));
    conf.send_ns = 100 * MS;
    begin(deaf);
    check_late(&conf, CALL_NOT_SENT, "the request is not taken");
    end();
    conf = conf_of("POST", SV("x"));
    conf.idle_ns = 100 * MS;
    begin(stops);
    check_late(&conf, CALL_MAYBE_DONE, "half a body");
    end();
    begin(slow);
    conf.idle_ns = 0;
    conf.deadline_ns = clock_mono_ns() + 100 * MS;
    check_late(&conf, CALL_MAYBE_DONE, "a body that trickles");
    end();
}

/* A listener whose queue is full: connecting goes on for ever. */
static void
test_connect_time(void)
{
    int port, fds[8], fd = listen_local(&port);
    struct sockaddr_in addr = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port)};
    struct http_call_conf conf = conf_of("POST", SV("x"));
    struct sockaddr_storage addresses[2] = {{.ss_family = AF_INET}};
    static const struct play play[] = {
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\na", 0},
        {CLOSE, 0, 0},
        {ACCEPT, 0, 0}, {REQUEST, 0, 0}, {SAY, OK_HEAD "1\r\n\r\na", 0},
        {UNTIL, 0, 0}, {END, 0, 0},
    };
    struct err err = ERR_INIT;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen(fd, 0);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&addr, sizeof(addr));
    }
    conf.connect_ns = 100 * MS;
    begin(play);
    memcpy(&addresses[0], &addr, sizeof(addr));
    addr.sin_port = htons((uint16_t)server.port);
    memcpy(&addresses[1], &addr, sizeof(addr));
    http_peer_set_addresses(peer, addresses, 1);
    check_late(&conf, CALL_NOT_SENT, "no connection");
    http_peer_set_addresses(peer, addresses, 2);
    is_int(call_with(&conf, &err), 1, "then the next address: %s", err.text);
    usleep(20000);
    conf.connect_ns = 30 * NS_PER_SEC;
    conf.deadline_ns = clock_mono_ns() + 20 * NS_PER_SEC;
    is_int(call_with(&conf, &err), 1, "which is the first of the next call");
    is_int(server.naccepted, 2, "on a new connection");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    close(fd);
    end();
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    sb_init(&body, MIB);
    test_times();
    test_connect_time();
    sb_release(&body);
    return tap_done();
}
