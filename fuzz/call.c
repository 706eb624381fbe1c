/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The reply of a hostile server to a call, in slices: the first byte of the
 * input says how it is cut, and whether the request has a large body that the
 * server does not read.  The outcome is that of the whole reply at once.
 */

#include "core/base.h"

#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/err.h"
#include "core/sb.h"
#include "http/call.h"
#include "http/peer_conn.h"

/* What a socket surely takes without a reader. */
#define INPUT_MAX (64 * KIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int rc;
    struct err err;
    struct http_call_result result;
    char text[CALL_TEXT_MAX];
    struct sb body;
};

static int
IMPL(http_call_data_fn) on_data(void *arg, struct sv data,
    UNUSED struct err *err)
{
    check(data.len > 0);
    sb_add_sv(arg, data);
    return 0;
}

/* The call reads from one end of a pair, which the peer has kept. */
static void
run(struct outcome *out, struct sv input, size_t slice, bool is_large)
{
    static char large[4 * MIB];
    struct http_peer_conf peer_conf = {.host = "127.0.0.1", .port = "1"};
    struct http_call_conf conf = {.method = "POST", .target = "/",
        .body = is_large ? sv_make(large, sizeof(large)) : SV("x"),
        .on_data = on_data, .arg = &out->body};
    struct sockaddr_storage addresses[PEER_ADDRESSES_MAX];
    struct peer_conn conn;
    struct http_peer *peer;
    struct http_call *call;
    size_t at = 0;
    int fds[2];

    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    check(http_peer_new(&peer, &peer_conf, NULL) == 0);
    conn.wire = (struct wire){.fd = fds[0]};
    check(peer_addresses(peer, addresses) == 1);
    conn.address = addresses[0];
    peer_give(peer, &conn);
    call = http_call_new(peer, &conf);
    sb_init(&out->body, INPUT_MAX);
    while ((out->rc = http_call_step(call, &out->err)) == 0) {
        size_t n = MIN(slice, input.len - at);

        /* It fails when the call has closed its end. */
        if (n == 0 || send(fds[1], input.ptr + at, n, MSG_NOSIGNAL) < 0)
            shutdown(fds[1], SHUT_WR);
        at += n;
    }
    http_call_result(call, &out->result);
    check(out->rc == 1 || out->err.text[0] != '\0');
    check(out->rc == 1 ? out->result.status >= 200 && out->result.status < 1000
                       : out->result.status == 0);
    check(out->result.text.len <= sizeof(out->text));
    memcpy(out->text, out->result.text.ptr, out->result.text.len);
    http_call_free(call);
    http_peer_release(peer);
    close(fds[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome a, b;
    struct sv input;

    if (size < 1 || size > INPUT_MAX)
        return 0;
    input = sv_make(data + 1, size - 1);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    run(&a, input, MAX(input.len, (size_t)1), data[0] & 1);
    run(&b, input, 1 + data[0] / 2, data[0] & 1);
    check(a.rc == b.rc && a.result.status == b.result.status);
    check(a.result.fate == b.result.fate);
    check(a.result.retry_after_sec == b.result.retry_after_sec);
    check(a.rc == 1 || a.err.code == b.err.code);
    check(a.result.text.len == b.result.text.len);
    check(a.result.text.len == 0 ||
        memcmp(a.text, b.text, a.result.text.len) == 0);
    check(a.body.len == b.body.len &&
        memcmp(a.body.ptr, b.body.ptr, a.body.len) == 0);
    sb_release(&a.body);
    sb_release(&b.body);
    return 0;
}
