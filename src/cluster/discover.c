/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cluster/discover.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/time.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/timefmt.h"

/* A server that does not answer is asked once more, then the next one. */
#define SERVER_TIMEOUT_MS 1000
#define SERVER_TRIES 2

struct discover {
    ares_channel channel;
    unsigned open;        /* callbacks that are to come */
    int64_t deadline_ns;
    bool is_closing;      /* the rest is called back as cancelled */
};

/* Of one callback; freed by it. */
struct lookup {
    struct discover *discover;
    struct discover_name *name;
    unsigned target;      /* its index, of a name that is_srv */
};

static struct lookup *
lookup_new(struct discover *discover, struct discover_name *name,
    unsigned target)
{
    struct lookup *lookup = xcalloc(1, sizeof(*lookup));

    lookup->discover = discover;
    lookup->name = name;
    lookup->target = target;
    discover->open++;
    return lookup;
}

/* --- what comes back --- */

static int
lookup_failed(const struct lookup *lookup, int status, struct err *err)
{
    if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION)
        return err_set(err, ERR_TIMEOUT, "DNS: no answer in time");
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA)
        return err_set(err, ERR_NOT_FOUND, "DNS: there is no %s",
            lookup->name->is_srv && err == &lookup->name->err
            ? "such SRV record" : "such host");
    return err_set(err, ERR_SYSTEM, "DNS: %s", ares_strerror(status));
}

/* Takes addresses of the two families, once each; their number. */
static unsigned
take_addresses(const struct ares_addrinfo *info,
    struct sockaddr_storage *addresses, unsigned max)
{
    unsigned n = 0;

    for (const struct ares_addrinfo_node *node = info->nodes;
         node != NULL && n < max; node = node->ai_next) {
        struct sockaddr_storage *address = &addresses[n];
        bool is_new = true;

        if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) ||
            node->ai_addrlen > sizeof(*address))
            continue;
        memset(address, 0, sizeof(*address));
        memcpy(address, node->ai_addr, node->ai_addrlen);
        for (unsigned i = 0; i < n; i++)
            is_new = is_new &&
                memcmp(&addresses[i], address, sizeof(*address)) != 0;
        n += is_new ? 1 : 0;
    }
    return n;
}

void
addresses_set_port(struct sockaddr_storage *addresses, unsigned n,
    uint16_t port)
{
    for (unsigned i = 0; i < n; i++) {
        if (addresses[i].ss_family == AF_INET)
            ((struct sockaddr_in *)&addresses[i])->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)&addresses[i])->sin6_port = htons(port);
    }
}

static void
on_target(const struct lookup *lookup, int status,
    const struct ares_addrinfo *info)
{
    struct discover_target *target = &lookup->name->targets[lookup->target];

    if (status == ARES_SUCCESS)
        target->naddresses = take_addresses(info, target->addresses,
            PEER_ADDRESSES_MAX);
    else
        (void)lookup_failed(lookup, status, &target->err);
    if (status == ARES_SUCCESS && target->naddresses == 0)
        err_set(&target->err, ERR_NOT_FOUND, "DNS: there is no such host");
    addresses_set_port(target->addresses, target->naddresses, target->port);
}

static void
on_host(const struct lookup *lookup, int status,
    const struct ares_addrinfo *info)
{
    struct discover_name *name = lookup->name;

    if (status != ARES_SUCCESS) {
        (void)lookup_failed(lookup, status, &name->err);
        return;
    }
    name->addresses = xcalloc(NODES_MAX, sizeof(*name->addresses));
    name->naddresses = take_addresses(info, name->addresses, NODES_MAX);
    name->is_found = name->naddresses > 0;
    if (!name->is_found)
        err_set(&name->err, ERR_NOT_FOUND, "DNS: there is no such host");
}

static void
on_addresses(void *arg, int status, int timeouts UNUSED,
    struct ares_addrinfo *info)
{
    struct lookup *lookup = arg;

    lookup->discover->open--;
    if (lookup->name->is_srv)
        on_target(lookup, status, info);
    else
        on_host(lookup, status, info);
    if (info != NULL)
        ares_freeaddrinfo(info);
    xfree(lookup);
}

static void
ask_addresses(struct lookup *lookup, const char *host)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };

    ares_getaddrinfo(lookup->discover->channel, host, NULL, &hints,
        on_addresses, lookup);
}

/* Names become part of requests and messages: nothing else may be in them. */
static bool
is_host(const char *text, size_t len)
{
    if (len >= DISCOVER_HOST_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

/* A target that is "." says that there is no such service. */
static int
take_target(struct discover_name *name, const struct ares_srv_reply *reply)
{
    struct discover_target *target = &name->targets[name->ntargets];
    size_t len = strlen(reply->host);

    if (len > 0 && reply->host[len - 1] == '.')
        len--;
    if (len == 0)
        return 0;
    if (!is_host(reply->host, len) || reply->port == 0)
        return err_set(&name->err, ERR_INVALID, "DNS: the record \"%.*s\", "
            "port %u, is no place of a server", (int)MIN(len, (size_t)100),
            reply->host, reply->port);
    for (size_t i = 0; i < len; i++) {
        char c = reply->host[i];

        target->host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    target->port = reply->port;
    name->ntargets++;
    return 0;
}

static void
take_targets(struct lookup *lookup, const struct ares_srv_reply *replies)
{
    struct discover_name *name = lookup->name;
    unsigned n = 0;

    for (const struct ares_srv_reply *one = replies; one != NULL;
         one = one->next)
        n++;
    if (n > NODES_MAX) {
        err_set(&name->err, ERR_LIMIT, "DNS: %u records, at most %u nodes "
            "are possible", n, NODES_MAX);
        return;
    }
    name->targets = xcalloc(MAX(n, 1u), sizeof(*name->targets));
    for (const struct ares_srv_reply *one = replies; one != NULL;
         one = one->next) {
        if (take_target(name, one) != 0)
            return;
    }
    name->is_found = name->ntargets > 0;
    if (!name->is_found)
        err_set(&name->err, ERR_NOT_FOUND, "DNS: there is no such service");
    for (unsigned i = 0; i < name->ntargets; i++)
        ask_addresses(lookup_new(lookup->discover, name, i),
            name->targets[i].host);
}

static void
on_srv(void *arg, int status, int timeouts UNUSED, unsigned char *bytes,
    int len)
{
    struct lookup *lookup = arg;
    struct ares_srv_reply *replies = NULL;

    lookup->discover->open--;
    if (status == ARES_SUCCESS)
        status = ares_parse_srv_reply(bytes, len, &replies);
    if (lookup->discover->is_closing && status == ARES_SUCCESS)
        status = ARES_ECANCELLED;
    if (status == ARES_SUCCESS)
        take_targets(lookup, replies);
    else
        (void)lookup_failed(lookup, status, &lookup->name->err);
    if (replies != NULL)
        ares_free_data(replies);
    xfree(lookup);
}

/* --- a round --- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void
library_init(void)
{
    check(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

static int
channel_new(ares_channel *out, struct err *err)
{
    struct ares_options options = {
        .timeout = SERVER_TIMEOUT_MS,
        .tries = SERVER_TRIES,
    };
    const char *servers = getenv("SPOOR_DNS_SERVERS");
    int status;

    check(pthread_once(&library_once, library_init) == 0);
    status = ares_init_options(out, &options,
        ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    if (status != ARES_SUCCESS)
        return err_set(err, ERR_SYSTEM, "DNS: %s", ares_strerror(status));
    if (servers == NULL)
        return 0;
    status = ares_set_servers_ports_csv(*out, servers);
    if (status == ARES_SUCCESS)
        return 0;
    ares_destroy(*out);
    return err_set(err, ERR_INVALID, "SPOOR_DNS_SERVERS: %s",
        ares_strerror(status));
}

struct discover *
discover_new(struct discover_name *names, unsigned n, struct err *err)
{
    struct discover *discover = xcalloc(1, sizeof(*discover));

    if (channel_new(&discover->channel, err) != 0) {
        xfree(discover);
        return NULL;
    }
    discover->deadline_ns = clock_mono_ns() + DISCOVER_ROUND_NS;
    for (unsigned i = 0; i < n; i++) {
        struct lookup *lookup = lookup_new(discover, &names[i], 0);

        if (names[i].is_srv)
            ares_search(discover->channel, names[i].host, ns_c_in, ns_t_srv,
                on_srv, lookup);
        else
            ask_addresses(lookup, names[i].host);
    }
    return discover;
}

unsigned
discover_wants(struct discover *discover, struct pollfd *pfds,
    int64_t *wake_ns)
{
    ares_socket_t fds[ARES_GETSOCK_MAXNUM];
    struct timeval tv, *left;
    unsigned mask, n = 0;

    _Static_assert(ARES_GETSOCK_MAXNUM <= DISCOVER_FDS_MAX, "all fit");
    /* Its own macros shift into the sign. */
    mask = (unsigned)ares_getsock(discover->channel, fds,
        ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = 0;

        if ((mask >> i & 1) != 0)
            events |= POLLIN;
        if ((mask >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0)
            events |= POLLOUT;
        if (events != 0)
            pfds[n++] = (struct pollfd){.fd = fds[i], .events = events};
    }
    *wake_ns = MIN(*wake_ns, discover->deadline_ns);
    if (discover->open == 0)
        *wake_ns = 0; /* all was in /etc/hosts */
    left = ares_timeout(discover->channel, NULL, &tv);
    if (left != NULL)
        *wake_ns = MIN(*wake_ns, clock_mono_ns() +
            left->tv_sec * NS_PER_SEC + left->tv_usec * NS_PER_US);
    return n;
}

bool
discover_step(struct discover *discover, const struct pollfd *pfds,
    unsigned n)
{
    if (clock_mono_ns() >= discover->deadline_ns) {
        discover->is_closing = true;
        ares_cancel(discover->channel);
    }
    /* Without descriptors: those whose time is over. */
    if (discover->open > 0)
        ares_process_fd(discover->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (unsigned i = 0; i < n && discover->open > 0; i++) {
        bool reads = (pfds[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        bool writes = (pfds[i].revents & POLLOUT) != 0;

        if (reads || writes)
            ares_process_fd(discover->channel,
                reads ? pfds[i].fd : ARES_SOCKET_BAD,
                writes ? pfds[i].fd : ARES_SOCKET_BAD);
    }
    return discover->open == 0;
}

void
discover_free(struct discover *discover)
{
    if (discover == NULL)
        return;
    discover->is_closing = true;
    ares_destroy(discover->channel);
    check(discover->open == 0);
    xfree(discover);
}

void
discover_names_release(struct discover_name *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        xfree(names[i].addresses);
        xfree(names[i].targets);
        names[i].addresses = NULL;
        names[i].targets = NULL;
        names[i].naddresses = names[i].ntargets = 0;
        names[i].is_found = false;
        err_reset(&names[i].err);
    }
}
