/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "storage/store.h"

#include "core/mem.h"
#include "storage/catalog.h"
#include "storage/layout.h"
#include "storage/shared.h"

struct list {
    uint32_t *days;
    size_t n, cap;
};

static void
list_add(struct list *list, uint32_t day)
{
    if (list->n == list->cap) {
        list->cap = MAX(2 * list->cap, 64u);
        list->days = xrealloc(list->days, list->cap * sizeof(*list->days));
    }
    list->days[list->n++] = day;
}

/*
 * What a memtable says, without being its reader: it may be used anew in
 * between, so a day is believed only if it is one.
 */
static void
list_memtables(struct list *list)
{
    for (unsigned i = 0; i < shared->nslots; i++) {
        for (unsigned k = 0; k < SLOT_BUFFERS; k++) {
            uint32_t days[MEMTABLE_DAYS_MAX];
            unsigned n;

            if (atomic_load(&shared->slots[i].buffers[k].state) ==
                BUFFER_FREE)
                continue;
            n = memtable_days(shared_buffer(i, k), days);
            for (unsigned j = 0; j < n; j++) {
                char name[16];
                uint32_t day;

                snprintf(name, sizeof(name), "%08u", days[j]);
                if (layout_parse_day(name, &day) &&
                    partition_state(day) == PARTITION_OPEN)
                    list_add(list, day);
            }
        }
    }
}

static int
day_cmp(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

size_t
store_days(uint32_t **days)
{
    struct catalog_day *parts = NULL;
    struct list list = {NULL, 0, 0};
    size_t n = catalog_sum_days(&parts), kept = 0;

    for (size_t i = 0; i < n; i++)
        list_add(&list, parts[i].day);
    xfree(parts);
    list_memtables(&list);
    if (list.n > 1)
        qsort(list.days, list.n, sizeof(*list.days), day_cmp);
    for (size_t i = 0; i < list.n; i++) {
        if (kept == 0 || list.days[kept - 1] != list.days[i])
            list.days[kept++] = list.days[i];
    }
    *days = list.days;
    return kept;
}
