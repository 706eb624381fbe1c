/* SPDX-License-Identifier: BSD-2-Clause */

/* The attributes of profiles a and b, by the semantic conventions. */

#include "core/base.h"
#include "cli/gen_mesh.h"

/* Populations; the values of a small rank are seen more often. */
#define USERS 500000u
#define TENANTS 2000u
#define NUMBER_MAX 40000000u
#define SESSION_NS (20 * 60 * NS_PER_SEC)

static const char *const agents[] = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) "
    "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "okhttp/5.1.0", "python-requests/2.33.0", "Go-http-client/2.0",
    "curl/8.17.0", "AcmeShop/7.%u (Android 16)",
};

/* --- values --- */

/* A number below n; half of them in the first tenth. */
static uint64_t
skewed(uint64_t *random, uint64_t n)
{
    double u = (double)(gen_mix(random) >> 11) / 9007199254740992.0;

    return (uint64_t)((double)n * u * u * u);
}

static void
put_code(struct gen *gen, uint64_t value, unsigned digits)
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    char text[16];

    for (unsigned i = 0; i < digits; i++) {
        text[i] = alphabet[value & 31];
        value >>= 5;
    }
    sb_add(&gen->text, text, digits);
}

static void
put_id(struct gen *gen, const struct mesh_op *op, uint64_t *random)
{
    uint64_t a = gen_mix(random);

    switch (op->id) {
    case MESH_ID_NUMBER:
        sb_add_u64(&gen->text, 100000 + a % NUMBER_MAX);
        break;
    case MESH_ID_CODE:
        put_code(gen, a, 12);
        break;
    default:
        gen_put_uuid(gen, a, gen_mix(random));
        break;
    }
}

/* The text with an id for {id} and a number for {n}. */
static void
put_filled(struct gen *gen, const struct mesh_op *op, uint64_t *random)
{
    const char *at = op->target.ptr, *end = at + op->target.len;

    while (at < end) {
        const char *brace = memchr(at, '{', (size_t)(end - at));

        if (brace == NULL)
            brace = end;
        sb_add(&gen->text, at, (size_t)(brace - at));
        if (brace == end)
            return;
        if (brace[1] == 'n')
            sb_add_u64(&gen->text, gen_mix(random) % NUMBER_MAX);
        else
            put_id(gen, op, random);
        at = brace + (brace[1] == 'n' ? 3 : 4);
    }
}

static struct sv
filled(struct gen *gen, const struct mesh_op *op, uint64_t random)
{
    if (memchr(op->target.ptr, '{', op->target.len) == NULL)
        return op->target;
    put_filled(gen, op, &random);
    return gen_take(gen);
}

static struct sv
address(struct gen *gen, unsigned a, unsigned b, unsigned c, unsigned d)
{
    sb_add_u64(&gen->text, a);
    sb_add_char(&gen->text, '.');
    sb_add_u64(&gen->text, b);
    sb_add_char(&gen->text, '.');
    sb_add_u64(&gen->text, c);
    sb_add_char(&gen->text, '.');
    sb_add_u64(&gen->text, d);
    return gen_take(gen);
}

/* Of the pods of a service. */
static struct sv
pod_address(struct gen *gen, uint32_t service)
{
    uint32_t pod = gen_below(gen, gen->mesh->shape->pods);

    return address(gen, 10, 42, service, 10 + 7 * pod);
}

static struct sv
with_number(struct gen *gen, struct sv text, uint64_t n)
{
    sb_add_sv(&gen->text, text);
    sb_add_u64(&gen->text, n);
    return gen_take(gen);
}

/* --- values of the trace --- */

void
mesh_begin_trace(struct gen *gen)
{
    memset(&gen->mesh->trace, 0, sizeof(gen->mesh->trace));
    gen->mesh->trace.random = gen_random(gen);
}

static uint64_t
user_rank(struct gen *gen)
{
    uint64_t random = gen->mesh->trace.random;

    return skewed(&random, USERS);
}

static struct sv
trace_user(struct gen *gen)
{
    struct sv *user = &gen->mesh->trace.user;

    if (user->ptr == NULL)
        *user = with_number(gen, SV("user-"), 10000 + user_rank(gen));
    return *user;
}

/* A person's session lasts for some traces. */
static struct sv
trace_session(struct gen *gen, int64_t now_ns)
{
    struct sv *session = &gen->mesh->trace.session;
    uint64_t random = user_rank(gen) * 1000003 +
        (uint64_t)now_ns / SESSION_NS;

    if (session->ptr == NULL) {
        uint64_t a = gen_mix(&random);

        gen_put_uuid(gen, a, gen_mix(&random));
        *session = gen_take(gen);
    }
    return *session;
}

static struct sv
trace_uuid(struct gen *gen, struct sv *uuid)
{
    if (uuid->ptr == NULL) {
        uint64_t a = gen_random(gen);

        gen_put_uuid(gen, a, gen_random(gen));
        *uuid = gen_take(gen);
    }
    return *uuid;
}

static struct sv
trace_cart(struct gen *gen)
{
    struct sv *cart = &gen->mesh->trace.cart;

    if (cart->ptr == NULL) {
        put_code(gen, gen_random(gen), 12);
        sb_add_char(&gen->text, 'x');
        *cart = gen_take(gen);
    }
    return *cart;
}

static struct sv
trace_tenant(struct gen *gen)
{
    struct sv *tenant = &gen->mesh->trace.tenant;

    if (tenant->ptr == NULL) {
        uint64_t random = user_rank(gen);

        *tenant = with_number(gen, SV("tenant-"), skewed(&random, TENANTS));
    }
    return *tenant;
}

static struct sv
trace_agent(struct gen *gen)
{
    struct sv *agent = &gen->mesh->trace.agent;
    uint32_t which = (uint32_t)user_rank(gen) % (uint32_t)ARRAY_LEN(agents);

    if (agent->ptr == NULL)
        *agent = which + 1 < ARRAY_LEN(agents) ? sv_from(agents[which])
            : gen_printf(gen, agents[which], gen_below(gen, 40));
    return *agent;
}

/* The address that a person has today. */
static struct sv
trace_client(struct gen *gen)
{
    struct sv *client = &gen->mesh->trace.client_address;
    uint64_t random = user_rank(gen), a = gen_mix(&random);

    if (client->ptr == NULL)
        *client = address(gen, 20 + (unsigned)(a & 127),
            (unsigned)(a >> 8) & 255, (unsigned)(a >> 16) & 255,
            (unsigned)(a >> 24) & 255);
    return *client;
}

/* --- by style --- */

static int64_t
http_status(const struct mesh_op *op, uint64_t random, bool has_failed)
{
    uint32_t choice = (uint32_t)(gen_mix(&random) % 1000);

    if (has_failed)
        return choice < 600 ? 500 : 503;
    if (choice < 12)
        return 404;
    if (choice < 18)
        return 429;
    return op->verb.ptr[0] == 'P' && op->verb.ptr[1] == 'O' ? 201
        : op->verb.ptr[0] == 'D' ? 204 : 200;
}

static void
http_server(struct gen_list *list, const struct mesh_op *op, uint64_t random,
    bool has_failed)
{
    struct gen *gen = list->gen;
    bool is_edge = gen->mesh->services[op->service].layer == 0;

    gen_add_text(list, SV("http.request.method"), op->verb);
    gen_add_text(list, SV("http.route"), op->target);
    gen_add_text(list, SV("url.path"), filled(gen, op, random));
    gen_add_text(list, SV("url.scheme"), is_edge ? SV("https") : SV("http"));
    gen_add_int(list, SV("http.response.status_code"),
        http_status(op, random, has_failed));
    if (is_edge) {
        gen_add_text(list, SV("client.address"), trace_client(gen));
        gen_add_text(list, SV("user_agent.original"), trace_agent(gen));
    } else {
        gen_add_text(list, SV("network.peer.address"),
            pod_address(gen, gen_below(gen, 4)));
        gen_add_text(list, SV("network.protocol.version"), SV("1.1"));
    }
}

static void
http_client(struct gen_list *list, const struct mesh_op *op, uint64_t random,
    bool has_failed)
{
    struct gen *gen = list->gen;
    const struct mesh_service *to = &gen->mesh->services[op->service];

    gen_add_text(list, SV("http.request.method"), op->verb);
    sb_add_str(&gen->text, "http://");
    sb_add_sv(&gen->text, to->address);
    sb_add_str(&gen->text, ":8080");
    put_filled(gen, op, &(uint64_t){random});
    gen_add_text(list, SV("url.full"), gen_take(gen));
    gen_add_text(list, SV("server.address"), to->address);
    gen_add_int(list, SV("server.port"), 8080);
    gen_add_int(list, SV("http.response.status_code"),
        http_status(op, random, has_failed));
}

static void
rpc(struct gen_list *list, const struct mesh_op *op, bool is_client,
    bool has_failed)
{
    struct gen *gen = list->gen;

    gen_add_text(list, SV("rpc.system"), SV("grpc"));
    gen_add_text(list, SV("rpc.service"), op->target);
    gen_add_text(list, SV("rpc.method"), op->verb);
    gen_add_int(list, SV("rpc.grpc.status_code"), has_failed ? 13
        : gen_below(gen, 60) == 0 ? 5 : 0);
    if (is_client) {
        gen_add_text(list, SV("server.address"),
            gen->mesh->services[op->service].address);
        gen_add_int(list, SV("server.port"), 50051);
    } else {
        gen_add_text(list, SV("network.peer.address"),
            pod_address(gen, gen_below(gen, 12)));
    }
}

static void
sql(struct gen_list *list, const struct mesh_op *op, uint64_t random)
{
    struct gen *gen = list->gen;
    struct sv noun = gen->mesh->services[op->service].noun;

    gen_add_text(list, SV("db.system.name"), SV("postgresql"));
    gen_add_text(list, SV("db.namespace"), noun);
    gen_add_text(list, SV("db.operation.name"), op->verb);
    gen_add_text(list, SV("db.collection.name"), op->table);
    gen_add_text(list, SV("db.query.text"), filled(gen, op, random));
    sb_add_str(&gen->text, "pg-");
    sb_add_sv(&gen->text, noun);
    sb_add_str(&gen->text, gen_below(gen, 4) == 0 ? "-1.db.internal"
        : "-0.db.internal");
    gen_add_text(list, SV("server.address"), gen_take(gen));
    gen_add_int(list, SV("server.port"), 5432);
    if (op->verb.ptr[0] == 'S')
        gen_add_int(list, SV("db.response.returned_rows"),
            gen_below(gen, 1u << gen_below(gen, 8)));
}

static void
cache(struct gen_list *list, const struct mesh_op *op, uint64_t random)
{
    struct gen *gen = list->gen;

    gen_add_text(list, SV("db.system.name"), SV("redis"));
    gen_add_text(list, SV("db.operation.name"), op->verb);
    sb_add_sv(&gen->text, op->verb);
    sb_add_char(&gen->text, ' ');
    sb_add_sv(&gen->text, op->target);
    put_id(gen, op, &random);
    gen_add_text(list, SV("db.query.text"), gen_take(gen));
    gen_add_text(list, SV("server.address"), SV("redis.cache.internal"));
    gen_add_int(list, SV("server.port"), 6379);
    gen_add_text(list, SV("network.peer.address"),
        address(gen, 10, 43, 7, 20 + gen_below(gen, 6)));
}

static void
messaging(struct gen_list *list, const struct mesh_op *op, uint64_t random,
    bool is_publish)
{
    struct gen *gen = list->gen;

    gen_add_text(list, SV("messaging.system"), SV("kafka"));
    gen_add_text(list, SV("messaging.operation.type"),
        is_publish ? SV("send") : SV("process"));
    gen_add_text(list, SV("messaging.destination.name"), op->target);
    gen_add_text(list, SV("messaging.destination.partition.id"),
        with_number(gen, SV_EMPTY, gen_mix(&random) % 12));
    gen_add_int(list, SV("messaging.kafka.offset"), 700000000 +
        (int64_t)gen->index / 7);
    gen_add_int(list, SV("messaging.message.body.size"), 200 +
        (int64_t)(gen_mix(&random) % 3000));
    if (op->id == MESH_ID_UUID || op->service % 2 == 0) {
        uint64_t a = gen_mix(&random);

        gen_put_uuid(gen, a, gen_mix(&random));
        gen_add_text(list, SV("messaging.message.id"), gen_take(gen));
    }
}

/* --- what only some have --- */

static bool
has(const struct mesh_op *op, enum mesh_extra extra)
{
    return (op->extras >> extra & 1) != 0;
}

static void
ids(struct gen_list *list, const struct mesh_op *op, int64_t now_ns)
{
    struct gen *gen = list->gen;
    struct mesh *mesh = gen->mesh;

    if (has(op, MESH_USER))
        gen_add_text(list, SV("user.id"), trace_user(gen));
    if (has(op, MESH_SESSION))
        gen_add_text(list, SV("session.id"), trace_session(gen, now_ns));
    if (has(op, MESH_REQUEST_UUID))
        gen_add_text(list, SV("app.request.id"),
            trace_uuid(gen, &mesh->trace.request_uuid));
    if (has(op, MESH_ENTITY_UUID))
        gen_add_text(list, SV("app.order.id"),
            trace_uuid(gen, &mesh->trace.entity_uuid));
    if (has(op, MESH_OWN_UUID))
        gen_add_text(list, SV("app.operation.id"),
            trace_uuid(gen, &(struct sv){NULL, 0}));
    if (has(op, MESH_CART_CODE))
        gen_add_text(list, SV("app.cart.id"), trace_cart(gen));
    if (has(op, MESH_TENANT))
        gen_add_text(list, SV("app.tenant"), trace_tenant(gen));
}

static void
extras(struct gen_list *list, const struct mesh_op *op, uint32_t service,
    int64_t now_ns)
{
    struct gen *gen = list->gen;
    const struct mesh_service *of = &gen->mesh->services[service];
    uint32_t thread = gen_below(gen, 40);

    ids(list, op, now_ns);
    if (of->language == MESH_JAVA || has(op, MESH_THREAD)) {
        gen_add_int(list, SV("thread.id"), 30 + thread);
        gen_add_text(list, SV("thread.name"),
            with_number(gen, of->pool_name, 1 + thread));
    }
    if (has(op, MESH_SIZE))
        gen_add_int(list, SV("http.response.body.size"),
            100 + gen_below(gen, 256u << gen_below(gen, 8)));
    if (has(op, MESH_PEER_PORT))
        gen_add_int(list, SV("network.peer.port"),
            32768 + gen_below(gen, 28232));
    if (has(op, MESH_FLAG))
        gen_add_text(list, SV("feature_flag.result.variant"),
            gen_below(gen, 10) == 0 ? SV("treatment") : SV("control"));
    if (has(op, MESH_COST)) {
        struct attr *attr = &list->v[list->n];

        gen_add_int(list, SV("app.score"), 0);
        attr->value.type = VALUE_DOUBLE;
        attr->value.d = (double)gen_below(gen, 1000000) / 1000;
    }
}

void
mesh_attrs(struct gen *gen, struct span *span, const struct mesh_op *op,
    uint32_t service, uint64_t id_random)
{
    struct gen_list list;
    bool is_client = span->kind == 3 || span->kind == 4;

    list.gen = gen;
    list.n = 0;
    switch ((enum mesh_style)op->style) {
    case MESH_HTTP:
        if (is_client)
            http_client(&list, op, id_random, span->status_code == 2);
        else
            http_server(&list, op, id_random, span->status_code == 2);
        break;
    case MESH_RPC:
        rpc(&list, op, is_client, span->status_code == 2);
        break;
    case MESH_SQL:
        sql(&list, op, id_random);
        break;
    case MESH_CACHE:
        cache(&list, op, id_random);
        break;
    case MESH_PUBLISH:
    case MESH_CONSUME:
        messaging(&list, op, id_random, is_client);
        break;
    default:
        gen_add_text(&list, SV("code.function.name"), op->function);
        gen_add_int(&list, SV("code.line.number"), 20 +
            (int64_t)op->typical_us % 371);
        gen_add_int(&list, SV("app.items"), gen_below(gen, 60));
        break;
    }
    extras(&list, op, service, span->start_ns);
    span->attrs = gen_attrs(&list);
}

/* --- failures and events --- */

static const struct { const char *type; const char *message; } failures[] = {
    {"java.net.SocketTimeoutException", "Read timed out after 3000 ms"},
    {"com.acme.common.NotAvailableException", "upstream is not available"},
    {"org.postgresql.util.PSQLException", "deadlock detected"},
    {"com.acme.common.ConflictException", "version conflict"},
    {"java.lang.IllegalStateException", "state is not open"},
    {"io.grpc.StatusRuntimeException", "INTERNAL: stream closed"},
};

static const char *const frames[] = {
    "\tat com.acme.common.http.RetryingClient.execute(RetryingClient.java:",
    "\tat com.acme.common.tracing.TracedExecutor.run(TracedExecutor.java:",
    "\tat org.springframework.web.servlet.FrameworkServlet.service("
    "FrameworkServlet.java:",
    "\tat org.springframework.cglib.proxy.MethodProxy.invoke("
    "MethodProxy.java:",
    "\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker("
    "ThreadPoolExecutor.java:",
    "\tat io.netty.channel.AbstractChannelHandlerContext.invokeChannelRead("
    "AbstractChannelHandlerContext.java:",
};

/* A place in the code has one stack; its message has the ids of the day. */
static struct sv
stack_trace(struct gen *gen, const struct mesh_op *op, struct sv message,
    const char *type)
{
    uint64_t place = op->typical_us * 31 + op->service * 7 + op->ncalls +
        gen_below(gen, 3);
    uint32_t n = 6 + (uint32_t)(place % (MESH_FRAMES - 6));

    sb_add_str(&gen->text, type);
    sb_add_str(&gen->text, ": ");
    sb_add_sv(&gen->text, message);
    sb_add_str(&gen->text, "\n\tat ");
    sb_add_sv(&gen->text, op->function);
    sb_add_char(&gen->text, '(');
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = gen_mix(&place);

        sb_add_u64(&gen->text, 20 + at % 700);
        sb_add_str(&gen->text, ")\n");
        sb_add_str(&gen->text, frames[(at >> 32) % ARRAY_LEN(frames)]);
    }
    sb_add_str(&gen->text, "1583)\n");
    return gen_take(gen);
}

static struct span_event *
event_new(struct gen *gen, struct span *span, struct sv name)
{
    struct span_event *event = pool_zalloc(gen->pool, sizeof(*event));
    uint64_t length = (uint64_t)(span->end_ns - span->start_ns);

    if (event == NULL) {
        gen->no_memory = true;
        return NULL;
    }
    event->time_ns = (uint64_t)span->start_ns +
        (length == 0 ? 0 : gen_random(gen) % length);
    event->name = name;
    span->events = event;
    span->nevents = 1;
    return event;
}

void
mesh_fail(struct gen *gen, struct span *span, const struct mesh_op *op,
    uint64_t id_random)
{
    uint32_t which = (op->service + gen_below(gen, 2)) %
        (uint32_t)ARRAY_LEN(failures);
    struct span_event *event = event_new(gen, span, SV("exception"));
    struct gen_list list;
    struct sv message;

    sb_add_str(&gen->text, failures[which].message);
    sb_add_str(&gen->text, " (");
    put_id(gen, op, &id_random);
    sb_add_char(&gen->text, ')');
    message = gen_take(gen);
    span->status_message = message;
    if (event == NULL)
        return;
    list.gen = gen;
    list.n = 0;
    gen_add_text(&list, SV("exception.type"), sv_from(failures[which].type));
    gen_add_text(&list, SV("exception.message"), message);
    gen_add_text(&list, SV("exception.stacktrace"),
        stack_trace(gen, op, message, failures[which].type));
    event->attrs = gen_attrs(&list);
}

void
mesh_event(struct gen *gen, struct span *span)
{
    struct span_event *event = event_new(gen, span,
        gen_below(gen, 2) == 0 ? SV("cache.miss") : SV("retry"));
    struct gen_list list;

    if (event == NULL)
        return;
    list.gen = gen;
    list.n = 0;
    gen_add_int(&list, SV("attempt"), 1 + gen_below(gen, 3));
    gen_add_int(&list, SV("backoff_ms"), gen_below(gen, 500));
    event->attrs = gen_attrs(&list);
}
