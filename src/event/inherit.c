/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sv.h"
#include "event/addr.h"
#include "event/listen.h"

/* Where the descriptors of a service manager begin. */
#define INHERIT_FDS_START 3

struct inherited {
    int fd;
    char *name; /* of the manager, or the address of the older master */
    bool is_of_manager;
    bool is_used;
    struct sockaddr_storage addr;
    char address[ADDR_TEXT_MAX];
};

static struct inherited sockets[LISTEN_MAX];
static unsigned nsockets;

static int
socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* What the descriptor is, if it is a stream socket that listens. */
static int
inherited_look(struct inherited *it, struct err *err)
{
    socklen_t len = sizeof(it->addr);

    if (getsockname(it->fd, (struct sockaddr *)&it->addr, &len) != 0)
        return err_sys(err, "the inherited descriptor %d (%.80s)", it->fd,
            it->name);
    addr_print((struct sockaddr *)&it->addr, it->address,
        sizeof(it->address));
    if ((it->addr.ss_family != AF_INET && it->addr.ss_family != AF_INET6 &&
            it->addr.ss_family != AF_UNIX) ||
        socket_option(it->fd, SO_TYPE) != SOCK_STREAM ||
        socket_option(it->fd, SO_ACCEPTCONN) != 1)
        return err_set(err, ERR_INVALID, "the inherited descriptor %d "
            "(%.80s) is no stream socket that listens: in a socket unit use "
            "ListenStream= and Accept=no", it->fd, it->name);
    if (fcntl(it->fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(it->fd, F_SETFL, fcntl(it->fd, F_GETFL) | O_NONBLOCK) != 0)
        return err_sys(err, "the inherited descriptor %d", it->fd);
    return 0;
}

static int
inherit_add(int fd, struct sv name, bool is_of_manager, struct err *err)
{
    struct inherited *it = &sockets[nsockets];

    if (nsockets == LISTEN_MAX)
        return err_set(err, ERR_LIMIT, "more than %d inherited sockets",
            LISTEN_MAX);
    memset(it, 0, sizeof(*it));
    it->fd = fd;
    it->name = xmalloc(name.len + 1);
    memcpy(it->name, name.ptr, name.len);
    it->name[name.len] = '\0';
    it->is_of_manager = is_of_manager;
    nsockets++;
    return inherited_look(it, err);
}

static int
inherit_from_manager(struct err *err)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    const char *names = getenv("LISTEN_FDNAMES");
    struct sv rest = sv_from(names != NULL ? names : ""), name;
    uint64_t n, wanted;

    if (count == NULL || pid == NULL)
        return 0;
    if (!num_parse_u64(sv_from(pid), &wanted))
        return err_set(err, ERR_INVALID, "LISTEN_PID: \"%.40s\" is no number",
            pid);
    /* Meant for one of our parents. */
    if (wanted != (uint64_t)getpid())
        return 0;
    if (!num_parse_u64(sv_from(count), &n) || n > LISTEN_MAX)
        return err_set(err, ERR_INVALID, "LISTEN_FDS: \"%.40s\" is no number "
            "up to %d", count, LISTEN_MAX);
    for (uint64_t i = 0; i < n; i++) {
        if (names == NULL || !sv_split(&rest, ':', &name))
            name = SV("unknown");
        if (inherit_add(INHERIT_FDS_START + (int)i, name, true, err) != 0)
            return -1;
    }
    return 0;
}

static int
inherit_from_master(struct err *err)
{
    const char *text = getenv(INHERIT_SOCKETS);
    struct sv rest = sv_from(text != NULL ? text : ""), item, fd;
    uint64_t n;

    while (rest.len > 0 && sv_split(&rest, ';', &item)) {
        if (!sv_split(&item, '=', &fd) || !num_parse_u64(fd, &n) ||
            n > INT_MAX)
            return err_set(err, ERR_INVALID, INHERIT_SOCKETS ": \"%.80s\" is "
                "no list of sockets", text);
        if (inherit_add((int)n, item, false, err) != 0)
            return -1;
    }
    return 0;
}

int
inherit_init(struct err *err)
{
    int rc;

    rc = inherit_from_manager(err);
    if (rc == 0)
        rc = inherit_from_master(err);
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDNAMES");
    (void)unsetenv(INHERIT_SOCKETS);
    return rc;
}

static bool
is_any6(const struct sockaddr_in6 *addr)
{
    return memcmp(&addr->sin6_addr, &in6addr_any, sizeof(in6addr_any)) == 0;
}

/*
 * The same address and port.  [::] that takes IPv4, too (what a socket unit
 * with a port alone makes), is what ":10428" means.
 */
static bool
inherited_is_at(const struct inherited *it, const struct sockaddr *addr)
{
    const struct sockaddr_in *have4 = (const void *)&it->addr;
    const struct sockaddr_in *want4 = (const void *)addr;
    const struct sockaddr_in6 *have6 = (const void *)&it->addr;
    const struct sockaddr_in6 *want6 = (const void *)addr;
    const struct sockaddr_un *have_un = (const void *)&it->addr;
    const struct sockaddr_un *want_un = (const void *)addr;
    int only6 = 1;
    socklen_t len = sizeof(only6);

    if (addr->sa_family == AF_INET && it->addr.ss_family == AF_INET)
        return have4->sin_port == want4->sin_port &&
            have4->sin_addr.s_addr == want4->sin_addr.s_addr;
    if (addr->sa_family == AF_UNIX && it->addr.ss_family == AF_UNIX)
        return strcmp(have_un->sun_path, want_un->sun_path) == 0;
    if (it->addr.ss_family != AF_INET6)
        return false;
    if (addr->sa_family == AF_INET6)
        return have6->sin6_port == want6->sin6_port &&
            have6->sin6_scope_id == want6->sin6_scope_id &&
            memcmp(&have6->sin6_addr, &want6->sin6_addr,
                sizeof(have6->sin6_addr)) == 0;
    (void)getsockopt(it->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, &len);
    return only6 == 0 && is_any6(have6) &&
        have6->sin6_port == want4->sin_port &&
        want4->sin_addr.s_addr == htonl(INADDR_ANY);
}

static int
inherited_copy(struct inherited *it)
{
    int fd = fcntl(it->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        log_warn("an inherited socket (%s): %s", it->address,
            strerror(errno));
    else
        it->is_used = true;
    return fd;
}

static struct inherited *
inherited_find(const char *spec, const struct sockaddr *addr)
{
    for (unsigned i = 0; i < nsockets; i++)
        if (!sockets[i].is_of_manager && strcmp(sockets[i].name, spec) == 0)
            return &sockets[i];
    for (unsigned i = 0; i < nsockets; i++)
        if (inherited_is_at(&sockets[i], addr))
            return &sockets[i];
    return NULL;
}

bool
inherit_is_any(void)
{
    return nsockets > 0;
}

void
inherit_reserve(const char *spec, const struct sockaddr *addr)
{
    struct inherited *it = inherited_find(spec, addr);

    if (it != NULL)
        it->is_used = true;
}

int
inherit_take(const char *spec, const struct sockaddr *addr)
{
    struct inherited *it = inherited_find(spec, addr);

    return it != NULL ? inherited_copy(it) : -1;
}

int
inherit_take_named(const char *name)
{
    for (unsigned i = 0; i < nsockets; i++)
        if (sockets[i].is_of_manager && !sockets[i].is_used &&
            strcmp(sockets[i].name, name) == 0)
            return inherited_copy(&sockets[i]);
    return -1;
}

static void
inherited_close(struct inherited *it)
{
    close(it->fd);
    xfree(it->name);
    memset(it, 0, sizeof(*it));
}

int
inherit_settle(struct err *err)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < nsockets; i++) {
        if (sockets[i].is_of_manager)
            sockets[kept++] = sockets[i];
        else
            inherited_close(&sockets[i]);
    }
    nsockets = kept;
    for (unsigned i = 0; i < nsockets; i++) {
        const struct inherited *it = &sockets[i];

        if (it->is_of_manager && !it->is_used)
            return err_set(err, ERR_INVALID, "the service manager passed the "
                "socket \"%.80s\" (%s), and nothing listens there: name that "
                "address in http.listen, or set FileDescriptorName=http (or "
                "otlp_grpc) in the socket unit", it->name, it->address);
    }
    return 0;
}

void
inherit_close_all(void)
{
    while (nsockets > 0)
        inherited_close(&sockets[--nsockets]);
}

void
inherit_print(struct sb *out, int fd, const char *spec)
{
    sb_addf(out, "%s%d=%s", out->len > 0 ? ";" : "", fd, spec);
}
