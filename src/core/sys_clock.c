/* SPDX-License-Identifier: BSD-2-Clause */

/* The clock of tests; sys.h has its settings. */

#include "core/base.h"
#include "core/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "core/num.h"
#include "core/sv.h"
#include "core/timefmt.h"

#define CLOCK_REREAD_NS (10 * NS_PER_MS)
#define CLOCK_TEXT_MAX 128
#define CLOCK_SPEED_MAX 100000

struct clock_map {
    int64_t base_ns, offset_ns;
    double speed;
};

static struct clock_map map = {0, 0, 1};
static int64_t pace_ns, pace_since_ns; /* at the last change of speed */
static bool is_armed;
static const char *file_path;
static int64_t file_read_ns;
static struct timespec file_time;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void NORETURN
clock_bad(struct sv text)
{
    fprintf(stderr, "spoor: SPOOR_CLOCK: cannot understand \"%.*s\"\n",
        SV_ARG(text));
    _exit(2);
}

static bool
clock_parse_offset(struct sv text, int64_t *ns)
{
    bool minus = sv_starts_with(text, SV("-"));

    if (minus || sv_starts_with(text, SV("+")))
        text = sv_sub(text, 1, SIZE_MAX);
    if (!time_parse_duration(text, ns))
        return false;
    if (minus)
        *ns = -*ns;
    return true;
}

static struct clock_map
clock_parse(struct sv text, int64_t base_ns)
{
    struct clock_map out = {base_ns, 0, 1};
    struct sv rest = text, head, part;
    uint64_t number;

    if (!sv_split(&rest, '@', &head))
        clock_bad(text);
    if (rest.len > 0) {
        if (!num_parse_u64(rest, &number) || number > INT32_MAX * 4ull)
            clock_bad(text);
        out.base_ns = (int64_t)number * NS_PER_SEC;
    }
    if (!sv_split(&head, '*', &part) ||
        !clock_parse_offset(part, &out.offset_ns))
        clock_bad(text);
    if (head.len > 0) {
        if (!num_parse_double(head, &out.speed) || !(out.speed >= 0) ||
            out.speed > CLOCK_SPEED_MAX)
            clock_bad(text);
    }
    return out;
}

/* Far from the ends of time, whatever a test asks for. */
static int64_t
times_speed(int64_t ns)
{
    double far = (double)(INT64_MAX / 4), out = (double)ns * map.speed;

    return (int64_t)(out > far ? far : out < -far ? -far : out);
}

static int64_t
pace_at(int64_t mono_ns)
{
    return pace_ns + times_speed(mono_ns - pace_since_ns);
}

static void
map_set(struct clock_map new_map)
{
    int64_t now_ns = sys_kernel.mono_ns();

    pace_ns = pace_at(now_ns);
    pace_since_ns = now_ns;
    map = new_map;
}

static void
file_reread(void)
{
    int64_t now_ns = sys_kernel.mono_ns();
    char text[CLOCK_TEXT_MAX];
    struct stat st;
    ssize_t n;
    int fd;

    if (file_read_ns != 0 && now_ns - file_read_ns < CLOCK_REREAD_NS)
        return;
    file_read_ns = now_ns;
    fd = sys_kernel.open(file_path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || sys_kernel.fstat(fd, &st) != 0) {
        map_set((struct clock_map){0, 0, 1});
        file_time = (struct timespec){0, 0};
    } else if (memcmp(&st.st_mtim, &file_time, sizeof(file_time)) != 0) {
        n = sys_kernel.read(fd, text, sizeof(text));
        while (n > 0 && text[n - 1] == '\n')
            n--;
        map_set(clock_parse(sv_trim(sv_make(text, (size_t)MAX(n, 0))),
            st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec));
        file_time = st.st_mtim;
    }
    if (fd >= 0)
        sys_kernel.close(fd);
}

int64_t
sys_clock_wall_ns(void)
{
    int64_t now_ns = sys_kernel.wall_ns();

    pthread_mutex_lock(&lock);
    if (file_path != NULL)
        file_reread();
    now_ns = map.base_ns + map.offset_ns +
        times_speed(now_ns - map.base_ns);
    pthread_mutex_unlock(&lock);
    return now_ns;
}

int64_t
clock_pace_ns(void)
{
    int64_t now_ns = sys.mono_ns();

    if (LIKELY(!is_armed))
        return now_ns;
    pthread_mutex_lock(&lock);
    if (file_path != NULL)
        file_reread();
    now_ns = pace_at(now_ns);
    pthread_mutex_unlock(&lock);
    return now_ns;
}

int64_t
clock_pace_wait_ns(int64_t ns)
{
    double speed;

    if (LIKELY(!is_armed))
        return ns;
    pthread_mutex_lock(&lock);
    speed = map.speed;
    pthread_mutex_unlock(&lock);
    /* A clock that stands or crawls: look again in a second. */
    if (speed < 1)
        return MIN(ns, NS_PER_SEC);
    return (int64_t)((double)ns / speed);
}

/* Files are as old as this clock says. */
static void
stamp(int fd)
{
    int64_t ns = sys_clock_wall_ns();
    struct timespec times[2];

    times[0].tv_sec = ns / NS_PER_SEC;
    times[0].tv_nsec = ns % NS_PER_SEC;
    times[1] = times[0];
    if (futimens(fd, times) != 0)
        return; /* a pipe, a device */
}

static int
stamping_open(const char *path, int flags, mode_t mode)
{
    int fd = sys_kernel.open(path, flags, mode);

    if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) != 0)
        stamp(fd);
    return fd;
}

static ssize_t
stamping_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t n = sys_kernel.pwritev(fd, iov, count, offset);

    if (n > 0)
        stamp(fd);
    return n;
}

void
sys_clock_init(void)
{
    const char *text = getenv("SPOOR_CLOCK");

    file_path = getenv("SPOOR_CLOCK_FILE");
    is_armed = text != NULL || file_path != NULL;
    map = (struct clock_map){0, 0, 1};
    file_read_ns = 0;
    file_time = (struct timespec){0, 0};
    pace_ns = pace_since_ns = sys_kernel.mono_ns();
    if (!is_armed)
        return;
    if (text != NULL)
        map = clock_parse(sv_from(text), sys_kernel.wall_ns());
    sys.wall_ns = sys_clock_wall_ns;
    sys.open = stamping_open;
    sys.pwritev = stamping_pwritev;
}
