/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * NODE is text, replaced as a whole, so that a person can read it:
 *
 *     spoor-data 1
 *     node 0123456789abcdef0123456789abcdef
 *     boot 7
 *     created 1790000000000000000
 *     check 0123456789abcdef
 *
 * The last line is XXH3-64 of what is above it.  A file without it is taken
 * as it is: a person, or an earlier version, wrote it.
 */

#include "core/base.h"
#include "storage/layout.h"

#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sb.h"
#include "core/sys.h"
#include "core/timefmt.h"

static char root[PATH_MAX - 128];

void
layout_set(const char *data_path)
{
    check(strlen(data_path) < sizeof(root));
    snprintf(root, sizeof(root), "%s", data_path);
}

const char *
layout_root(void)
{
    return root;
}

void
layout_path(char dst[PATH_MAX], const char *name)
{
    int n = snprintf(dst, PATH_MAX, "%s/%s", root, name);

    check(n > 0 && n < PATH_MAX);
}

void
layout_wal_dir(char dst[PATH_MAX])
{
    layout_path(dst, "wal");
}

void
layout_partition_dir(char dst[PATH_MAX], uint32_t day)
{
    snprintf(dst, PATH_MAX, "%s/partitions/%08u", root, day);
}

void
layout_manifest(char dst[PATH_MAX], uint32_t day)
{
    snprintf(dst, PATH_MAX, "%s/partitions/%08u/MANIFEST", root, day);
}

void
layout_part(char dst[PATH_MAX], uint32_t day, uint64_t part_id,
    uint32_t level)
{
    snprintf(dst, PATH_MAX, "%s/partitions/%08u/%016llx.l%u", root, day,
        (unsigned long long)part_id, level);
}

bool
layout_parse_part(const char *name, uint64_t *part_id, uint32_t *level)
{
    uint8_t id[8];

    if (strlen(name) != 19 || name[16] != '.' || name[17] != 'l' ||
        name[18] < '1' || name[18] > '9' ||
        !enc_unhex(sv_make(name, 16), id, sizeof(id)))
        return false;
    *part_id = __builtin_bswap64(enc_get64(id));
    *level = (uint32_t)(name[18] - '0');
    return true;
}

bool
layout_parse_day(const char *name, uint32_t *day)
{
    uint64_t v;

    if (strlen(name) != 8 || !num_parse_u64(sv_from(name), &v))
        return false;
    *day = (uint32_t)v;
    return v >= 19700101 && v < 22620101 &&
        time_day(time_day_start(*day)) == *day;
}

struct day_list {
    uint32_t *days;
    size_t n, cap;
};

static int IMPL(file_name_fn)
add_day(const char *name, void *arg)
{
    struct day_list *list = arg;
    uint32_t day;

    if (!layout_parse_day(name, &day))
        return 0;
    if (list->n == list->cap) {
        list->cap = list->cap == 0 ? 32 : 2 * list->cap;
        list->days = xrealloc(list->days, list->cap * sizeof(*list->days));
    }
    list->days[list->n++] = day;
    return 0;
}

static int
day_cmp(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

int
layout_days(uint32_t **days, size_t *n, struct err *err)
{
    struct day_list list = {NULL, 0, 0};
    char path[PATH_MAX];

    layout_path(path, "partitions");
    if (file_list(path, add_day, &list, err) != 0) {
        xfree(list.days);
        return -1;
    }
    if (list.n > 1)
        qsort(list.days, list.n, sizeof(*list.days), day_cmp);
    *days = list.days;
    *n = list.n;
    return 0;
}

int
layout_create(struct err *err)
{
    static const char *const names[] = {"", "wal", "partitions",
        "quarantine", ".trash"};
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        layout_path(path, names[i]);
        if (file_mkdirs(path, 0750, err) != 0)
            return -1;
    }
    /* The name of the root itself, where reading its parent is allowed. */
    layout_path(path, "..");
    (void)!file_sync_dir(path, &ignored);
    return file_sync_dir(root, err);
}

int
layout_sync_partitions(struct err *err)
{
    char path[PATH_MAX];

    layout_path(path, "partitions");
    return file_sync_dir(path, err);
}

int
layout_create_partition(uint32_t day, struct err *err)
{
    char path[PATH_MAX];

    layout_partition_dir(path, day);
    if (sys.access(path, F_OK) == 0)
        return 0;
    if (file_mkdirs(path, 0750, err) != 0)
        return -1;
    return layout_sync_partitions(err);
}

/* Where a file goes: a flat name that tells its origin and the time. */
static void
discard_target(char target[PATH_MAX], const char *path, const char *where)
{
    const char *name = path;
    char base[256];
    int n;

    if (strncmp(path, root, strlen(root)) == 0)
        name += strlen(root) + 1;
    snprintf(base, sizeof(base), "%s", name);
    for (char *c = base; *c != '\0'; c++) {
        if (*c == '/')
            *c = '_';
    }
    n = snprintf(target, PATH_MAX, "%s/%s/%s.%lld", root, where, base,
        (long long)clock_wall_ns());
    check(n > 0 && n < PATH_MAX);
}

int
layout_discard(const char *path, const char *where, struct err *err)
{
    char target[PATH_MAX];

    discard_target(target, path, where);
    return file_rename(path, target, err);
}

int
layout_keep_copy(const char *path, const char *where, struct err *err)
{
    char target[PATH_MAX];

    discard_target(target, path, where);
    if (sys.link(path, target) != 0)
        return err_sys(err, "link %s to %s", path, target);
    return 0;
}

static bool
node_line(struct sv *rest, const char *key, struct sv *value)
{
    struct sv line;

    if (!sv_split(rest, '\n', &line) ||
        !sv_starts_with(line, sv_from(key)) ||
        line.len < strlen(key) + 1 || line.ptr[strlen(key)] != ' ')
        return false;
    *value = sv_sub(line, strlen(key) + 1, line.len);
    return true;
}

/*
 * Takes the line with the checksum off.  Before anything else is believed: a
 * flipped bit must not look like a newer format, at which nothing starts.
 */
static bool
node_is_whole(struct sv *text)
{
    char expected[32];
    size_t len;

    len = (size_t)snprintf(expected, sizeof(expected), "check %016llx\n", 0ull);
    if (text->len < len || memcmp(text->ptr + text->len - len, "check ", 6)
        != 0)
        return true;
    text->len -= len;
    snprintf(expected, sizeof(expected), "check %016llx\n",
        (unsigned long long)XXH3_64bits(text->ptr, text->len));
    return memcmp(text->ptr + text->len, expected, len) == 0;
}

int
layout_read_node(struct layout_node *node, struct err *err)
{
    struct err read_err = ERR_INIT;
    char path[PATH_MAX];
    struct sv rest, value;
    struct sb text;
    uint64_t v;
    int rc = -1;

    memset(node, 0, sizeof(*node));
    layout_path(path, "NODE");
    sb_init(&text, 4096);
    if (file_read_all(path, &text, &read_err) != 0) {
        if (read_err.code == ERR_LIMIT)
            read_err.code = ERR_CORRUPT;
        if (err != NULL)
            *err = read_err;
        goto out;
    }
    rest = sb_sv(&text);
    if (!node_is_whole(&rest) || !node_line(&rest, "spoor-data", &value) ||
        !num_parse_u64(value, &v) || v == 0) {
        err_set(err, ERR_CORRUPT, "%s: not the identity of a spoor data "
            "directory", path);
        goto out;
    }
    node->version = (uint32_t)v;
    if (v > LAYOUT_VERSION) {
        err_set(err, ERR_UNSUPPORTED, "%s: the directory has format %llu, "
            "this spoor knows %u: it was written by a newer spoor; nothing "
            "was changed", path, (unsigned long long)v, LAYOUT_VERSION);
        goto out;
    }
    if (!node_line(&rest, "node", &value) ||
        !enc_unhex(value, node->id, sizeof(node->id)) ||
        !node_line(&rest, "boot", &value) || !num_parse_u64(value, &v)) {
        err_set(err, ERR_CORRUPT, "%s: malformed", path);
        goto out;
    }
    node->boot = (uint32_t)v;
    if (node_line(&rest, "created", &value))
        (void)num_parse_i64(value, &node->created_ns);
    rc = 0;
out:
    sb_release(&text);
    return rc;
}

static int
node_overwrite(const char *path, struct sv text, struct err *err)
{
    int fd = file_open(path, O_WRONLY, 0, err), rc;

    if (fd < 0)
        return -1;
    rc = file_pwrite(fd, text.ptr, text.len, 0, err);
    if (rc == 0)
        rc = file_datasync(fd, err);
    file_close(fd);
    return rc;
}

int
layout_write_node(const struct layout_node *node, struct err *err)
{
    struct err write_err = ERR_INIT;
    char path[PATH_MAX];
    struct sb text;
    int rc;

    layout_path(path, "NODE");
    sb_init(&text, 4096);
    sb_addf(&text, "spoor-data %u\nnode ", node->version);
    sb_add_hex(&text, node->id, sizeof(node->id));
    sb_addf(&text, "\nboot %u\ncreated %lld\n", node->boot,
        (long long)node->created_ns);
    sb_addf(&text, "check %016llx\n",
        (unsigned long long)XXH3_64bits(text.ptr, text.len));
    rc = file_replace(path, text.ptr, text.len, 0640, &write_err);
    /*
     * In place that needs no space, so a full disk keeps no server down; if
     * it is torn the check line says so, and NODE can be made anew.
     */
    if (rc != 0 && write_err.code == ERR_NO_SPACE)
        rc = node_overwrite(path, sb_sv(&text), &write_err);
    if (rc != 0 && err != NULL)
        *err = write_err;
    sb_release(&text);
    return rc;
}
