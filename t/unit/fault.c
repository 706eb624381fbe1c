/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/fault.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/timefmt.h"
#include "tap.h"

static void
arm(const char *list)
{
    setenv("SPOOR_FAULT", list, 1);
    fault_init();
}

static void
test_errno(void)
{
    is_int(fault("a.b"), 0, "nothing is armed");
    arm("a.b:EIO,c:ENOSPC:3, d:EINTR:2,d:EAGAIN:3");
    is_int(fault("a.b"), EIO, "from the first visit");
    is_int(fault("a.b"), EIO, "and on");
    is_int(fault("x"), 0, "another point");
    is_int(fault("c"), 0, "first visit of c");
    is_int(fault("c"), 0, "second");
    is_int(fault("c"), ENOSPC, "third");
    is_int(fault("d"), 0, "first visit of d");
    is_int(fault("d"), EINTR, "second");
    is_int(fault("d"), EINTR, "third: the first rule wins");
}

/* What happens to a child that visits the point three times. */
static int
child_ends(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        for (unsigned i = 0; i < 3; i++)
            (void)fault("p");
        _exit(0);
    }
    waitpid(pid, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGCONT);
        waitpid(pid, &status, 0);
        return 1000 + status;
    }
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void
test_processes(void)
{
    int64_t before;

    arm("p:kill:5");
    is_int(child_ends(), 0, "three visits");
    is_int(child_ends(), SIGKILL, "five visits over two processes");
    is_int(child_ends(), 0, "only the fifth kills");
    arm("p:stop:2");
    is_int(child_ends(), 1000, "stopped, then continued");
    arm("p:sleep=30");
    before = clock_mono_ns();
    is_int(fault("p"), 0, "sleeping is no error");
    ok(clock_mono_ns() - before >= 30 * NS_PER_MS, "but takes its time");
}

static void
write_rules(const char *path, const char *rules)
{
    char temporary[64];
    FILE *file;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    file = fopen(temporary, "w");
    if (file == NULL)
        bail_out("fopen");
    fputs(rules, file);
    fclose(file);
    rename(temporary, path);
    usleep(15000);
}

static void
test_file(void)
{
    char path[] = "/tmp/spoor-fault-XXXXXX";

    close(mkstemp(path));
    unsetenv("SPOOR_FAULT");
    setenv("SPOOR_FAULT_FILE", path, 1);
    fault_init();
    is_int(fault("p"), 0, "an empty file");
    write_rules(path, "p:EIO:2\n");
    is_int(fault("p"), 0, "armed while running");
    is_int(fault("p"), EIO, "second visit");
    write_rules(path, "p:EIO:2\n");
    is_int(fault("p"), 0, "a new file counts anew");
    is_int(fault("p"), EIO, "second visit");
    unlink(path);
    usleep(15000);
    is_int(fault("p"), 0, "no file arms nothing");
    write_rules(path, "p:ENOSPC");
    is_int(fault("p"), ENOSPC, "it comes back");
    unlink(path);
    unsetenv("SPOOR_FAULT_FILE");
    fault_init();
    is_int(fault("p"), 0, "nothing is armed");
}

static void
test_wrong_rules(void)
{
    static const char *const wrong[] = {
        "p", "p:", ":kill", "p:EWHAT", "p:kill:0", "p:kill:x", "p:sleep=",
        "p:sleep=x",
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            if (freopen("/dev/null", "w", stderr) != NULL)
                arm(wrong[i]);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        ok(WIFEXITED(status) && WEXITSTATUS(status) == 2, "\"%s\"", wrong[i]);
    }
}

int
main(void)
{
    unsetenv("SPOOR_FAULT");
    unsetenv("SPOOR_FAULT_FILE");
    fault_init();
    test_errno();
    test_processes();
    test_file();
    test_wrong_rules();
    return tap_done();
}
