/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The conversation, on a stream: the client sends "VERB\n", the master
 * answers with '0' (done) or '1' (failed), then a text up to the end of the
 * stream.
 */

#include "core/base.h"
#include "event/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sb.h"
#include "event/loop.h"
#include "event/master.h"

/* People and scripts that wait at the same time; more are refused. */
#define CONTROL_CLIENTS_MAX 16
#define CONTROL_VERB_MAX 32
/* A client must say its verb within this time. */
#define CONTROL_ASK_NS (5 * NS_PER_SEC)
/* The answer fits the socket's buffer, so waiting this long is a bug. */
#define CONTROL_SEND_SEC 1
/* Configuration errors are the longest answer. */
#define CONTROL_ANSWER_MAX (64 * KIB)
#define CONTROL_PATH_MAX (PATH_MAX + 8)

struct control_client {
    int fd; /* -1: free */
    struct loop_fd *lfd;
    struct loop_timer *timer;
    const struct signal_row *row; /* NULL: has not asked yet */
    bool has_begun;
    size_t len;
    char verb[CONTROL_VERB_MAX];
};

struct control {
    struct loop *loop;
    control_fn fn;
    void *arg;
    int fd;
    struct loop_fd *lfd;
    bool is_open;
    bool has_socket;
    bool has_pid_file;
    char pid_path[PATH_MAX];
    char path[CONTROL_PATH_MAX];
    struct control_client clients[CONTROL_CLIENTS_MAX];
};

static struct control control;

static void
control_path(const struct conf *conf, char *dst)
{
    snprintf(dst, CONTROL_PATH_MAX, "%s.sock", conf->pid_file);
}

/*
 * The address of path.  One that is longer than the 107 bytes an address
 * holds is reached through its directory, opened as *dir_fd (else -1).
 */
static int
control_address(const char *path, struct sockaddr_un *addr, int *dir_fd,
    struct err *err)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];
    int n;

    *dir_fd = -1;
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    if (strlen(path) < sizeof(addr->sun_path)) {
        snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
        return 0;
    }
    check(slash != NULL && (size_t)(slash - path) < sizeof(dir));
    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
    *dir_fd = file_open(dir, O_PATH | O_DIRECTORY, 0, err);
    if (*dir_fd < 0)
        return -1;
    n = snprintf(addr->sun_path, sizeof(addr->sun_path),
        "/proc/self/fd/%d/%s", *dir_fd, slash + 1);
    if (n >= (int)sizeof(addr->sun_path)) {
        file_close(*dir_fd);
        *dir_fd = -1;
        return err_set(err, ERR_INVALID, "pid: the name of the file is too "
            "long");
    }
    return 0;
}

/* A socket that is connected to path, or -1. */
static int
control_connect(const char *path, struct err *err)
{
    struct sockaddr_un addr;
    int dir_fd, fd;

    if (control_address(path, &addr, &dir_fd, err) != 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_sys(err, "control socket");
    } else if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
            err_set(err, ERR_NOT_FOUND,
                "no spoor is running here: nobody listens on %.200s", path);
        else
            err_sys(err, "%.200s", path);
        close(fd);
        fd = -1;
    }
    file_close(dir_fd);
    return fd;
}

/* Clients. */

static void
client_close(struct control_client *client)
{
    loop_fd_free(client->lfd);
    loop_timer_free(client->timer);
    if (client->fd >= 0)
        close(client->fd);
    memset(client, 0, sizeof(*client));
    client->fd = -1;
}

/* Blocking, but what fits the socket's buffer does not block. */
static void
client_answer(struct control_client *client, bool is_done, const char *text)
{
    struct timeval limit = {.tv_sec = CONTROL_SEND_SEC};
    struct sb sb;
    ssize_t n;
    int flags;

    sb_init(&sb, CONTROL_ANSWER_MAX);
    sb_add_char(&sb, is_done ? '0' : '1');
    if (client->row != NULL)
        sb_addf(&sb, "%s: ", client->row->word);
    sb_addf(&sb, "%.*s\n", (int)(CONTROL_ANSWER_MAX / 2), text);

    flags = fcntl(client->fd, F_GETFL);
    (void)fcntl(client->fd, F_SETFL, flags & ~O_NONBLOCK);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit,
        sizeof(limit));
    n = send(client->fd, sb.ptr, sb.len, MSG_NOSIGNAL);
    if (n != (ssize_t)sb.len)
        log_warn("control: the client did not take the answer");
    sb_release(&sb);
    client_close(client);
}

static void
client_ask(struct control_client *client)
{
    char text[160];

    client->row = signal_by_word(client->verb);
    if (client->row == NULL) {
        snprintf(text, sizeof(text), "unknown verb; there are: %s",
            signal_words());
        client_answer(client, false, text);
        return;
    }
    loop_timer_cancel(client->timer);
    log_info("asked to %s", client->row->word);
    control.fn(client->row, control.arg);
}

static void
IMPL(loop_fd_fn) client_on_ready(int fd, UNUSED int ready, void *arg)
{
    struct control_client *client = arg;
    size_t room = sizeof(client->verb) - client->len;
    char *end;
    ssize_t n;

    n = recv(fd, client->verb + client->len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Whoever asked and left, or says more than a verb, is not waited for. */
    if (n <= 0 || client->row != NULL) {
        client_close(client);
        return;
    }
    client->len += (size_t)n;
    end = memchr(client->verb, '\n', client->len);
    if (end != NULL) {
        *end = '\0';
        client_ask(client);
    } else if (client->len == sizeof(client->verb)) {
        client_close(client);
    }
}

static void
IMPL(loop_timer_fn) client_on_timer(void *arg)
{
    client_close(arg);
}

/* Root, or who could signal the master anyway. */
static bool
client_is_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    log_warn("control: user %u may not ask for anything",
        (unsigned)peer.uid);
    return false;
}

static struct control_client *
client_find_free(void)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control.clients[i].fd < 0)
            return &control.clients[i];
    return NULL;
}

static void
IMPL(loop_fd_fn) control_on_ready(int listen_fd, UNUSED int ready,
    UNUSED void *arg)
{
    struct control_client *client = client_find_free();
    int fd;

    fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (client == NULL || !client_is_allowed(fd)) {
        close(fd);
        return;
    }
    client->fd = fd;
    client->lfd = loop_fd_new(control.loop, fd, client_on_ready, client);
    loop_fd_watch(client->lfd, LOOP_READ);
    client->timer = loop_timer_new(control.loop, client_on_timer, client);
    loop_timer_set(client->timer, CONTROL_ASK_NS);
}

void
control_begin(enum signal_act act)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control.clients[i];

        if (client->row != NULL && client->row->master == act)
            client->has_begun = true;
    }
}

void
control_answer(enum signal_act act, bool is_done, const char *text)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control.clients[i];

        if (client->row != NULL && client->row->master == act &&
            client->has_begun)
            client_answer(client, is_done, text);
    }
}

void
control_refuse(enum signal_act act, const char *text)
{
    char answer[160];

    snprintf(answer, sizeof(answer), "failed: %s", text);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control.clients[i];

        if (client->row != NULL && client->row->master == act &&
            !client->has_begun)
            client_answer(client, false, answer);
    }
}

/* The master's end of it. */

static int
control_bind(struct err *err)
{
    struct err ignored = ERR_INIT;
    struct sockaddr_un addr;
    int rc, dir_fd;
    mode_t before;
    int other;

    other = control_connect(control.path, &ignored);
    if (other >= 0) {
        close(other);
        return err_set(err, ERR_BUSY, "another spoor is running with the "
            "same pid file: it answers on %.200s", control.path);
    }
    if (file_unlink(control.path, err) != 0 ||
        control_address(control.path, &addr, &dir_fd, err) != 0)
        return -1;
    before = umask(0177);
    rc = bind(control.fd, (struct sockaddr *)&addr, sizeof(addr));
    umask(before);
    if (rc != 0)
        err_sys(err, "pid: cannot bind the socket beside the pid file, "
            "%.200s", control.path);
    else if ((rc = listen(control.fd, CONTROL_CLIENTS_MAX)) != 0)
        err_sys(err, "cannot listen on %.200s", control.path);
    file_close(dir_fd);
    return rc == 0 ? 0 : -1;
}

int
control_open(struct loop *loop, const struct conf *conf, control_fn fn,
    void *arg, struct err *err)
{
    memset(&control, 0, sizeof(control));
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control.clients[i].fd = -1;
    control.loop = loop;
    control.fn = fn;
    control.arg = arg;
    if (strlen(conf->pid_file) >= sizeof(control.pid_path))
        return err_set(err, ERR_INVALID, "pid: the path is too long");
    snprintf(control.pid_path, sizeof(control.pid_path), "%s",
        conf->pid_file);
    control_path(conf, control.path);
    control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
        0);
    if (control.fd < 0)
        return err_sys(err, "control socket");
    if (control_bind(err) != 0) {
        close(control.fd);
        return -1;
    }
    control.lfd = loop_fd_new(loop, control.fd, control_on_ready, NULL);
    loop_fd_watch(control.lfd, LOOP_READ);
    control.is_open = true;
    control.has_socket = true;
    return 0;
}

int
control_write_pid(struct err *err)
{
    char path[CONTROL_PATH_MAX], text[32];
    int len, fd, rc;

    /*
     * The directory may be writable by the children's user: a new file, so
     * that a link placed there is not written through.  At an upgrade the
     * file of the old master is there up to the moment it is replaced.
     */
    snprintf(path, sizeof(path), "%s.new", control.pid_path);
    if (file_unlink(path, err) != 0)
        return -1;
    fd = file_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, err);
    if (fd < 0)
        return -1;
    len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    rc = file_pwrite(fd, text, (size_t)len, 0, err);
    file_close(fd);
    if (rc == 0)
        rc = file_rename(path, control.pid_path, err);
    if (rc != 0 && file_unlink(path, NULL) != 0)
        log_debug("%s stays behind", path);
    control.has_pid_file = rc == 0;
    return rc;
}

static void
control_close_socket(void)
{
    loop_fd_free(control.lfd);
    control.lfd = NULL;
    if (control.fd >= 0)
        close(control.fd);
    control.fd = -1;
}

static void
control_release(void)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control.clients[i].fd >= 0)
            client_close(&control.clients[i]);
    control_close_socket();
    control.is_open = false;
}

void
control_let_go(void)
{
    struct err err = ERR_INIT;

    control_close_socket();
    if (control.has_socket && file_unlink(control.path, &err) != 0)
        log_warn("%s", err.text);
    control.has_socket = false;
    control.has_pid_file = false;
}

/* True when the pid file names this process still. */
static bool
control_is_named(void)
{
    struct sv rest, line;
    struct sb text;
    uint64_t pid = 0;
    bool is_named;

    sb_init(&text, KIB);
    is_named = file_read_all(control.pid_path, &text, NULL) == 0;
    rest = sb_sv(&text);
    is_named = is_named && sv_split(&rest, '\n', &line) &&
        num_parse_u64(line, &pid) && pid == (uint64_t)getpid();
    sb_release(&text);
    return is_named;
}

void
control_close(void)
{
    struct err err = ERR_INIT;

    if (!control.is_open)
        return;
    /* Who took over has a pid file of another name. */
    if (!control.has_socket && control_is_named())
        control.has_pid_file = true;
    if ((control.has_socket && file_unlink(control.path, &err) != 0) ||
        (control.has_pid_file && file_unlink(control.pid_path, &err) != 0))
        log_warn("%s", err.text);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control.clients[i].fd >= 0)
            client_answer(&control.clients[i],
                control.clients[i].has_begun,
                control.clients[i].has_begun
                    ? "done" : "failed: the server has stopped");
    control_release();
}

void
control_abandon(void)
{
    if (control.is_open)
        control_release();
}

/* The asking side. */

int
master_command(const struct conf *conf, const char *verb, struct sb *answer,
    struct err *err)
{
    char path[CONTROL_PATH_MAX], buf[4096];
    size_t start = answer->len;
    ssize_t n;
    bool is_done;
    int fd;

    if (signal_by_word(verb) == NULL)
        return err_set(err, ERR_INVALID, "unknown verb \"%.40s\"; there are: "
            "%s", verb, signal_words());
    control_path(conf, path);
    fd = control_connect(path, err);
    if (fd < 0)
        return -1;
    snprintf(buf, sizeof(buf), "%s\n", verb);
    if (send(fd, buf, strlen(buf), MSG_NOSIGNAL) != (ssize_t)strlen(buf)) {
        close(fd);
        return err_sys(err, "%.200s", path);
    }
    while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 || (n < 0 &&
        errno == EINTR))
        if (n > 0)
            sb_add(answer, buf, (size_t)n);
    close(fd);
    if (answer->len == start)
        return err_set(err, ERR_CANCELLED,
            "%s: the master ended without an answer", verb);
    /* The first byte is the status, the last a line end. */
    is_done = answer->ptr[start] == '0';
    memmove(answer->ptr + start, answer->ptr + start + 1,
        answer->len - start);
    answer->len--;
    while (answer->len > start && answer->ptr[answer->len - 1] == '\n')
        answer->ptr[--answer->len] = '\0';
    if (!is_done)
        return err_set(err, ERR_INVALID, "%s failed", verb);
    return 0;
}
