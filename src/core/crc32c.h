/* SPDX-License-Identifier: BSD-2-Clause */

/* CRC-32C, the checksum of formats that are not ours; ours use xxhash. */

#ifndef SPOOR_CORE_CRC32C_H
#define SPOOR_CORE_CRC32C_H

#include "core/base.h"

/* Goes on from crc, which is 0 for the first bytes. */
uint32_t crc32c(uint32_t crc, const void *ptr, size_t len);

#endif
