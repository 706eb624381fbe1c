/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/admission.h"

#include "core/assert.h"
#include "core/conf_cpus.h"
#include "core/shm.h"

/* What 0 means: twice the CPUs of a small machine, never more than this. */
#define AUTO_MAX 16u
#define SMALL_MACHINE 4u

struct admission {
    unsigned nslots;
    /* A cache line each: workers count without disturbing each other. */
    struct {
        _Alignas(64) _Atomic uint32_t running[ADMISSION_KINDS];
    } slots[];
};

static struct admission *admission;

static int
admission_init(const struct conf *conf, struct err *err)
{
    unsigned nslots = master_slot_capacity(conf);
    void *region;

    if (shm_new(&region, "spoor-admission", sizeof(*admission) +
        nslots * sizeof(admission->slots[0]), err) != 0)
        return -1;
    admission = region;
    admission->nslots = nslots;
    return 0;
}

static bool
admission_child_ended(enum role role, unsigned slot, pid_t pid, bool crashed)
{
    (void)pid;
    (void)crashed;
    if (role != ROLE_WORKER || admission == NULL || slot >= admission->nslots)
        return false;
    for (unsigned kind = 0; kind < ADMISSION_KINDS; kind++)
        atomic_store(&admission->slots[slot].running[kind], 0);
    return false;
}

const struct module admission_module = {
    .name = "admission",
    .init_master = admission_init,
    .child_ended = admission_child_ended,
};

unsigned
admission_max(const struct conf *conf)
{
    unsigned cpus;

    if (conf->query_concurrency != 0)
        return (unsigned)conf->query_concurrency;
    cpus = conf_cpus();
    return MIN(cpus <= SMALL_MACHINE ? 2 * cpus : cpus, AUTO_MAX);
}

bool
admission_enter(const struct process *process, enum admission_kind kind)
{
    const struct conf *conf = process->conf;
    uint64_t sum = 0, max = kind == ADMISSION_INTERNAL
        ? conf->internal_select_max : admission_max(conf);

    if (admission == NULL || process->slot >= admission->nslots)
        return true;
    /* First counted, then looked: two that come together see each other. */
    atomic_fetch_add(&admission->slots[process->slot].running[kind], 1);
    for (unsigned i = 0; i < admission->nslots; i++)
        sum += atomic_load(&admission->slots[i].running[kind]);
    if (sum <= max)
        return true;
    atomic_fetch_sub(&admission->slots[process->slot].running[kind], 1);
    return false;
}

void
admission_leave(const struct process *process, enum admission_kind kind)
{
    if (admission != NULL && process->slot < admission->nslots)
        atomic_fetch_sub(&admission->slots[process->slot].running[kind], 1);
}
