/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "query/state_texts.h"

void
state_texts_init(struct state_texts *texts, struct hold *hold)
{
    *texts = (struct state_texts){.ids = {NULL, 0}};
    dict_init(&texts->numbers, hold);
}

void
state_texts_drop(struct state_texts *texts)
{
    hold_drop(texts->numbers.hold, &texts->ids, sizeof(uint32_t));
    dict_drop(&texts->numbers);
}

int
state_texts_number(struct state_texts *texts, uint32_t id, uint32_t *number,
    struct err *err)
{
    struct hold *hold = texts->numbers.hold;
    struct dict_slot *slot = dict_find(&texts->numbers,
        (struct key128){id, 0}, err);

    if (slot == NULL)
        return -1;
    if (slot->code == DICT_NEW) {
        if (hold_grow_raw(hold, &texts->ids, (size_t)texts->n + 1,
                sizeof(uint32_t), err) != 0)
            return -1;
        ((uint32_t *)texts->ids.items)[texts->n] = id;
        slot->code = texts->n++;
    }
    *number = slot->code;
    return 0;
}
