/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What the server asks of the kernel about files, time and chance, as one
 * table of functions, so that a test can stand between: fail the Nth call of
 * a kind, kill the process there, write half of it, simulate a disk, a clock
 * or a die.  core/ and storage/ make these calls nowhere else
 * (t/00-symbols.t looks at the objects).  The functions are those of their
 * manual pages; file.h has what storage code calls.  The cost is an indirect
 * call.
 *
 * Faults (core/fault.h): the points "sys.KIND", KIND being a member's name:
 *
 *     SPOOR_FAULT=sys.pwritev:kill:17          SIGKILL at the 17th write
 *     SPOOR_FAULT=sys.fdatasync:EIO:3          fails from the third on
 *     SPOOR_FAULT=sys.pwritev:ENOSPC:5-5       only the fifth
 *     SPOOR_FAULT=sys.pwritev:short:5-5        writes half of it (pread, read)
 *     SPOOR_FAULT=sys.pwritev:tear:5           half of it, then SIGKILL
 *     SPOOR_FAULT=sys.rename@merge:crash:1     of the merge process; then no
 *                                              process does anything any more
 *     SPOOR_FAULT=sys.*:kill:100               the 100th call of all kinds
 *
 * SPOOR_SYS_COUNT=FILE, an existing file: the calls that all processes made,
 * written while they are made, as SYS_COUNTS_MAX times { char name[56];
 * uint64_t calls; }, one entry for each "KIND@ROLE" that was seen.
 *
 * Tests may set members of `sys`, before any process is forked.
 */

#ifndef SPOOR_CORE_SYS_H
#define SPOOR_CORE_SYS_H

#include "core/base.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

struct sys {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *ptr, size_t len);
    ssize_t (*pread)(int fd, void *ptr, size_t len, off_t offset);
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int count,
        off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd); /* of directories */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*link)(const char *from, const char *to);
    int (*mkdir)(const char *path, mode_t mode);
    int (*rmdir)(const char *path);
    int (*fallocate)(int fd, int mode, off_t offset, off_t len);
    int (*ftruncate)(int fd, off_t bytes);
    int (*fstat)(int fd, struct stat *st);
    int (*stat)(const char *path, struct stat *st);
    int (*access)(const char *path, int mode);
    ssize_t (*readlink)(const char *path, char *ptr, size_t len);
    DIR *(*opendir)(const char *path);
    struct dirent *(*readdir)(DIR *dir);
    int (*closedir)(DIR *dir);
    int (*statvfs)(const char *path, struct statvfs *st);
    int (*flock)(int fd, int operation);
    /* The whole file from its begin, private and read-only. */
    void *(*mmap)(int fd, size_t len);
    int64_t (*wall_ns)(void); /* core/timefmt.h */
    int64_t (*mono_ns)(void);
    void (*sleep_ns)(int64_t ns);
    int (*random)(void *ptr, size_t len); /* all bytes, or -1 */
};

extern struct sys sys;

/* Entries of a file of SPOOR_SYS_COUNT: kinds times roles. */
#define SYS_COUNTS_MAX 256u
#define SYS_COUNTS_BYTES (SYS_COUNTS_MAX * 64u)

/*
 * Reads the environment: faults, counts, the clock and the seed of tests.
 * Called by fault_init().
 */
void sys_init(void);

/*
 * The clock of tests, never of a server that people use.  SPOOR_CLOCK holds
 *
 *     OFFSET[*SPEED][@BASE]     as in "+0s", "-1d", "+36h*60@1700000000"
 *
 * and wall time is BASE + OFFSET + SPEED times the time since BASE.  BASE is
 * in seconds since 1970; without it, it is the start of the master.  A test
 * that restarts the server with a SPEED gives one, or time would go back.
 * SPOOR_CLOCK_FILE names a file with the same text, read again at most every
 * 10 ms; its default BASE is its time of modification.  Write a new file and
 * rename it; a missing file is real time.  Example, a day in 24 minutes:
 *
 *     SPOOR_CLOCK="+0s*60@$(date +%s)" spoor ...
 *
 * Files that are written get this clock's time.  clock_mono_ns(), timers and
 * timeouts stay real: only clock_pace_ns(), for ages of minutes and more,
 * runs at SPEED.
 */
int64_t sys_clock_wall_ns(void);

/*
 * SPOOR_SEED=NUMBER: random bytes follow from the seed, the process's role
 * and how many were asked for before.  Never where secrets are made: those
 * come from OpenSSL.
 */
int sys_seeded_random(void *ptr, size_t len);

/* Private to sys*.c. */
extern const struct sys sys_kernel;
void sys_clock_init(void);
void sys_seed_init(void);
void sys_fault_init(void);

#endif
