/* SPDX-License-Identifier: BSD-2-Clause */

/* What a newer spoor has written is refused, and nothing is changed. */

#include "core/base.h"

#include <fcntl.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/file.h"
#include "core/mem.h"
#include "storage/catalog.h"
#include "storage/day_ops.h"
#include "storage/layout.h"
#include "storage/manifest.h"
#include "storage/ops.h"
#include "storage/part_format.h"
#include "storage/publish.h"
#include "storage/recover.h"
#include "storage/requests.h"
#include "storage/retire.h"
#include "storage/shared.h"
#include "storage/wal_format.h"
#include "store_dir.h"
#include "tap.h"

static struct conf conf = {.fsync = FSYNC_ALWAYS,
    .retention = INT64_MAX / 2};
static const uint32_t days[] = {20261101, 20261102};
static struct part_info parts[2];

/* A part for each day, as a flush does it. */
static void
make_days(void)
{
    struct part_writer *part_writer = part_writer_new();
    struct memtable_writer *writer = memtable_writer_new();
    void *region = aligned_alloc(4096, MEMTABLE_BYTES);
    struct memtable *mt = memtable_init(region, 77, 1);
    struct pool *pool = pool_new(MIB);
    struct tenant tenant = {0, 0};
    const struct manifest_part *made;
    struct publish *publish;
    struct err err = ERR_INIT;
    struct ingest ingest;
    struct batch batch;
    size_t n;

    batch_init(&batch, pool);
    store_ingest_make(&ingest, &batch, 2, SV_EMPTY, 1);
    check(batch_add_resource(&batch, NULL) != NULL &&
        batch_add_scope(&batch, NULL) != NULL);
    for (unsigned i = 0; i < 2; i++)
        batch.spans[i].end_ns = time_day_start(days[i]) + 5;
    memtable_writer_attach(writer, mt);
    check(memtable_append(writer, &tenant, &batch, 0) == 2);
    memtable_commit(mt, 2);
    publish = publish_new(mt, 2, 1, 3);
    check(publish_write(publish, part_writer, true, &err) == 0);
    made = publish_parts(publish, &n);
    check(n == 2);
    for (unsigned i = 0; i < 2; i++)
        parts[made[i].info.day == days[1]] = made[i].info;
    publish_free(publish);
    memtable_writer_free(writer);
    part_writer_free(part_writer);
    free(region);
    pool_free(pool);
}

/* --- changing bytes --- */

static void
edit(const char *path, uint64_t offset, void *ptr, size_t len, bool is_write)
{
    struct err err = ERR_INIT;
    int fd = file_open(path, O_RDWR, 0, &err);

    check(fd >= 0);
    if (is_write)
        check(file_pwrite(fd, ptr, len, offset, &err) == 0);
    else
        check(file_pread(fd, ptr, len, offset, &err) == 0);
    file_close(fd);
}

static uint64_t
size_of(const char *path)
{
    struct stat st;

    check(stat(path, &st) == 0);
    return (uint64_t)st.st_size;
}

/* The version stands behind the magic, the checksum is the header's last. */
static void
raise_manifest(const char *path, int by)
{
    uint8_t header[64];
    uint32_t version;
    uint64_t sum;

    edit(path, 0, header, sizeof(header), false);
    memcpy(&version, header + 8, 4);
    version += (uint32_t)by;
    memcpy(header + 8, &version, 4);
    sum = XXH3_64bits(header, 56);
    memcpy(header + 56, &sum, 8);
    edit(path, 0, header, sizeof(header), true);
}

static void
raise_part(const char *path, int by)
{
    struct part_footer *footer = xmalloc(sizeof(*footer));
    uint64_t offset = size_of(path) - sizeof(*footer);

    edit(path, offset, footer, sizeof(*footer), false);
    footer->major = (uint8_t)(footer->major + by);
    footer->xxh3 = part_footer_checksum(footer);
    edit(path, offset, footer, sizeof(*footer), true);
    xfree(footer);
}

static void
make_log(const char *path, uint32_t version)
{
    struct wal_file_header header = {WAL_FILE_MAGIC, version, 1,
        UINT64_C(1) << 32 | 9, {0}, 0, 0};
    struct err err = ERR_INIT;

    header.checksum = XXH3_64bits(&header,
        offsetof(struct wal_file_header, checksum));
    check(file_replace(path, &header, sizeof(header), 0600, &err) == 0);
}

/* --- asking --- */

/* Names, sizes and times of all files. */
static void
tree(struct sb *out)
{
    char command[256], line[512];
    FILE *pipe;

    snprintf(command, sizeof(command),
        "find %s -printf '%%P %%s %%T@\\n' | sort", store_dir);
    pipe = popen(command, "r");
    check(pipe != NULL);
    while (fgets(line, sizeof(line), pipe) != NULL)
        sb_add_str(out, line);
    pclose(pipe);
}

static void
refused(const char *what)
{
    struct sb before, after;
    struct err err = ERR_INIT;

    sb_init(&before, MIB);
    sb_init(&after, MIB);
    tree(&before);
    ok(recover_boot(&conf, NULL, &err) != 0, "%s: refused", what);
    is_int(err.code, ERR_UNSUPPORTED, "%s: %s", what, err.text);
    tree(&after);
    ok(sv_eq(sb_sv(&before), sb_sv(&after)), "%s: nothing is changed", what);
    sb_release(&before);
    sb_release(&after);
}

static void
accepted(const char *what)
{
    struct err err = ERR_INIT;
    struct catalog_totals totals;

    ok(recover_boot(&conf, NULL, &err) == 0, "%s: taken%s", what, err.text);
    catalog_totals(&totals);
    is_int(totals.rows, 2, "%s: all rows", what);
}

static void
set_state(uint32_t day, enum partition_state state)
{
    struct partition *partition = partition_lock(day);

    partition_set_state(partition, state);
    partition_unlock(partition);
}

static void
test_boot(void)
{
    char manifest[PATH_MAX], part[PATH_MAX], log[PATH_MAX];

    accepted("as it was made");
    layout_manifest(manifest, days[0]);
    raise_manifest(manifest, 1);
    refused("a manifest");
    raise_manifest(manifest, -1);
    accepted("the manifest is back");
    layout_part(part, days[1], parts[1].id, parts[1].level);
    raise_part(part, 1);
    refused("a part");
    raise_part(part, -1);
    layout_path(log, "wal/0000000100000009-00000001.wal");
    make_log(log, WAL_VERSION + 1);
    refused("a log");
    check(unlink(log) == 0);
    accepted("all is back");
}

/* Attaching says the same. */
static void
test_attach(void)
{
    struct err err = ERR_INIT;
    char part[PATH_MAX];

    layout_part(part, days[0], parts[0].id, parts[0].level);
    set_state(days[0], PARTITION_DETACHED);
    raise_part(part, 1);
    ok(day_attach(SV("20261101"), &err) != 0, "a newer part: not attached");
    is_int(err.code, ERR_UNSUPPORTED, "%s", err.text);
    is_int(partition_state(days[0]), PARTITION_DETACHED, "it stays detached");
    raise_part(part, -1);
    ok(day_attach(SV("20261101"), &err) == 0, "attached%s", err.text);
}

int
main(void)
{
    struct err err = ERR_INIT;

    store_dir_make();
    check(shared_create(2, &err) == 0 && catalog_create(&err) == 0 &&
        requests_create(&err) == 0 && retire_create(&err) == 0);
    atomic_store(&shared->boot, 1);
    make_days();
    test_boot();
    test_attach();
    retire_destroy();
    requests_destroy();
    catalog_destroy();
    shared_destroy();
    return tap_done();
}
