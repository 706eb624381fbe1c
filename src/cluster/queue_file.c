/* SPDX-License-Identifier: BSD-2-Clause */

/* A file of the durable queue on the disk: queue_format.h has the rules. */

#include "core/base.h"
#include "cluster/queue_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sys.h"
#include "core/timefmt.h"

/* What one read fetches; where it fails, pages are tried alone. */
#define READ_STEP (256 * KIB)
#define SUFFIX ".queue"
#define NAME_LEN (16 + 1 + 8 + sizeof(SUFFIX) - 1)

void
queue_path(char dst[PATH_MAX], const char *dir, const struct queue_name *name)
{
    int n = snprintf(dst, PATH_MAX, "%s/%016llx-%08x" SUFFIX, dir,
        (unsigned long long)name->unique, name->number);

    check(n > 0 && n < PATH_MAX);
}

static bool
hex_parse(const char *text, size_t digits, uint64_t *out)
{
    uint8_t bytes[8];

    *out = 0;
    if (!enc_unhex(sv_make(text, digits), bytes, digits / 2))
        return false;
    for (size_t i = 0; i < digits / 2; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

bool
queue_name_parse(const char *text, struct queue_name *name)
{
    uint64_t number;

    if (strlen(text) != NAME_LEN || text[16] != '-' ||
        strcmp(text + 25, SUFFIX) != 0 ||
        strcspn(text, "ABCDEF") != NAME_LEN ||
        !hex_parse(text, 16, &name->unique) ||
        !hex_parse(text + 17, 8, &number))
        return false;
    name->number = (uint32_t)number;
    return true;
}

static struct queue_file *
file_new(const char *dir, const struct queue_name *name, int fd)
{
    struct queue_file *file = xcalloc(1, sizeof(*file));

    file->name = *name;
    file->dir = dir;
    file->fd = fd;
    file->end = QUEUE_PAGE;
    return file;
}

/*
 * Locks it and makes sure that the name is still that of what was locked:
 * another process may have held, emptied and unlinked it since it was opened.
 */
static int
file_lock(int fd, const char *path, struct err *err)
{
    struct stat held, named;

    while (sys.flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            return err_set(err, ERR_BUSY, "%s is another process'", path);
        return err_sys(err, "lock %s", path);
    }
    if (sys.fstat(fd, &held) != 0 || sys.stat(path, &named) != 0)
        return err_sys(err, "%s", path);
    if (held.st_dev != named.st_dev || held.st_ino != named.st_ino)
        return err_set(err, ERR_NOT_FOUND, "%s is gone", path);
    if (!S_ISREG(held.st_mode))
        return err_set(err, ERR_INVALID, "%s is no file", path);
    return 0;
}

/*
 * An adopter that comes before the lock sees an empty file and unlinks it;
 * the lock, or a later step, fails then.
 */
struct queue_file *
queue_file_create(const char *dir, const struct queue_name *name,
    struct err *err)
{
    struct queue_file_header header = {QUEUE_FILE_MAGIC, QUEUE_VERSION,
        name->number, name->unique, clock_wall_ns(), 0};
    struct queue_file *file;
    char path[PATH_MAX];
    int fd;

    header.checksum = XXH3_64bits(&header,
        offsetof(struct queue_file_header, checksum));
    queue_path(path, dir, name);
    fd = file_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);
    if (fd < 0)
        return NULL;
    fault("queue.after_create");
    if (file_lock(fd, path, err) != 0)
        goto failed;
    if (file_pwrite(fd, &header, sizeof(header), 0, err) != 0 ||
        file_datasync(fd, err) != 0 || file_sync_dir(dir, err) != 0) {
        sys.unlink(path); /* it is ours */
        goto failed;
    }
    fault("queue.after_new_file");
    file = file_new(dir, name, fd);
    file->allocated = QUEUE_PAGE;
    return file;
failed:
    file_close(fd);
    return NULL;
}

struct queue_file *
queue_file_hold(const char *dir, const struct queue_name *name,
    struct err *err)
{
    struct queue_file *file;
    char path[PATH_MAX];
    int fd;

    queue_path(path, dir, name);
    fd = file_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, err);
    if (fd < 0)
        return NULL;
    if (file_lock(fd, path, err) != 0) {
        file_close(fd);
        return NULL;
    }
    fault("queue.after_lock");
    file = file_new(dir, name, fd);
    if (file_size(fd, &file->allocated, err) != 0) {
        queue_file_close(file);
        return NULL;
    }
    return file;
}

/* A page that cannot be read is zeros, and damage. */
static void
read_pages(struct queue_file *file, char *dst, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len; done += QUEUE_PAGE) {
        size_t step = MIN(len - done, (size_t)QUEUE_PAGE);

        if (file_pread(file->fd, dst + done, step, offset + done, NULL) != 0)
            memset(dst + done, 0, step);
    }
}

int
queue_file_read(struct queue_file *file, struct sb *out, struct err *err)
{
    struct err read_err = ERR_INIT;
    bool has_failed = false;

    for (uint64_t offset = 0; offset < file->allocated;) {
        size_t step = (size_t)MIN(file->allocated - offset,
            (uint64_t)READ_STEP);
        char *dst = sb_reserve(out, step);

        if (dst == NULL)
            return err_set(err, ERR_LIMIT, "no memory for a file of %llu "
                "bytes", (unsigned long long)file->allocated);
        if (file_pread(file->fd, dst, step, offset, &read_err) != 0) {
            has_failed = true;
            *err = read_err;
            read_pages(file, dst, step, offset);
        }
        sb_advance(out, step);
        offset += step;
    }
    if (has_failed)
        err->code = ERR_CORRUPT;
    return has_failed ? -1 : 0;
}

void
queue_file_close(struct queue_file *file)
{
    if (file == NULL)
        return;
    check(file->items == NULL && file->unnoted == NULL);
    file_close(file->fd);
    xfree(file);
}

int
queue_file_grow(struct queue_file *file, uint64_t bytes, uint64_t step,
    struct err *err)
{
    struct err step_err = ERR_INIT;

    if (bytes <= file->allocated)
        return 0;
    step = MAX(ALIGN_UP(bytes - file->allocated, QUEUE_PAGE), step);
    if (file_allocate(file->fd, file->allocated, step, &step_err) == 0) {
        file->allocated += step;
        return 0;
    }
    /* Space ahead is an optimisation; only a full disk is an error here. */
    step = ALIGN_UP(bytes - file->allocated, QUEUE_PAGE);
    if (step_err.code == ERR_NO_SPACE && file_allocate(file->fd,
        file->allocated, step, &step_err) != 0 &&
        step_err.code == ERR_NO_SPACE) {
        if (err != NULL)
            *err = step_err;
        return -1;
    }
    file->allocated += step;
    return 0;
}

int
queue_file_write(struct queue_file *file, struct sv bytes, struct err *err)
{
    if (file_pwrite(file->fd, bytes.ptr, bytes.len, file->end, err) != 0)
        return -1;
    fault("queue.after_write");
    file->end += bytes.len;
    file->allocated = MAX(file->allocated, file->end);
    file->is_dirty = true;
    return 0;
}

int
queue_file_sync(struct queue_file *file, struct err *err)
{
    if (file_datasync(file->fd, err) != 0) {
        /* What could not be written is not tried again by the kernel. */
        file->end = ALIGN_UP(file->end, QUEUE_PAGE);
        return -1;
    }
    fault("queue.after_sync");
    file->is_dirty = false;
    file->end = ALIGN_UP(file->end, QUEUE_PAGE);
    return 0;
}

void
queue_file_cut(struct queue_file *file, uint64_t end)
{
    file->end = end;
    if (sys.ftruncate(file->fd, (off_t)end) == 0)
        file->allocated = end;
}

int
queue_file_remove(struct queue_file *file, struct err *err)
{
    char path[PATH_MAX], aside[PATH_MAX + 16];

    queue_path(path, file->dir, &file->name);
    fault("queue.before_unlink");
    if (file->is_damaged) {
        snprintf(aside, sizeof(aside), "%s.damaged", path);
        return file_rename(path, aside, err);
    }
    return file_unlink(path, err);
}
