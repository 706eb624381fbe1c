/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A check of a hashed password is a job: streams that bring the same name and
 * password wait for the same job, so the first requests of a collector cost
 * one check.  Jobs are computed by one thread of low priority, which is no
 * other thread's: wrong passwords make nobody wait but those whose password
 * is not known yet.  Of these one address has a few at a time, so that others
 * have theirs.
 */

#include "core/base.h"
#include "http/auth.h"

#include <arpa/inet.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"
#include "event/secret.h"
#include "event/task.h"
#include "event/watch.h"
#include "http/auth_cache.h"
#include "http/users.h"

/* Between two lines of the log about refused requests. */
#define AUTH_LOG_NS (10 * NS_PER_SEC)
/* Behind everything else that wants the CPU. */
#define AUTH_NICE 10

struct auth_job {
    TAILQ_ENTRY(auth_job) link;
    struct secret_digest digest;
    const struct user *user;
    char password[SECRET_PASSWORD_MAX + 1];
    char peer[64];          /* without its port */
    struct stream *waiters; /* newest first */
    bool is_right;
};

struct generation {
    uint64_t serial; /* of the configuration; 0: none */
    struct users *users;
};

static struct generation now, before;

/* Of a worker. */
static struct task_pool *threads;
static TAILQ_HEAD(, auth_job) jobs = TAILQ_HEAD_INITIALIZER(jobs);
static unsigned njobs;
static _Atomic bool is_over; /* nobody hears of what threads find out */
static int64_t logged_ns;
static unsigned unlogged;

/* --- master --- */

static void
watch_files(const struct conf *conf)
{
    if (conf->auth_users_file[0] != '\0')
        watch_add(conf->auth_users_file);
    if (conf->auth_tokens_file[0] != '\0')
        watch_add(conf->auth_tokens_file);
}

int
auth_load(const struct conf *conf, struct err *err)
{
    struct users *users;

    watch_files(conf);
    if (now.serial == conf->serial)
        return 0;
    if (before.serial == conf->serial) { /* back to it */
        users_free(now.users);
        now = before;
        before = (struct generation){0, NULL};
    } else {
        if (users_load(&users, conf, err) != 0)
            return -1;
        users_free(before.users);
        before = now;
        now = (struct generation){conf->serial, users};
    }
    metric_set(METRIC_HTTP_USERS,
        now.users == NULL ? 0 : users_count(now.users));
    return 0;
}

/* --- refusals --- */

static void
log_refusal(const struct stream *stream, const char *what)
{
    const struct http_req *req = &stream->req;
    int64_t time_ns = clock_mono_ns();

    unlogged++;
    if (logged_ns != 0 && time_ns - logged_ns < AUTH_LOG_NS)
        return;
    log_warn("%s: %s for %.*s (requests refused since the last such line: "
        "%u)", req->peer, what, SV_ARG(sv_sub(req->raw_path, 0, 256)),
        unlogged);
    logged_ns = time_ns;
    unlogged = 0;
}

static enum auth_verdict
refuse(struct stream *stream, const char *what)
{
    struct http_req *req = &stream->req;

    metric_add(METRIC_HTTP_WRONG_BASIC_AUTH, 1);
    log_refusal(stream, what);
    if (users_have_names(now.users))
        http_reply_header(req, "WWW-Authenticate",
            "Basic realm=\"spoor\", charset=\"UTF-8\"");
    if (users_have_tokens(now.users))
        http_reply_header(req, "WWW-Authenticate", "Bearer realm=\"spoor\"");
    stream_refuse_quietly(stream, 401, "%s", what);
    return AUTH_REFUSED;
}

void
auth_refuse_key(struct stream *stream, const char *flag)
{
    char what[96];

    metric_add(METRIC_HTTP_WRONG_AUTH_KEY, 1);
    snprintf(what, sizeof(what), "the argument authKey is not what -%s says",
        flag);
    log_refusal(stream, what);
    stream_refuse_quietly(stream, 401, "%s", what);
}

static enum auth_verdict
refuse_busy(struct stream *stream)
{
    metric_add(METRIC_HTTP_REFUSED_PASSWORDS, 1);
    log_refusal(stream, "too many passwords at once");
    http_reply_header(&stream->req, "Retry-After", "1");
    stream_refuse_quietly(stream, 503,
        "too many passwords are being checked, try again");
    return AUTH_REFUSED;
}

/* The client is who he says: may he do it? */
static enum auth_verdict
admit(struct stream *stream, const struct user *user,
    const struct group *group)
{
    stream->req.user = user->name;
    if (group == NULL || (user->groups & group->bit) != 0)
        return AUTH_PASSES;
    metric_add(METRIC_HTTP_REFUSED_FORBIDDEN, 1);
    stream_refuse(stream, 403, "the user may not do this: it has not the "
        "group %s (%s)", group->name, group->doc);
    return AUTH_REFUSED;
}

/* --- jobs --- */

static void
IMPL(task_fn) job_run(void *arg)
{
    static __thread bool is_nice;
    struct auth_job *job = arg;

    if (!is_nice) /* of this thread only, on Linux */
        (void)setpriority(PRIO_PROCESS, 0, AUTH_NICE);
    is_nice = true;
    if (is_over)
        return;
    job->is_right = secret_hash_is_of(job->user->hash, job->password) &&
        !users_is_nobody(now.users, job->user);
}

static void
job_free(struct auth_job *job)
{
    TAILQ_REMOVE(&jobs, job, link);
    njobs--;
    secret_wipe(job, sizeof(*job));
    xfree(job);
}

static void
IMPL(task_fn) job_done(void *arg)
{
    struct auth_job *job = arg;
    const struct user *user = job->is_right ? job->user : NULL;
    struct stream *stream;

    metric_add(METRIC_HTTP_PASSWORDS_CHECKED, 1);
    auth_cache_put(&job->digest, user, clock_mono_ns() +
        (user != NULL ? AUTH_RIGHT_NS : AUTH_WRONG_NS));
    while ((stream = job->waiters) != NULL) {
        job->waiters = stream->ask_next;
        stream->ask = NULL;
        stream->ask_user = user;
        stream->ops->asked(stream);
    }
    job_free(job);
}

static struct auth_job *
job_find(const struct secret_digest *digest)
{
    struct auth_job *job;

    TAILQ_FOREACH(job, &jobs, link) {
        if (secret_equal(&job->digest, digest))
            return job;
    }
    return NULL;
}

/*
 * "1.2.3.4:5" without the port; of an IPv6 address only the network, since
 * one host has 2^64 addresses.
 */
static void
peer_address(char *dst, size_t size, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    size_t len = colon != NULL ? (size_t)(colon - peer) : strlen(peer);
    struct in6_addr in6;

    snprintf(dst, size, "%.*s", (int)MIN(len, size - 1), peer);
    if (dst[0] != '[')
        return;
    dst[strcspn(dst, "]%")] = '\0';
    if (inet_pton(AF_INET6, dst + 1, &in6) != 1)
        return;
    memset(in6.s6_addr + 8, 0, 8);
    (void)inet_ntop(AF_INET6, &in6, dst, (socklen_t)size);
}

static bool
has_room(const char *peer)
{
    const struct auth_job *job;
    unsigned n = 0;

    TAILQ_FOREACH(job, &jobs, link)
        n += strcmp(job->peer, peer) == 0;
    return njobs < AUTH_JOBS_MAX && n < AUTH_PEER_JOBS_MAX;
}

/* NULL: there is no room for one more. */
static struct auth_job *
job_new(const struct stream *stream, const struct auth_header *given,
    const struct secret_digest *digest)
{
    char peer[sizeof(((struct auth_job *)NULL)->peer)];
    struct auth_job *job;

    peer_address(peer, sizeof(peer), stream->req.peer);
    if (threads == NULL || !has_room(peer))
        return NULL;
    job = xcalloc(1, sizeof(*job));
    job->digest = *digest;
    job->user = users_find_hashed(now.users, given->name);
    memcpy(job->password, given->password.ptr, given->password.len);
    memcpy(job->peer, peer, sizeof(peer));
    TAILQ_INSERT_TAIL(&jobs, job, link);
    njobs++;
    if (task_post(threads, job_run, job_done, job, NULL) == 0)
        return job;
    job_free(job);
    return NULL;
}

static enum auth_verdict
ask(struct stream *stream, const struct auth_header *given,
    const struct secret_digest *digest, const struct group *group)
{
    struct auth_job *job = job_find(digest);
    const struct user *user;

    if (job == NULL)
        job = job_new(stream, given, digest);
    if (job == NULL) {
        /* Users are the same as long as this process lives. */
        user = auth_cache_get_old(digest);
        metric_add(METRIC_HTTP_PASSWORDS_REMEMBERED, user != NULL);
        return user != NULL ? admit(stream, user, group)
                            : refuse_busy(stream);
    }
    stream->ask = job;
    stream->ask_next = job->waiters;
    job->waiters = stream;
    return AUTH_ASKS;
}

void
auth_cancel(struct stream *stream)
{
    struct stream **at;

    if (stream->ask == NULL)
        return;
    for (at = &stream->ask->waiters; *at != stream; at = &(*at)->ask_next)
        check(*at != NULL);
    *at = stream->ask_next;
    stream->ask = NULL;
}

/* --- checks --- */

static enum auth_verdict
check_basic(struct stream *stream, const struct auth_header *given,
    const struct group *group)
{
    struct secret_digest digest;
    const struct user *user;

    users_digest(&digest, given->name, given->password);
    user = users_find(now.users, &digest);
    if (user != NULL)
        return admit(stream, user, group);
    if (!users_are_slow(now.users) ||
        given->password.len > SECRET_PASSWORD_MAX)
        return refuse(stream, "wrong user or password");
    if (!auth_cache_get(&digest, clock_mono_ns(), &user))
        return ask(stream, given, &digest, group);
    metric_add(METRIC_HTTP_PASSWORDS_REMEMBERED, 1);
    if (user == NULL)
        return refuse(stream, "wrong user or password");
    return admit(stream, user, group);
}

enum auth_verdict
auth_check(struct stream *stream, const struct group *group)
{
    struct sv field = http_header_get(&stream->req, "authorization");
    uint8_t buf[AUTH_FIELD_BYTES_MAX];
    struct auth_header given;
    enum auth_verdict verdict = AUTH_REFUSED;
    const struct user *user;

    if (now.users == NULL)
        return AUTH_PASSES;
    auth_header_parse(field, buf, &given);
    switch (given.scheme) {
    case AUTH_BASIC:
        verdict = check_basic(stream, &given, group);
        break;
    case AUTH_BEARER:
        user = users_find_token(now.users, given.token);
        verdict = user != NULL ? admit(stream, user, group)
                               : refuse(stream, "wrong token");
        break;
    case AUTH_NONE:
        verdict = refuse(stream, "a user or a token is needed");
        break;
    case AUTH_OTHER:
        verdict = refuse(stream, "the field Authorization is not understood");
        break;
    }
    secret_wipe(buf, sizeof(buf));
    return verdict;
}

enum auth_verdict
auth_asked(struct stream *stream, const struct group *group)
{
    if (stream->ask_user == NULL)
        return refuse(stream, "wrong user or password");
    return admit(stream, stream->ask_user, group);
}

/* --- a worker's life --- */

void
auth_start(struct process *process)
{
    if (now.users == NULL || !users_are_slow(now.users))
        return;
    is_over = false;
    threads = task_pool_new(process->loop, "passwords", 1, AUTH_JOBS_MAX);
}

void
auth_stop(void)
{
    struct auth_job *job;

    if (threads == NULL)
        return;
    is_over = true;
    task_pool_free(threads);
    threads = NULL;
    while ((job = TAILQ_FIRST(&jobs)) != NULL) {
        check(job->waiters == NULL);
        job_free(job);
    }
    auth_cache_clear();
}
