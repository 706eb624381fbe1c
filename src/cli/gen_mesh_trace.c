/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Profiles a and b: a request comes in at a gateway and goes through the
 * mesh.  The numbers of the shapes make the means that gen.h states, which
 * t/73-gen.t holds them to.
 */

#include "core/base.h"
#include "cli/gen_mesh.h"

#include <math.h>

#include "core/mem.h"

enum kind { INTERNAL = 1, SERVER, CLIENT, PRODUCER, CONSUMER };

/* Log-normal, nearly: a half of all within an octave, long tails. */
static int64_t
some_time(struct gen *gen, uint32_t typical_us)
{
    uint64_t r = gen_random(gen);
    float sum = (float)(r & 0xffff) + (float)(r >> 16 & 0xffff) +
        (float)(r >> 32 & 0xffff) + (float)(r >> 48);

    return (int64_t)((float)typical_us * 1000.0f *
        exp2f((sum / 65536.0f - 2.0f) * 2.0f));
}

static void
finish(struct gen *gen, struct span *span, uint32_t op_number,
    uint64_t id_random, bool has_failed)
{
    struct mesh *mesh = gen->mesh;
    const struct mesh_op *op = &mesh->ops[op_number];
    uint32_t service = span->resource / mesh->shape->pods;

    if (mesh->services[service].is_us_clock) {
        span->start_ns -= span->start_ns % 1000;
        span->end_ns -= span->end_ns % 1000;
    }
    span->scope = mesh->services[service].language * MESH_STYLES + op->style;
    span->status_code = has_failed ? 2 : 0;
    mesh_attrs(gen, span, op, service, id_random);
    if (has_failed)
        mesh_fail(gen, span, op, id_random);
    else if (gen_below(gen, 50) == 0)
        mesh_event(gen, span);
}

static int64_t run(struct gen *gen, uint32_t op_number,
    const struct span *parent, int64_t start_ns, uint64_t id_random);

/* A statement, a look-up, a computation of the calling service. */
static int64_t
run_leaf(struct gen *gen, uint32_t op_number, const struct span *parent,
    int64_t start_ns)
{
    const struct mesh_op *op = &gen->mesh->ops[op_number];
    struct span *span = gen_span(gen, parent, start_ns);
    bool has_failed;

    if (span == NULL)
        return start_ns;
    span->resource = parent->resource;
    span->kind = op->style == MESH_WORK ? INTERNAL
        : op->style == MESH_PUBLISH ? PRODUCER : CLIENT;
    span->name = op->name;
    span->end_ns = start_ns + some_time(gen, op->typical_us);
    has_failed = gen_below(gen, 400) == 0;
    finish(gen, span, op_number, gen_random(gen), has_failed);
    return span->end_ns;
}

/* A span of the caller around the one of the service that is called. */
static int64_t
run_remote(struct gen *gen, uint32_t op_number, const struct span *parent,
    int64_t start_ns)
{
    const struct mesh_op *op = &gen->mesh->ops[op_number];
    bool is_queue = op->style == MESH_CONSUME;
    struct span *span = gen_span(gen, parent, start_ns);
    uint64_t id_random = gen_random(gen);
    int64_t end, sent = start_ns + some_time(gen, is_queue ? 400 : 150);

    if (span == NULL)
        return start_ns;
    span->resource = parent->resource;
    span->kind = is_queue ? PRODUCER : CLIENT;
    span->name = op->client_name;
    if (is_queue) {
        (void)run(gen, op_number, span, sent + some_time(gen, 3000),
            id_random);
        end = sent;
    } else {
        end = run(gen, op_number, span, sent, id_random) +
            some_time(gen, 150);
    }
    span->end_ns = end;
    finish(gen, span, op_number, id_random, gen_below(gen, 250) == 0);
    return span->end_ns;
}

static int64_t
run_calls(struct gen *gen, const struct mesh_op *op, const struct span *span,
    int64_t start_ns)
{
    int64_t now = start_ns, last = start_ns;

    for (unsigned i = 0; i < op->ncalls; i++) {
        const struct mesh_call *call = &op->calls[i];
        bool is_leaf = gen->mesh->ops[call->op].style != MESH_HTTP &&
            gen->mesh->ops[call->op].style != MESH_RPC &&
            gen->mesh->ops[call->op].style != MESH_CONSUME;
        uint32_t n;

        if (gen_below(gen, 100) >= call->percent)
            continue;
        n = 1 + gen_below(gen, call->repeat_max);
        while (n-- > 0) {
            int64_t end = is_leaf
                ? run_leaf(gen, call->op, span, now)
                : run_remote(gen, call->op, span, now);

            last = MAX(last, end);
            now = op->is_parallel ? now + some_time(gen, 20) :
                end + some_time(gen, 40);
        }
    }
    return MAX(now, last);
}

/* The operation in its own service; returns when it ends. */
static int64_t
run(struct gen *gen, uint32_t op_number, const struct span *parent,
    int64_t start_ns, uint64_t id_random)
{
    struct mesh *mesh = gen->mesh;
    const struct mesh_op *op = &mesh->ops[op_number];
    struct span *span = gen_span(gen, parent, start_ns);
    int64_t now = start_ns + some_time(gen, op->typical_us / 4 + 1);

    if (span == NULL)
        return start_ns;
    span->resource = op->service * mesh->shape->pods +
        gen_below(gen, mesh->shape->pods);
    span->kind = op->style == MESH_CONSUME ? CONSUMER : SERVER;
    span->name = op->name;
    now = run_calls(gen, op, span, now);
    span->end_ns = now + some_time(gen, op->typical_us / 2 + 1);
    if (op->style == MESH_CONSUME) {
        struct span_link *link = pool_zalloc(gen->pool, sizeof(*link));

        if (link != NULL) {
            link->trace_id = gen->trace_id;
            link->span_id = parent->span_id;
            span->links = link;
            span->nlinks = 1;
        }
    }
    finish(gen, span, op_number, id_random, gen_below(gen, 60) == 0);
    return span->end_ns;
}

/* What the outside asks for; the first of these more often. */
static uint32_t
root_op(struct gen *gen)
{
    const struct mesh *mesh = gen->mesh;
    uint32_t n = 0, r;

    for (uint32_t i = 0; i < mesh->nservices &&
        mesh->services[i].layer <= 1; i++)
        n += mesh->services[i].nentries;
    r = gen_below(gen, n);
    r = r * (1 + gen_below(gen, n)) / n;
    for (uint32_t i = 0;; i++) {
        if (r < mesh->services[i].nentries)
            return mesh->services[i].first_entry + r;
        r -= mesh->services[i].nentries;
    }
}

static void
mesh_trace(struct gen *gen, int64_t start_ns)
{
    struct mesh *mesh = gen->mesh;
    uint32_t op = root_op(gen);

    mesh_begin_trace(gen);
    if (gen_below(gen, 100) < mesh->shape->single_percent) {
        /* A job of its own: no gateway, and nothing is called. */
        uint32_t service = gen_below(gen, mesh->nservices);
        struct span *span = gen_span(gen, NULL, start_ns);

        op = mesh->services[service].first_leaf;
        span->resource = service * mesh->shape->pods +
            gen_below(gen, mesh->shape->pods);
        span->kind = mesh->ops[op].style == MESH_WORK ? INTERNAL : CLIENT;
        span->name = mesh->ops[op].name;
        span->end_ns = start_ns + some_time(gen, mesh->ops[op].typical_us);
        finish(gen, span, op, gen_random(gen), false);
        return;
    }
    (void)run(gen, op, NULL, start_ns, gen_random(gen));
}

/* --- resources and scopes --- */

static const char *const languages[MESH_LANGUAGES] = {"java", "go", "nodejs",
    "python", "dotnet"};
static const char *const scopes[MESH_STYLES] = {"http-server", "grpc",
    "jdbc", "redis", "kafka-producer", "kafka-consumer", "acme"};

void
mesh_resource(struct gen *gen, uint32_t number, struct resource *out)
{
    const struct mesh *mesh = gen->mesh;
    const struct mesh_service *service =
        &mesh->services[number / mesh->shape->pods];
    uint32_t pod = number % mesh->shape->pods;
    uint64_t random = mesh->shape->topology + number;
    uint64_t a = gen_mix(&random), b = gen_mix(&random);
    struct gen_list list;

    list.gen = gen;
    list.n = 0;
    gen_add_text(&list, SV("service.name"), service->name);
    gen_add_text(&list, SV("service.version"), gen_printf(gen, "%u.%u.%u",
        1 + (unsigned)(a & 3), (unsigned)(a >> 2) & 31, pod == 0 ? 1 : 0));
    gen_add_text(&list, SV("service.namespace"), SV("acme"));
    gen_put_uuid(gen, a, b);
    gen_add_text(&list, SV("service.instance.id"), gen_take(gen));
    gen_add_text(&list, SV("deployment.environment.name"), SV("production"));
    gen_add_text(&list, SV("k8s.pod.name"), gen_printf(gen,
        "%.*s-%08x-%05x", SV_ARG(service->name), (unsigned)(a >> 32),
        (unsigned)b & 0xfffff));
    gen_add_text(&list, SV("host.name"), gen_printf(gen,
        "ip-10-2-%u-%u.eu-west-1.compute.internal", number % 7,
        20 + number % 11));
    gen_add_text(&list, SV("telemetry.sdk.language"),
        sv_from(languages[service->language]));
    gen_add_int(&list, SV("process.pid"), 1 + (int64_t)(a >> 20 & 63));
    out->attrs = gen_attrs(&list);
}

void
mesh_scope(struct gen *gen, uint32_t number, struct scope *out)
{
    out->name = gen_printf(gen, "io.opentelemetry.%s.%s",
        languages[number / MESH_STYLES], scopes[number % MESH_STYLES]);
    out->version = SV("2.21.0");
}

/* --- the profiles --- */

static const struct mesh_shape shape_a = {
    .topology = 14, .domain = "prod.svc.cluster.local",
    .services = 31, .pods = 3, .sql_percent = 52,
    .entries_min = 3, .entries_max = 5, .leaves_min = 4, .leaves_max = 6,
    .calls_max = 3, .leaf_calls_max = 3, .percent = 56,
    .repeat_percent = 10, .repeat_max = 3, .us_clock_percent = 25,
    .parallel_percent = 20, .uuid_id_percent = 5, .single_percent = 8,
    .extra_percent = {[MESH_USER] = 20, [MESH_SESSION] = 3,
        [MESH_REQUEST_UUID] = 2, [MESH_CART_CODE] = 8, [MESH_OWN_UUID] = 1,
        [MESH_SIZE] = 30, [MESH_PEER_PORT] = 36, [MESH_TENANT] = 22,
        [MESH_FLAG] = 14, [MESH_THREAD] = 30, [MESH_COST] = 6},
};

static const struct mesh_shape shape_b = {
    .topology = 7, .domain = "prod", .services = 24, .pods = 2,
    .sql_percent = 36,
    .entries_min = 3, .entries_max = 5, .leaves_min = 3, .leaves_max = 5,
    .calls_max = 4, .leaf_calls_max = 3, .percent = 69,
    .repeat_percent = 20, .repeat_max = 6, .us_clock_percent = 50,
    .parallel_percent = 45, .uuid_id_percent = 8, .single_percent = 4,
    .extra_percent = {[MESH_USER] = 12, [MESH_SESSION] = 4,
        [MESH_REQUEST_UUID] = 20, [MESH_ENTITY_UUID] = 18,
        [MESH_CART_CODE] = 8, [MESH_OWN_UUID] = 3, [MESH_SIZE] = 5,
        [MESH_PEER_PORT] = 8, [MESH_TENANT] = 18, [MESH_FLAG] = 3,
        [MESH_THREAD] = 33, [MESH_COST] = 5},
};

static void
mesh_close(struct gen *gen)
{
    mesh_free(gen->mesh);
}

static void
open_a(struct gen *gen)
{
    gen->mesh = mesh_new(&shape_a);
}

static void
open_b(struct gen *gen)
{
    gen->mesh = mesh_new(&shape_b);
}

const struct gen_maker gen_a = {.name = "a", .mean_spans = 7.8,
    .trace = mesh_trace, .resource = mesh_resource, .scope = mesh_scope,
    .open = open_a, .close = mesh_close, .has_jitter = true};

const struct gen_maker gen_b = {.name = "b", .mean_spans = 17.9,
    .trace = mesh_trace, .resource = mesh_resource, .scope = mesh_scope,
    .open = open_b, .close = mesh_close, .has_jitter = true};
