/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/conf_flag.h"

#include "core/conf_load.h"
#include "core/conf_table.h"

bool
conf_flag_is_set(const struct conf *conf, struct sv flag)
{
    const struct conf_row *row = conf_row_by_flag(flag);

    return row != NULL && conf->origins->v[conf_row_index(row)].layer !=
        CONF_LAYER_DEFAULT;
}
