/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/conf_listener.h"

#include "core/assert.h"

unsigned
conf_listeners(const struct conf *conf)
{
    return conf->http_listen.n + conf->otlp_grpc_listen.n;
}

struct conf_listener
conf_listener_get(const struct conf *conf, unsigned n)
{
    struct conf_listener listener = {.is_grpc = n >= conf->http_listen.n};

    check(n < conf_listeners(conf));
    listener.address = listener.is_grpc ?
        conf->otlp_grpc_listen.v[n - conf->http_listen.n] :
        conf->http_listen.v[n];
    return listener;
}
