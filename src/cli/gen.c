/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/gen.h"

#include "core/mem.h"

/* Spans of one trace; the call tree below stays under it. */
#define TRACE_SPANS_MAX 256u
#define SERVICES 12u
#define ATTRS_MAX 12u

enum service {
    FRONTEND, CART, CHECKOUT, PAYMENT, SHIPPING, CATALOG, RECOMMEND,
    CURRENCY, EMAIL, INVENTORY, ADS, ACCOUNTS,
};

static const char *const service_names[SERVICES] = {"frontend", "cart",
    "checkout", "payment", "shipping", "product-catalog", "recommendation",
    "currency", "email", "inventory", "ads", "accounts"};
static const char *const service_languages[SERVICES] = {"nodejs", "dotnet",
    "go", "nodejs", "rust", "go", "python", "cpp", "ruby", "java", "java",
    "java"};

enum style { HTTP, RPC, SQL, CACHE, QUEUE, WORK };

/* One kind of operation: where it runs, how long, what it calls. */
struct op {
    enum service service;
    const char *name;
    enum style style;
    uint32_t typical_us;
    struct { uint8_t op, percent; } calls[6];
};

enum op_id {
    OP_NONE, HOME, PRODUCT, VIEW_CART, ADD_CART, PLACE, LIST_PRODUCTS,
    GET_PRODUCT, GET_CART, PUT_CART, RECOMMENDATIONS, GET_ADS, CONVERT,
    PLACE_ORDER, CHARGE, QUOTE, SHIP, SEND_MAIL, RESERVE, SQL_PRODUCTS,
    SQL_STOCK, SQL_ORDERS, CACHE_GET, CACHE_SET, ORDER_EVENT, RENDER,
    VALIDATE_CARD, WHO_AM_I, SQL_USER,
};

static const struct op ops[] = {
    [HOME] = {FRONTEND, "GET /", HTTP, 9000, {{WHO_AM_I, 100},
        {LIST_PRODUCTS, 100}, {CONVERT, 80}, {GET_ADS, 60}, {RENDER, 100}}},
    [PRODUCT] = {FRONTEND, "GET /product/{id}", HTTP, 12000,
        {{GET_PRODUCT, 100}, {RECOMMENDATIONS, 100}, {CONVERT, 100},
        {GET_CART, 70}, {GET_ADS, 90}, {RENDER, 100}}},
    [VIEW_CART] = {FRONTEND, "GET /cart", HTTP, 8000, {{WHO_AM_I, 100},
        {GET_CART, 100}, {RECOMMENDATIONS, 80}, {QUOTE, 100},
        {CONVERT, 100}, {RENDER, 100}}},
    [ADD_CART] = {FRONTEND, "POST /cart", HTTP, 7000, {{WHO_AM_I, 100},
        {GET_PRODUCT, 100}, {PUT_CART, 100}}},
    [PLACE] = {FRONTEND, "POST /cart/checkout", HTTP, 30000,
        {{WHO_AM_I, 100}, {PLACE_ORDER, 100}, {RECOMMENDATIONS, 60},
        {RENDER, 100}}},
    [LIST_PRODUCTS] = {CATALOG, "ProductCatalog/ListProducts", RPC, 2500,
        {{SQL_PRODUCTS, 100}}},
    [GET_PRODUCT] = {CATALOG, "ProductCatalog/GetProduct", RPC, 1800,
        {{CACHE_GET, 60}, {SQL_PRODUCTS, 100}}},
    [GET_CART] = {CART, "Cart/GetCart", RPC, 1500, {{CACHE_GET, 100}}},
    [PUT_CART] = {CART, "Cart/AddItem", RPC, 2100, {{CACHE_GET, 100},
        {CACHE_SET, 100}}},
    [RECOMMENDATIONS] = {RECOMMEND, "Recommendation/List", RPC, 4000,
        {{LIST_PRODUCTS, 70}}},
    [GET_ADS] = {ADS, "Ads/GetAds", RPC, 900, {{CACHE_GET, 40}}},
    [CONVERT] = {CURRENCY, "Currency/Convert", RPC, 300, {{0, 0}}},
    [PLACE_ORDER] = {CHECKOUT, "Checkout/PlaceOrder", RPC, 18000,
        {{GET_CART, 100}, {RESERVE, 100}, {QUOTE, 100}, {CHARGE, 100},
        {SHIP, 90}, {ORDER_EVENT, 100}}},
    [CHARGE] = {PAYMENT, "Payment/Charge", RPC, 6000, {{VALIDATE_CARD, 100},
        {SQL_ORDERS, 100}}},
    [QUOTE] = {SHIPPING, "POST /get-quote", HTTP, 1200, {{0, 0}}},
    [SHIP] = {SHIPPING, "POST /ship-order", HTTP, 2600, {{SQL_ORDERS, 100}}},
    [SEND_MAIL] = {EMAIL, "POST /send_order_confirmation", HTTP, 7000,
        {{0, 0}}},
    [RESERVE] = {INVENTORY, "Inventory/Reserve", RPC, 3000,
        {{SQL_STOCK, 100}, {CACHE_SET, 50}}},
    [SQL_PRODUCTS] = {CATALOG, "SELECT catalog.products", SQL, 900,
        {{0, 0}}},
    [SQL_STOCK] = {INVENTORY, "UPDATE inventory.stock", SQL, 1300, {{0, 0}}},
    [SQL_ORDERS] = {PAYMENT, "INSERT shop.orders", SQL, 1600, {{0, 0}}},
    [CACHE_GET] = {CART, "GET", CACHE, 350, {{0, 0}}},
    [CACHE_SET] = {CART, "SET", CACHE, 420, {{0, 0}}},
    [ORDER_EVENT] = {CHECKOUT, "orders publish", QUEUE, 700,
        {{SEND_MAIL, 100}}},
    [RENDER] = {FRONTEND, "render", WORK, 1500, {{0, 0}}},
    [VALIDATE_CARD] = {PAYMENT, "validate card", WORK, 400, {{0, 0}}},
    [WHO_AM_I] = {ACCOUNTS, "Accounts/WhoAmI", RPC, 800, {{SQL_USER, 70}}},
    [SQL_USER] = {ACCOUNTS, "SELECT accounts.users", SQL, 700, {{0, 0}}},
};

struct gen {
    uint64_t seed;
    uint64_t index; /* of the next trace */
    int64_t first_ns;
    int64_t spacing_ns;
    /* of the trace being made */
    uint64_t random;
    struct pool *pool;
    struct span spans[TRACE_SPANS_MAX];
    uint8_t services[TRACE_SPANS_MAX];
    unsigned nspans;
    struct trace_id trace_id;
    bool no_memory;
};

/* splitmix64 */
static uint64_t
next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t
below(struct gen *gen, uint32_t n)
{
    return (uint32_t)((next(&gen->random) >> 32) * n >> 32);
}

struct gen *
gen_new(uint64_t seed, int64_t first_ns, int64_t spacing_ns)
{
    struct gen *gen = xcalloc(1, sizeof(*gen));

    gen->seed = seed;
    gen->first_ns = first_ns;
    gen->spacing_ns = spacing_ns;
    return gen;
}

void
gen_free(struct gen *gen)
{
    xfree(gen);
}

struct trace_id
gen_trace_id(uint64_t seed, uint64_t index)
{
    uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + index;
    struct trace_id id;
    uint64_t half = next(&state);

    memcpy(id.b, &half, 8);
    half = next(&state) | 1;
    memcpy(id.b + 8, &half, 8);
    return id;
}

/* --- attributes --- */

struct list {
    struct gen *gen;
    struct attr v[ATTRS_MAX];
    unsigned n;
};

static struct sv
text(struct gen *gen, const char *fmt, ...) PRINTF_LIKE(2, 3);

static struct sv
text(struct gen *gen, const char *fmt, ...)
{
    char buf[512];
    va_list args;
    char *copy;
    int len;

    va_start(args, fmt);
    len = vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);
    copy = pool_dup(gen->pool, buf, (size_t)MIN(len, (int)sizeof(buf) - 1));
    if (copy == NULL) {
        gen->no_memory = true;
        return SV_EMPTY;
    }
    return sv_from(copy);
}

static void
add_text(struct list *list, const char *key, struct sv value)
{
    struct attr *attr = &list->v[list->n];

    if (list->n == ATTRS_MAX)
        return;
    attr->key = sv_from(key);
    attr->value.type = VALUE_STRING;
    attr->value.str = value;
    list->n++;
}

static void
add_int(struct list *list, const char *key, int64_t value)
{
    struct attr *attr = &list->v[list->n];

    if (list->n == ATTRS_MAX)
        return;
    attr->key = sv_from(key);
    attr->value.type = VALUE_INT;
    attr->value.i = value;
    list->n++;
}

static struct sv
uuid(struct gen *gen)
{
    uint64_t a = next(&gen->random), b = next(&gen->random);

    return text(gen, "%08x-%04x-4%03x-a%03x-%012llx", (uint32_t)(a >> 32),
        (uint32_t)(a >> 16) & 0xffff, (uint32_t)a & 0xfff,
        (uint32_t)(b >> 48) & 0xfff,
        (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}

static void
http_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct list *list)
{
    static const char *const agents[] = {"Mozilla/5.0 (X11; Linux x86_64)",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1)", "okhttp/5.1.0",
        "python-requests/2.33"};
    const char *path = strchr(op->name, ' ') + 1;
    size_t method_len = (size_t)(path - op->name) - 1;

    add_text(list, "http.request.method", sv_make(op->name, method_len));
    add_text(list, "url.path", strchr(path, '{') != NULL
        ? text(gen, "/product/%u", 1000 + below(gen, 4000)) : sv_from(path));
    add_int(list, "http.response.status_code", failed ? 500 : 200);
    add_text(list, "network.protocol.version", SV("1.1"));
    if (client) {
        add_text(list, "server.address", text(gen, "%s.shop.svc",
            service_names[op->service]));
        add_int(list, "server.port", 8080);
        return;
    }
    add_text(list, "user_agent.original",
        sv_from(agents[below(gen, ARRAY_LEN(agents))]));
    add_text(list, "client.address", text(gen, "10.%u.%u.%u",
        below(gen, 4), below(gen, 256), below(gen, 256)));
    add_text(list, "session.id", uuid(gen));
    add_text(list, "user.id", text(gen, "user-%u", below(gen, 20000)));
}

static void
rpc_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct list *list)
{
    const char *method = strchr(op->name, '/') + 1;

    add_text(list, "rpc.system", SV("grpc"));
    add_text(list, "rpc.service", sv_make(op->name,
        (size_t)(method - op->name) - 1));
    add_text(list, "rpc.method", sv_from(method));
    add_int(list, "rpc.grpc.status_code", failed ? 13 : 0);
    add_text(list, "server.address", text(gen, "%s.shop.svc",
        service_names[op->service]));
    add_int(list, "server.port", 50051);
    if (client) {
        add_text(list, "network.peer.address", text(gen, "10.7.0.%u",
            below(gen, 64)));
        return;
    }
    add_text(list, "app.request.id", uuid(gen));
    add_int(list, "app.items", 1 + below(gen, 12));
}

static void
sql_attrs(struct gen *gen, const struct op *op, struct list *list)
{
    const char *table = strchr(op->name, ' ') + 1;

    add_text(list, "db.system", SV("postgresql"));
    add_text(list, "db.namespace", SV("shop"));
    add_text(list, "db.operation.name", sv_make(op->name,
        (size_t)(table - op->name) - 1));
    add_text(list, "db.collection.name", sv_from(table));
    add_text(list, "db.query.text", text(gen,
        "SELECT id, name, price_cents, stock FROM %s WHERE id = %u AND "
        "shard = %u ORDER BY updated_at DESC LIMIT 50", table,
        below(gen, 4000), below(gen, 16)));
    add_text(list, "server.address", SV("postgres-0.db.svc"));
    add_int(list, "server.port", 5432);
    add_int(list, "db.response.returned_rows", below(gen, 50));
}

static void
op_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct list *list)
{
    switch (op->style) {
    case HTTP:
        http_attrs(gen, op, client, failed, list);
        break;
    case RPC:
        rpc_attrs(gen, op, client, failed, list);
        break;
    case SQL:
        sql_attrs(gen, op, list);
        break;
    case CACHE:
        add_text(list, "db.system", SV("redis"));
        add_text(list, "db.operation.name", sv_from(op->name));
        add_text(list, "db.query.text", text(gen, "%s cart:user-%u",
            op->name, below(gen, 20000)));
        add_text(list, "server.address", SV("redis-0.cache.svc"));
        add_int(list, "server.port", 6379);
        break;
    case QUEUE:
        add_text(list, "messaging.system", SV("kafka"));
        add_text(list, "messaging.destination.name", SV("orders"));
        add_text(list, "messaging.message.id", uuid(gen));
        add_int(list, "messaging.kafka.message.offset", 100000 +
            (int64_t)gen->index);
        break;
    case WORK:
        add_text(list, "thread.name", text(gen, "worker-%u",
            below(gen, 8)));
        add_int(list, "app.bytes", 500 + below(gen, 40000));
        break;
    }
    add_text(list, "deployment.id", SV("2026-11-04.3"));
}

/* --- spans --- */

static void
span_failed(struct gen *gen, struct span *span)
{
    struct span_event *event = pool_zalloc(gen->pool, sizeof(*event));
    struct list list = {.gen = gen};
    struct attr *attrs;

    span->status_code = 2;
    span->status_message = SV("card declined by issuer");
    add_text(&list, "exception.type", SV("PaymentError"));
    add_text(&list, "exception.message", text(gen,
        "card declined by issuer (attempt %u)", 1 + below(gen, 3)));
    add_text(&list, "exception.stacktrace", SV("PaymentError: card declined\n"
        "    at charge (/app/charge.js:41:11)\n"
        "    at handler (/app/server.js:112:9)"));
    attrs = pool_alloc(gen->pool, list.n * sizeof(*attrs));
    if (event == NULL || attrs == NULL) {
        gen->no_memory = true;
        return;
    }
    memcpy(attrs, list.v, list.n * sizeof(*attrs));
    event->time_ns = (uint64_t)span->end_ns - 1000;
    event->name = SV("exception");
    event->attrs = (struct attrs){attrs, list.n};
    span->events = event;
    span->nevents = 1;
}

static struct span *
span_new(struct gen *gen, enum service service, const struct span *parent,
    int64_t start_ns)
{
    struct span *span;
    uint64_t id;

    if (gen->nspans == TRACE_SPANS_MAX)
        return NULL;
    span = &gen->spans[gen->nspans];
    memset(span, 0, sizeof(*span));
    id = next(&gen->random) | 1;
    memcpy(span->span_id.b, &id, sizeof(id));
    span->trace_id = gen->trace_id;
    if (parent != NULL)
        span->parent_id = parent->span_id;
    span->start_ns = start_ns;
    span->flags = 0x101;
    gen->services[gen->nspans++] = (uint8_t)service;
    return span;
}

static void
span_finish(struct gen *gen, struct span *span, const struct op *op,
    bool client, bool failed)
{
    struct list list = {.gen = gen};
    struct attr *attrs;

    op_attrs(gen, op, client, failed, &list);
    attrs = pool_alloc(gen->pool, list.n * sizeof(*attrs));
    if (attrs == NULL) {
        gen->no_memory = true;
        return;
    }
    memcpy(attrs, list.v, list.n * sizeof(*attrs));
    span->attrs = (struct attrs){attrs, list.n};
    span->name = sv_from(op->name);
    if (failed)
        span_failed(gen, span);
}

static int64_t
some_time(struct gen *gen, uint32_t typical_us)
{
    /* Between a half and two and a half, rarely ten times as long. */
    uint64_t us = typical_us / 2 + below(gen, 2 * typical_us + 1);

    if (below(gen, 200) == 0)
        us *= 10;
    return (int64_t)us * 1000 + below(gen, 1000);
}

/* Runs an operation in its service; returns when it ends. */
static int64_t
call(struct gen *gen, enum op_id id, const struct span *parent,
    int64_t start_ns, unsigned depth)
{
    const struct op *op = &ops[id];
    bool is_leaf = op->style == SQL || op->style == CACHE;
    bool failed = id == CHARGE && below(gen, 100) < 4;
    enum service service = is_leaf && parent != NULL
        ? gen->services[parent - gen->spans] : op->service;
    struct span *span = span_new(gen, service, parent, start_ns);
    int64_t now = start_ns + some_time(gen, op->typical_us / 8 + 1);

    if (span == NULL || depth > 12)
        return now;
    span->kind = is_leaf ? 3 : op->style == QUEUE ? 4 :
        op->style == WORK ? 1 : 2;
    for (unsigned i = 0; i < ARRAY_LEN(op->calls); i++) {
        const struct op *callee = &ops[op->calls[i].op];
        struct span *client;

        if (op->calls[i].op == OP_NONE ||
            below(gen, 100) >= op->calls[i].percent)
            continue;
        if (callee->style == SQL || callee->style == CACHE ||
            callee->style == WORK || callee->style == QUEUE ||
            op->style == QUEUE) {
            now = call(gen, op->calls[i].op, span, now, depth + 1);
            continue;
        }
        client = span_new(gen, service, span, now);
        if (client == NULL)
            break;
        client->kind = 3;
        client->end_ns = call(gen, op->calls[i].op, client, now +
            some_time(gen, 120), depth + 1) + some_time(gen, 90);
        span_finish(gen, client, callee, true, false);
        now = client->end_ns + some_time(gen, 30);
    }
    span->end_ns = now + some_time(gen, op->typical_us / 4 + 1);
    span_finish(gen, span, op, false, failed);
    return span->end_ns;
}

static void
make_trace(struct gen *gen)
{
    static const enum op_id roots[] = {HOME, HOME, PRODUCT, PRODUCT, PRODUCT,
        VIEW_CART, ADD_CART, PLACE};
    int64_t start = gen->first_ns + (int64_t)gen->index * gen->spacing_ns;

    gen->random = gen->seed ^ (gen->index * UINT64_C(0xd1342543de82ef95));
    gen->trace_id = gen_trace_id(gen->seed, gen->index);
    gen->nspans = 0;
    (void)call(gen, roots[below(gen, ARRAY_LEN(roots))], NULL, start, 0);
    gen->index++;
}

/* --- the request --- */

static int
add_resource(struct gen *gen, struct batch *out, enum service service)
{
    struct resource *resource = batch_add_resource(out, NULL);
    struct scope *scope = batch_add_scope(out, NULL);
    struct list list = {.gen = gen};
    struct attr *attrs;

    add_text(&list, "service.name", sv_from(service_names[service]));
    add_text(&list, "service.version", text(gen, "1.%u.0", service));
    add_text(&list, "service.instance.id", text(gen, "%s-6f9d-%u",
        service_names[service], service));
    add_text(&list, "deployment.environment.name", SV("production"));
    add_text(&list, "host.name", text(gen, "node-%u", service % 4));
    add_text(&list, "telemetry.sdk.language",
        sv_from(service_languages[service]));
    attrs = pool_alloc(gen->pool, list.n * sizeof(*attrs));
    if (resource == NULL || scope == NULL || attrs == NULL)
        return -1;
    memcpy(attrs, list.v, list.n * sizeof(*attrs));
    resource->attrs = (struct attrs){attrs, list.n};
    resource->service = attrs[0].value.str;
    scope->name = text(gen, "shop/%s", service_names[service]);
    scope->version = SV("0.60.0");
    return 0;
}

int
gen_traces(struct gen *gen, unsigned traces, struct batch *out)
{
    struct span *all;
    uint8_t *services;
    size_t n = 0, cap = (size_t)traces * TRACE_SPANS_MAX;
    int rc = -1;

    gen->pool = out->pool;
    gen->no_memory = false;
    all = xmalloc(cap * sizeof(*all));
    services = xmalloc(cap);
    for (unsigned i = 0; i < traces; i++) {
        make_trace(gen);
        memcpy(all + n, gen->spans, gen->nspans * sizeof(*all));
        memcpy(services + n, gen->services, gen->nspans);
        n += gen->nspans;
    }
    for (unsigned service = 0; service < SERVICES; service++) {
        if (add_resource(gen, out, service) != 0)
            goto out;
        for (size_t i = 0; i < n; i++) {
            struct span *span;

            if (services[i] != service)
                continue;
            span = batch_add_span(out, NULL);
            if (span == NULL)
                goto out;
            *span = all[i];
            span->resource = service;
            span->scope = service;
        }
    }
    rc = gen->no_memory ? -1 : 0;
out:
    xfree(all);
    xfree(services);
    return rc;
}
