/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The durable queue against a model: what waits in it is what was added and
 * is not done, whoever adopts it.
 */

#include "core/base.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/sys.h"
#include "queue_make.h"
#include "tap.h"

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

/* --- processes that fight for what others left --- */

#define FIGHT_FILES 24u
#define FIGHT_EACH 5u
#define FIGHTERS 6u

struct fight {
    _Atomic unsigned begun[FIGHT_FILES * FIGHT_EACH];
    _Atomic unsigned done[FIGHT_FILES * FIGHT_EACH];
    _Atomic unsigned wrong;
};

/* Dies in the midst of it when it shall. */
static void
fight(struct fight *fight, const char *dir, unsigned deaths_after)
{
    struct queue *queue = make_open(dir, LIMIT);
    struct err err = ERR_INIT;
    unsigned n = 0;

    for (unsigned idle = 0; idle < 20;) {
        struct queue_item *item = queue_adopt(queue), *next;

        idle = item == NULL ? idle + 1 : 0;
        if (item == NULL)
            usleep(2000);
        for (; item != NULL; item = next) {
            uint64_t number = make_number(&item->parcel);

            next = item->next;
            if (queue_load(queue, item, &err) != 0 ||
                !make_is_right(&item->parcel))
                atomic_fetch_add(&fight->wrong, 1);
            if (++n == deaths_after)
                kill(getpid(), SIGKILL);
            atomic_fetch_add(&fight->begun[number], 1);
            queue_done(queue, item);
            atomic_fetch_add(&fight->done[number], 1);
        }
    }
    queue_close(queue);
    _exit(0);
}

static void
test_fight(void)
{
    const char *dir = dir_of("fight");
    struct fight *shared = mmap(NULL, sizeof(*shared),
        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned not_once = 0;

    check(shared != MAP_FAILED);
    for (unsigned i = 0; i < FIGHT_FILES; i++) {
        struct queue *queue = make_open(dir, LIMIT);
        struct queue_item *item;

        for (unsigned k = 0; k < FIGHT_EACH; k++)
            check(make_add(queue, i * FIGHT_EACH + k, "", &item, NULL) == 0);
        queue_close(queue);
    }
    for (unsigned i = 0; i < FIGHTERS; i++) {
        if (fork() == 0)
            fight(shared, dir, i < FIGHTERS / 2 ? 3 + 7 * i : UINT_MAX);
    }
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    for (unsigned i = 0; i < FIGHT_FILES * FIGHT_EACH; i++)
        not_once += shared->begun[i] != 1 || shared->done[i] != 1;
    is_int(shared->wrong, 0, "processes that fight read what was written");
    is_int(not_once, 0, "each parcel is one process'");
    is_int(files_in(dir), 0, "and all are done though some died");
    munmap(shared, sizeof(*shared));
}

/* --- a full disk --- */

static bool is_full;

static int
full_fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (!is_full)
        return sys_kernel.fallocate(fd, mode, offset, len);
    errno = ENOSPC;
    return -1;
}

static ssize_t
full_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    if (!is_full)
        return sys_kernel.pwritev(fd, iov, count, offset);
    errno = ENOSPC;
    return -1;
}

static void
test_full_disk(void)
{
    const char *dir = dir_of("full");
    struct queue *queue = make_open(dir, LIMIT);
    struct queue_item *items[3], *none;
    struct err err = ERR_INIT;

    sys.fallocate = full_fallocate;
    sys.pwritev = full_pwritev;
    check(make_add(queue, 7, "", &items[0], &err) == 0);
    check(make_add(queue, 8, "", &items[1], &err) == 0);
    is_full = true;
    for (unsigned i = 0; i < 20; i++)
        (void)!make_add(queue, 15, "", &none, &err);
    is_int(err.code, ERR_NO_SPACE, "a full disk: %s", err.text);
    is_int(queue_items(queue), 2, "nothing was added");
    is_int(queue_load(queue, items[1], &err), 0, "what waits can be sent");
    queue_done(queue, items[1]);
    is_int(queue_items(queue), 1, "and is done, though that is not noted");
    (void)!queue_adopt(queue);
    is_full = false;
    is_int(make_add(queue, 9, "", &items[1], &err), 0, "it heals");
    (void)!queue_adopt(queue);
    queue_close(queue);
    sys = sys_kernel;
    queue = make_open(dir, LIMIT);
    items[0] = queue_adopt(queue);
    items[1] = queue_adopt(queue);
    ok(items[0] != NULL && items[0]->next == NULL && (items[1] == NULL ||
        items[1]->next == NULL), "what was done is noted late");
    is_int(queue_items(queue), 2, "the others wait");
    queue_close(queue);
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
    test_fight();
    test_full_disk();
    return tap_done();
}
