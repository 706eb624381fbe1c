/* SPDX-License-Identifier: BSD-2-Clause */

/* Messages between master and child, good and bad. */

#include "core/base.h"

#include <sys/socket.h>

#include "core/log.h"
#include "event/channel.h"
#include "event/loop.h"

#include "tap.h"

static struct loop *loop;

struct end {
    struct channel *channel;
    int messages;
    enum channel_type last;
    char body[64];
    int closed;
    bool is_broken;
};

static void
on_message(UNUSED struct channel *channel, enum channel_type type,
    const void *body, void *arg)
{
    struct end *end = arg;

    end->messages++;
    end->last = type;
    memcpy(end->body, body, sizeof(struct channel_none));
    if (type == CHANNEL_STOP)
        memcpy(end->body, body, sizeof(struct channel_stop));
    loop_stop(loop);
}

static void
on_closed(UNUSED struct channel *channel, bool is_broken, void *arg)
{
    struct end *end = arg;

    end->closed++;
    end->is_broken = is_broken;
    channel_free(end->channel);
    end->channel = NULL;
    loop_stop(loop);
}

static const struct channel_ops ops = {on_message, on_closed};

static void
test_both_ways(void)
{
    struct end master = {0}, child = {0};
    struct channel_ready ready = {7};
    struct channel_stop stop = {123456789};
    struct channel_stop got;
    int fds[2];

    ok(channel_pair(fds, NULL) == 0, "pair");
    master.channel = channel_new(loop, fds[0], true, &ops, &master);
    child.channel = channel_new(loop, fds[1], false, &ops, &child);
    ok(channel_send(child.channel, CHANNEL_READY, &ready, NULL) == 0, "send");
    loop_run(loop);
    ok(master.messages == 1 && master.last == CHANNEL_READY, "arrives");
    is_mem(master.body, sizeof(ready), (char *)&ready, sizeof(ready),
        "with its body");
    ok(channel_send(master.channel, CHANNEL_STOP, &stop, NULL) == 0 &&
        channel_send(master.channel, CHANNEL_DRAIN, NULL, NULL) == 0,
        "two the other way");
    loop_run(loop);
    memcpy(&got, child.body, sizeof(got));
    is_int(got.bound_ns, stop.bound_ns, "the first");
    loop_run(loop);
    ok(child.messages == 2 && child.last == CHANNEL_DRAIN, "the second");
    channel_free(master.channel);
    loop_run(loop);
    ok(child.closed == 1 && !child.is_broken, "the end");
}

static void
test_full(void)
{
    struct end master = {0};
    struct err err = ERR_INIT;
    int fds[2], sent = 0;

    if (channel_pair(fds, NULL) != 0)
        return;
    master.channel = channel_new(loop, fds[0], true, &ops, &master);
    while (sent < 100000 &&
        channel_send(master.channel, CHANNEL_REOPEN, NULL, &err) == 0)
        sent++;
    ok(sent > 10, "%d fit", sent);
    is_int(err.code, ERR_BUSY, "then the child does not read");
    close(fds[1]);
    err_reset(&err);
    ok(channel_send(master.channel, CHANNEL_REOPEN, NULL, &err) != 0 &&
        err.code == ERR_SYSTEM, "a child that is gone: %s", err.text);
    loop_run(loop);
    is_int(master.closed, 1, "and told");
}

/* Sends raw bytes as a child to a master; true when they are refused. */
static bool
is_refused(const void *ptr, size_t len)
{
    struct end master = {0};
    int fds[2];
    bool result;

    if (channel_pair(fds, NULL) != 0)
        return false;
    master.channel = channel_new(loop, fds[0], true, &ops, &master);
    if (send(fds[1], ptr, len, 0) != (ssize_t)len)
        diag("send");
    loop_run(loop);
    result = master.closed == 1 && master.is_broken && master.messages == 0;
    channel_free(master.channel);
    close(fds[1]);
    return result;
}

static void
test_bad(void)
{
    struct {
        uint32_t magic;
        uint16_t type;
        uint16_t size;
        char body[4096];
    } raw = {.size = 4};
    struct channel_none none = {0};
    struct end child = {0};
    char good[256];
    ssize_t n;
    int fds[2];

    /* A good one, to make bad ones of. */
    if (channel_pair(fds, NULL) != 0)
        return;
    child.channel = channel_new(loop, fds[1], false, &ops, &child);
    if (channel_send(child.channel, CHANNEL_READY, &none, NULL) != 0)
        diag("send");
    n = recv(fds[0], good, sizeof(good), 0);
    ok(n == 12, "a message of %zd bytes", n);
    memcpy(&raw, good, (size_t)n);
    channel_free(child.channel);
    close(fds[0]);

    ok(is_refused("x", 1), "one byte");
    ok(is_refused(&raw, 8), "without its body");
    ok(is_refused(&raw, 11), "cut short");
    ok(is_refused(&raw, 13), "too long");
    ok(is_refused(&raw, sizeof(raw)), "much too long");
    raw.magic ^= 1;
    ok(is_refused(&raw, 12), "wrong magic");
    raw.magic ^= 1;
    raw.size = 8;
    ok(is_refused(&raw, 16), "wrong size of a type");
    raw.size = 4;
    raw.type = CHANNEL_DRAIN;
    ok(is_refused(&raw, 12), "a child gives no orders");
    raw.type = CHANNEL_TYPES;
    ok(is_refused(&raw, 12), "unknown type");
    raw.type = UINT16_MAX;
    ok(is_refused(&raw, 12), "very unknown type");
}

int
main(void)
{
    log_set_level(LOG_FATAL);
    loop = loop_new();
    test_both_ways();
    test_full();
    test_bad();
    channel_free(NULL);
    loop_free(loop);
    return tap_done();
}
