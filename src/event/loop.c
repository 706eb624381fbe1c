/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The event loop over libevent (epoll).  What libevent calls goes through
 * loop_enter() and loop_leave(), which read the clock, measure the callback
 * and run what was put off to its end.
 *
 * Timers are lazy: moving one to a later time only notes the time, and the
 * event that fires early is armed again for the rest.  Connections move their
 * deadlines with every request, so this saves most of the work of the heap.
 *
 * Threads reach the loop only by loop_post(): a list under a mutex and an
 * eventfd, written when the list was empty.
 */

#include "core/base.h"
#include "event/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/timefmt.h"

#define LOOP_MAGIC 0x100b0001u
#define LOOP_FD_MAGIC 0x100b0002u
#define LOOP_TIMER_MAGIC 0x100b0003u

/* Rows of the signal table of event/signal.c, and some for tests. */
#define LOOP_SIGNALS_MAX 16

struct loop_link {
    struct loop_link *next;
    struct loop_link **prev; /* the pointer that points here; NULL: alone */
};

struct loop_fd {
    uint32_t magic;
    struct loop_link link; /* in loop->fds */
    struct loop *loop;     /* NULL once the loop is gone */
    int fd;
    int watched;
    struct event *read;
    struct event *write;
    loop_fd_fn fn;
    void *arg;
};

struct loop_timer {
    uint32_t magic;
    struct loop_link link; /* in loop->timers */
    struct loop *loop;
    struct event *event;
    int64_t due_ns;   /* 0: not set */
    int64_t armed_ns; /* when the event fires at the latest; 0: not armed */
    loop_timer_fn fn;
    void *arg;
};

struct loop_posted {
    struct loop_posted *next;
    loop_post_fn fn;
    void *arg;
    int64_t posted_ns; /* of the first one of a list; else 0 */
};

struct loop_signal_watch {
    struct loop *loop;
    struct event *event;
    loop_signal_fn fn;
    void *arg;
};

struct loop {
    uint32_t magic;
    struct event_base *base;
    int64_t now_ns;
    bool is_inside;  /* a callback runs */
    bool is_stopped; /* loop_stop() was called and loop_run() not left yet */

    struct loop_link *fds;
    struct loop_link *timers;

    struct loop_later *later;
    struct loop_later **later_end;

    int wake_fd;
    struct event *wake;
    pthread_mutex_t mutex; /* posted, posted_end, posted_count */
    struct loop_posted *posted;
    struct loop_posted **posted_end;
    unsigned posted_count;
    struct loop_posted *running; /* taken off posted, to be called now */

    struct loop_signal_watch signals[LOOP_SIGNALS_MAX];
    unsigned nsignals;
};

static void
link_insert(struct loop_link **head, struct loop_link *link)
{
    link->next = *head;
    link->prev = head;
    if (link->next != NULL)
        link->next->prev = &link->next;
    *head = link;
}

static void
link_remove(struct loop_link *link)
{
    if (link->prev == NULL)
        return;
    *link->prev = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    link->prev = NULL;
}

static void
loop_run_later(struct loop *loop)
{
    struct loop_later *later;

    while ((later = loop->later) != NULL) {
        loop->later = later->next;
        if (loop->later == NULL)
            loop->later_end = &loop->later;
        later->queued = false;
        later->fn(later->arg);
    }
}

static void
loop_enter(struct loop *loop)
{
    check(!loop->is_inside);
    loop->is_inside = true;
    loop->now_ns = clock_mono_ns();
}

static void
loop_leave(struct loop *loop, const char *what)
{
    int64_t took_ns;

    loop_run_later(loop);
    loop->is_inside = false;
    took_ns = clock_mono_ns() - loop->now_ns;
    if (UNLIKELY(took_ns > LOOP_SLOW_NS)) {
        metric_add(METRIC_SLOW_CALLBACKS, 1);
        log_warn("slow callback: %s took %lld ms", what,
            (long long)(took_ns / NS_PER_MS));
    }
}

/* Descriptors. */

static void
loop_on_fd(evutil_socket_t fd, short what, void *arg)
{
    struct loop_fd *lfd = arg;
    struct loop *loop = lfd->loop;
    int ready = 0;

    OBJ_CHECK(lfd, LOOP_FD_MAGIC);
    if (what & EV_READ)
        ready |= LOOP_READ;
    if (what & EV_WRITE)
        ready |= LOOP_WRITE;
    loop_enter(loop);
    lfd->fn((int)fd, ready, lfd->arg);
    loop_leave(loop, "descriptor");
}

struct loop_fd *
loop_fd_new(struct loop *loop, int fd, loop_fd_fn fn, void *arg)
{
    struct loop_fd *lfd;

    OBJ_CHECK(loop, LOOP_MAGIC);
    check(fd >= 0 && fn != NULL);
    lfd = xcalloc(1, sizeof(*lfd));
    lfd->magic = LOOP_FD_MAGIC;
    lfd->loop = loop;
    lfd->fd = fd;
    lfd->fn = fn;
    lfd->arg = arg;
    link_insert(&loop->fds, &lfd->link);
    return lfd;
}

static void
loop_fd_switch(struct loop_fd *lfd, struct event **event, short what, bool on)
{
    if (!on) {
        check(event_del(*event) == 0);
        return;
    }
    if (*event == NULL) {
        *event = event_new(lfd->loop->base, lfd->fd,
            (short)(what | EV_PERSIST), loop_on_fd, lfd);
        check(*event != NULL);
    }
    check(event_add(*event, NULL) == 0);
}

void
loop_fd_watch(struct loop_fd *lfd, int what)
{
    int changed;

    OBJ_CHECK(lfd, LOOP_FD_MAGIC);
    check(lfd->loop != NULL);
    changed = what ^ lfd->watched;
    lfd->watched = what;
    if (changed & LOOP_READ)
        loop_fd_switch(lfd, &lfd->read, EV_READ, (what & LOOP_READ) != 0);
    if (changed & LOOP_WRITE)
        loop_fd_switch(lfd, &lfd->write, EV_WRITE, (what & LOOP_WRITE) != 0);
}

static void
loop_fd_detach(struct loop_fd *lfd)
{
    if (lfd->read != NULL)
        event_free(lfd->read);
    if (lfd->write != NULL)
        event_free(lfd->write);
    lfd->read = NULL;
    lfd->write = NULL;
    lfd->loop = NULL;
    link_remove(&lfd->link);
}

void
loop_fd_free(struct loop_fd *lfd)
{
    if (lfd == NULL)
        return;
    OBJ_CHECK(lfd, LOOP_FD_MAGIC);
    loop_fd_detach(lfd);
    lfd->magic = 0;
    xfree(lfd);
}

/* Timers. */

static void
loop_timer_arm(struct loop_timer *timer, int64_t now_ns)
{
    int64_t after_ns = MAX(timer->due_ns - now_ns, 0);
    struct timeval tv;

    tv.tv_sec = (time_t)(after_ns / NS_PER_SEC);
    tv.tv_usec = (suseconds_t)((after_ns % NS_PER_SEC + 999) / 1000);
    if (tv.tv_usec == 1000000) {
        tv.tv_sec++;
        tv.tv_usec = 0;
    }
    timer->armed_ns = timer->due_ns;
    check(event_add(timer->event, &tv) == 0);
}

static void
loop_on_timer(UNUSED evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct loop_timer *timer = arg;
    struct loop *loop = timer->loop;

    OBJ_CHECK(timer, LOOP_TIMER_MAGIC);
    timer->armed_ns = 0;
    if (timer->due_ns == 0)
        return;
    loop_enter(loop);
    if (timer->due_ns > loop->now_ns) {
        loop_timer_arm(timer, loop->now_ns);
    } else {
        timer->due_ns = 0;
        timer->fn(timer->arg);
    }
    loop_leave(loop, "timer");
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_timer_fn fn, void *arg)
{
    struct loop_timer *timer;

    OBJ_CHECK(loop, LOOP_MAGIC);
    check(fn != NULL);
    timer = xcalloc(1, sizeof(*timer));
    timer->magic = LOOP_TIMER_MAGIC;
    timer->loop = loop;
    timer->fn = fn;
    timer->arg = arg;
    timer->event = event_new(loop->base, -1, 0, loop_on_timer, timer);
    check(timer->event != NULL);
    link_insert(&loop->timers, &timer->link);
    return timer;
}

void
loop_timer_set(struct loop_timer *timer, int64_t after_ns)
{
    int64_t now_ns;

    OBJ_CHECK(timer, LOOP_TIMER_MAGIC);
    check(timer->loop != NULL && after_ns >= 0);
    now_ns = timer->loop->is_inside ? timer->loop->now_ns : clock_mono_ns();
    if (after_ns > INT64_MAX - now_ns)
        after_ns = INT64_MAX - now_ns;
    timer->due_ns = now_ns + after_ns;
    if (timer->armed_ns == 0 || timer->armed_ns > timer->due_ns)
        loop_timer_arm(timer, now_ns);
}

void
loop_timer_cancel(struct loop_timer *timer)
{
    OBJ_CHECK(timer, LOOP_TIMER_MAGIC);
    timer->due_ns = 0;
}

static void
loop_timer_detach(struct loop_timer *timer)
{
    if (timer->event != NULL)
        event_free(timer->event);
    timer->event = NULL;
    timer->loop = NULL;
    link_remove(&timer->link);
}

void
loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    OBJ_CHECK(timer, LOOP_TIMER_MAGIC);
    loop_timer_detach(timer);
    timer->magic = 0;
    xfree(timer);
}

/* Calls from other threads, and calls put off. */

static void
loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t n;

    /* EAGAIN: the counter is full, so a wake-up is on its way anyway. */
    do {
        n = write(loop->wake_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

static void
loop_posted_append(struct loop *loop, loop_post_fn fn, void *arg)
{
    struct loop_posted *posted = xmalloc(sizeof(*posted));
    bool was_empty;

    posted->next = NULL;
    posted->fn = fn;
    posted->arg = arg;
    pthread_mutex_lock(&loop->mutex);
    was_empty = loop->posted == NULL;
    posted->posted_ns = was_empty ? clock_mono_ns() : 0;
    *loop->posted_end = posted;
    loop->posted_end = &posted->next;
    check(++loop->posted_count <= LOOP_POSTED_MAX);
    pthread_mutex_unlock(&loop->mutex);
    if (was_empty)
        loop_wake(loop);
}

void
loop_post(struct loop *loop, loop_post_fn fn, void *arg)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    check(fn != NULL);
    loop_posted_append(loop, fn, arg);
}

static void
loop_on_wake(evutil_socket_t fd, UNUSED short what, void *arg)
{
    struct loop *loop = arg;
    struct loop_posted *posted;
    uint64_t count;

    /* Reset before the list is taken: a later post wakes again. */
    if (read((int)fd, &count, sizeof(count)) < 0 && errno != EAGAIN &&
        errno != EINTR)
        panic("eventfd: %s", strerror(errno));
    pthread_mutex_lock(&loop->mutex);
    loop->running = loop->posted;
    loop->posted = NULL;
    loop->posted_end = &loop->posted;
    loop->posted_count = 0;
    pthread_mutex_unlock(&loop->mutex);

    while ((posted = loop->running) != NULL) {
        loop->running = posted->next;
        loop_enter(loop);
        if (posted->posted_ns != 0)
            metric_observe_ns(METRIC_LOOP_LAG,
                loop->now_ns - posted->posted_ns);
        posted->fn(posted->arg);
        loop_leave(loop, "posted call");
        xfree(posted);
    }
}

static void
loop_posted_filter(struct loop_posted **at, loop_post_fn fn, void *arg)
{
    struct loop_posted *posted;

    while ((posted = *at) != NULL) {
        if (fn == NULL || (posted->fn == fn && posted->arg == arg)) {
            *at = posted->next;
            xfree(posted);
        } else {
            at = &posted->next;
        }
    }
}

void
loop_post_cancel(struct loop *loop, loop_post_fn fn, void *arg)
{
    struct loop_posted **end;

    OBJ_CHECK(loop, LOOP_MAGIC);
    check(fn != NULL);
    loop_posted_filter(&loop->running, fn, arg);
    pthread_mutex_lock(&loop->mutex);
    loop_posted_filter(&loop->posted, fn, arg);
    for (end = &loop->posted; *end != NULL; end = &(*end)->next)
        ;
    loop->posted_end = end;
    pthread_mutex_unlock(&loop->mutex);
}

static void
loop_nothing(UNUSED void *arg)
{
}

void
loop_later_add(struct loop *loop, struct loop_later *later)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    if (later->queued)
        return;
    if (!loop->is_inside && loop->later == NULL)
        loop_post(loop, loop_nothing, NULL);
    later->queued = true;
    later->next = NULL;
    *loop->later_end = later;
    loop->later_end = &later->next;
}

void
loop_later_remove(struct loop *loop, struct loop_later *later)
{
    struct loop_later **at;

    if (!later->queued)
        return;
    for (at = &loop->later; *at != later; at = &(*at)->next)
        check(*at != NULL);
    *at = later->next;
    if (*at == NULL)
        loop->later_end = at;
    later->queued = false;
}

/* Signals. */

static void
loop_on_signal(evutil_socket_t signo, UNUSED short what, void *arg)
{
    struct loop_signal_watch *watch = arg;

    loop_enter(watch->loop);
    watch->fn((int)signo, watch->arg);
    loop_leave(watch->loop, "signal");
}

void
loop_signal(struct loop *loop, int signo, loop_signal_fn fn, void *arg)
{
    struct loop_signal_watch *watch;

    OBJ_CHECK(loop, LOOP_MAGIC);
    check(loop->nsignals < LOOP_SIGNALS_MAX && fn != NULL);
    watch = &loop->signals[loop->nsignals++];
    watch->loop = loop;
    watch->fn = fn;
    watch->arg = arg;
    watch->event = evsignal_new(loop->base, signo, loop_on_signal, watch);
    check(watch->event != NULL);
    check(event_add(watch->event, NULL) == 0);
}

/* Life. */

static void
loop_on_libevent_log(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        log_warn("libevent: %s", text);
    else
        log_debug("libevent: %s", text);
}

static void
loop_on_libevent_fatal(int code)
{
    panic("libevent gave up (%d)", code);
}

struct loop *
loop_new(void)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));
    struct event_config *config;

    event_set_log_callback(loop_on_libevent_log);
    event_set_fatal_callback(loop_on_libevent_fatal);
    loop->magic = LOOP_MAGIC;
    config = event_config_new();
    check(config != NULL);
    /* Threads only post, through the eventfd: no locks inside libevent. */
    check(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
    check(event_config_require_features(config, EV_FEATURE_O1) == 0);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        panic("no event base: %s", strerror(errno));

    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        panic("eventfd: %s", strerror(errno));
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST,
        loop_on_wake, loop);
    check(loop->wake != NULL && event_add(loop->wake, NULL) == 0);
    check(pthread_mutex_init(&loop->mutex, NULL) == 0);
    loop->posted_end = &loop->posted;
    loop->later_end = &loop->later;
    loop->now_ns = clock_mono_ns();
    return loop;
}

#define LOOP_OF(link_ptr, type) \
    ((type *)(void *)((char *)(link_ptr) - offsetof(type, link)))

void
loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    OBJ_CHECK(loop, LOOP_MAGIC);
    check(!loop->is_inside);
    /* Their owners free them later; until then they are inert. */
    while (loop->fds != NULL)
        loop_fd_detach(LOOP_OF(loop->fds, struct loop_fd));
    while (loop->timers != NULL)
        loop_timer_detach(LOOP_OF(loop->timers, struct loop_timer));
    for (unsigned i = 0; i < loop->nsignals; i++)
        event_free(loop->signals[i].event);
    event_free(loop->wake);
    event_base_free(loop->base);
    close(loop->wake_fd);
    loop_posted_filter(&loop->posted, NULL, NULL);
    loop_posted_filter(&loop->running, NULL, NULL);
    pthread_mutex_destroy(&loop->mutex);
    loop->magic = 0;
    xfree(loop);
}

void
loop_abandon(struct loop *loop)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    /*
     * The epoll instance is shared with the parent: removing a descriptor
     * from it would blind the parent.  event_reinit() makes an own one.
     */
    check(event_reinit(loop->base) == 0);
    loop->is_inside = false;
    loop_free(loop);
}

void
loop_run(struct loop *loop)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    if (!loop->is_stopped)
        check(event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
    loop->is_stopped = false;
}

void
loop_stop(struct loop *loop)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    loop->is_stopped = true;
    check(event_base_loopbreak(loop->base) == 0);
}

int64_t
loop_now_ns(const struct loop *loop)
{
    OBJ_CHECK(loop, LOOP_MAGIC);
    return loop->is_inside ? loop->now_ns : clock_mono_ns();
}
