/* SPDX-License-Identifier: BSD-2-Clause */

/* The table of routes as a whole: groups, methods, keys. */

#include "core/base.h"

#include "api/auth_key.h"
#include "api/routes.h"
#include "http/group.h"
#include "http/path.h"

#include "tap.h"

static bool
begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What a pattern says of itself; NULL: nothing. */
static const char *
expected_group(const struct route *route)
{
    static const struct {
        const char *prefix;
        const char *group;
    } rules[] = {
        {"/insert/", "insert"}, {"/v1/", "insert"},
        {"/opentelemetry.", "insert"},
        {"/select/", "select"}, {"/internal/insert", "internalinsert"},
        {"/internal/select/", "internalselect"},
        {"/internal/delete/", "internaldelete"}, {"/delete/", "delete"},
        {"/internal/", "admin"}, {"/metrics", "admin"}, {"/flags", "admin"},
        {"/debug/", "admin"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (begins(route->pattern, rules[i].prefix))
            return rules[i].group;
    }
    return NULL;
}

static unsigned
count_groups(const struct route *route)
{
    return (unsigned)__builtin_popcount(route->flags & ROUTE_GROUPS);
}

/* Whom nobody asks who he is: the list of the reference, and gRPC's health. */
static bool
is_meant_open(const char *pattern)
{
    static const char *const open[] = {"/health", "/-/healthy", "/-/ready",
        "/ping", "/robots.txt", "/favicon.ico", "/*/favicon.ico",
        "/grpc.health.v1.Health/Check"};

    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        if (strcmp(pattern, open[i]) == 0)
            return true;
    }
    return false;
}

static void
test_groups(void)
{
    unsigned rows = 0, wrong = 0, many = 0, open = 0;

    for (const struct route *route = api_routes; route->pattern != NULL;
        route++) {
        const struct group *group = group_of(route->flags);
        const char *wanted = expected_group(route);
        bool is_open = (route->flags & ROUTE_OPEN) != 0;

        rows++;
        many += count_groups(route) > 1;
        open += is_open != is_meant_open(route->pattern);
        if (wanted == NULL ? group != NULL
                           : group == NULL || strcmp(group->name, wanted) != 0)
            ok(false, "group of %s", route->pattern), wrong++;
    }
    ok(rows > 30, "%u routes", rows);
    is_int(wrong, 0, "each is in the group of its path");
    is_int(many, 0, "and in no other");
    is_int(open, 0, "open are those that are meant to be");
}

/* What changes state takes POST only, and no other site's pages. */
static void
test_methods(void)
{
    unsigned wrong = 0, posts = 0, cors = 0;

    for (const struct route *route = api_routes; route->pattern != NULL;
        route++) {
        /* This one only tells, as /metrics does. */
        bool is_state = (begins(route->pattern, "/internal/") &&
            strcmp(route->pattern, "/internal/cluster") != 0) ||
            begins(route->pattern, "/delete/");

        posts += is_state;
        if (is_state && (route->methods != HTTP_POST ||
            (route->flags & ROUTE_BODY) == 0))
            ok(false, "%s takes POST only", route->pattern), wrong++;
        cors += (route->flags & ROUTE_CORS) != 0 &&
            (route->flags & (ROUTE_INSERT | ROUTE_SELECT)) == 0;
    }
    ok(posts >= 9, "%u routes change state", posts);
    is_int(wrong, 0, "they take POST only");
    is_int(cors, 0, "pages of other sites read answers of insert and select");
}

/* A path that more than one pattern fits is open only if the first one is. */
static void
test_patterns(void)
{
    static const struct {
        const char *path;
        const char *group; /* NULL: open */
    } cases[] = {
        {"/favicon.ico", NULL}, {"/select/vmui/favicon.ico", NULL},
        {"/select/jaeger/api/traces/1/favicon.ico", "select"},
        {"/select/vmalert/favicon.ico", "select"},
        {"/debug/pprof/favicon.ico", "admin"},
        {"/select/jaeger/api/services/a/favicon.ico/operations", "select"},
    };
    static const enum http_method methods[] = {HTTP_GET, HTTP_POST, HTTP_HEAD,
        HTTP_OPTIONS};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned wrong = 0;

        for (size_t k = 0; k < ARRAY_LEN(methods); k++) {
            const struct group *group;
            struct route_match match;

            route_find(api_routes, sv_from(cases[i].path), methods[k],
                &match);
            group = group_of(match.flags);
            wrong += ((match.flags & ROUTE_OPEN) != 0) !=
                (cases[i].group == NULL);
            wrong += strcmp(group == NULL ? "" : group->name,
                cases[i].group == NULL ? "" : cases[i].group) != 0;
        }
        is_int(wrong, 0, "%s", cases[i].path);
    }
}

static void
test_keys(void)
{
    unsigned rows = 0, wrong = 0;

    for (const struct route_key *key = api_route_keys; key->pattern != NULL;
        key++) {
        size_t len = strcspn(key->pattern, "*");

        rows++;
        for (const struct route *route = api_routes; route->pattern != NULL;
            route++) {
            if (strncmp(route->pattern, key->pattern, len) == 0)
                wrong += (route->flags & ROUTE_ADMIN) == 0;
        }
    }
    is_int(rows, 7, "keys of endpoints");
    is_int(wrong, 0, "their endpoints are asked for them");
}

static void
test_words(void)
{
    unsigned bits = 0;

    ok(groups_parse(SV("insert, select"), &bits) &&
        bits == (CONF_GROUP_INSERT | CONF_GROUP_SELECT), "two groups");
    ok(groups_parse(SV("*"), &bits) && bits == GROUPS_ALL, "all groups");
    for (const struct group *row = groups; row->name != NULL; row++)
        ok(groups_parse(sv_from(row->name), &bits) && bits == row->bit &&
            (row->flag & ROUTE_GROUPS) != 0, "%s", row->name);
    ok(!groups_parse(SV("inserts"), &bits), "no group");
    ok(!groups_parse(SV(""), &bits), "nothing");
    ok(!groups_parse(SV("insert,"), &bits), "a comma too many");
}

int
main(void)
{
    test_groups();
    test_methods();
    test_patterns();
    test_keys();
    test_words();
    return tap_done();
}
