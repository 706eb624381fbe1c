/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files.  All storage I/O goes through here, so that one place knows about
 * EINTR, short writes, descriptors and injected faults.  Every function sets
 * err with the path in it.  Fault points (core/fault.h): file.open,
 * file.pread, file.pwrite, file.datasync, file.syncdir, file.rename,
 * file.unlink, file.mkdirs, file.allocate, file.list, file.free (ENOSPC: as
 * if nothing were free).
 */

#ifndef SPOOR_CORE_FILE_H
#define SPOOR_CORE_FILE_H

#include <sys/uio.h>

#include "core/base.h"
#include "core/err.h"
#include "core/sb.h"

/* flags of open(2); O_CLOEXEC is added.  Returns the descriptor or -1. */
int file_open(const char *path, int flags, mode_t mode, struct err *err)
    WARN_UNUSED;
void file_close(int fd); /* accepts -1 */

/* All bytes or an error. */
int file_pwrite(int fd, const void *ptr, size_t len, uint64_t offset,
    struct err *err) WARN_UNUSED;
/* All bytes; iov is changed. */
int file_pwritev(int fd, struct iovec *iov, int count, uint64_t offset,
    struct err *err) WARN_UNUSED;
/* Bytes that file_pread() has read on this thread. */
uint64_t file_thread_bytes(void);
/* Exactly len bytes; the end of the file before that is ERR_CORRUPT. */
int file_pread(int fd, void *ptr, size_t len, uint64_t offset,
    struct err *err) WARN_UNUSED;

/* What the kernel has cached of a file is read from the disk again. */
void file_forget(const char *path);

int file_datasync(int fd, struct err *err) WARN_UNUSED;
/* fsync of a directory: makes a created, renamed or removed name durable. */
int file_sync_dir(const char *path, struct err *err) WARN_UNUSED;
int file_rename(const char *from, const char *to, struct err *err) WARN_UNUSED;
/* A missing file is not an error. */
int file_unlink(const char *path, struct err *err) WARN_UNUSED;
/* Makes path and its parents; existing ones are fine. */
int file_mkdirs(const char *path, mode_t mode, struct err *err) WARN_UNUSED;
int file_size(int fd, uint64_t *bytes, struct err *err) WARN_UNUSED;
int file_allocate(int fd, uint64_t offset, uint64_t len, struct err *err)
    WARN_UNUSED;

/* The whole file appended to out; ERR_LIMIT beyond out's maximum. */
int file_read_all(const char *path, struct sb *out, struct err *err)
    WARN_UNUSED;
/*
 * Replaces path durably: temporary file (path and ".tmp", so one writer at a
 * time), fdatasync, rename, directory fsync.
 */
int file_replace(const char *path, const void *ptr, size_t len, mode_t mode,
    struct err *err) WARN_UNUSED;

/* Calls fn for each name in the directory but "." and ".."; fn != 0 stops. */
typedef int (*file_name_fn)(const char *name, void *arg);
int file_list(const char *path, file_name_fn fn, void *arg, struct err *err)
    WARN_UNUSED;

/* Size of the file system of path. */
int file_total_bytes(const char *path, uint64_t *bytes, struct err *err)
    WARN_UNUSED;
/* Free bytes for unprivileged users on the file system of path. */
int file_free_bytes(const char *path, uint64_t *bytes, struct err *err)
    WARN_UNUSED;

#endif
