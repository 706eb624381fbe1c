/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/gen_make.h"

#define SERVICES 12u

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

/* --- attributes --- */

static struct sv
uuid(struct gen *gen)
{
    uint64_t a = gen_random(gen), b = gen_random(gen);

    return gen_printf(gen, "%08x-%04x-4%03x-a%03x-%012llx", (uint32_t)(a >> 32),
        (uint32_t)(a >> 16) & 0xffff, (uint32_t)a & 0xfff,
        (uint32_t)(b >> 48) & 0xfff,
        (unsigned long long)(b & UINT64_C(0xffffffffffff)));
}

static void
http_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct gen_list *list)
{
    static const char *const agents[] = {"Mozilla/5.0 (X11; Linux x86_64)",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1)", "okhttp/5.1.0",
        "python-requests/2.33"};
    const char *path = strchr(op->name, ' ') + 1;
    size_t method_len = (size_t)(path - op->name) - 1;
    uint32_t address[3];

    gen_add_text(list, SV("http.request.method"),
        sv_make(op->name, method_len));
    gen_add_text(list, SV("url.path"), strchr(path, '{') == NULL
        ? sv_from(path) : gen_printf(gen, "/product/%u",
        1000 + gen_below(gen, 4000)));
    gen_add_int(list, SV("http.response.status_code"), failed ? 500 : 200);
    gen_add_text(list, SV("network.protocol.version"), SV("1.1"));
    if (client) {
        gen_add_text(list, SV("server.address"), gen_printf(gen, "%s.shop.svc",
            service_names[op->service]));
        gen_add_int(list, SV("server.port"), 8080);
        return;
    }
    gen_add_text(list, SV("user_agent.original"),
        sv_from(agents[gen_below(gen, ARRAY_LEN(agents))]));
    address[2] = gen_below(gen, 256);
    address[1] = gen_below(gen, 256);
    address[0] = gen_below(gen, 4);
    gen_add_text(list, SV("client.address"), gen_printf(gen, "10.%u.%u.%u",
        address[0], address[1], address[2]));
    gen_add_text(list, SV("session.id"), uuid(gen));
    gen_add_text(list, SV("user.id"), gen_printf(gen, "user-%u",
        gen_below(gen, 20000)));
}

static void
rpc_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct gen_list *list)
{
    const char *method = strchr(op->name, '/') + 1;

    gen_add_text(list, SV("rpc.system"), SV("grpc"));
    gen_add_text(list, SV("rpc.service"), sv_make(op->name,
        (size_t)(method - op->name) - 1));
    gen_add_text(list, SV("rpc.method"), sv_from(method));
    gen_add_int(list, SV("rpc.grpc.status_code"), failed ? 13 : 0);
    gen_add_text(list, SV("server.address"), gen_printf(gen, "%s.shop.svc",
        service_names[op->service]));
    gen_add_int(list, SV("server.port"), 50051);
    if (client) {
        gen_add_text(list, SV("network.peer.address"),
            gen_printf(gen, "10.7.0.%u", gen_below(gen, 64)));
        return;
    }
    gen_add_text(list, SV("app.request.id"), uuid(gen));
    gen_add_int(list, SV("app.items"), 1 + gen_below(gen, 12));
}

static void
sql_attrs(struct gen *gen, const struct op *op, struct gen_list *list)
{
    const char *table = strchr(op->name, ' ') + 1;
    uint32_t shard, id;

    gen_add_text(list, SV("db.system"), SV("postgresql"));
    gen_add_text(list, SV("db.namespace"), SV("shop"));
    gen_add_text(list, SV("db.operation.name"), sv_make(op->name,
        (size_t)(table - op->name) - 1));
    gen_add_text(list, SV("db.collection.name"), sv_from(table));
    shard = gen_below(gen, 16);
    id = gen_below(gen, 4000);
    gen_add_text(list, SV("db.query.text"), gen_printf(gen,
        "SELECT id, name, price_cents, stock FROM %s WHERE id = %u AND "
        "shard = %u ORDER BY updated_at DESC LIMIT 50", table, id, shard));
    gen_add_text(list, SV("server.address"), SV("postgres-0.db.svc"));
    gen_add_int(list, SV("server.port"), 5432);
    gen_add_int(list, SV("db.response.returned_rows"), gen_below(gen, 50));
}

static void
op_attrs(struct gen *gen, const struct op *op, bool client, bool failed,
    struct gen_list *list)
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
        gen_add_text(list, SV("db.system"), SV("redis"));
        gen_add_text(list, SV("db.operation.name"), sv_from(op->name));
        gen_add_text(list, SV("db.query.text"),
            gen_printf(gen, "%s cart:user-%u", op->name,
            gen_below(gen, 20000)));
        gen_add_text(list, SV("server.address"), SV("redis-0.cache.svc"));
        gen_add_int(list, SV("server.port"), 6379);
        break;
    case QUEUE:
        gen_add_text(list, SV("messaging.system"), SV("kafka"));
        gen_add_text(list, SV("messaging.destination.name"), SV("orders"));
        gen_add_text(list, SV("messaging.message.id"), uuid(gen));
        gen_add_int(list, SV("messaging.kafka.message.offset"), 100000 +
            (int64_t)gen->index);
        break;
    case WORK:
        gen_add_text(list, SV("thread.name"), gen_printf(gen, "worker-%u",
            gen_below(gen, 8)));
        gen_add_int(list, SV("app.bytes"), 500 + gen_below(gen, 40000));
        break;
    }
    gen_add_text(list, SV("deployment.id"), SV("2026-11-04.3"));
}

/* --- spans --- */

static void
span_failed(struct gen *gen, struct span *span)
{
    struct span_event *event = pool_zalloc(gen->pool, sizeof(*event));
    struct gen_list list = {.gen = gen};

    span->status_code = 2;
    span->status_message = SV("card declined by issuer");
    gen_add_text(&list, SV("exception.type"), SV("PaymentError"));
    gen_add_text(&list, SV("exception.message"), gen_printf(gen,
        "card declined by issuer (attempt %u)", 1 + gen_below(gen, 3)));
    gen_add_text(&list, SV("exception.stacktrace"),
        SV("PaymentError: card declined\n"
        "    at charge (/app/charge.js:41:11)\n"
        "    at handler (/app/server.js:112:9)"));
    if (event == NULL) {
        gen->no_memory = true;
        return;
    }
    event->time_ns = (uint64_t)span->end_ns - 1000;
    event->name = SV("exception");
    event->attrs = gen_attrs(&list);
    span->events = event;
    span->nevents = 1;
}

static struct span *
span_new(struct gen *gen, enum service service, const struct span *parent,
    int64_t start_ns)
{
    struct span *span = gen_span(gen, parent, start_ns);

    if (span != NULL)
        span->resource = span->scope = service;
    return span;
}

static void
span_finish(struct gen *gen, struct span *span, const struct op *op,
    bool client, bool failed)
{
    struct gen_list list = {.gen = gen};

    op_attrs(gen, op, client, failed, &list);
    span->attrs = gen_attrs(&list);
    span->name = sv_from(op->name);
    if (failed)
        span_failed(gen, span);
}

static int64_t
some_time(struct gen *gen, uint32_t typical_us)
{
    /* Between a half and two and a half, rarely ten times as long. */
    uint64_t us = typical_us / 2 + gen_below(gen, 2 * typical_us + 1);

    if (gen_below(gen, 200) == 0)
        us *= 10;
    return (int64_t)us * 1000 + gen_below(gen, 1000);
}

/* Runs an operation in its service; returns when it ends. */
static int64_t
call(struct gen *gen, enum op_id id, const struct span *parent,
    int64_t start_ns, unsigned depth)
{
    const struct op *op = &ops[id];
    bool is_leaf = op->style == SQL || op->style == CACHE;
    bool failed = id == CHARGE && gen_below(gen, 100) < 4;
    enum service service = is_leaf && parent != NULL
        ? (enum service)parent->resource : op->service;
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
            gen_below(gen, 100) >= op->calls[i].percent)
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
shop_trace(struct gen *gen, int64_t start_ns)
{
    static const enum op_id roots[] = {HOME, HOME, PRODUCT, PRODUCT, PRODUCT,
        VIEW_CART, ADD_CART, PLACE};

    (void)call(gen, roots[gen_below(gen, ARRAY_LEN(roots))], NULL, start_ns,
        0);
}

/* --- the request --- */

static void
shop_resource(struct gen *gen, uint32_t number, struct resource *out)
{
    struct gen_list list = {.gen = gen};
    const char *name = service_names[number];

    gen_add_text(&list, SV("service.name"), sv_from(name));
    gen_add_text(&list, SV("service.version"),
        gen_printf(gen, "1.%u.0", number));
    gen_add_text(&list, SV("service.instance.id"),
        gen_printf(gen, "%s-6f9d-%u", name, number));
    gen_add_text(&list, SV("deployment.environment.name"), SV("production"));
    gen_add_text(&list, SV("host.name"), gen_printf(gen, "node-%u",
        number % 4));
    gen_add_text(&list, SV("telemetry.sdk.language"),
        sv_from(service_languages[number]));
    out->attrs = gen_attrs(&list);
}

static void
shop_scope(struct gen *gen, uint32_t number, struct scope *out)
{
    out->name = gen_printf(gen, "shop/%s", service_names[number]);
    out->version = SV("0.60.0");
}

const struct gen_maker gen_shop = {.name = "shop", .mean_spans = 15.3,
    .trace = shop_trace, .resource = shop_resource, .scope = shop_scope};
