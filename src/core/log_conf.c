/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/log_conf.h"

#include "core/log.h"

int
log_apply_conf(const struct conf *conf, struct err *err)
{
    struct log_settings settings = {
        .is_json = conf->log_format == CONF_LOG_JSON,
        .has_no_time = conf->log_no_time,
        .timezone = conf->log_timezone,
        .json_fields = conf->log_json_fields,
        .errors_per_sec = conf->log_errors_limit,
        .warns_per_sec = conf->log_warns_limit,
        .message_max = conf->log_arg_len,
    };

    if (log_open(conf->log_file, err) != 0 ||
        log_configure(&settings, err) != 0)
        return -1;
    log_set_level((enum log_level)conf->log_level);
    return 0;
}

bool
log_conf_is_file(const struct conf *conf)
{
    return strcmp(conf->log_file, "stderr") != 0 &&
        strcmp(conf->log_file, "stdout") != 0;
}
