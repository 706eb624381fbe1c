/* SPDX-License-Identifier: BSD-2-Clause */

/* Calls that tests make fail, count, stop; clocks and dice that they set. */

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/file.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "tap.h"

static char dir[] = "/tmp/spoor-sys-XXXXXX";

static void
arm(const char *list)
{
    setenv("SPOOR_FAULT", list, 1);
    fault_init();
}

static void
disarm(void)
{
    unsetenv("SPOOR_FAULT");
    fault_init();
}

static const char *
path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* Status of a child that writes ten bytes three times, synced. */
static int
child_writes(const char *name, const char *role)
{
    struct err err = ERR_INIT;
    pid_t pid = fork();
    int status, fd;

    if (pid == 0) {
        fault_set_role(role);
        fd = file_open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600, &err);
        for (unsigned i = 0; i < 3; i++) {
            if (file_pwrite(fd, "0123456789", 10, 10 * i, &err) != 0 ||
                file_datasync(fd, &err) != 0)
                _exit(err.sys_errno);
        }
        file_close(fd);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static long
size_of(const char *name)
{
    struct stat st;

    return stat(path_of(name), &st) == 0 ? (long)st.st_size : -1;
}

static void
test_faults(void)
{
    is_int(child_writes("a", "worker"), 0, "no fault");
    is_int(size_of("a"), 30, "all is written");
    arm("sys.pwritev:ENOSPC:2");
    is_int(child_writes("a", "worker"), ENOSPC, "the second write fails");
    is_int(size_of("a"), 10, "one is written");
    arm("sys.pwritev:EINTR:2-4");
    is_int(child_writes("a", "worker"), 0, "EINTR three times");
    is_int(size_of("a"), 30, "all is written");
    arm("sys.pwritev:short:2-3");
    is_int(child_writes("a", "worker"), 0, "short writes");
    is_int(size_of("a"), 30, "all is written");
    arm("sys.pwritev:kill:3");
    is_int(child_writes("a", "worker"), 1000 + SIGKILL, "killed");
    is_int(size_of("a"), 20, "before the third");
    arm("sys.pwritev:tear:3");
    is_int(child_writes("a", "worker"), 1000 + SIGKILL, "killed");
    is_int(size_of("a"), 25, "in the third");
    arm("sys.*:kill:5");
    is_int(child_writes("a", "worker"), 1000 + SIGKILL,
        "open, write, sync, write, killed before the sync");
    is_int(size_of("a"), 20, "two are written");
    arm("sys.fdatasync@merge:EIO:2");
    is_int(child_writes("a", "worker 3"), 0, "another role");
    is_int(child_writes("a", "merge"), EIO, "that role");
    arm("sys.fdatasync:crash:2");
    is_int(child_writes("a", "worker"), 1000 + SIGKILL, "crashed");
    is_int(child_writes("b", "merge"), 1000 + SIGKILL, "others, too");
    is_int(size_of("b"), -1, "which change nothing");
    disarm();
}

static void
test_read_short(void)
{
    struct err err = ERR_INIT;
    char got[31] = "";
    struct sb all;
    int fd;

    is_int(child_writes("a", "worker"), 0, "a file");
    arm("sys.pread:short:1-2,sys.read:short");
    fd = file_open(path_of("a"), O_RDONLY, 0, &err);
    is_int(file_pread(fd, got, 30, 0, &err), 0, "short reads");
    is_str(got, "012345678901234567890123456789", "are completed");
    file_close(fd);
    sb_init(&all, 100);
    is_int(file_read_all(path_of("a"), &all, &err), 0, "a whole file");
    is_int(all.len, 30, "has all bytes");
    sb_release(&all);
    disarm();
}

static void
test_counts(void)
{
    struct { char name[56]; uint64_t calls; } entries[SYS_COUNTS_MAX];
    struct err err = ERR_INIT;
    uint64_t writes = 0, merge = 0;
    int fd = open(path_of("counts"), O_RDWR | O_CREAT, 0600);

    setenv("SPOOR_SYS_COUNT", path_of("counts"), 1);
    fault_init();
    child_writes("a", "worker 1");
    child_writes("a", "worker 2");
    child_writes("a", "merge");
    unsetenv("SPOOR_SYS_COUNT");
    fault_init();
    is_int(file_pread(fd, entries, sizeof(entries), 0, &err), 0, "counts");
    for (unsigned i = 0; i < SYS_COUNTS_MAX; i++) {
        if (strcmp(entries[i].name, "pwritev@worker") == 0)
            writes += entries[i].calls;
        if (strcmp(entries[i].name, "open@merge") == 0)
            merge += entries[i].calls;
    }
    is_int(writes, 6, "writes of workers");
    is_int(merge, 1, "a file that merge opened");
    close(fd);
}

static void
test_clock(void)
{
    struct timespec now;
    int64_t before, pace, wall;
    struct err err = ERR_INIT;
    struct stat st;
    char text[64];

    clock_gettime(CLOCK_REALTIME, &now);
    setenv("SPOOR_CLOCK", "-3d", 1);
    fault_init();
    before = clock_wall_ns() / NS_PER_SEC;
    ok(before - (now.tv_sec - 3 * 86400) <= 1, "three days ago");
    is_int(child_writes("old", "worker"), 0, "a file");
    is_int(stat(path_of("old"), &st), 0, "which is there");
    ok(st.st_mtime - before <= 1 && st.st_mtime >= before,
        "and has this time");

    snprintf(text, sizeof(text), "+1h*1000@%lld",
        (long long)now.tv_sec - 1000);
    setenv("SPOOR_CLOCK", text, 1);
    fault_init();
    wall = clock_wall_ns() / NS_PER_SEC - now.tv_sec - 3600;
    ok(wall >= 999 * 1000 && wall < 1100 * 1000, "fast, since a while");
    pace = clock_pace_ns();
    before = clock_mono_ns();
    usleep(2000);
    ok(clock_pace_ns() - pace >= 1900 * NS_PER_MS, "its pace is fast");
    ok(clock_mono_ns() - before < 1900 * NS_PER_MS, "timeouts are not");
    is_int(clock_pace_wait_ns(NS_PER_SEC), NS_PER_MS, "short to wait");

    unsetenv("SPOOR_CLOCK");
    setenv("SPOOR_CLOCK_FILE", path_of("clock"), 1);
    fault_init();
    wall = clock_wall_ns();
    is_int(file_replace(path_of("clock"), "+40d\n", 5, 0600, &err), 0, "set");
    usleep(15000);
    ok(clock_wall_ns() - wall > 39 * NS_PER_DAY, "40 days later");
    unlink(path_of("clock"));
    usleep(15000);
    ok(clock_wall_ns() - wall < NS_PER_DAY, "and back");
    unsetenv("SPOOR_CLOCK_FILE");
    fault_init();
    is_int(clock_pace_wait_ns(5), 5, "real time again");
}

static void
test_seed(void)
{
    uint64_t a[2], b[2];

    setenv("SPOOR_SEED", "7", 1);
    fault_init();
    is_int(sys.random(a, sizeof(a)), 0, "random bytes");
    fault_init();
    is_int(sys.random(b, sizeof(b)), 0, "again");
    ok(memcmp(a, b, sizeof(a)) == 0, "the same");
    ok(a[0] != a[1], "but not each word");
    fault_init();
    fault_set_role("merge");
    is_int(sys.random(b, sizeof(b)), 0, "another role");
    ok(memcmp(a, b, sizeof(a)) != 0, "has others");
    unsetenv("SPOOR_SEED");
    fault_set_role("master");
    fault_init();
    is_int(sys.random(b, sizeof(b)), 0, "no seed");
    ok(memcmp(a, b, sizeof(a)) != 0, "no replay");
}

static void
test_wrong(const char *name, const char *value)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(9);
        setenv(name, value, 1);
        fault_init();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%s=%s", name, value);
}

int
main(void)
{
    char command[64];

    if (mkdtemp(dir) == NULL)
        bail_out("mkdtemp");
    disarm();
    test_faults();
    test_read_short();
    test_counts();
    test_clock();
    test_seed();
    test_wrong("SPOOR_CLOCK", "");
    test_wrong("SPOOR_CLOCK", "tomorrow");
    test_wrong("SPOOR_CLOCK", "+1h*x");
    test_wrong("SPOOR_CLOCK", "+1h*1000000");
    test_wrong("SPOOR_CLOCK", "+1h@x");
    test_wrong("SPOOR_SEED", "x");
    test_wrong("SPOOR_FAULT", "sys.open:kill:3-2");
    test_wrong("SPOOR_FAULT", "sys.open:kill:-2");
    test_wrong("SPOOR_FAULT", "sys.open@aaaaaaaaaaaaaaaaaaaaaaa:kill");
    test_wrong("SPOOR_SYS_COUNT", "/nonexistent/file");
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    is_int(system(command), 0, "files are removed");
    return tap_done();
}
