/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "http/group.h"

const struct group groups[] = {
    {"insert", CONF_GROUP_INSERT, ROUTE_INSERT, "insert.disable",
        "spans from applications and collectors"},
    {"select", CONF_GROUP_SELECT, ROUTE_SELECT, "select.disable",
        "queries"},
    {"internalinsert", CONF_GROUP_INTERNAL_INSERT, ROUTE_INTERNAL_INSERT,
        "internal_insert.disable", "spans from other nodes"},
    {"internalselect", CONF_GROUP_INTERNAL_SELECT, ROUTE_INTERNAL_SELECT,
        "internal_select.disable", "queries of other nodes"},
    {"delete", CONF_GROUP_DELETE, ROUTE_DELETE, "delete.enable",
        "deletion of spans"},
    {"internaldelete", CONF_GROUP_INTERNAL_DELETE, ROUTE_INTERNAL_DELETE,
        "internal_delete.enable", "deletion of spans by other nodes"},
    {"admin", CONF_GROUP_ADMIN, ROUTE_ADMIN, NULL,
        "what changes or tells the server's state"},
    {NULL, 0, 0, NULL, NULL},
};

const struct group *
group_of(unsigned flags)
{
    for (const struct group *row = groups; row->name != NULL; row++) {
        if ((flags & row->flag) != 0)
            return row;
    }
    return NULL;
}

static bool
group_parse(struct sv name, unsigned *bits)
{
    if (sv_eq(name, SV("*"))) {
        *bits |= GROUPS_ALL;
        return true;
    }
    for (const struct group *row = groups; row->name != NULL; row++) {
        if (sv_eq(name, sv_from(row->name))) {
            *bits |= row->bit;
            return true;
        }
    }
    return false;
}

bool
groups_parse(struct sv text, unsigned *bits)
{
    struct sv name;

    *bits = 0;
    while (sv_split(&text, ',', &name)) {
        if (!group_parse(sv_trim(name), bits))
            return false;
    }
    return true;
}

/* Whether the switch of the whole server, not that of an address, is it. */
static bool
is_closed_everywhere(unsigned bit, const struct conf *conf)
{
    switch (bit) {
    case CONF_GROUP_INSERT:
        return conf->insert_disable;
    case CONF_GROUP_SELECT:
        return conf->select_disable;
    case CONF_GROUP_INTERNAL_INSERT:
        return conf->internal_insert_disable;
    case CONF_GROUP_INTERNAL_SELECT:
        return conf->internal_select_disable;
    case CONF_GROUP_DELETE:
        return !conf->delete_enable;
    case CONF_GROUP_INTERNAL_DELETE:
        return !conf->internal_delete_enable;
    default:
        return false;
    }
}

const char *
group_closed_by(const struct group *group, const struct http_req *req)
{
    if (req->listener == NULL || (req->listener->disabled & group->bit) == 0)
        return NULL;
    if (is_closed_everywhere(group->bit, req->process->conf))
        return group->switch_name;
    if (group->bit == CONF_GROUP_INTERNAL_SELECT &&
        req->process->conf->select_disable)
        return "select.disable";
    return req->listener->is_grpc ? "otlp_grpc.listen.disable"
                                  : "http.listen.disable";
}
