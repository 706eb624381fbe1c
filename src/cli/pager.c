/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sv.h"

/* Short output stays on the screen, colours pass, lines are not wrapped. */
#define LESS_OPTIONS "FRSX"

static bool
has_less(void)
{
    const char *path = getenv("PATH");
    struct sv rest = sv_from(path != NULL ? path : "/usr/bin:/bin"), dir;
    char file[PATH_MAX];

    while (sv_split(&rest, ':', &dir)) {
        snprintf(file, sizeof(file), "%.*s/less", SV_ARG(dir));
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static void
run_pager(const char *command, int fd)
{
    if (dup2(fd, STDIN_FILENO) == -1)
        _exit(126);
    setenv("LESS", LESS_OPTIONS, 0);
    signal(SIGINT, SIG_IGN);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

void
pager_begin(struct pager *pager)
{
    const char *command = getenv("PAGER");
    int fds[2];
    pid_t pid;

    *pager = (struct pager){.out = stdout};
    if (command == NULL)
        command = has_less() ? "less" : "";
    if (command[0] == '\0' || strcmp(command, "cat") == 0 ||
        pipe2(fds, O_CLOEXEC) == -1)
        return;
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        run_pager(command, fds[0]);
    close(fds[0]);
    if (pid == -1) {
        close(fds[1]);
        return;
    }
    pager->out = fdopen(fds[1], "w");
    if (pager->out == NULL) {
        close(fds[1]);
        pager->out = stdout;
    }
    pager->pid = pid;
    /* People leave the pager before the end. */
    signal(SIGPIPE, SIG_IGN);
}

void
pager_end(struct pager *pager)
{
    int status;

    if (pager->pid == 0)
        return;
    if (pager->out != stdout)
        fclose(pager->out);
    while (waitpid(pager->pid, &status, 0) == -1 && errno == EINTR)
        ;
    signal(SIGPIPE, SIG_DFL);
    *pager = (struct pager){.out = stdout};
}
