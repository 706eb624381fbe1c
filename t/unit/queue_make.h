/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parcels of tests of the durable queue: all of one follows from its number,
 * so that what comes back can be judged without a memory.
 */

#ifndef SPOOR_T_QUEUE_MAKE_H
#define SPOOR_T_QUEUE_MAKE_H

#include "core/base.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/queue.h"
#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"

#define MAKE_BODY_MAX (300 * KIB)

static uint64_t make_state = 1;

static inline uint64_t
make_random(uint64_t below)
{
    make_state = make_state * 6364136223846793005u + 1442695040888963407u;
    return (make_state >> 33) % below;
}

static inline size_t
make_body_len(uint64_t number)
{
    static const size_t lens[8] = {0, 1, 60, 500, 3000, 4096, 9000, 70000};

    return lens[number * 7 % 8] + number % 13;
}

/* body: MAKE_BODY_MAX bytes of the caller. */
static inline struct parcel
make_parcel(uint64_t number, char *body)
{
    struct parcel parcel = {.tenant = {(uint32_t)number, 7},
        .encoding = number % 2 == 0 ? ENCODING_ZSTD : ENCODING_IDENTITY,
        .nspans = (uint32_t)(number % 1000), .made_ns = (int64_t)number * 3,
        .params = number % 3 == 0 ? SV("a=b\n") : SV_EMPTY,
        .body = {body, make_body_len(number)}};

    enc_put64(parcel.id, number);
    enc_put64(parcel.id + 8, ~number);
    for (size_t i = 0; i < parcel.body.len; i++)
        body[i] = (char)(number * 31 + i * 17);
    return parcel;
}

static inline uint64_t
make_number(const struct parcel *parcel)
{
    return enc_get64(parcel->id);
}

/* What is loaded is what was added. */
static inline bool
make_is_right(const struct parcel *parcel)
{
    static char body[MAKE_BODY_MAX];
    uint64_t number = make_number(parcel);
    struct parcel want = make_parcel(number, body);

    return memcmp(want.id, parcel->id, sizeof(want.id)) == 0 &&
        want.tenant.account == parcel->tenant.account &&
        want.tenant.project == parcel->tenant.project &&
        want.encoding == parcel->encoding && want.nspans == parcel->nspans &&
        want.made_ns == parcel->made_ns && sv_eq(want.params, parcel->params)
        && sv_eq(want.body, parcel->body);
}

/* --- directories --- */

static inline void
make_remove(const char *dir)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    if (system(command) != 0)
        fprintf(stderr, "# %s stays\n", dir);
}

static char make_dir_name[64];

static inline void
make_dir_remove(void)
{
    make_remove(make_dir_name);
}

/* A directory of this test, removed with the process. */
static inline const char *
make_dir(void)
{
    /* Syncs of a busy disk would be most of the test. */
    snprintf(make_dir_name, sizeof(make_dir_name), "%s/spoor-queue-XXXXXX",
        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    check(mkdtemp(make_dir_name) != NULL);
    atexit(make_dir_remove);
    return make_dir_name;
}

/* Names that end so; *bytes are those of their files. */
static inline unsigned
make_count(const char *dir, const char *suffix, uint64_t *bytes)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    unsigned n = 0;

    *bytes = 0;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        char path[PATH_MAX];
        struct stat st;

        if (!sv_ends_with(sv_from(entry->d_name), sv_from(suffix)))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        n++;
        if (stat(path, &st) == 0)
            *bytes += (uint64_t)st.st_size;
    }
    if (list != NULL)
        closedir(list);
    return n;
}

static inline struct queue *
make_open(const char *dir, uint64_t bytes_max)
{
    struct err err = ERR_INIT;
    struct queue *queue = NULL;

    if (queue_open(&queue, dir, bytes_max, &err) != 0)
        panic("%s", err.text);
    return queue;
}

static inline int
make_add(struct queue *queue, uint64_t number, const char *node,
    struct queue_item **item, struct err *err)
{
    static char body[MAKE_BODY_MAX];
    struct parcel parcel = make_parcel(number, body);
    struct queue_add add = {&parcel, sv_from(node), node[0] == '\0' ? 0
        : (int64_t)number};

    return queue_add(queue, &add, 1, item, err);
}

#define LIMIT (64 * MIB)

static const char *root;

static inline const char *
dir_of(const char *name)
{
    static char dir[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s/%s", root, name);
    return dir;
}

static inline unsigned
files_in(const char *dir)
{
    uint64_t bytes;

    return make_count(dir, ".queue", &bytes);
}

static inline void
put_file(const char *path, struct sv bytes)
{
    FILE *out = fopen(path, "wb");

    check(out != NULL && fwrite(bytes.ptr, 1, bytes.len, out) == bytes.len);
    fclose(out);
}

/* The only file of a directory, read. */
static inline void
read_only(const char *dir, char path[PATH_MAX], struct sb *bytes)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    FILE *in;
    char buf[4096];
    size_t n;

    check(list != NULL);
    while ((entry = readdir(list)) != NULL &&
        !sv_ends_with(sv_from(entry->d_name), SV(".queue")))
        ;
    check(entry != NULL);
    snprintf(path, PATH_MAX, "%s/%s", dir, entry->d_name);
    closedir(list);
    in = fopen(path, "rb");
    check(in != NULL);
    while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
        sb_add(bytes, buf, n);
    fclose(in);
}

static inline void
make_file(const char *dir, unsigned n)
{
    struct queue *queue = make_open(dir, LIMIT);
    struct queue_item *item;
    struct err err = ERR_INIT;

    for (unsigned i = 0; i < n; i++) {
        check(make_add(queue, i, i % 2 == 0 ? "" : "node:1", &item, &err) ==
            0);
        if (i % 4 == 0)
            check(queue_set_node(queue, item, SV("node:1"), 5, &err) == 0);
    }
    queue_close(queue);
}

#endif
