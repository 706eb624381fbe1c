/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_bio.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>

#include "core/assert.h"
#include "core/mem.h"

struct tls_bio {
    int fd;
    bool is_at_end;
    uint64_t sent;
};

static BIO_METHOD *tls_bio_method;

static bool
is_for_later(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK || code == EINTR;
}

static int
IMPL(BIO_meth_set_read) tls_bio_read(BIO *bio, char *ptr, int len)
{
    struct tls_bio *self = BIO_get_data(bio);
    ssize_t n = recv(self->fd, ptr, (size_t)len, MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (n < 0 && is_for_later(errno))
        BIO_set_retry_read(bio);
    if (n == 0)
        self->is_at_end = true;
    return (int)n;
}

static int
IMPL(BIO_meth_set_write) tls_bio_write(BIO *bio, const char *ptr, int len)
{
    struct tls_bio *self = BIO_get_data(bio);
    ssize_t n = send(self->fd, ptr, (size_t)len,
        MSG_DONTWAIT | MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (n < 0 && (is_for_later(errno) || errno == ENOBUFS))
        BIO_set_retry_write(bio);
    if (n > 0)
        self->sent += (uint64_t)n;
    return (int)n;
}

static long
IMPL(BIO_meth_set_ctrl) tls_bio_ctrl(BIO *bio, int what, UNUSED long number,
    UNUSED void *ptr)
{
    const struct tls_bio *self = BIO_get_data(bio);

    switch (what) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return self->is_at_end;
    default:
        return 0;
    }
}

static int
IMPL(BIO_meth_set_destroy) tls_bio_destroy(BIO *bio)
{
    xfree(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

static void
make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK |
        BIO_get_new_index(), "spoor socket");

    check(method != NULL);
    check(BIO_meth_set_read(method, tls_bio_read) == 1);
    check(BIO_meth_set_write(method, tls_bio_write) == 1);
    check(BIO_meth_set_ctrl(method, tls_bio_ctrl) == 1);
    check(BIO_meth_set_destroy(method, tls_bio_destroy) == 1);
    tls_bio_method = method;
}

BIO *
tls_bio_new(int fd)
{
    /* Clients are on any thread. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls_bio *self = xcalloc(1, sizeof(*self));
    BIO *bio;

    check(pthread_once(&once, make_method) == 0);
    bio = BIO_new(tls_bio_method);
    check(bio != NULL);
    self->fd = fd;
    BIO_set_data(bio, self);
    BIO_set_init(bio, 1);
    return bio;
}

uint64_t
tls_bio_sent(BIO *bio)
{
    const struct tls_bio *self = BIO_get_data(bio);

    return self->sent;
}
