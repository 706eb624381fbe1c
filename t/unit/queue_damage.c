/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Damaged and foreign files of the durable queue: no wrong parcel, and no
 * more lost than was damaged.
 */

#include "core/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cluster/queue_file.h"
#include "core/log.h"
#include "queue_make.h"
#include "tap.h"

struct damage {
    unsigned cases, less[12], wrong;
};

/* Adopts the file as it is now; how many parcels came back right. */
static void
judge_damage(struct damage *damage, const char *dir, unsigned all)
{
    struct queue *queue = make_open(dir, LIMIT);
    struct queue_item *item = queue_adopt(queue), *next;
    struct err err = ERR_INIT;
    bool seen[64] = {false};
    unsigned n = 0;

    for (; item != NULL; item = next) {
        uint64_t number = make_number(&item->parcel);

        next = item->next;
        damage->wrong += number >= all || seen[number] ||
            queue_load(queue, item, &err) != 0 ||
            !make_is_right(&item->parcel) ||
            (item->node.len > 0 && !sv_eq(item->node, SV("node:1")));
        seen[number % 64] = true;
        n++;
        queue_done(queue, item);
    }
    queue_close(queue);
    damage->cases++;
    damage->less[MIN(all - n, 11u)]++;
}

static void
tell_damage(const struct damage *damage, const char *what, unsigned worst)
{
    unsigned beyond = 0;

    diag("%s: %u cases, parcels missing: 0: %u, 1: %u, 2: %u, more: %u", what,
        damage->cases, damage->less[0], damage->less[1], damage->less[2],
        damage->cases - damage->less[0] - damage->less[1] - damage->less[2]);
    for (unsigned i = worst + 1; i < ARRAY_LEN(damage->less); i++)
        beyond += damage->less[i];
    is_int(damage->wrong, 0, "%s: no wrong parcel, none twice", what);
    is_int(beyond, 0, "%s: at most %u are missing", what, worst);
}

static void
test_damage(void)
{
    char dir[PATH_MAX], path[PATH_MAX];
    struct damage flips = {0}, cuts = {0}, holes = {0};
    struct sb bytes;
    uint64_t ignored;

    snprintf(dir, sizeof(dir), "%s", dir_of("damage"));
    make_file(dir, 10);
    sb_init(&bytes, LIMIT);
    read_only(dir, path, &bytes);
    /* Behind it the file is only allocated. */
    while (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\0')
        bytes.len--;
    for (size_t i = 0; i < bytes.len; i += 1 + make_random(150)) {
        char was = bytes.ptr[i];

        bytes.ptr[i] = (char)(was ^ 1 << make_random(8));
        put_file(path, sb_sv(&bytes));
        judge_damage(&flips, dir, 10);
        bytes.ptr[i] = was;
    }
    ok(make_count(dir, ".damaged", &ignored) == 1, "what was damaged is kept");
    for (size_t i = 0; i < bytes.len; i += 1 + make_random(400)) {
        put_file(path, sv_sub(sb_sv(&bytes), 0, i));
        judge_damage(&cuts, dir, 10);
    }
    for (size_t i = 0; i + 512 < bytes.len; i += 512) {
        char was[512];

        memcpy(was, bytes.ptr + i, 512);
        memset(bytes.ptr + i, 0, 512);
        put_file(path, sb_sv(&bytes));
        judge_damage(&holes, dir, 10);
        memcpy(bytes.ptr + i, was, 512);
    }
    tell_damage(&flips, "flipped bits", 1);
    tell_damage(&cuts, "cut files", 11);
    tell_damage(&holes, "sectors of zeros", 1);
    sb_release(&bytes);
}

/* A file of a newer version, and names that are not of the queue. */
static void
test_foreign(void)
{
    const char *dir = dir_of("foreign");
    struct queue_file_header header;
    char path[PATH_MAX], other[PATH_MAX];
    struct queue *queue;
    struct sb bytes;

    make_file(dir, 2);
    sb_init(&bytes, LIMIT);
    read_only(dir, path, &bytes);
    memcpy(&header, bytes.ptr, sizeof(header));
    header.version = QUEUE_VERSION + 1;
    header.checksum = XXH3_64bits(&header,
        offsetof(struct queue_file_header, checksum));
    memcpy(bytes.ptr, &header, sizeof(header));
    put_file(path, sb_sv(&bytes));
    snprintf(other, sizeof(other), "%s/README", dir);
    put_file(other, SV("not ours"));
    snprintf(other, sizeof(other), "%s/0000000000000001-00000001.queue", dir);
    check(mkdir(other, 0700) == 0);
    snprintf(other, sizeof(other), "%s/0000000000000001-00000002.queue", dir);
    check(symlink("README", other) == 0);
    snprintf(other, sizeof(other), "%s/0000000000000001-00000003.queue", dir);
    put_file(other, SV_EMPTY);
    snprintf(other, sizeof(other), "%s/0000000000000001-00000004.queue", dir);
    put_file(other, SV("too short"));
    queue = make_open(dir, LIMIT);
    ok(queue_adopt(queue) == NULL && queue_adopt(queue) == NULL,
        "a file of a newer version is left alone");
    is_int(files_in(dir), 3, "what is no file, too; an empty one goes");
    queue_close(queue);
    sb_release(&bytes);
}

/* spoorctl check. */
static void
test_check(void)
{
    const char *dir = dir_of("check");
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    struct sb out, bytes;

    sb_init(&out, MIB);
    sb_init(&bytes, LIMIT);
    is_int(queue_check(dir, &out, &err), -1, "there is no queue");
    make_file(dir, 6);
    is_int(queue_check(dir, &out, &err), 0, "a queue is well");
    ok(strstr(out.ptr, "6 parcels with 15 spans wait\n") != NULL &&
        strstr(out.ptr, "5 parcels with 13 spans for node:1\n") != NULL &&
        strstr(out.ptr, "1 parcels with 2 spans for any node\n") != NULL,
        "what waits is told: %s", out.ptr);
    read_only(dir, path, &bytes);
    bytes.ptr[QUEUE_PAGE + 100] ^= 4;
    put_file(path, sb_sv(&bytes));
    sb_reset(&out);
    is_int(queue_check(dir, &out, &err), -1, "damage is told: %s", err.text);
    is_int(err.code, ERR_CORRUPT, "as such");
    ok(strstr(out.ptr, "damage: queue/") != NULL && strstr(out.ptr,
        "5 parcels with") != NULL, "with what is left: %s", out.ptr);
    is_int(files_in(dir), 1, "nothing is changed");
    sb_release(&bytes);
    sb_release(&out);
}

/* The file changes while a parcel waits. */
static void
test_damage_later(void)
{
    const char *dir = dir_of("later");
    struct queue *queue = make_open(dir, LIMIT);
    struct queue_item *items[3];
    struct err err = ERR_INIT;
    char path[PATH_MAX];
    uint64_t ignored;
    struct sb bytes;

    for (uint64_t i = 0; i < 3; i++)
        check(make_add(queue, i * 5 + 3, "", &items[i], &err) == 0);
    sb_init(&bytes, LIMIT);
    read_only(dir, path, &bytes);
    bytes.ptr[QUEUE_PAGE + 150] ^= 1;
    put_file(path, sb_sv(&bytes));
    sb_release(&bytes);
    is_int(queue_load(queue, items[0], &err), -1, "damage is seen");
    is_int(err.code, ERR_CORRUPT, "as such: %s", err.text);
    is_int(queue_load(queue, items[1], &err), 0, "the next is well");
    for (unsigned i = 0; i < 3; i++)
        queue_done(queue, items[i]);
    queue_close(queue);
    is_int(make_count(dir, ".damaged", &ignored), 1, "the file is kept");
}

int
main(void)
{
    log_set_level(LOG_FATAL);
    root = make_dir();
    test_damage();
    test_damage_later();
    test_check();
    test_foreign();
    return tap_done();
}
