/* SPDX-License-Identifier: BSD-2-Clause */

/* Growing the services of profiles a and b. */

#include "core/base.h"
#include "cli/gen_mesh.h"

#include "core/assert.h"
#include "core/mem.h"

#define POOL_BYTES_MAX (16 * MIB)

static const char *const nouns[] = {"orders", "carts", "users", "payments",
    "invoices", "products", "prices", "stock", "shipments", "addresses",
    "reviews", "coupons", "sessions", "profiles", "messages", "devices",
    "tickets", "reports", "documents", "images", "searches", "offers",
    "subscriptions", "plans", "accounts", "ledgers", "transfers", "cards",
    "merchants", "stores", "menus", "couriers", "routes", "zones", "quotes",
    "audits", "tokens", "roles", "teams", "projects", "builds", "jobs",
    "metrics", "alerts", "ratings", "feeds", "notes", "labels"};

static const char *const parts[] = {"items", "history", "status", "lines",
    "events", "summary", "attachments", "owners"};

static const struct { const char *verb; const char *route; } routes[] = {
    {"GET", "/api/v2/%s/{id}"}, {"GET", "/api/v2/%s"},
    {"POST", "/api/v2/%s"}, {"PUT", "/api/v2/%s/{id}"},
    {"GET", "/api/v2/%s/{id}/%s"}, {"GET", "/api/v2/%s/{id}/%s/{id}"},
    {"POST", "/api/v2/%s/{id}/%s"}, {"DELETE", "/api/v2/%s/{id}"},
    {"PATCH", "/internal/%s/{id}/%s"}, {"GET", "/internal/%s/by-%s/{id}"},
};

static const char *const rpc_verbs[] = {"Get", "List", "Create", "Update",
    "Search", "Validate", "Reserve", "BatchGet", "Delete", "Stream"};

/* {id} as in paths, {n}: a number of its own. */
static const struct { const char *verb; const char *plain;
    const char *literal; } statements[] = {
    {"SELECT", "SELECT id, state, total_cents, currency, updated_at FROM %s "
        "WHERE id = $1",
        "SELECT id, state, total_cents, currency, updated_at FROM %s "
        "WHERE id = '{id}'"},
    {"SELECT", "SELECT t.id, t.name, t.owner_id, p.value FROM %s t LEFT JOIN "
        "properties p ON p.ref = t.id WHERE t.owner_id = $1 AND t.state IN "
        "('open', 'paid') ORDER BY t.created_at DESC LIMIT 50",
        "SELECT t.id, t.name, t.owner_id, p.value FROM %s t LEFT JOIN "
        "properties p ON p.ref = t.id WHERE t.owner_id = {n} AND t.state IN "
        "('open', 'paid') ORDER BY t.created_at DESC LIMIT 50"},
    {"INSERT", "INSERT INTO %s (id, owner_id, payload, created_at) VALUES "
        "($1, $2, $3, $4) RETURNING id",
        "INSERT INTO %s (id, owner_id, created_at) VALUES ('{id}', {n}, "
        "now()) RETURNING id"},
    {"UPDATE", "UPDATE %s SET state = $1, version = version + 1 WHERE id = "
        "$2 AND version = $3",
        "UPDATE %s SET state = 'done', version = {n} WHERE id = '{id}'"},
    {"DELETE", "DELETE FROM %s WHERE owner_id = $1 AND expires_at < now()",
        "DELETE FROM %s WHERE owner_id = {n} AND expires_at < now()"},
    {"SELECT", "SELECT count(*) FROM %s WHERE owner_id = $1",
        "SELECT count(*) FROM %s WHERE owner_id = {n}"},
};

static const char *const cache_verbs[] = {"GET", "SET", "HGETALL", "MGET",
    "EXPIRE", "INCRBY"};
static const char *const work[] = {"Mapper.toDto", "Validator.check",
    "Renderer.render", "Policy.evaluate", "Codec.decode", "Ranker.score"};
static const char *const suffixes[MESH_LAYERS] = {"gateway", "api",
    "service", "worker"};

/* --- random choices --- */

static uint32_t
pick(struct mesh *mesh, uint32_t n)
{
    return (uint32_t)((gen_mix(&mesh->random) >> 32) * n >> 32);
}

static uint32_t
between(struct mesh *mesh, uint32_t min, uint32_t max)
{
    return min + pick(mesh, max - min + 1);
}

static bool
chance(struct mesh *mesh, uint32_t percent)
{
    return pick(mesh, 100) < percent;
}

static struct sv text(struct mesh *mesh, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static struct sv
text(struct mesh *mesh, const char *fmt, ...)
{
    char buf[512];
    va_list args;
    char *copy;
    int len;

    va_start(args, fmt);
    len = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    check(len >= 0 && len < (int)sizeof(buf));
    copy = pool_dup(mesh->pool, buf, (size_t)len);
    check(copy != NULL);
    return sv_make(copy, (size_t)len);
}

/* The text with %s replaced, first by a, then by b. */
static struct sv
fill(struct mesh *mesh, const char *fmt, struct sv a, const char *b)
{
    char buf[512];
    size_t len = 0;
    bool is_first = true;

    for (; *fmt != '\0'; fmt++) {
        struct sv value = is_first ? a : sv_from(b);

        check(len + value.len < sizeof(buf));
        if (fmt[0] == '%' && fmt[1] == 's') {
            memcpy(buf + len, value.ptr, value.len);
            len += value.len;
            is_first = false;
            fmt++;
        } else {
            buf[len++] = *fmt;
        }
    }
    return text(mesh, "%.*s", (int)len, buf);
}

/* --- operations --- */

static struct mesh_op *
op_new(struct mesh *mesh, uint32_t service, enum mesh_style style)
{
    struct mesh_op *op = &mesh->ops[mesh->nops++];
    const struct mesh_service *of = &mesh->services[service];

    check(mesh->nops < MESH_OPS_MAX);
    op->service = (uint8_t)service;
    op->style = (uint8_t)style;
    op->id = chance(mesh, mesh->shape->uuid_id_percent) ? MESH_ID_UUID
        : (uint8_t)pick(mesh, MESH_ID_UUID);
    op->has_literals = chance(mesh, 40);
    /* Six octaves, most of them short. */
    op->typical_us = 150u << pick(mesh, 7);
    for (unsigned i = 0; i < MESH_EXTRAS; i++) {
        if (chance(mesh, mesh->shape->extra_percent[i]))
            op->extras |= 1u << i;
    }
    op->function = text(mesh, "com.acme.%.*s.%c%.*s%s", SV_ARG(of->noun),
        of->noun.ptr[0] - 'a' + 'A', (int)of->noun.len - 1,
        of->noun.ptr + 1, work[pick(mesh, ARRAY_LEN(work))]);
    return op;
}

static void
leaf_sql(struct mesh *mesh, uint32_t service)
{
    struct mesh_op *op = op_new(mesh, service, MESH_SQL);
    struct sv noun = mesh->services[service].noun;
    uint32_t which = pick(mesh, ARRAY_LEN(statements));

    op->table = chance(mesh, 50) ? noun : text(mesh, "%.*s_%s",
        SV_ARG(noun), parts[pick(mesh, ARRAY_LEN(parts))]);
    op->verb = sv_from(statements[which].verb);
    op->target = fill(mesh, op->has_literals ? statements[which].literal
        : statements[which].plain, op->table, "");
    op->name = text(mesh, "%.*s %.*s.%.*s", SV_ARG(op->verb), SV_ARG(noun),
        SV_ARG(op->table));
}

static void
leaf_new(struct mesh *mesh, uint32_t service)
{
    struct sv noun = mesh->services[service].noun;
    uint32_t choice = pick(mesh, 100);
    uint32_t sql_percent = mesh->shape->sql_percent;
    struct mesh_op *op;

    if (choice < sql_percent) {
        leaf_sql(mesh, service);
    } else if (choice < 76) {
        op = op_new(mesh, service, MESH_CACHE);
        op->verb = sv_from(cache_verbs[pick(mesh, ARRAY_LEN(cache_verbs))]);
        op->name = op->verb;
        op->target = text(mesh, "%.*s:%s:", SV_ARG(noun),
            parts[pick(mesh, ARRAY_LEN(parts))]);
        op->typical_us = 120u << pick(mesh, 3);
    } else if (choice < 80) {
        op = op_new(mesh, service, MESH_PUBLISH);
        op->target = text(mesh, "%.*s.%s", SV_ARG(noun),
            parts[pick(mesh, ARRAY_LEN(parts))]);
        op->name = text(mesh, "publish %.*s", SV_ARG(op->target));
    } else {
        op = op_new(mesh, service, MESH_WORK);
        op->name = op->function;
    }
}

static void
entry_new(struct mesh *mesh, uint32_t service)
{
    const struct mesh_service *of = &mesh->services[service];
    struct mesh_op *op;

    if (of->layer == MESH_LAYERS - 1 && chance(mesh, 25)) {
        op = op_new(mesh, service, MESH_CONSUME);
        op->target = text(mesh, "%.*s.%s", SV_ARG(of->noun),
            parts[pick(mesh, ARRAY_LEN(parts))]);
        op->name = text(mesh, "process %.*s", SV_ARG(op->target));
        op->client_name = text(mesh, "publish %.*s", SV_ARG(op->target));
    } else if (of->layer <= 1 || chance(mesh, 35)) {
        uint32_t route = pick(mesh, ARRAY_LEN(routes));

        op = op_new(mesh, service, MESH_HTTP);
        op->verb = sv_from(routes[route].verb);
        op->target = fill(mesh, routes[route].route, of->noun,
            parts[pick(mesh, ARRAY_LEN(parts))]);
        op->name = text(mesh, "%.*s %.*s", SV_ARG(op->verb),
            SV_ARG(op->target));
        op->client_name = op->verb;
    } else {
        op = op_new(mesh, service, MESH_RPC);
        op->target = text(mesh, "acme.%.*s.v1.%c%.*sService",
            SV_ARG(of->noun), of->noun.ptr[0] - 'a' + 'A',
            (int)of->noun.len - 1, of->noun.ptr + 1);
        op->verb = text(mesh, "%s%c%.*s",
            rpc_verbs[pick(mesh, ARRAY_LEN(rpc_verbs))],
            of->noun.ptr[0] - 'a' + 'A', (int)of->noun.len - 1,
            of->noun.ptr + 1);
        op->name = text(mesh, "%.*s/%.*s", SV_ARG(op->target),
            SV_ARG(op->verb));
        op->client_name = op->name;
    }
    op->typical_us *= 2;
    op->is_parallel = chance(mesh, mesh->shape->parallel_percent);
}

/* --- who calls whom --- */

static void
call_add(struct mesh *mesh, struct mesh_op *op, uint32_t callee)
{
    const struct mesh_shape *shape = mesh->shape;
    struct mesh_call *call = &op->calls[op->ncalls];

    for (unsigned i = 0; i < op->ncalls; i++) {
        if (op->calls[i].op == callee)
            return;
    }
    if (op->ncalls == MESH_CALLS_MAX)
        return;
    call->op = (uint16_t)callee;
    call->percent = (uint8_t)MIN(shape->percent / 2 +
        pick(mesh, shape->percent + 1), 100u);
    call->repeat_max = chance(mesh, shape->repeat_percent)
        ? (uint8_t)between(mesh, 2, shape->repeat_max) : 1;
    op->ncalls++;
}

static void
calls_add(struct mesh *mesh, uint32_t number)
{
    struct mesh_op *op = &mesh->ops[number];
    const struct mesh_service *of = &mesh->services[op->service];
    const struct mesh_shape *shape = mesh->shape;
    uint32_t deeper = op->service + 1u;
    uint32_t n;

    while (deeper < mesh->nservices &&
        mesh->services[deeper].layer == of->layer)
        deeper++;
    n = 1 + pick(mesh, shape->leaf_calls_max);
    for (uint32_t i = 0; i < n; i++)
        call_add(mesh, op, of->first_leaf + pick(mesh, of->nleaves));
    if (deeper == mesh->nservices)
        return;
    n = of->layer == 0 ? 1 + pick(mesh, shape->calls_max)
        : pick(mesh, shape->calls_max + 1);
    for (uint32_t i = 0; i < n; i++) {
        const struct mesh_service *to = &mesh->services[deeper +
            pick(mesh, mesh->nservices - deeper)];

        call_add(mesh, op, to->first_entry + pick(mesh, to->nentries));
    }
}

/* --- all --- */

static void
service_new(struct mesh *mesh, uint32_t number)
{
    struct mesh_service *service = &mesh->services[number];
    const struct mesh_shape *shape = mesh->shape;
    uint32_t n;

    /* A tenth are gateways, the rest thirds; services ascend by layer. */
    service->layer = number * 10 < shape->services ? 0 :
        (uint8_t)(1 + (number - 1) * 3 / shape->services);
    service->noun = sv_from(nouns[number % ARRAY_LEN(nouns)]);
    service->name = text(mesh, "%.*s-%s", SV_ARG(service->noun),
        suffixes[service->layer]);
    service->address = text(mesh, "%.*s.%s", SV_ARG(service->name),
        shape->domain);
    service->language = (uint8_t)pick(mesh, MESH_LANGUAGES);
    service->pool_name = text(mesh, "%s-",
        service->language == MESH_JAVA ? "exec" : "worker");
    service->is_us_clock = chance(mesh, shape->us_clock_percent);
    n = between(mesh, shape->leaves_min, shape->leaves_max);
    service->first_leaf = (uint16_t)mesh->nops;
    service->nleaves = (uint16_t)n;
    while (n-- > 0)
        leaf_new(mesh, number);
    n = between(mesh, shape->entries_min, shape->entries_max);
    service->first_entry = (uint16_t)mesh->nops;
    service->nentries = (uint16_t)n;
    while (n-- > 0)
        entry_new(mesh, number);
}

struct mesh *
mesh_new(const struct mesh_shape *shape)
{
    struct mesh *mesh = xcalloc(1, sizeof(*mesh));

    mesh->shape = shape;
    mesh->pool = pool_new(POOL_BYTES_MAX);
    mesh->random = shape->topology;
    mesh->nservices = shape->services;
    check(mesh->nservices <= MESH_SERVICES_MAX);
    for (uint32_t i = 0; i < mesh->nservices; i++)
        service_new(mesh, i);
    for (uint32_t i = 0; i < mesh->nservices; i++) {
        const struct mesh_service *service = &mesh->services[i];

        for (uint32_t k = 0; k < service->nentries; k++)
            calls_add(mesh, service->first_entry + k);
    }
    return mesh;
}

void
mesh_free(struct mesh *mesh)
{
    pool_free(mesh->pool);
    xfree(mesh);
}
