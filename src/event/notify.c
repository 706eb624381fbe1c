/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "core/num.h"
#include "core/sv.h"

/* A status line and a few variables. */
#define NOTIFY_TEXT_MAX 2048

struct notify {
    struct sockaddr_un addr;
    socklen_t len; /* 0: off */
    int64_t watchdog_ns;
    bool has_failed;
};

static struct notify notify;

/* "/path" or "@abstract"; anything else is no address that we know. */
static void
notify_set_address(const char *path)
{
    size_t len = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || len < 2 ||
        len >= sizeof(notify.addr.sun_path)) {
        log_warn("NOTIFY_SOCKET: \"%.120s\" is no address of a socket; the "
            "supervisor is told nothing", path);
        return;
    }
    notify.addr.sun_family = AF_UNIX;
    memcpy(notify.addr.sun_path, path, len);
    notify.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (path[0] == '@')
        notify.addr.sun_path[0] = '\0';
    else
        notify.len++;
}

static void
notify_set_watchdog(const char *usec, const char *pid)
{
    uint64_t us, wanted;

    if (usec == NULL || (pid != NULL &&
        (!num_parse_u64(sv_from(pid), &wanted) ||
            wanted != (uint64_t)getpid())))
        return;
    if (num_parse_u64(sv_from(usec), &us) && us > 0 &&
        us < (uint64_t)(INT64_MAX / NS_PER_US))
        notify.watchdog_ns = (int64_t)us * NS_PER_US;
    else
        log_warn("WATCHDOG_USEC: \"%.40s\" is no time", usec);
}

void
notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    memset(&notify, 0, sizeof(notify));
    if (path == NULL || path[0] == '\0')
        return;
    notify_set_address(path);
    if (notify_is_on())
        notify_set_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
}

bool
notify_is_on(void)
{
    return notify.len != 0;
}

int64_t
notify_watchdog_ns(void)
{
    return notify.watchdog_ns;
}

void
notify_send(const char *fmt, ...)
{
    char text[NOTIFY_TEXT_MAX];
    va_list args;
    ssize_t n = -1;
    int fd, len;

    if (!notify_is_on())
        return;
    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    len = MIN(len, (int)sizeof(text) - 1);
    /* Not kept open: a supervisor may make its socket anew. */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        n = sendto(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT,
            (struct sockaddr *)&notify.addr, notify.len);
    if (n < 0 && !notify.has_failed)
        log_warn("NOTIFY_SOCKET: %s", strerror(errno));
    notify.has_failed = n < 0;
    if (fd >= 0)
        close(fd);
}
