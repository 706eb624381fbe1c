/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/shm.h"

#include <sys/wait.h>

#include "tap.h"

#define BYTES (4 * MIB)

int
main(void)
{
    struct err err = ERR_INIT;
    void *other = NULL;
    char *ptr = NULL;
    int status;
    pid_t pid;

    is_int(shm_new((void **)&ptr, "test", BYTES, &err), 0, "made %s",
        err.text);
    is_int(shm_new(&other, "other", 100, &err), 0, "another %s", err.text);
    is_int((uintptr_t)ptr % 4096, 0, "on a page boundary");
    ok(ptr[0] == 0 && ptr[BYTES - 1] == 0, "zeroed");
    is_int(shm_reserve(ptr, BYTES, &err), 0, "reserved %s", err.text);
    is_int(shm_reserve(ptr + MIB, MIB, &err), 0, "part of it again");
    is_int(shm_reserve(ptr, 0, &err), 0, "nothing of it");
    pid = fork();
    if (pid == 0) {
        memcpy(ptr + 2 * MIB, "child", 6);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    is_str(ptr + 2 * MIB, "child", "what a child writes is seen");
    memset(ptr, 'x', BYTES);
    shm_release(ptr + MIB, MIB);
    ok(ptr[MIB - 1] == 'x' && ptr[MIB] == 0 && ptr[2 * MIB - 1] == 0
        && ptr[2 * MIB] == 'x', "released pages read as zeros");
    ptr[MIB] = 'y';
    is_int(ptr[MIB], 'y', "and can be written again");
    shm_release(ptr, BYTES);
    is_int(ptr[BYTES - 1], 0, "all released");
    shm_free(ptr, BYTES);
    is_int(shm_reserve(other, 100, &err), 0, "the other one is still known");
    shm_free(other, 100);

    is_int(shm_new(&other, "huge", SIZE_MAX / 2 - 4095, &err), -1,
        "too large: %s", err.text);
    ok(other == NULL, "gives nothing");
    return tap_done();
}
