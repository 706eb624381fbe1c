/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/num.h"
#include "core/sv.h"

/* A parent that is dying has closed its sockets within this time. */
#define UPGRADE_LAST_NS (2 * NS_PER_SEC)
#define UPGRADE_POLL_NS (5 * NS_PER_MS)

static int channel = -1;
static pid_t old_master;

int
upgrade_init(struct err *err)
{
    const char *text = getenv(UPGRADE_CHANNEL);
    uint64_t fd;
    int type = 0;
    socklen_t len = sizeof(type);

    if (text == NULL)
        return 0;
    if (!num_parse_u64(sv_from(text), &fd) || fd > INT_MAX ||
        getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_SEQPACKET || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_set(err, ERR_INVALID, UPGRADE_CHANNEL ": \"%.40s\" is no "
            "descriptor of a master that is to be replaced", text);
    channel = (int)fd;
    old_master = getppid();
    (void)unsetenv(UPGRADE_CHANNEL);
    return 0;
}

bool
upgrade_is_successor(void)
{
    return channel >= 0;
}

int
upgrade_send(int fd, const char *text)
{
    ssize_t n;

    do {
        n = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/*
 * Its end of the channel closes before its other sockets do, and we become
 * somebody else's child after all of them.
 */
static void
upgrade_wait_orphaned(void)
{
    struct timespec pause = {.tv_nsec = UPGRADE_POLL_NS};

    log_warn("the old master is gone without a word, going on");
    for (int64_t ns = 0; ns < UPGRADE_LAST_NS && getppid() == old_master;
         ns += UPGRADE_POLL_NS)
        (void)nanosleep(&pause, NULL);
    upgrade_close();
}

int
upgrade_wait_turn(struct err *err)
{
    char text[UPGRADE_TEXT_MAX];
    ssize_t n;

    if (upgrade_send(channel, "prepared") != 0)
        return err_sys(err, "cannot reach the master to be replaced");
    log_info("waiting for the old server to finish");
    do {
        n = recv(channel, text, sizeof(text), 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "the master to be replaced");
    if (n == 0)
        upgrade_wait_orphaned();
    else if (n != 2 || memcmp(text, "go", 2) != 0)
        return err_set(err, ERR_UNSUPPORTED, "the old master says \"%.*s\"",
            (int)MIN(n, 40), text);
    return 0;
}

int
upgrade_say_up(void)
{
    if (upgrade_send(channel, "up") != 0)
        log_warn("cannot reach the replaced master: %s", strerror(errno));
    return channel;
}

void
upgrade_say_failed(const char *why)
{
    char text[UPGRADE_TEXT_MAX];

    if (!upgrade_is_successor())
        return;
    snprintf(text, sizeof(text), "failed: %s", why);
    if (upgrade_send(channel, text) != 0)
        log_warn("cannot reach the master to be replaced: %s",
            strerror(errno));
}

void
upgrade_close(void)
{
    if (channel >= 0)
        close(channel);
    channel = -1;
}
