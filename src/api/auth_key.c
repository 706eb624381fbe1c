/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "api/auth_key.h"

#define KEY(pattern, member, flag) \
    {pattern, offsetof(struct conf, member), flag}

const struct route_key api_route_keys[] = {
    KEY("/metrics", metrics_key, "metricsAuthKey"),
    KEY("/flags", flags_key, "flagsAuthKey"),
    KEY("/debug/pprof*", pprof_key, "pprofAuthKey"),
    KEY("/internal/force_flush", force_flush_key, "forceFlushAuthKey"),
    KEY("/internal/force_merge", force_merge_key, "forceMergeAuthKey"),
    KEY("/internal/log_new_streams", log_new_streams_key,
        "logNewStreamsAuthKey"),
    KEY("/internal/partition/*", partition_key, "partitionManageAuthKey"),
    {NULL, 0, NULL},
};
