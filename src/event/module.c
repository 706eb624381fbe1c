/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/module.h"

#include "core/assert.h"

static const struct module *const no_modules[] = {NULL};

const struct module *const *modules = no_modules;

const char *
role_name(enum role role)
{
    static const char *const names[] = {
#define ROLE(id, name, count, network, doc) [ROLE_##id] = name,
#include "core/roles.def"
#undef ROLE
    };

    check(role < ROLE_COUNT);
    return names[role];
}

bool
role_has_network(enum role role)
{
    static const bool has_network[] = {
#define ROLE(id, name, count, network, doc) [ROLE_##id] = network,
#include "core/roles.def"
#undef ROLE
    };

    check(role < ROLE_COUNT);
    return has_network[role];
}
