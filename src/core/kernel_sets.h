/* SPDX-License-Identifier: BSD-2-Clause */

/* The sets of kernels for some CPUs; private to kernel*.c. */

#ifndef SPOOR_CORE_KERNEL_SETS_H
#define SPOOR_CORE_KERNEL_SETS_H

#include "core/base.h"
#include "core/kernel.h"

/* NULL when this CPU has not got it. */
const struct kernels *kernels_avx2(void);

#endif
