/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/fault.h"
#include "core/mem.h"
#include "tap.h"

static char dir[PATH_MAX - 100];

static const char *
in_dir(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return path;
}

static void
test_read_write(void)
{
    struct err err = ERR_INIT;
    struct iovec iov[1500];
    char letters[1500], back[1500];
    uint64_t bytes = 0;
    int fd = file_open(in_dir("a"), O_RDWR | O_CREAT, 0600, &err);

    ok(fd >= 0, "created %s", err.text);
    ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "closed on exec");
    is_int(file_pwrite(fd, "hello", 5, 3, &err), 0, "pwrite");
    is_int(file_size(fd, &bytes, &err), 0, "size");
    is_int(bytes, 8, "with a hole");
    is_int(file_pread(fd, back, 5, 3, &err), 0, "pread");
    is_mem(back, 5, "hello", 5, "the same");
    is_int(file_pread(fd, back, 6, 3, &err), -1, "beyond the end");
    is_int(err.code, ERR_CORRUPT, "is damage");
    ok(strstr(err.text, in_dir("a")) != NULL, "with the path: %s", err.text);
    is_int(file_pread(fd, back, 0, 99, &err), 0, "no bytes anywhere");

    /* More vectors than one system call takes, some of them empty. */
    for (unsigned i = 0; i < 1500; i++) {
        letters[i] = (char)('a' + i % 26);
        iov[i].iov_base = &letters[i];
        iov[i].iov_len = 1;
    }
    iov[0].iov_len = 0;
    iov[1499].iov_len = 0;
    is_int(file_pwritev(fd, iov, 1500, 0, &err), 0, "1500 vectors");
    is_int(file_pread(fd, back, 1498, 0, &err), 0, "read back");
    is_mem(back, 1498, letters + 1, 1498, "the same");
    is_int(file_datasync(fd, &err), 0, "datasync");
    is_int(file_allocate(fd, 0, 100000, &err), 0, "allocate");
    is_int(file_size(fd, &bytes, &err), 0, "size");
    is_int(bytes, 100000, "grew");
    file_close(fd);
    file_close(-1);
    is_int(file_open(in_dir("none"), O_RDONLY, 0, &err), -1, "no such file");
    is_int(err.code, ERR_NOT_FOUND, "is not found");
    is_int(file_pwrite(-1, "x", 1, 0, &err), -1, "no descriptor");
}

static void
test_whole_files(void)
{
    struct err err = ERR_INIT;
    struct stat st;
    struct sb sb;

    sb_init(&sb, 10);
    is_int(file_replace(in_dir("r"), "0123456789", 10, 0640, &err), 0,
        "replace makes a file %s", err.text);
    is_int(file_read_all(in_dir("r"), &sb, &err), 0, "read all of it");
    is_sv(sb_sv(&sb), "0123456789", "the same");
    is_int(stat(in_dir("r"), &st), 0, "stat");
    is_int(st.st_mode & 0777, 0640, "its mode");
    is_int(file_replace(in_dir("r"), "new", 3, 0640, &err), 0, "replace");
    sb_reset(&sb);
    is_int(file_read_all(in_dir("r"), &sb, &err), 0, "read it");
    is_sv(sb_sv(&sb), "new", "the new content");
    is_int(file_read_all(in_dir("r"), &sb, &err), 0, "read it again");
    is_sv(sb_sv(&sb), "newnew", "it is appended");
    is_int(access(in_dir("r.tmp"), F_OK), -1, "no temporary file stays");

    is_int(file_replace(in_dir("r"), "0123456789a", 11, 0640, &err), 0,
        "eleven bytes");
    sb_reset(&sb);
    is_int(file_read_all(in_dir("r"), &sb, &err), -1, "are too many");
    is_int(err.code, ERR_LIMIT, "for this builder");
    sb_release(&sb);
    sb_init(&sb, MIB);
    is_int(file_read_all("/proc/self/status", &sb, &err), 0,
        "a file without a size");
    ok(sb.len > 100, "has content");
    is_int(file_read_all(dir, &sb, &err), -1, "a directory has none");
    sb_release(&sb);
}

static int
count_names(const char *name, void *arg)
{
    (void)name;
    return ++*(int *)arg == 3;
}

static void
test_names(void)
{
    struct err err = ERR_INIT;
    uint64_t bytes = 0;
    int n = 0;

    is_int(file_mkdirs(in_dir("x/y//z/"), 0700, &err), 0, "mkdirs %s",
        err.text);
    is_int(file_mkdirs(in_dir("x/y//z/"), 0700, &err), 0, "once more");
    is_int(file_mkdirs(in_dir("a/b"), 0700, &err), -1, "below a file");
    is_int(file_mkdirs(in_dir("a"), 0700, &err), -1, "in place of a file");
    is_int(file_mkdirs("", 0700, &err), -1, "without a name");
    is_int(file_mkdirs("/", 0700, &err), 0, "the root is there");
    is_int(file_sync_dir(in_dir("x"), &err), 0, "sync a directory");
    is_int(file_sync_dir(in_dir("no"), &err), -1, "which must exist");
    is_int(file_rename(in_dir("a"), in_dir("x/a"), &err), 0, "rename");
    is_int(file_rename(in_dir("a"), in_dir("b"), &err), -1, "not twice");
    is_int(file_unlink(in_dir("x/a"), &err), 0, "unlink");
    is_int(file_unlink(in_dir("x/a"), &err), 0, "a missing file is fine");
    is_int(file_unlink(in_dir("x"), &err), -1, "a directory is not");
    is_int(file_list(dir, count_names, &n, &err), 0, "list");
    is_int(n, 2, "x and r");
    n = 2;
    is_int(file_list(dir, count_names, &n, &err), 0, "list");
    is_int(n, 3, "stopped by the callback");
    is_int(file_list(in_dir("no"), count_names, &n, &err), -1, "no list");
    is_int(err.code, ERR_NOT_FOUND, "of nothing");
    is_int(file_free_bytes(dir, &bytes, &err), 0, "free space");
    ok(bytes > 0, "there is some");
}

static void
test_faults(void)
{
    struct err err = ERR_INIT;
    struct sb sb;
    uint64_t bytes = 1;
    int fd;

    setenv("SPOOR_FAULT", "file.pwrite:ENOSPC,file.datasync:EIO:2,"
        "file.rename:EROFS:2,file.free:ENOSPC,file.unlink:EBUSY,"
        "file.syncdir:EIO:2,file.allocate:EDQUOT,file.open:EMFILE:3", 1);
    fault_init();
    fd = file_open(in_dir("f"), O_RDWR | O_CREAT, 0600, &err);
    is_int(file_pwrite(fd, "x", 1, 0, &err), -1, "pwrite fails");
    is_int(err.code, ERR_NO_SPACE, "%s", err.text);
    is_int(file_datasync(fd, &err), 0, "the first sync works");
    is_int(file_datasync(fd, &err), -1, "the second does not");
    is_int(err.sys_errno, EIO, "%s", err.text);
    is_int(file_allocate(fd, 0, 10, &err), -1, "allocate fails");
    is_int(file_unlink(in_dir("f"), &err), -1, "unlink fails");
    is_int(file_rename(in_dir("f"), in_dir("g"), &err), 0, "rename works");
    is_int(file_rename(in_dir("g"), in_dir("f"), &err), -1, "once");
    is_int(file_free_bytes(dir, &bytes, &err), 0, "free space");
    is_int(bytes, 0, "is said to be none");
    is_int(file_sync_dir(dir, &err), 0, "the second open works");
    is_int(file_sync_dir(dir, &err), -1, "the second sync does not");
    is_int(file_open(in_dir("g"), O_RDONLY, 0, &err), -1, "nor the third open");
    file_close(fd);

    setenv("SPOOR_FAULT", "file.rename:EIO", 1);
    fault_init();
    sb_init(&sb, 100);
    is_int(file_replace(in_dir("r"), "z", 1, 0640, &err), -1,
        "a replacement that fails");
    is_int(file_read_all(in_dir("r"), &sb, &err), 0, "leaves the old file");
    is_sv(sb_sv(&sb), "0123456789a", "as it was");
    is_int(access(in_dir("r.tmp"), F_OK), -1, "and nothing else");
    sb_release(&sb);
    unsetenv("SPOOR_FAULT");
    fault_init();
}

int
main(void)
{
    const char *tmp = getenv("TMPDIR");
    char command[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s/spoor-file-XXXXXX",
        tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        bail_out("mkdtemp");
    test_read_write();
    test_whole_files();
    test_names();
    test_faults();
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    is_int(system(command), 0, "removed");
    return tap_done();
}
