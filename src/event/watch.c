/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Links are followed, so the file behind a link that is changed (as
 * Kubernetes does with mounted secrets) is another one.
 */

#include "core/base.h"
#include "event/watch.h"

#include <sys/stat.h>

#include "core/log.h"
#include "core/mem.h"
#include "event/loop.h"

#define WATCH_LOOK_NS (500 * NS_PER_MS)

/* What tells two states of a file apart; all zero: there is none. */
struct watch_state {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified;
    struct timespec changed;
};

struct watch_file {
    char *path;
    struct watch_state known;
    struct watch_state seen; /* in the last look */
};

static struct {
    struct watch_file files[WATCH_FILES_MAX];
    unsigned n;
    struct loop_timer *timer;
    watch_fn fn;
    void *arg;
} watch;

static struct watch_state
state_of(const char *path)
{
    struct watch_state state;
    struct stat st;

    memset(&state, 0, sizeof(state)); /* padding, too */
    if (stat(path, &st) != 0)
        return state;
    state.device = st.st_dev;
    state.inode = st.st_ino;
    state.bytes = st.st_size;
    state.modified = st.st_mtim;
    state.changed = st.st_ctim;
    return state;
}

static bool
is_same(const struct watch_state *a, const struct watch_state *b)
{
    return a->device == b->device && a->inode == b->inode &&
        a->bytes == b->bytes &&
        a->modified.tv_sec == b->modified.tv_sec &&
        a->modified.tv_nsec == b->modified.tv_nsec &&
        a->changed.tv_sec == b->changed.tv_sec &&
        a->changed.tv_nsec == b->changed.tv_nsec;
}

void
watch_clear(void)
{
    while (watch.n > 0)
        xfree(watch.files[--watch.n].path);
}

void
watch_add(const char *path)
{
    struct watch_file *file = &watch.files[watch.n];

    for (unsigned i = 0; i < watch.n; i++) {
        if (strcmp(watch.files[i].path, path) == 0)
            return;
    }
    if (watch.n == WATCH_FILES_MAX) {
        log_warn("%s is not watched for changes: there are %d others", path,
            WATCH_FILES_MAX);
        return;
    }
    file->path = xstrdup(path);
    file->known = file->seen = state_of(path);
    watch.n++;
}

/* True: it has changed, and is not being changed any more. */
static bool
file_has_changed(struct watch_file *file)
{
    struct watch_state now = state_of(file->path);
    bool is_settled = is_same(&now, &file->seen);

    file->seen = now;
    if (!is_settled || is_same(&now, &file->known))
        return false;
    file->known = now;
    return true;
}

static void
IMPL(loop_timer_fn) watch_look(UNUSED void *arg)
{
    const struct watch_file *changed = NULL;

    loop_timer_set(watch.timer, WATCH_LOOK_NS);
    for (unsigned i = 0; i < watch.n; i++) {
        if (file_has_changed(&watch.files[i]))
            changed = &watch.files[i];
    }
    /* Last: fn may name other files. */
    if (changed != NULL)
        watch.fn(changed->path, watch.arg);
}

void
watch_start(struct loop *loop, watch_fn fn, void *arg)
{
    watch.fn = fn;
    watch.arg = arg;
    watch.timer = loop_timer_new(loop, watch_look, NULL);
    loop_timer_set(watch.timer, WATCH_LOOK_NS);
}

void
watch_stop(void)
{
    loop_timer_free(watch.timer);
    watch.timer = NULL;
}
