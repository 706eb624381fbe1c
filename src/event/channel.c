/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A message is struct channel_header and the body of its type, with exactly
 * the sizes of this build: both sides are forks of one binary.
 */

#include "core/base.h"
#include "event/channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "event/loop.h"

#define CHANNEL_MAGIC 0xc4a20001u
#define CHANNEL_WIRE_MAGIC 0x52b1c4a7u
/* Largest body, with room to spare. */
#define CHANNEL_BODY_MAX 64

struct channel_header {
    uint32_t magic;
    uint16_t type;
    uint16_t size; /* of the body */
};

struct channel_message {
    struct channel_header header;
    _Alignas(8) char body[CHANNEL_BODY_MAX];
};

struct channel {
    uint32_t magic;
    int fd;
    bool is_master;
    struct loop_fd *lfd;
    const struct channel_ops *ops;
    void *arg;
};

static const struct channel_row {
    const char *word;
    char sender;
    size_t size;
} channel_rows[] = {
#define CHANNEL_ROW(id, word, sender, body) \
    [CHANNEL_##id] = {word, sender, sizeof(body)},
    CHANNEL_MESSAGES(CHANNEL_ROW)
#undef CHANNEL_ROW
};

#define CHANNEL_FITS(id, word, sender, body) \
    _Static_assert(sizeof(body) <= CHANNEL_BODY_MAX, word);
CHANNEL_MESSAGES(CHANNEL_FITS)
#undef CHANNEL_FITS

int
channel_pair(int fds[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
            fds) != 0)
        return err_sys(err, "socketpair");
    return 0;
}

/* Why the message of len bytes is none; NULL if it is one. */
static const char *
channel_refuse(const struct channel *channel,
    const struct channel_message *message, size_t len)
{
    const struct channel_header *header = &message->header;

    if (len < sizeof(*header) || header->magic != CHANNEL_WIRE_MAGIC)
        return "no header";
    if (header->type >= CHANNEL_TYPES)
        return "unknown type";
    if (header->size != channel_rows[header->type].size ||
        len != offsetof(struct channel_message, body) + header->size)
        return "wrong size";
    if (channel_rows[header->type].sender != (channel->is_master ? 'C' : 'M'))
        return "wrong direction";
    return NULL;
}

static void
channel_closed(struct channel *channel, bool is_broken)
{
    loop_fd_watch(channel->lfd, 0);
    channel->ops->on_closed(channel, is_broken, channel->arg);
}

/* Reads one: on_message may free the channel; what is left wakes again. */
static void
channel_read(struct channel *channel)
{
    struct channel_message message;
    const char *reason;
    ssize_t n;

    /* MSG_TRUNC: the real length, however long. */
    do {
        n = recv(channel->fd, &message, sizeof(message),
            MSG_DONTWAIT | MSG_TRUNC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0) {
        channel_closed(channel, false);
        return;
    }
    reason = channel_refuse(channel, &message, (size_t)n);
    if (reason != NULL) {
        log_error("channel: a message of %zd bytes is refused: %s", n,
            reason);
        channel_closed(channel, true);
        return;
    }
    channel->ops->on_message(channel, message.header.type, message.body,
        channel->arg);
}

static void
IMPL(loop_fd_fn) channel_on_ready(UNUSED int fd, UNUSED int ready, void *arg)
{
    struct channel *channel = arg;

    OBJ_CHECK(channel, CHANNEL_MAGIC);
    channel_read(channel);
}

struct channel *
channel_new(struct loop *loop, int fd, bool is_master,
    const struct channel_ops *ops, void *arg)
{
    struct channel *channel = xcalloc(1, sizeof(*channel));

    channel->magic = CHANNEL_MAGIC;
    channel->fd = fd;
    channel->is_master = is_master;
    channel->ops = ops;
    channel->arg = arg;
    channel->lfd = loop_fd_new(loop, fd, channel_on_ready, channel);
    loop_fd_watch(channel->lfd, LOOP_READ);
    return channel;
}

void
channel_free(struct channel *channel)
{
    if (channel == NULL)
        return;
    OBJ_CHECK(channel, CHANNEL_MAGIC);
    loop_fd_free(channel->lfd);
    close(channel->fd);
    channel->magic = 0;
    xfree(channel);
}

int
channel_send(struct channel *channel, enum channel_type type,
    const void *body, struct err *err)
{
    struct channel_message message;
    const struct channel_row *row;
    ssize_t n;

    OBJ_CHECK(channel, CHANNEL_MAGIC);
    check(type < CHANNEL_TYPES);
    row = &channel_rows[type];
    check(row->sender == (channel->is_master ? 'M' : 'C'));
    memset(&message, 0, sizeof(message));
    message.header.magic = CHANNEL_WIRE_MAGIC;
    message.header.type = (uint16_t)type;
    message.header.size = (uint16_t)row->size;
    if (body != NULL)
        memcpy(message.body, body, row->size);
    do {
        n = send(channel->fd, &message,
            offsetof(struct channel_message, body) + row->size,
            MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return err_set(err, ERR_BUSY, "channel: \"%s\" cannot be sent, the "
            "other side reads nothing", row->word);
    return err_sys(err, "channel: \"%s\" cannot be sent", row->word);
}
