/* SPDX-License-Identifier: BSD-2-Clause */

/* The log as the configuration wants it. */

#ifndef SPOOR_CORE_LOG_CONF_H
#define SPOOR_CORE_LOG_CONF_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"

/* Opens and configures the log; before threads run. */
int log_apply_conf(const struct conf *conf, struct err *err) WARN_UNUSED;
/* Whether log.file is a file. */
bool log_conf_is_file(const struct conf *conf);

#endif
