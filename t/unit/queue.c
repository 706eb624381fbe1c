/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The durable queue against a model: what waits in it is what was added and
 * is not done, whoever adopts it, also from damaged files.
 */

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cluster/queue_file.h"
#include "core/log.h"
#include "core/sys.h"
#include "queue_make.h"
#include "tap.h"

#define LIMIT (64 * MIB)

static const char *root;

static const char *
dir_of(const char *name)
{
    static char dir[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s/%s", root, name);
    return dir;
}

static unsigned
files_in(const char *dir)
{
    uint64_t bytes;

    return make_count(dir, ".queue", &bytes);
}

/* --- the life of a few parcels --- */

static void
test_life(void)
{
    const char *dir = dir_of("life");
    struct queue *queue = make_open(dir, LIMIT), *other;
    struct queue_item *items[3], *left;
    struct err err = ERR_INIT;

    ok(queue_adopt(queue) == NULL, "nothing is there at first");
    for (uint64_t i = 0; i < 3; i++)
        is_int(make_add(queue, i + 5, i == 1 ? "b:1" : "", &items[i], &err),
            0, "parcel %d is added: %s", (int)i, err.text);
    is_int(queue_items(queue), 3, "three wait");
    is_sv(items[0]->node, "", "any node");
    is_sv(items[1]->node, "b:1", "a certain node");
    is_int(items[1]->unknown_ns, 6, "and since when");
    is_int(items[1]->parcel.body.len, 0, "bodies are not kept");
    is_int(queue_load(queue, items[1], &err), 0, "but loaded");
    ok(make_is_right(&items[1]->parcel), "as they were");
    queue_unload(items[1]);
    is_int(queue_set_node(queue, items[0], SV("c:2"), 77, &err), 0,
        "a node may have it");
    is_sv(items[0]->node, "c:2", "its name is kept");
    is_int(queue_set_node(queue, items[1], SV_EMPTY, 0, &err), 0,
        "another one may be with any");
    other = make_open(dir, LIMIT);
    ok(queue_adopt(other) == NULL, "what a process holds nobody adopts");
    queue_done(queue, items[2]);
    is_int(queue_items(queue), 2, "one is done");
    queue_close(queue);
    left = queue_adopt(other);
    ok(left != NULL, "what a process leaves is adopted");
    is_int(queue_items(other), 2, "two of three");
    is_int(make_number(&left->parcel), 5, "in order");
    is_sv(left->node, "c:2", "with the last node");
    is_int(left->unknown_ns, 77, "and its time");
    is_sv(left->next->node, "", "or none");
    is_int(make_number(&left->next->parcel), 6, "in order");
    ok(left->next->next == NULL, "and no more");
    ok(queue_adopt(other) == NULL, "once");
    is_int(files_in(dir), 1, "one file");
    items[0] = left->next;
    queue_done(other, left);
    queue_done(other, items[0]);
    is_int(files_in(dir), 0, "and none when all is done");
    queue_close(other);
}

/* --- a model --- */

#define MODEL_MAX 4000u
#define QUEUES 3u

struct model {
    struct {
        bool waits;
        char node[16];
        int64_t unknown_ns;
        struct queue_item *item;
        unsigned queue; /* QUEUES: nobody's */
    } v[MODEL_MAX];
    uint64_t n;
    uint64_t waiting;
    struct queue *queues[QUEUES];
    const char *dir;
    unsigned wrong, refused;
};

static void
model_add(struct model *model, unsigned q)
{
    static char bodies[4][MAKE_BODY_MAX];
    struct parcel parcels[4];
    struct queue_add add[4];
    struct queue_item *items[4];
    struct err err = ERR_INIT;
    unsigned n = 1 + (unsigned)make_random(4);

    if (model->n + n > MODEL_MAX)
        return;
    for (unsigned i = 0; i < n; i++) {
        bool has_node = make_random(3) == 0;
        uint64_t number = model->n + i;

        snprintf(model->v[number].node, sizeof(model->v[number].node), "%s",
            has_node ? "node-x:1" : "");
        model->v[number].unknown_ns = has_node ? (int64_t)number : 0;
        parcels[i] = make_parcel(number, bodies[i]);
        add[i] = (struct queue_add){&parcels[i],
            sv_from(model->v[number].node), model->v[number].unknown_ns};
    }
    if (queue_add(model->queues[q], add, n, items, &err) != 0) {
        model->wrong += err.code != ERR_LIMIT;
        model->refused++;
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        model->v[model->n + i].waits = true;
        model->v[model->n + i].item = items[i];
        model->v[model->n + i].queue = q;
    }
    model->n += n;
    model->waiting += n;
}

static void
model_adopt(struct model *model, unsigned q)
{
    struct queue_item *item = queue_adopt(model->queues[q]);

    for (; item != NULL; item = item->next) {
        uint64_t number = make_number(&item->parcel);

        if (number >= model->n || !model->v[number].waits ||
            model->v[number].queue != QUEUES ||
            !sv_eq(item->node, sv_from(model->v[number].node)) ||
            item->unknown_ns != model->v[number].unknown_ns) {
            diag("parcel %llu is adopted wrongly",
                (unsigned long long)number);
            model->wrong++;
            continue;
        }
        model->v[number].item = item;
        model->v[number].queue = q;
    }
}

static void
model_reopen(struct model *model, unsigned q)
{
    queue_close(model->queues[q]);
    for (uint64_t i = 0; i < model->n; i++) {
        if (model->v[i].queue == q) {
            model->v[i].queue = QUEUES;
            model->v[i].item = NULL;
        }
    }
    model->queues[q] = make_open(model->dir, LIMIT);
}

/* One that waits in the queue, or SIZE_MAX. */
static size_t
model_choose(struct model *model, unsigned q)
{
    size_t start = model->n > 0 ? make_random(model->n) : 0;

    for (size_t i = 0; i < model->n; i++) {
        size_t at = (start + i) % model->n;

        if (model->v[at].waits && model->v[at].queue == q)
            return at;
    }
    return SIZE_MAX;
}

static void
model_one(struct model *model, unsigned q, size_t at, bool finish)
{
    struct queue_item *item = model->v[at].item;
    struct err err = ERR_INIT;

    if (finish) {
        model->v[at].waits = false;
        model->waiting--;
        queue_done(model->queues[q], item);
    } else if (make_random(2) == 0) {
        if (queue_load(model->queues[q], item, &err) != 0 ||
            !make_is_right(&item->parcel))
            model->wrong++;
        queue_unload(item);
    } else {
        snprintf(model->v[at].node, sizeof(model->v[at].node), "n%d:1",
            (int)make_random(5));
        model->v[at].unknown_ns = (int64_t)make_random(1000);
        model->wrong += queue_set_node(model->queues[q], item,
            sv_from(model->v[at].node), model->v[at].unknown_ns, &err) != 0;
    }
}

static void
model_step(struct model *model)
{
    unsigned q = (unsigned)make_random(QUEUES);
    unsigned what = (unsigned)make_random(100);
    size_t at = model_choose(model, q);

    if (what < 35)
        model_add(model, q);
    else if (what < 50)
        model_adopt(model, q);
    else if (what < 53)
        model_reopen(model, q);
    else if (at != SIZE_MAX)
        model_one(model, q, at, what >= 65);
}

static uint64_t
model_sum(const struct model *model)
{
    uint64_t sum = 0;

    for (unsigned q = 0; q < QUEUES; q++)
        sum += queue_items(model->queues[q]);
    return sum;
}

static void
test_model(uint64_t seed)
{
    static struct model model;

    memset(&model, 0, sizeof(model));
    model.dir = dir_of("model");
    make_state = seed;
    for (unsigned q = 0; q < QUEUES; q++)
        model.queues[q] = make_open(model.dir, LIMIT);
    for (unsigned i = 0; i < 3000 && model.wrong == 0; i++)
        model_step(&model);
    for (unsigned i = 0; i < 200; i++)
        model_adopt(&model, i % QUEUES);
    is_int(model.wrong, 0, "seed %d: all as in the model", (int)seed);
    ok(model.n > 500 && model.refused < 300, "seed %d: %d added, %u refused",
        (int)seed, (int)model.n, model.refused);
    is_int(model_sum(&model), model.waiting, "seed %d: all that waits "
        "is somebody's", (int)seed);
    for (unsigned q = 0; q < QUEUES; q++) {
        size_t at;

        while ((at = model_choose(&model, q)) != SIZE_MAX)
            model_one(&model, q, at, true);
    }
    for (unsigned q = 0; q < QUEUES; q++)
        queue_close(model.queues[q]);
    is_int(files_in(model.dir), 0, "seed %d: no file is left", (int)seed);
}

/* --- limits --- */

static void
test_limits(void)
{
    const char *dir = dir_of("limits");
    struct queue *queues[2] = {make_open(dir, 4 * MIB),
        make_open(dir, 4 * MIB)};
    static struct queue_item *items[2][4000];
    unsigned n[2] = {0, 0};
    struct err err = ERR_INIT;
    uint64_t bytes;

    /* 70,000 bytes each. */
    for (unsigned q = 0; q < 2; q++) {
        while (n[q] < 20 && make_add(queues[q], 1, "", &items[q][n[q]],
            &err) == 0)
            n[q]++;
        is_int(n[q], 20, "queue %d: 1.4 MB fit", (int)q);
    }
    for (unsigned i = 0; i < 200; i++) {
        unsigned q = i % 2;

        if (make_add(queues[q], 1, "", &items[q][n[q]], &err) == 0)
            n[q]++;
    }
    is_int(err.code, ERR_LIMIT, "then it is full: %s", err.text);
    (void)make_count(dir, ".queue", &bytes);
    ok(bytes <= 4 * MIB + 2 * (4 * MIB / 64 + 80 * KIB) && bytes > 7 * MIB /
        2, "with %llu bytes of 4 MiB", (unsigned long long)bytes);
    while (n[0] > 0)
        queue_done(queues[0], items[0][--n[0]]);
    (void)!queue_adopt(queues[0]);
    (void)!queue_adopt(queues[1]);
    is_int(make_add(queues[1], 1, "", &items[1][n[1]], &err), 0,
        "when some are done there is room again: %s", err.text);
    queue_close(queues[0]);
    queue_close(queues[1]);
    queues[0] = make_open(dir_of("none"), 0);
    is_int(make_add(queues[0], 1, "", &items[0][0], &err), -1,
        "limit 0: nothing waits");
    is_int(err.code, ERR_LIMIT, "and this is no fault of the disk");
    queue_close(queues[0]);
}

/* Files rotate, and go when all of their items are done. */
static void
test_rotation(void)
{
    const char *dir = dir_of("rotation");
    struct queue *queue = make_open(dir, 32 * MIB);
    static struct queue_item *items[100];
    struct err err = ERR_INIT;
    unsigned n = 0;

    while (n < 100 && make_add(queue, 1, "", &items[n], &err) == 0)
        n++;
    is_int(n, 100, "7 MB are added");
    is_int(files_in(dir), 8, "in files of 1 MiB");
    for (unsigned i = 1; i < 50; i++)
        queue_done(queue, items[i]);
    is_int(files_in(dir), 6, "files go one by one, but for what waits");
    queue_done(queue, items[0]);
    is_int(files_in(dir), 5, "and then that");
    for (unsigned i = 50; i < 100; i++)
        queue_done(queue, items[i]);
    is_int(files_in(dir), 1, "the present one stays");
    queue_close(queue);
    is_int(files_in(dir), 0, "until the end");
}

/* --- damage --- */

static void
put_file(const char *path, struct sv bytes)
{
    FILE *out = fopen(path, "wb");

    check(out != NULL && fwrite(bytes.ptr, 1, bytes.len, out) == bytes.len);
    fclose(out);
}

/* The only file of a directory, read. */
static void
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
    test_life();
    for (uint64_t seed = 1; seed <= 4; seed++)
        test_model(seed);
    test_limits();
    test_rotation();
    test_damage();
    test_damage_later();
    test_foreign();
    return tap_done();
}
