/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/file.h"
#include "core/log.h"
#include "core/num.h"
#include "core/sb.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/layout.h"

#define LOCK_RETRY_NS (50 * NS_PER_MS)
/* Another server may take this long to finish before we say so again. */
#define LOCK_SAY_NS (5 * NS_PER_SEC)
#define LOCK_PATIENCE_NS (30 * NS_PER_SEC)
/* The kernel's list of all locks of the machine, and lines of /proc. */
#define LOCK_LIST_MAX (4 * MIB)
#define LOCK_WHO_MAX 160

static int lock_fd = -1;

/*
 * "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF": the process that locked
 * this file; 0 when the list does not tell (another container's).
 */
static pid_t
lock_owner(const struct sb *list, const struct stat *st)
{
    struct sv rest = sb_sv(list), line, word;
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "%02x:%02x:%llu", major(st->st_dev),
        minor(st->st_dev), (unsigned long long)st->st_ino);
    while (sv_split(&rest, '\n', &line)) {
        uint64_t pid = 0, last = 0;
        bool is_flock = false, is_ours = false;

        while (sv_split(&line, ' ', &word)) {
            is_flock = is_flock || sv_eq(word, SV("FLOCK"));
            if (num_parse_u64(word, &last) && pid == 0)
                pid = last;
            is_ours = is_ours || sv_eq(word, sv_from(wanted));
        }
        if (is_flock && is_ours && pid <= INT_MAX)
            return (pid_t)pid;
    }
    return 0;
}

static void
lock_read_proc(const char *path, struct sb *out)
{
    char buf[4096];
    ssize_t n;
    int fd = file_open(path, O_RDONLY, 0, NULL);

    if (fd < 0)
        return;
    while ((n = sys.pread(fd, buf, sizeof(buf), (off_t)out->len)) > 0)
        sb_add(out, buf, (size_t)n);
    file_close(fd);
}

/* "process 4711 (spoor)", or as much as can be known. */
static void
lock_print_owner(char *dst)
{
    char path[64];
    struct sb list, name;
    struct stat st;
    pid_t pid = 0;

    sb_init(&list, LOCK_LIST_MAX);
    sb_init(&name, KIB);
    lock_read_proc("/proc/locks", &list);
    if (sys.fstat(lock_fd, &st) == 0)
        pid = lock_owner(&list, &st);
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    if (pid != 0)
        lock_read_proc(path, &name);
    if (name.len > 0)
        snprintf(dst, LOCK_WHO_MAX, "process %d (%.*s)", (int)pid,
            (int)MIN(name.len - 1, 32), name.ptr);
    else if (pid != 0)
        snprintf(dst, LOCK_WHO_MAX, "what is left of the server %d",
            (int)pid);
    else
        snprintf(dst, LOCK_WHO_MAX, "another spoor");
    sb_release(&list);
    sb_release(&name);
}

int
lock_take(struct err *err)
{
    int64_t start_ns = clock_mono_ns(), said_ns = 0;
    char path[PATH_MAX], who[LOCK_WHO_MAX];

    layout_path(path, "LOCK");
    lock_fd = file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0640, err);
    if (lock_fd < 0)
        return -1;
    while (sys.flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int64_t now_ns = clock_mono_ns();

        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_sys(err, "lock %s", path);
        if (now_ns - start_ns >= LOCK_PATIENCE_NS) {
            lock_print_owner(who);
            return err_set(err, ERR_BUSY, "%s is in use by %s (waited %d s)",
                layout_root(), who, (int)(LOCK_PATIENCE_NS / NS_PER_SEC));
        }
        if (now_ns - said_ns >= LOCK_SAY_NS) {
            said_ns = now_ns;
            lock_print_owner(who);
            log_warn("%s is in use by %s, waiting for it to end",
                layout_root(), who);
        }
        sys.sleep_ns(LOCK_RETRY_NS);
    }
    if (said_ns != 0)
        log_info("%s is free", layout_root());
    return 0;
}

void
lock_release(void)
{
    file_close(lock_fd);
    lock_fd = -1;
}
