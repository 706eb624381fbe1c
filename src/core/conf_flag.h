/* SPDX-License-Identifier: BSD-2-Clause */

#ifndef SPOOR_CORE_CONF_FLAG_H
#define SPOOR_CORE_CONF_FLAG_H

#include "core/base.h"
#include "core/conf.h"
#include "core/sv.h"

/* False when the flag's value is its default because nobody set it. */
bool conf_flag_is_set(const struct conf *conf, struct sv flag);

#endif
