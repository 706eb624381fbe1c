/* SPDX-License-Identifier: BSD-2-Clause */

/* For conf_cpus() and its test. */

#ifndef SPOOR_CORE_CONF_CPUS_H
#define SPOOR_CORE_CONF_CPUS_H

#include "core/base.h"

/*
 * CPUs that the cgroup quota of this process allows, rounded up; 0 when
 * there is none.  root is put before "/proc" and "/sys" ("" but in tests).
 */
unsigned conf_cpus_quota(const char *root);

#endif
