/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * MANIFEST of a partition
 *
 *     0    struct file_header (64 bytes)
 *     64   edits, each 8-byte aligned:
 *              struct edit_header, then items, then zeros to the alignment
 *
 * An edit is one atomic change and holds items back to back: struct
 * item_header (type, length), then that many bytes:
 *
 *     ADD      struct manifest_part in its disk form (struct item_part)
 *     DROP     part id u64
 *     FLUSHED  log_id u64, lsn u64: every row of this day that the log holds
 *              below lsn is in a part added by this or an earlier edit
 *     BAD      part id u64: damage was confirmed, answers are partial
 *
 * Checksums: XXH3-64 of the header (checksum field zero) and the items,
 * seeded with number ^ offset, so an edit of an older manifest or of another
 * place never passes.
 *
 * Reading applies edits until one is not valid.  Nothing valid behind it: the
 * last append was torn, the file ends there and the next edit overwrites it.
 * Something valid behind it: damage; the parts' own footers decide then
 * (recover.c).
 *
 * Growing: every edit appends; when the file passes REWRITE_BYTES a new one
 * with number + 1 and one edit of the whole state takes its place by rename.
 * Appends go through the partition's lock and the end offset in shared
 * memory; space is allocated ahead, so that a full disk does not stop an
 * edit that frees space.
 */

#include "core/base.h"
#include "storage/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/fault.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sb.h"
#include "storage/ballast.h"
#include "storage/layout.h"
#include "storage/shared.h"

#define FILE_MAGIC 0x313046494e414d53ull /* "SMANIF01" */
#define EDIT_MAGIC 0x54494445u           /* "EDIT" */
#define MANIFEST_VERSION 1u
#define REWRITE_BYTES (1 * MIB)
#define ALLOCATE_STEP (64 * KIB)
#define MANIFEST_BYTES_MAX (256 * MIB)

struct file_header {
    uint64_t magic;
    uint32_t version;
    uint32_t day;
    uint64_t number;
    uint8_t node_id[16];
    uint8_t reserved[16];
    uint64_t checksum; /* of the fields above */
};
_Static_assert(sizeof(struct file_header) == 64, "disk format");

struct edit_header {
    uint32_t magic;
    uint32_t len; /* of the items, without padding */
    uint64_t checksum;
};
_Static_assert(sizeof(struct edit_header) == 16, "disk format");

enum item_type { ITEM_ADD = 1, ITEM_DROP = 2, ITEM_FLUSHED = 3, ITEM_BAD = 4 };

struct item_header {
    uint16_t type;
    uint16_t reserved;
    uint32_t len;
};
_Static_assert(sizeof(struct item_header) == 8, "disk format");

struct item_part {
    uint64_t id;
    uint32_t day;
    uint32_t level;
    uint64_t rows;
    uint64_t bytes;
    uint32_t nblocks;
    uint32_t ntraces;
    int64_t min_start_ns;
    int64_t max_start_ns;
    int64_t min_end_ns;
    int64_t max_end_ns;
    uint64_t log_id;
    uint64_t first_lsn;
    uint64_t last_lsn;
};
_Static_assert(sizeof(struct item_part) == 96, "disk format");

/* --- the state in memory --- */

void
manifest_add(struct manifest *manifest, const struct manifest_part *part)
{
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.id == part->info.id) {
            manifest->parts[i] = *part;
            return;
        }
    }
    if (manifest->nparts == manifest->cap_parts) {
        manifest->cap_parts = MAX(2 * manifest->cap_parts, 64u);
        manifest->parts = xrealloc(manifest->parts,
            manifest->cap_parts * sizeof(*manifest->parts));
    }
    manifest->parts[manifest->nparts++] = *part;
}

void
manifest_drop(struct manifest *manifest, uint64_t part_id)
{
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.id == part_id) {
            manifest->parts[i] = manifest->parts[--manifest->nparts];
            return;
        }
    }
}

void
manifest_flush(struct manifest *manifest, uint64_t log_id, uint64_t lsn)
{
    for (size_t i = 0; i < manifest->nflushed; i++) {
        if (manifest->flushed[i].log_id == log_id) {
            manifest->flushed[i].lsn = MAX(manifest->flushed[i].lsn, lsn);
            return;
        }
    }
    if (manifest->nflushed == manifest->cap_flushed) {
        manifest->cap_flushed = MAX(2 * manifest->cap_flushed, 16u);
        manifest->flushed = xrealloc(manifest->flushed,
            manifest->cap_flushed * sizeof(*manifest->flushed));
    }
    manifest->flushed[manifest->nflushed++] =
        (struct manifest_flushed){log_id, lsn};
}

uint64_t
manifest_flushed_lsn(const struct manifest *manifest, uint64_t log_id)
{
    for (size_t i = 0; i < manifest->nflushed; i++) {
        if (manifest->flushed[i].log_id == log_id)
            return manifest->flushed[i].lsn;
    }
    return 0;
}

void
manifest_release(struct manifest *manifest)
{
    xfree(manifest->parts);
    xfree(manifest->flushed);
    memset(manifest, 0, sizeof(*manifest));
}

/* --- reading --- */

static uint64_t
edit_checksum(const uint8_t *edit, size_t len, uint64_t number,
    uint64_t offset)
{
    struct edit_header header;
    XXH3_state_t hash = {0};

    memcpy(&header, edit, sizeof(header));
    header.checksum = 0;
    XXH3_64bits_reset_withSeed(&hash, number ^ offset);
    XXH3_64bits_update(&hash, &header, sizeof(header));
    XXH3_64bits_update(&hash, edit + sizeof(header), len);
    return XXH3_64bits_digest(&hash);
}

static bool
edit_is_valid(struct sv file, uint64_t offset, uint64_t number,
    struct edit_header *header)
{
    const uint8_t *edit = (const uint8_t *)file.ptr + offset;

    if (offset + sizeof(*header) > file.len)
        return false;
    memcpy(header, edit, sizeof(*header));
    return header->magic == EDIT_MAGIC &&
        header->len <= file.len - offset - sizeof(*header) &&
        header->checksum == edit_checksum(edit, header->len, number, offset);
}

static void
apply_part(struct manifest *manifest, const struct item_part *item)
{
    struct manifest_part part = {
        .info = {item->id, item->day, item->level, item->rows, item->bytes,
            item->nblocks, item->ntraces, item->min_start_ns,
            item->max_start_ns, item->min_end_ns, item->max_end_ns},
        .lineage = {item->log_id, item->first_lsn, item->last_lsn},
    };

    manifest_add(manifest, &part);
}

static void
apply_bad(struct manifest *manifest, uint64_t part_id)
{
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (manifest->parts[i].info.id == part_id)
            manifest->parts[i].is_bad = true;
    }
}

/* The checksum held, so what is unknown here was written by a newer spoor. */
static int
edit_apply(struct manifest *manifest, struct sv items, struct err *err)
{
    struct enc_reader r = enc_reader_make(items.ptr, items.len);

    while (r.ptr < r.end) {
        uint16_t type = enc_read16(&r);
        struct sv body;
        struct item_part part;

        (void)enc_read16(&r);
        body = enc_read_bytes(&r, enc_read32(&r));
        if (r.failed)
            break;
        if (type == ITEM_ADD && body.len == sizeof(part)) {
            memcpy(&part, body.ptr, sizeof(part));
            apply_part(manifest, &part);
        } else if (type == ITEM_DROP && body.len == 8) {
            manifest_drop(manifest, enc_get64(body.ptr));
        } else if (type == ITEM_FLUSHED && body.len == 16) {
            manifest_flush(manifest, enc_get64(body.ptr),
                enc_get64(body.ptr + 8));
        } else if (type == ITEM_BAD && body.len == 8) {
            apply_bad(manifest, enc_get64(body.ptr));
        } else {
            return err_set(err, ERR_UNSUPPORTED,
                "edit item %u was written by a newer spoor", type);
        }
    }
    return 0;
}

static int
manifest_apply_all(struct manifest *manifest, struct sv file,
    struct err *err)
{
    uint64_t offset = sizeof(struct file_header);
    struct edit_header header;

    while (edit_is_valid(file, offset, manifest->number, &header)) {
        struct sv items = sv_make(file.ptr + offset + sizeof(header),
            header.len);

        if (edit_apply(manifest, items, err) != 0)
            return -1;
        offset += ALIGN_UP(sizeof(header) + header.len, (uint64_t)8);
    }
    manifest->end = offset;
    for (uint64_t at = offset + 8; at < file.len; at += 8) {
        if (edit_is_valid(file, at, manifest->number, &header)) {
            manifest->is_damaged = true;
            break;
        }
    }
    return 0;
}

static int
header_read(struct manifest *manifest, struct sv file, struct err *err)
{
    struct file_header header;

    if (file.len < sizeof(header)) {
        manifest->is_damaged = true;
        return 0;
    }
    memcpy(&header, file.ptr, sizeof(header));
    /* The checksum first: in every version it stands here. */
    if (header.magic != FILE_MAGIC || header.checksum !=
        XXH3_64bits(&header, offsetof(struct file_header, checksum)))
        manifest->is_damaged = true;
    else if (header.version <= MANIFEST_VERSION &&
        header.day != manifest->day)
        manifest->is_damaged = true; /* files were swapped */
    else if (header.version > MANIFEST_VERSION)
        return err_set(err, ERR_UNSUPPORTED,
            "manifest version %u was written by a newer spoor",
            header.version);
    manifest->number = header.number;
    memcpy(manifest->node_id, header.node_id, sizeof(manifest->node_id));
    return 0;
}

int
manifest_read_file(struct manifest *manifest, const char *path, uint32_t day,
    struct err *err)
{
    struct sb in;
    int rc = -1;

    memset(manifest, 0, sizeof(*manifest));
    manifest->day = day;
    sb_init(&in, MANIFEST_BYTES_MAX);
    if (file_read_all(path, &in, err) != 0)
        goto out;
    if (header_read(manifest, sb_sv(&in), err) != 0 ||
        (!manifest->is_damaged &&
        manifest_apply_all(manifest, sb_sv(&in), err) != 0)) {
        err_wrap(err, "%s", path);
        goto out;
    }
    rc = 0;
out:
    sb_release(&in);
    if (rc != 0)
        manifest_release(manifest);
    return rc;
}

int
manifest_read(struct manifest *manifest, uint32_t day, struct err *err)
{
    struct err read_err = ERR_INIT;
    char path[PATH_MAX];

    layout_manifest(path, day);
    if (manifest_read_file(manifest, path, day, &read_err) == 0)
        return 0;
    manifest->day = day;
    if (read_err.code == ERR_NOT_FOUND)
        return 0;
    if (err != NULL)
        *err = read_err;
    return -1;
}

/* --- writing --- */

static void
item_add(struct sb *out, enum item_type type, const void *body, uint32_t len)
{
    struct item_header header = {(uint16_t)type, 0, len};

    sb_add(out, &header, sizeof(header));
    sb_add(out, body, len);
}

static void
item_add_part(struct sb *out, const struct manifest_part *part)
{
    const struct part_info *info = &part->info;
    struct item_part item = {info->id, info->day, info->level, info->rows,
        info->bytes, info->nblocks, info->ntraces, info->min_start_ns,
        info->max_start_ns, info->min_end_ns, info->max_end_ns,
        part->lineage.log_id, part->lineage.first_lsn,
        part->lineage.last_lsn};

    item_add(out, ITEM_ADD, &item, sizeof(item));
    if (part->is_bad)
        item_add(out, ITEM_BAD, &info->id, sizeof(info->id));
}

/* Header space, items, padding; sealed for its place. */
static void
edit_build(struct sb *out, const struct manifest_edit *edit, uint64_t number,
    uint64_t offset)
{
    struct edit_header header = {EDIT_MAGIC, 0, 0};
    size_t start = out->len;

    sb_add(out, &header, sizeof(header));
    for (size_t i = 0; i < edit->nadd; i++)
        item_add_part(out, &edit->add[i]);
    for (size_t i = 0; i < edit->ndrop; i++)
        item_add(out, ITEM_DROP, &edit->drop[i], sizeof(edit->drop[i]));
    for (size_t i = 0; i < edit->nflushed; i++)
        item_add(out, ITEM_FLUSHED, &edit->flushed[i],
            sizeof(edit->flushed[i]));
    for (size_t i = 0; i < edit->nbad; i++)
        item_add(out, ITEM_BAD, &edit->bad[i], sizeof(edit->bad[i]));
    check(!sb_failed(out));
    header.len = (uint32_t)(out->len - start - sizeof(header));
    memcpy(out->ptr + start, &header, sizeof(header));
    header.checksum = edit_checksum((const uint8_t *)out->ptr + start,
        header.len, number, offset);
    memcpy(out->ptr + start, &header, sizeof(header));
    while ((out->len - start) % 8 != 0)
        sb_add_char(out, '\0');
}

static void
header_build(struct sb *out, uint64_t number, uint32_t day)
{
    struct file_header header = {FILE_MAGIC, MANIFEST_VERSION, day, number,
        {0}, {0}, 0};

    if (shared != NULL)
        memcpy(header.node_id, shared->node_id, sizeof(header.node_id));
    header.checksum = XXH3_64bits(&header,
        offsetof(struct file_header, checksum));
    sb_add(out, &header, sizeof(header));
}

int
manifest_rewrite(struct manifest *manifest, bool keep_flushed,
    struct err *err)
{
    struct manifest_edit edit = {.add = manifest->parts,
        .nadd = manifest->nparts, .flushed = manifest->flushed,
        .nflushed = keep_flushed ? manifest->nflushed : 0};
    char path[PATH_MAX];
    struct sb out;
    int rc;

    layout_manifest(path, manifest->day);
    manifest->number++;
    sb_init(&out, MANIFEST_BYTES_MAX);
    header_build(&out, manifest->number, manifest->day);
    edit_build(&out, &edit, manifest->number, sizeof(struct file_header));
    fault("manifest.before_rewrite");
    /* The first of a day: whoever made the directory may have died. */
    if (manifest->end == 0 && layout_sync_partitions(err) != 0) {
        sb_release(&out);
        return -1;
    }
    rc = file_replace(path, out.ptr, out.len, 0640, err);
    fault("manifest.after_rewrite");
    manifest->end = out.len;
    if (!keep_flushed)
        manifest->nflushed = 0;
    sb_release(&out);
    return rc;
}

int
manifest_write_copy(const struct manifest *manifest, const char *path,
    struct err *err)
{
    struct manifest copy = *manifest;
    struct manifest_edit edit = {0};
    struct sb out;
    int rc;

    copy.parts = xmalloc(MAX(manifest->nparts, 1u) * sizeof(*copy.parts));
    copy.nparts = 0;
    for (size_t i = 0; i < manifest->nparts; i++) {
        if (!manifest->parts[i].is_bad)
            copy.parts[copy.nparts++] = manifest->parts[i];
    }
    edit.add = copy.parts;
    edit.nadd = copy.nparts;
    sb_init(&out, MANIFEST_BYTES_MAX);
    header_build(&out, copy.number, copy.day);
    edit_build(&out, &edit, copy.number, sizeof(struct file_header));
    rc = file_replace(path, out.ptr, out.len, 0640, err);
    sb_release(&out);
    xfree(copy.parts);
    return rc;
}

/* First edit of a day, or first after the lock was taken over. */
static int
manifest_prepare(uint32_t day, struct partition *partition, struct err *err)
{
    struct manifest manifest;
    int rc = 0;

    if (layout_create_partition(day, err) != 0 ||
        manifest_read(&manifest, day, err) != 0)
        return -1;
    if (manifest.is_damaged)
        rc = err_set(err, ERR_CORRUPT, "manifest of %u is damaged", day);
    else if (manifest.end == 0 || manifest.end > REWRITE_BYTES ||
        partition->must_rewrite)
        rc = manifest_rewrite(&manifest, true, err);
    if (rc == 0) {
        partition->must_rewrite = 0;
        new_days_know(&shared->new_days, day);
    }
    partition->manifest_end = rc == 0 ? manifest.end : 0;
    partition->manifest_number = manifest.number;
    /* A state that is large by itself is not rewritten at each edit. */
    partition->rewrite_at = MAX(REWRITE_BYTES, 2 * manifest.end);
    manifest_release(&manifest);
    return rc;
}

static int
edit_write(const char *path, const struct sb *edit, uint64_t offset,
    bool sync, struct err *err)
{
    uint64_t end = offset + edit->len;
    struct err ignored = ERR_INIT;
    int fd, rc = -1;

    fd = file_open(path, O_RDWR, 0, err);
    if (fd < 0)
        return -1;
    if (offset / ALLOCATE_STEP != end / ALLOCATE_STEP ||
        offset < ALLOCATE_STEP)
        (void)!file_allocate(fd, 0, ALIGN_UP(end, ALLOCATE_STEP), &ignored);
    if (file_pwrite(fd, edit->ptr, edit->len, offset, err) != 0)
        goto out;
    fault("manifest.after_write");
    if (sync && file_datasync(fd, err) != 0)
        goto out;
    fault("manifest.after_sync");
    rc = 0;
out:
    file_close(fd);
    return rc;
}

static int
edit_is_allowed(uint32_t day, const struct partition *partition,
    const struct manifest_edit *edit, struct err *err)
{
    static const char *const names[] = {"open", "being detached", "detached",
        "being dropped"};
    uint32_t state = atomic_load(&partition->state);

    check(state < ARRAY_LEN(names));
    if (state != PARTITION_OPEN &&
        (state != PARTITION_DETACHING || edit->nflushed == 0))
        return err_set(err, ERR_CANCELLED, "day %u is %s", day,
            names[state]);
    if (edit->incarnation != 0 &&
        edit->incarnation != partition_incarnation(day))
        return err_set(err, ERR_CANCELLED, "day %u was dropped or detached "
            "in the meantime", day);
    return 0;
}

/* Under the partition's lock. */
static int
edit_append(uint32_t day, struct partition *partition,
    const struct manifest_edit *edit, bool sync, struct err *err)
{
    char path[PATH_MAX];
    struct sb out;
    int rc = -1;

    sb_init(&out, MANIFEST_BYTES_MAX);
    if ((partition->manifest_end == 0 ||
        partition->manifest_end > partition->rewrite_at) &&
        manifest_prepare(day, partition, err) != 0) {
        partition->manifest_end = 0;
        partition->must_rewrite = 1;
        goto out;
    }
    layout_manifest(path, day);
    edit_build(&out, edit, partition->manifest_number,
        partition->manifest_end);
    if (edit_write(path, &out, partition->manifest_end, sync, err) != 0) {
        /* What is on disk now is unknown: read again before the next. */
        partition->manifest_end = 0;
        partition->must_rewrite = 1;
        goto out;
    }
    partition->manifest_end += out.len;
    rc = 0;
out:
    sb_release(&out);
    return rc;
}

int
manifest_append(uint32_t day, const struct manifest_edit *edit, bool sync,
    struct err *err)
{
    struct partition *partition = partition_lock(day);
    struct err edit_err = ERR_INIT;
    int rc;

    rc = edit_is_allowed(day, partition, edit, &edit_err);
    if (rc == 0) {
        rc = edit_append(day, partition, edit, sync, &edit_err);
        /* An edit may be what frees space. */
        if (rc != 0 && edit_err.code == ERR_NO_SPACE && ballast_release())
            rc = edit_append(day, partition, edit, sync, &edit_err);
    }
    partition_unlock(partition);
    if (rc != 0 && err != NULL)
        *err = edit_err;
    return rc;
}

int
manifest_sync(uint32_t day, struct err *err)
{
    char path[PATH_MAX];
    int fd, rc;

    layout_manifest(path, day);
    fd = file_open(path, O_RDONLY, 0, err);
    if (fd < 0)
        return -1;
    rc = file_datasync(fd, err);
    file_close(fd);
    return rc;
}
