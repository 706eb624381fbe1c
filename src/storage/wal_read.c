/* SPDX-License-Identifier: BSD-2-Clause */

/* Reading logs and digest files: wal_format.h describes the bytes. */

#include "core/base.h"
#include "storage/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/num.h"
#include "core/sb.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "storage/requests.h"
#include "storage/wal_format.h"

/* A group larger than any the writer makes: 1,024 bodies are 256 MiB. */
#define GROUP_BYTES_MAX (2 * GIB)
#define DIGEST_FILE_BYTES_MAX (64 * MIB)

struct scan {
    const uint8_t *bytes; /* the file, mapped */
    uint64_t size;
    struct wal_file_header header;
    wal_entry_fn fn;
    void *arg;
    struct wal_scan *result;
};

void
wal_file_path(char *dst, size_t size, const char *dir,
    const struct wal_file_name *name)
{
    int n = snprintf(dst, size, "%s/%016llx-%08x.%s", dir,
        (unsigned long long)name->log_id, name->number,
        name->is_digests ? "dig" : "wal");

    check(n > 0 && (size_t)n < size);
}

static bool
parse_hex(const char *text, size_t digits, uint64_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < digits; i++) {
        char c = text[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

static bool
parse_name(const char *text, struct wal_file_name *name)
{
    uint64_t number;

    if (strlen(text) != 29 || text[16] != '-' || text[25] != '.' ||
        !parse_hex(text, 16, &name->log_id) ||
        !parse_hex(text + 17, 8, &number))
        return false;
    name->number = (uint32_t)number;
    name->is_digests = strcmp(text + 26, "dig") == 0;
    return name->is_digests || strcmp(text + 26, "wal") == 0;
}

struct listing {
    struct wal_file_name *names;
    size_t n, cap;
};

static int IMPL(file_name_fn)
list_name(const char *text, void *arg)
{
    struct listing *listing = arg;
    struct wal_file_name name;

    if (!parse_name(text, &name))
        return 0;
    if (listing->n == listing->cap) {
        listing->cap = listing->cap == 0 ? 64 : 2 * listing->cap;
        listing->names = xrealloc(listing->names,
            listing->cap * sizeof(*listing->names));
    }
    listing->names[listing->n++] = name;
    return 0;
}

static int
name_cmp(const void *left, const void *right)
{
    const struct wal_file_name *a = left, *b = right;

    if (a->log_id != b->log_id)
        return a->log_id < b->log_id ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

int
wal_list(const char *dir, struct wal_file_name **names, size_t *n,
    struct err *err)
{
    struct listing listing = {NULL, 0, 0};

    if (file_list(dir, list_name, &listing, err) != 0) {
        xfree(listing.names);
        return -1;
    }
    if (listing.n > 1)
        qsort(listing.names, listing.n, sizeof(*listing.names), name_cmp);
    *names = listing.names;
    *n = listing.n;
    return 0;
}

/* The group at the offset is whole and of this log and place. */
static bool
group_is_valid(const struct scan *scan, uint64_t offset,
    struct wal_group_header *group)
{
    struct wal_group_header zeroed;
    XXH3_state_t hash = {0};

    if (offset + sizeof(*group) > scan->size)
        return false;
    memcpy(group, scan->bytes + offset, sizeof(*group));
    if (group->magic != WAL_GROUP_MAGIC ||
        group->log_id != scan->header.log_id || group->offset != offset ||
        group->number != scan->header.number ||
        group->len < sizeof(*group) || group->len > GROUP_BYTES_MAX ||
        group->len > scan->size - offset)
        return false;
    zeroed = *group;
    zeroed.checksum = 0;
    XXH3_64bits_reset_withSeed(&hash, wal_seed(group->log_id, group->number,
        offset));
    XXH3_64bits_update(&hash, &zeroed, sizeof(zeroed));
    XXH3_64bits_update(&hash, scan->bytes + offset + sizeof(zeroed),
        group->len - sizeof(zeroed));
    return XXH3_64bits_digest(&hash) == group->checksum;
}

/* One record; false when it does not fit what is left of the group. */
static bool
record_parse(const uint8_t *ptr, size_t len, struct wal_entry *entry,
    size_t *used)
{
    struct wal_record_header header;
    uint64_t need;

    if (len < sizeof(header))
        return false;
    memcpy(&header, ptr, sizeof(header));
    if (header.magic != WAL_RECORD_MAGIC || header.version != WAL_VERSION ||
        header.format > OTLP_JSON || header.encoding >= ENCODING_COUNT ||
        header.body_len > GROUP_BYTES_MAX ||
        header.nrejected > header.nrows)
        return false;
    need = sizeof(header) + (uint64_t)header.params_len +
        (uint64_t)header.nrejected * 4 + header.body_len;
    if (need > len)
        return false;
    entry->tenant = (struct tenant){header.account, header.project};
    entry->format = header.format;
    entry->encoding = header.encoding;
    entry->first_lsn = header.first_lsn;
    entry->nrows = header.nrows;
    entry->nrejected = header.nrejected;
    entry->reject_mask = header.reject_mask;
    entry->recv_time_ns = header.recv_time_ns;
    memcpy(entry->digest, header.digest, sizeof(entry->digest));
    ptr += sizeof(header);
    entry->params = sv_make(ptr, header.params_len);
    ptr += header.params_len;
    entry->rejected = ptr;
    ptr += (size_t)header.nrejected * 4;
    entry->wire = sv_make(ptr, header.body_len);
    *used = need;
    return true;
}

static int
group_read(const struct scan *scan, uint64_t offset,
    const struct wal_group_header *group, struct err *err)
{
    size_t pos = sizeof(*group), used;
    struct wal_entry entry;

    for (uint32_t i = 0; i < group->nrecords; i++) {
        if (!record_parse(scan->bytes + offset + pos, group->len - pos,
            &entry, &used))
            return err_set(err, ERR_CORRUPT,
                "record %u of the group at %llu is malformed", i,
                (unsigned long long)offset);
        entry.log_id = group->log_id;
        entry.offset = offset + pos;
        scan->result->records++;
        scan->result->rows += entry.nrows;
        if (scan->fn != NULL && scan->fn(&entry, scan->arg, err) != 0)
            return -1;
        pos += used;
    }
    return 0;
}

static bool
page_is_zero(const struct scan *scan, uint64_t offset)
{
    size_t len = (size_t)MIN((uint64_t)WAL_PAGE, scan->size - offset);

    for (size_t i = 0; i + 8 <= len; i += 8) {
        if (enc_get64(scan->bytes + offset + i) != 0)
            return false;
    }
    return true;
}

static int
scan_groups(struct scan *scan, struct err *err)
{
    struct wal_group_header group;
    uint64_t offset = WAL_PAGE, bad = 0;

    while (offset + sizeof(group) <= scan->size) {
        if (!group_is_valid(scan, offset, &group)) {
            bad += !page_is_zero(scan, offset);
            offset += WAL_PAGE;
            continue;
        }
        if (bad != 0)
            scan->result->damaged++;
        bad = 0;
        scan->result->groups++;
        if (group_read(scan, offset, &group, err) != 0)
            return -1;
        offset = ALIGN_UP(offset + group.len, (uint64_t)WAL_PAGE);
    }
    /* Groups are written in whole pages. */
    scan->result->torn = bad != 0 || scan->size % WAL_PAGE != 0;
    return 0;
}

static int
header_check(struct scan *scan, struct err *err)
{
    struct wal_file_header *header = &scan->header;

    if (scan->size < sizeof(*header))
        return err_set(err, ERR_CORRUPT, "file is too short");
    memcpy(header, scan->bytes, sizeof(*header));
    if (header->magic != WAL_FILE_MAGIC)
        return err_set(err, ERR_CORRUPT, "not a log file");
    /* The checksum first: in every version it stands here. */
    if (header->checksum != XXH3_64bits(header,
        offsetof(struct wal_file_header, checksum)))
        return err_set(err, ERR_CORRUPT, "header checksum is wrong");
    if (header->version > WAL_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
            "log version %u was written by a newer spoor", header->version);
    return 0;
}

/*
 * A damaged header takes nothing from the groups: each has its own checksum,
 * seeded with what the file's name says, too.
 */
static int
scan_by_name(struct scan *scan, const char *path, struct err *err)
{
    struct err header_err = *err;
    const char *slash = strrchr(path, '/');
    struct wal_file_name name;

    if (!parse_name(slash != NULL ? slash + 1 : path, &name) ||
        name.is_digests)
        return -1;
    scan->header.log_id = name.log_id;
    scan->header.number = name.number;
    err_reset(err);
    if (scan_groups(scan, err) != 0)
        return -1;
    if (scan->result->groups == 0) {
        *err = header_err;
        return -1;
    }
    scan->result->damaged++;
    return 0;
}

static int
scan_file(struct scan *scan, const char *path, struct err *err)
{
    struct err scan_err = ERR_INIT;
    int rc = header_check(scan, &scan_err);

    if (rc == 0)
        rc = scan_groups(scan, &scan_err);
    else if (scan_err.code == ERR_CORRUPT)
        rc = scan_by_name(scan, path, &scan_err);
    if (rc != 0 && err != NULL)
        *err = scan_err;
    return rc;
}

/* What cannot be read fails here and not as SIGBUS in the middle. */
static int
map_populate(void *map, size_t len, struct err *err)
{
#ifdef MADV_POPULATE_READ
    if (madvise(map, len, MADV_POPULATE_READ) != 0 &&
        (errno == EFAULT || errno == EHWPOISON))
        return err_sys(err, "read");
#endif
    (void)map;
    (void)len;
    (void)err;
    return 0;
}

int
wal_read_file(const char *path, wal_entry_fn fn, void *arg,
    struct wal_scan *result, struct err *err)
{
    struct scan scan = {.fn = fn, .arg = arg, .result = result};
    void *map = MAP_FAILED;
    int fd, rc = -1;

    memset(result, 0, sizeof(*result));
    fd = file_open(path, O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    if (file_size(fd, &scan.size, err) != 0)
        goto out;
    /* A crash right after creation leaves an empty file: nothing was acked. */
    if (scan.size == 0) {
        log_warn("%s is empty: a crash came before its first record, or it "
            "was damaged", path);
        rc = 0;
        goto out;
    }
    map = sys.mmap(fd, scan.size);
    if (map == MAP_FAILED) {
        err_sys(err, "map %s", path);
        goto out;
    }
    scan.bytes = map;
    if (map_populate(map, scan.size, err) != 0 ||
        scan_file(&scan, path, err) != 0) {
        err_wrap(err, "%s", path);
        goto out;
    }
    rc = 0;
out:
    if (map != MAP_FAILED)
        munmap(map, scan.size);
    file_close(fd);
    return rc;
}

int
wal_write_digests(const char *dir, const struct wal_file_name *file,
    const struct wal_digest *digests, size_t n, struct err *err)
{
    struct wal_file_name name = {file->log_id, file->number, true};
    struct wal_digest_header header = {WAL_DIGEST_MAGIC, WAL_VERSION, 0,
        file->log_id, 0};
    int64_t oldest = clock_wall_ns() - REQUESTS_HORIZON_NS;
    char path[PATH_MAX];
    struct sb out;
    int rc;

    sb_init(&out, DIGEST_FILE_BYTES_MAX);
    sb_add(&out, &header, sizeof(header));
    for (size_t i = 0; i < n; i++) {
        struct wal_digest_entry entry;

        if (digests[i].recv_time_ns < oldest)
            continue;
        memcpy(entry.digest, digests[i].digest, sizeof(entry.digest));
        entry.recv_time_ns = digests[i].recv_time_ns;
        entry.rejected = digests[i].rejected;
        entry.reject_mask = digests[i].reject_mask;
        sb_add(&out, &entry, sizeof(entry));
        header.n++;
    }
    if (header.n == 0 || sb_failed(&out)) {
        sb_release(&out);
        return 0;
    }
    memcpy(out.ptr, &header, sizeof(header));
    header.checksum = XXH3_64bits(out.ptr, out.len);
    memcpy(out.ptr, &header, sizeof(header));
    wal_file_path(path, sizeof(path), dir, &name);
    rc = file_replace(path, out.ptr, out.len, 0600, err);
    sb_release(&out);
    return rc;
}

int
wal_read_digests(const char *path, struct wal_digest **digests, size_t *n,
    struct err *err)
{
    struct wal_digest_header header;
    uint64_t checksum;
    struct sb in;
    int rc = -1;

    sb_init(&in, DIGEST_FILE_BYTES_MAX);
    if (file_read_all(path, &in, err) != 0)
        goto out;
    if (in.len < sizeof(header)) {
        err_set(err, ERR_CORRUPT, "%s: too short", path);
        goto out;
    }
    memcpy(&header, in.ptr, sizeof(header));
    checksum = header.checksum;
    memset(in.ptr + offsetof(struct wal_digest_header, checksum), 0, 8);
    if (header.magic != WAL_DIGEST_MAGIC || header.version != WAL_VERSION ||
        XXH3_64bits(in.ptr, in.len) != checksum ||
        in.len != sizeof(header) + header.n *
        sizeof(struct wal_digest_entry)) {
        err_set(err, ERR_CORRUPT, "%s: damaged", path);
        goto out;
    }
    *digests = xmalloc(MAX(header.n, 1u) * sizeof(**digests));
    for (uint32_t i = 0; i < header.n; i++) {
        struct wal_digest_entry entry;

        memcpy(&entry, in.ptr + sizeof(header) + i * sizeof(entry),
            sizeof(entry));
        memcpy((*digests)[i].digest, entry.digest, sizeof(entry.digest));
        (*digests)[i].recv_time_ns = entry.recv_time_ns;
        (*digests)[i].rejected = entry.rejected;
        (*digests)[i].reject_mask = entry.reject_mask;
    }
    *n = header.n;
    rc = 0;
out:
    sb_release(&in);
    return rc;
}

/* The checksum of the header holds. */
static bool
read_header(const char *path, struct wal_file_header *header)
{
    struct err ignored = ERR_INIT;
    int fd = file_open(path, O_RDONLY, 0, &ignored), rc;

    if (fd < 0)
        return false;
    rc = file_pread(fd, header, sizeof(*header), 0, &ignored);
    file_close(fd);
    return rc == 0 && header->magic == WAL_FILE_MAGIC && header->checksum ==
        XXH3_64bits(header, offsetof(struct wal_file_header, checksum));
}

bool
wal_read_node_id(const char *path, uint8_t node_id[16])
{
    struct wal_file_header header;

    if (!read_header(path, &header))
        return false;
    memcpy(node_id, header.node_id, sizeof(header.node_id));
    return true;
}

int
wal_check_version(const char *path, struct err *err)
{
    struct wal_file_header header;

    if (read_header(path, &header) && header.version > WAL_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%s: log version %u was "
            "written by a newer spoor", path, header.version);
    return 0;
}
