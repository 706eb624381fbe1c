/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A disk that forgets: the calls of a server are done on a real directory
 * and noted, in order and over all its processes; then the states that a
 * power loss after any of them may leave are made in another directory.
 *
 * What is certain at a state: a write that fdatasync() of its file followed;
 * a name that fsync() of its directory followed.  Anything younger may have
 * reached the disk, or not, or in part:
 *   DISK_ALL     all of it (as after kill -9)
 *   DISK_NONE    none of it
 *   DISK_ORDERED names up to one of them, as a journal keeps them; bytes in
 *                any choice, torn at sectors
 *   DISK_ANY     names, too, in any choice
 * A lost write leaves zeros when a later one made the file longer.
 *
 * This forgets more than ext4 or xfs do: with them, a sync of a new file
 * also keeps its name.
 */

#ifndef SPOOR_T_FAULT_DISK_H
#define SPOOR_T_FAULT_DISK_H

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/mem.h"
#include "core/sys.h"
#include "fault_world.h"

#define DISK_LOG_BYTES (512 * MIB)
#define DISK_OPS_MAX 100000u
#define DISK_NAME_MAX 96u
#define DISK_SECTOR 512u
#define DISK_NAMES_MAX 4096u

enum disk_state { DISK_ALL, DISK_NONE, DISK_ORDERED, DISK_ANY };

enum disk_op_type {
    OP_CREATE, OP_WRITE, OP_SIZE, OP_RENAME, OP_LINK, OP_UNLINK, OP_MKDIR,
    OP_RMDIR, OP_SYNC, OP_SYNC_DIR,
};

struct disk_op {
    enum disk_op_type type;
    uint64_t ino;
    uint64_t offset, len; /* OP_SIZE: len is the size */
    char name[DISK_NAME_MAX], to[DISK_NAME_MAX]; /* below the root */
    size_t data; /* in the log's bytes */
};

/* Shared by the processes of a life. */
struct disk_log {
    pthread_mutex_t mutex;
    uint32_t nops;
    size_t nbytes;
    struct disk_op ops[DISK_OPS_MAX];
    char bytes[DISK_LOG_BYTES];
};

static struct disk_log *disk;
static char disk_root[128];
static size_t disk_root_len;

/* --- noting --- */

static inline const char *
disk_name(const char *path)
{
    if (strncmp(path, disk_root, disk_root_len) != 0 ||
        (path[disk_root_len] != '/' && path[disk_root_len] != '\0'))
        return NULL;
    return path + disk_root_len + (path[disk_root_len] == '/');
}

static inline struct disk_op *
disk_note(enum disk_op_type type, const char *name)
{
    struct disk_op *op = &disk->ops[disk->nops];

    check(disk->nops < DISK_OPS_MAX);
    memset(op, 0, sizeof(*op));
    op->type = type;
    if (name != NULL) {
        check(strlen(name) < sizeof(op->name));
        memcpy(op->name, name, strlen(name) + 1);
    }
    return op;
}

static inline uint64_t
disk_ino(int fd)
{
    struct stat st;

    check(fstat(fd, &st) == 0);
    return st.st_ino;
}

static inline void
disk_lock(void)
{
    pthread_mutex_lock(&disk->mutex);
}

static inline void
disk_unlock(void)
{
    int saved = errno;

    pthread_mutex_unlock(&disk->mutex);
    errno = saved;
}

static inline int
disk_open(const char *path, int flags, mode_t mode)
{
    const char *name = disk_name(path);
    bool was_there;
    int fd;

    if (name == NULL || (flags & (O_CREAT | O_TRUNC)) == 0)
        return sys_kernel.open(path, flags, mode);
    disk_lock();
    was_there = access(path, F_OK) == 0;
    fd = sys_kernel.open(path, flags, mode);
    if (fd >= 0 && !was_there) {
        disk_note(OP_CREATE, name)->ino = disk_ino(fd);
        disk->nops++;
    } else if (fd >= 0 && (flags & O_TRUNC) != 0) {
        disk_note(OP_SIZE, NULL)->ino = disk_ino(fd);
        disk->nops++;
    }
    disk_unlock();
    return fd;
}

static inline ssize_t
disk_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct disk_op *op;
    ssize_t n, left;

    disk_lock();
    n = sys_kernel.pwritev(fd, iov, count, offset);
    left = n;
    if (n > 0) {
        op = disk_note(OP_WRITE, NULL);
        op->ino = disk_ino(fd);
        op->offset = (uint64_t)offset;
        op->len = (uint64_t)n;
        op->data = disk->nbytes;
        check(disk->nbytes + (size_t)n <= DISK_LOG_BYTES);
        for (int i = 0; i < count && left > 0; i++) {
            size_t take = MIN(iov[i].iov_len, (size_t)left);

            memcpy(disk->bytes + disk->nbytes, iov[i].iov_base, take);
            disk->nbytes += take;
            left -= (ssize_t)take;
        }
        disk->nops++;
    }
    disk_unlock();
    return n;
}

static inline int
disk_fdatasync(int fd)
{
    disk_lock();
    disk_note(OP_SYNC, NULL)->ino = disk_ino(fd);
    disk->nops++;
    disk_unlock();
    return 0;
}

static inline int
disk_fsync(int fd)
{
    char path[PATH_MAX], link[40];
    const char *name;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    check(n > 0);
    path[n] = '\0';
    name = disk_name(path);
    if (name == NULL)
        return 0;
    disk_lock();
    disk_note(OP_SYNC_DIR, name);
    disk->nops++;
    disk_unlock();
    return 0;
}

static inline int
disk_two(enum disk_op_type type, const char *from, const char *to,
    int (*call)(const char *, const char *))
{
    struct disk_op *op;
    int rc;

    disk_lock();
    rc = call(from, to);
    if (rc == 0 && disk_name(from) != NULL) {
        op = disk_note(type, disk_name(from));
        check(disk_name(to) != NULL && strlen(disk_name(to)) <
            sizeof(op->to));
        memcpy(op->to, disk_name(to), strlen(disk_name(to)) + 1);
        disk->nops++;
    }
    disk_unlock();
    return rc;
}

static inline int
disk_rename(const char *from, const char *to)
{
    return disk_two(OP_RENAME, from, to, sys_kernel.rename);
}

static inline int
disk_link(const char *from, const char *to)
{
    return disk_two(OP_LINK, from, to, sys_kernel.link);
}

static inline int
disk_one(enum disk_op_type type, const char *path, int rc)
{
    if (rc == 0 && disk_name(path) != NULL) {
        disk_note(type, disk_name(path));
        disk->nops++;
    }
    disk_unlock();
    return rc;
}

static inline int
disk_unlink(const char *path)
{
    disk_lock();
    return disk_one(OP_UNLINK, path, sys_kernel.unlink(path));
}

static inline int
disk_mkdir(const char *path, mode_t mode)
{
    disk_lock();
    return disk_one(OP_MKDIR, path, sys_kernel.mkdir(path, mode));
}

static inline int
disk_rmdir(const char *path)
{
    disk_lock();
    return disk_one(OP_RMDIR, path, sys_kernel.rmdir(path));
}

static inline int
disk_size_set(int fd, int rc)
{
    struct stat st;

    if (rc == 0 && fstat(fd, &st) == 0) {
        struct disk_op *op = disk_note(OP_SIZE, NULL);

        op->ino = st.st_ino;
        op->len = (uint64_t)st.st_size;
        disk->nops++;
    }
    disk_unlock();
    return rc;
}

static inline int
disk_ftruncate(int fd, off_t bytes)
{
    disk_lock();
    return disk_size_set(fd, sys_kernel.ftruncate(fd, bytes));
}

static inline int
disk_fallocate(int fd, int mode, off_t offset, off_t len)
{
    disk_lock();
    return disk_size_set(fd, sys_kernel.fallocate(fd, mode, offset, len));
}

/* What happened before an answer has a lower number. */
static inline uint64_t
disk_position(void)
{
    uint64_t position;

    disk_lock();
    position = disk->nops;
    disk_unlock();
    return position;
}

static inline void
disk_make(void)
{
    pthread_mutexattr_t attributes;

    disk = world_shared(sizeof(*disk));
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&disk->mutex, &attributes);
}

/* From here on, in this process and its children. */
static inline void
disk_begin(const char *root)
{
    snprintf(disk_root, sizeof(disk_root), "%s", root);
    disk_root_len = strlen(disk_root);
    world_position = disk_position;
    sys.open = disk_open;
    sys.pwritev = disk_pwritev;
    sys.fdatasync = disk_fdatasync;
    sys.fsync = disk_fsync;
    sys.rename = disk_rename;
    sys.link = disk_link;
    sys.unlink = disk_unlink;
    sys.mkdir = disk_mkdir;
    sys.rmdir = disk_rmdir;
    sys.ftruncate = disk_ftruncate;
    sys.fallocate = disk_fallocate;
}

/* --- states --- */

struct disk_file {
    char name[DISK_NAME_MAX]; /* "": no name any more */
    uint64_t ino;             /* 0: a directory */
};

struct disk_image {
    struct disk_file names[DISK_NAMES_MAX];
    uint32_t n;
    uint64_t seed;
};

static inline uint32_t
disk_dice(struct disk_image *image)
{
    image->seed = image->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(image->seed >> 33);
}

static inline bool
is_in_dir(const char *name, const char *dir)
{
    const char *slash = strrchr(name, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - name);

    return strlen(dir) == len && strncmp(name, dir, len) == 0;
}

/* Whether a sync between the operation and the loss made it certain. */
static inline bool
is_certain(uint32_t op_index, uint32_t end)
{
    const struct disk_op *op = &disk->ops[op_index];
    bool is_bytes = op->type == OP_WRITE || op->type == OP_SIZE;
    const char *name = op->to[0] != '\0' ? op->to : op->name;

    for (uint32_t i = op_index + 1; i < end; i++) {
        const struct disk_op *sync = &disk->ops[i];

        if (is_bytes ? sync->type == OP_SYNC && sync->ino == op->ino
            : sync->type == OP_SYNC_DIR && is_in_dir(name, sync->name))
            return true;
    }
    return false;
}

static inline struct disk_file *
image_find(struct disk_image *image, const char *name)
{
    for (uint32_t i = 0; i < image->n; i++) {
        if (strcmp(image->names[i].name, name) == 0)
            return &image->names[i];
    }
    return NULL;
}

static inline void
image_add(struct disk_image *image, const char *name, uint64_t ino)
{
    struct disk_file *file = image_find(image, name);

    if (file == NULL) {
        check(image->n < DISK_NAMES_MAX);
        file = &image->names[image->n++];
        memcpy(file->name, name, strlen(name) + 1);
    }
    file->ino = ino;
}

static inline void
image_remove(struct disk_image *image, const char *name)
{
    struct disk_file *file = image_find(image, name);

    if (file != NULL)
        *file = image->names[--image->n];
}

/* The file a name stood for just then, whether or not that is certain. */
static inline uint64_t
ino_then(const char *name, uint32_t end)
{
    for (uint32_t i = end; i-- > 0;) {
        const struct disk_op *op = &disk->ops[i];

        if (op->type == OP_CREATE && strcmp(op->name, name) == 0)
            return op->ino;
        if ((op->type == OP_RENAME || op->type == OP_LINK) &&
            strcmp(op->to, name) == 0)
            return ino_then(op->name, i);
    }
    return 0;
}

/* A directory takes what is in it along. */
static inline void
image_rename(struct disk_image *image, const struct disk_op *op,
    uint32_t index)
{
    uint64_t ino = ino_then(op->name, index);
    size_t len = strlen(op->name);

    if (ino != 0) {
        image_remove(image, op->name);
        image_add(image, op->to, ino);
        return;
    }
    for (uint32_t i = 0; i < image->n; i++) {
        char *name = image->names[i].name, moved[2 * DISK_NAME_MAX];

        if (strncmp(name, op->name, len) != 0 ||
            (name[len] != '/' && name[len] != '\0'))
            continue;
        snprintf(moved, sizeof(moved), "%s%s", op->to, name + len);
        check(strlen(moved) < DISK_NAME_MAX);
        memcpy(name, moved, strlen(moved) + 1);
    }
}

static inline void
image_apply_name(struct disk_image *image, uint32_t index)
{
    const struct disk_op *op = &disk->ops[index];

    switch (op->type) {
    case OP_CREATE:
        image_add(image, op->name, op->ino);
        break;
    case OP_MKDIR:
        image_add(image, op->name, 0);
        break;
    case OP_UNLINK:
    case OP_RMDIR:
        image_remove(image, op->name);
        break;
    case OP_RENAME:
        image_rename(image, op, index);
        break;
    case OP_LINK:
        image_add(image, op->to, ino_then(op->name, index));
        break;
    default:
        break;
    }
}

static inline void
image_names(struct disk_image *image, uint32_t end, enum disk_state state)
{
    uint32_t cut = end;

    image->n = 0;
    if (state == DISK_ORDERED)
        cut = disk_dice(image) % (end + 1);
    for (uint32_t i = 0; i < end; i++) {
        enum disk_op_type type = disk->ops[i].type;

        if (type == OP_WRITE || type == OP_SIZE || type == OP_SYNC ||
            type == OP_SYNC_DIR)
            continue;
        if (state == DISK_ALL || is_certain(i, end) ||
            (state == DISK_ORDERED && i < cut) ||
            (state == DISK_ANY && disk_dice(image) % 2 == 0))
            image_apply_name(image, i);
    }
}

static inline void
write_torn(struct disk_image *image, int fd, const struct disk_op *op)
{
    uint64_t at = 0;

    while (at < op->len) {
        uint64_t step = DISK_SECTOR - (op->offset + at) % DISK_SECTOR;

        step = MIN(step, op->len - at);
        if (disk_dice(image) % 2 == 0)
            check(pwrite(fd, disk->bytes + op->data + at, step,
                (off_t)(op->offset + at)) == (ssize_t)step);
        at += step;
    }
}

static inline void
file_write(struct disk_image *image, const char *path, uint64_t ino,
    uint32_t end, enum disk_state state)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t size = 0;

    check(fd >= 0);
    for (uint32_t i = 0; i < end; i++) {
        const struct disk_op *op = &disk->ops[i];
        uint32_t dice;

        if (op->ino != ino || (op->type != OP_WRITE && op->type != OP_SIZE))
            continue;
        dice = state == DISK_ALL || is_certain(i, end) ? 0
            : state == DISK_NONE ? 1 : disk_dice(image) % 4;
        if (dice == 1)
            continue; /* lost */
        if (op->type == OP_SIZE) {
            size = op->len;
            check(ftruncate(fd, (off_t)size) == 0);
            continue;
        }
        size = MAX(size, op->offset + op->len);
        if (dice == 2)
            continue; /* the size alone */
        if (dice == 3)
            write_torn(image, fd, op);
        else
            check(pwrite(fd, disk->bytes + op->data, op->len,
                (off_t)op->offset) == (ssize_t)op->len);
    }
    check(ftruncate(fd, (off_t)size) == 0);
    close(fd);
}

static inline int
name_cmp(const void *left, const void *right)
{
    return strcmp(((const struct disk_file *)left)->name,
        ((const struct disk_file *)right)->name);
}

/* Makes dir, which is not there yet, as the loss leaves it. */
static inline void
disk_make_state(const char *dir, uint32_t end, enum disk_state state,
    uint64_t seed)
{
    static struct disk_image image;
    char path[PATH_MAX];

    image.seed = seed;
    image_names(&image, end, state);
    qsort(image.names, image.n, sizeof(image.names[0]), name_cmp);
    check(mkdir(dir, 0700) == 0 || errno == EEXIST);
    for (uint32_t i = 0; i < image.n; i++) {
        const struct disk_file *file = &image.names[i];

        snprintf(path, sizeof(path), "%s/%s", dir, file->name);
        /* A directory that was lost takes all in it along. */
        if (file->ino == 0) {
            if (mkdir(path, 0700) != 0)
                check(errno == ENOENT || errno == EEXIST);
            continue;
        }
        *strrchr(path, '/') = '\0';
        if (access(path, F_OK) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, file->name);
        file_write(&image, path, file->ino, end, state);
    }
}

#endif
