/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Flags of VictoriaTraces that are no directives: core/flags.def.
 */

#ifndef SPOOR_CORE_CONF_FLAGS_H
#define SPOOR_CORE_CONF_FLAGS_H

#include "core/base.h"
#include "core/conf_report.h"
#include "core/sv.h"

enum conf_flag_state { CONF_FLAG_ACCEPTED, CONF_FLAG_REFUSED };

struct conf_flag {
    const char *name;
    bool is_bool; /* may stand alone */
    enum conf_flag_state state;
    const char *reason;
};

/* NULL when there is none. */
const struct conf_flag *conf_flag_find(struct sv name);
/* The Nth, NULL behind the last. */
const struct conf_flag *conf_flag_at(unsigned n);
/*
 * Says that the flag was given in vain, or that it must not be given; name is
 * what was written ("-x", "VM_x").  Nothing for a boolean that says false.
 */
void conf_flag_given(struct conf_report *report, const struct conf_flag *flag,
    const char *name, const char *value);

#endif
