/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/flat.h"

#include "core/assert.h"
#include "span/value.h"
#include "tap.h"

#define POOL_MAX (16 * MIB)

static struct pool *pool;

/* --- values --- */

static struct attr
make(const char *key, uint8_t type)
{
    struct attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.key = sv_from(key);
    attr.value.type = type;
    return attr;
}

static struct attr
make_str(const char *key, const char *text)
{
    struct attr attr = make(key, VALUE_STRING);

    attr.value.str = sv_from(text);
    return attr;
}

static struct attr
make_int(const char *key, int64_t i)
{
    struct attr attr = make(key, VALUE_INT);

    attr.value.i = i;
    return attr;
}

static struct attr
make_double(const char *key, double d)
{
    struct attr attr = make(key, VALUE_DOUBLE);

    attr.value.d = d;
    return attr;
}

static struct attr
make_bytes(const char *key, const void *ptr, size_t len)
{
    struct attr attr = make(key, VALUE_BYTES);

    attr.value.str = sv_make(ptr, len);
    return attr;
}

/* A kvlist of the attributes. */
static struct attr
make_list(const char *key, const struct attr *items, uint32_t n)
{
    struct attr attr = make(key, VALUE_KVLIST);
    struct sb payload;
    char *copy;

    sb_init(&payload, MIB);
    for (uint32_t i = 0; i < n; i++) {
        wire_put_head(&payload, 1, attr_size(&items[i]));
        attr_put(&payload, &items[i]);
    }
    copy = pool_dup(pool, payload.ptr, payload.len);
    check(copy != NULL);
    attr.value.str = sv_make(copy, payload.len);
    sb_release(&payload);
    return attr;
}

static struct attr
make_array(const char *key, const struct value *items, uint32_t n)
{
    struct attr attr = make(key, VALUE_ARRAY);
    struct sb payload;
    char *copy;

    sb_init(&payload, MIB);
    for (uint32_t i = 0; i < n; i++) {
        wire_put_head(&payload, 1, value_size(&items[i]));
        value_put(&payload, &items[i]);
    }
    copy = pool_dup(pool, payload.ptr, payload.len);
    check(copy != NULL);
    attr.value.str = sv_make(copy, payload.len);
    sb_release(&payload);
    return attr;
}

/* --- a span --- */

static struct sv
field(const struct flat *flat, const char *name)
{
    struct sv found = SV_EMPTY;
    uint32_t n = 0;

    for (uint32_t i = 0; i < flat->n; i++) {
        if (sv_eq(flat->fields[i].name, sv_from(name))) {
            found = flat->fields[i].text;
            n++;
        }
    }
    if (n > 1)
        fail("%s is there once", name);
    return found;
}

static void
is_field(const struct flat *flat, const char *name, const char *want)
{
    is_sv(field(flat, name), want, "%s", name);
}

/* The fields of a span with these attributes. */
static struct flat
flat_of(const struct attr *attrs, uint32_t n)
{
    struct batch batch;
    struct span *span;
    struct flat flat;

    batch_init(&batch, pool);
    check(batch_add_resource(&batch, NULL) != NULL);
    check(batch_add_scope(&batch, NULL) != NULL);
    span = batch_add_span(&batch, NULL);
    span->attrs = (struct attrs){attrs, n};
    check(flat_span(&flat, &batch, span, pool));
    return flat;
}

static void
test_plain_span(void)
{
    struct flat flat = flat_of(NULL, 0);

    is_field(&flat, "_time", "1970-01-01T00:00:00Z");
    is_field(&flat, "_msg", "-");
    is_field(&flat, "flags", "0");
    is_field(&flat, "kind", "0");
    is_field(&flat, "status_code", "0");
    is_field(&flat, "duration", "0");
    is_field(&flat, "start_time_unix_nano", "0");
    is_field(&flat, "end_time_unix_nano", "0");
    is_field(&flat, "dropped_attributes_count", "0");
    is_field(&flat, "dropped_events_count", "0");
    is_field(&flat, "dropped_links_count", "0");
    is_int(flat.n, 11, "an empty span has no other field");
}

static void
fill_span(struct span *span, struct resource *resource, struct scope *scope)
{
    static struct attr service, purpose, fields[2];
    static struct span_event events[2];
    static struct span_link link;

    service = make_str("service.name", "cart");
    purpose = make_str("purpose", "");
    fields[0] = make_int("n", 3);
    fields[1] = make_str("name", "own");
    *resource = (struct resource){.attrs = {&service, 1}};
    *scope = (struct scope){.name = SV("lab"), .version = SV("1.2"),
        .attrs = {&purpose, 1}};
    memset(span->trace_id.b, 0xab, 16);
    memset(span->span_id.b, 0x01, 8);
    memset(span->parent_id.b, 0xf0, 8);
    span->start_ns = INT64_C(1768349400301641557);
    span->end_ns = INT64_C(1768349400678051200);
    span->name = SV("GET /");
    span->kind = 3;
    span->status_code = -5;
    span->status_message = SV("boom");
    span->trace_state = SV("k=v");
    span->flags = 4000000000u;
    span->dropped_links = 7;
    span->attrs = (struct attrs){fields, 2};
    events[0] = (struct span_event){UINT64_MAX, SV("exception"),
        {fields, 2}, 4};
    span->events = events;
    span->nevents = 2;
    memset(link.trace_id.b, 0x12, 16);
    link.flags = 1;
    link.attrs = span->attrs;
    span->links = &link;
    span->nlinks = 1;
}

static void
test_full_span(void)
{
    static const char *const want[][2] = {
        {"_time", "2026-01-14T00:10:00.6780512Z"}, {"_msg", "-"},
        {"trace_id", "abababababababababababababababab"},
        {"span_id", "0101010101010101"},
        {"parent_span_id", "f0f0f0f0f0f0f0f0"}, {"trace_state", "k=v"},
        {"flags", "4000000000"}, {"name", "GET /"}, {"kind", "3"},
        {"start_time_unix_nano", "1768349400301641557"},
        {"end_time_unix_nano", "1768349400678051200"},
        {"duration", "376409643"}, {"dropped_attributes_count", "0"},
        {"dropped_events_count", "0"}, {"dropped_links_count", "7"},
        {"status_message", "boom"}, {"status_code", "-5"},
        {"scope_name", "lab"}, {"scope_version", "1.2"},
        {"resource_attr:service.name", "cart"},
        {"scope_attr:purpose", "-"}, {"span_attr:n", "3"},
        {"span_attr:name", "own"},
        {"event:0:event_time_unix_nano", "18446744073709551615"},
        {"event:0:event_name", "exception"},
        {"event:0:event_dropped_attributes_count", "4"},
        {"event:0:event_attr:n", "3"}, {"event:0:event_attr:name", "own"},
        {"event:1:event_time_unix_nano", "0"},
        {"event:1:event_dropped_attributes_count", "0"},
        {"link:0:link_trace_id", "12121212121212121212121212121212"},
        {"link:0:link_flags", "1"},
        {"link:0:link_dropped_attributes_count", "0"},
        {"link:0:link_attr:n", "3"}, {"link:0:link_attr:name", "own"},
    };
    struct resource *resource;
    struct scope *scope;
    struct batch batch;
    struct span *span;
    struct flat flat;

    batch_init(&batch, pool);
    resource = batch_add_resource(&batch, NULL);
    scope = batch_add_scope(&batch, NULL);
    span = batch_add_span(&batch, NULL);
    fill_span(span, resource, scope);
    check(flat_span(&flat, &batch, span, pool));
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        is_field(&flat, want[i][0], want[i][1]);
    is_int(flat.n, ARRAY_LEN(want), "and no other field");
}

static void
test_values(void)
{
    struct value items[2] = {make_str("", "").value, make_int("", 1).value};
    struct attr inner[] = {make_str("x", "1"), make_int("", 9),
        make("none", VALUE_EMPTY), make_int("y", -2), make_str("e", "")};
    struct attr outer[] = {make_list("in", inner, 5), make_list("no", inner,
        0), make_bytes("b", "\0\1\376hello", 8)};
    struct attr attrs[] = {
        make_str("s", "text"), make_str("empty", ""), make_int("", 1),
        make("null", VALUE_EMPTY), make_int("i", INT64_MIN),
        make_double("d", -0.000244140625), make_double("whole", 123456789),
        make("t", VALUE_BOOL), make_bytes("b", "\0\1\376hello", 8),
        make_bytes("nobytes", "", 0), make_array("a", items, 2),
        make_array("a0", items, 0), make_list("kv", outer, 3),
        make_list("kv0", outer, 0),
    };
    struct flat flat = flat_of(attrs, ARRAY_LEN(attrs));

    is_field(&flat, "span_attr:s", "text");
    is_field(&flat, "span_attr:empty", "-");
    is_field(&flat, "span_attr:i", "-9223372036854775808");
    is_field(&flat, "span_attr:d", "-0.000244140625");
    is_field(&flat, "span_attr:whole", "123456789");
    is_field(&flat, "span_attr:t", "false");
    is_field(&flat, "span_attr:b", "AAH+aGVsbG8=");
    is_field(&flat, "span_attr:nobytes", "-");
    is_field(&flat, "span_attr:a", "[\"\",1]");
    is_field(&flat, "span_attr:a0", "[]");
    is_field(&flat, "span_attr:kv.in.x", "1");
    is_field(&flat, "span_attr:kv.in.y", "-2");
    is_field(&flat, "span_attr:kv.in.e", "-");
    is_field(&flat, "span_attr:kv.b", "AAH+aGVsbG8=");
    is_int(flat.n, 11 + 14, "nothing for null, empty keys and lists");
}

static void
test_last_wins(void)
{
    struct attr inner[] = {make_int("b", 3)};
    struct attr attrs[] = {make_int("a", 1), make_str("a.b", "x"),
        make_str("a", "2"), make_list("a", inner, 1),
        make("a", VALUE_EMPTY)};
    struct flat flat = flat_of(attrs, ARRAY_LEN(attrs));
    static struct attr many[3000];
    static char keys[1000][8];

    is_field(&flat, "span_attr:a", "2");
    is_field(&flat, "span_attr:a.b", "3");
    is_int(flat.n, 13, "of equal names the last wins");
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(keys[i % 1000], sizeof(keys[0]), "k%u", i % 1000);
        many[i] = make_int(keys[i % 1000], i);
    }
    flat = flat_of(many, 3000);
    is_int(flat.n, 1011, "also in a long list");
    is_field(&flat, "span_attr:k0", "2000");
    is_field(&flat, "span_attr:k999", "2999");
}

static void
test_find(void)
{
    struct attr inner[] = {make_int("b", 1), make_int("b", 2),
        make_int("c.d", 4)};
    struct attr list = make_list("a.x", inner, 3);
    static const char *const want[][2] = {{"a.x.b", "2"}, {"a.x.c.d", "4"},
        {"a.x", "none"}, {"a.x.", "none"}, {"a", "none"}, {"a.x.c", "none"},
        {"a.xxb", "none"}, {"", "none"}};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct sv text = SV("none");

        check(flat_find(&list, sv_from(want[i][0]), pool, &text));
        is_sv(text, want[i][1], "find \"%s\"", want[i][0]);
    }
}

/* --- names, times --- */

static void
test_names(void)
{
    static const char *const want[][2] = {
        {"", "_msg"}, {"name", "name"},
        {"event:event_name:0", "event:0:event_name"},
        {"event:event_attr:a:b:12", "event:12:event_attr:a:b"},
        {"link:link_trace_id:3", "link:3:link_trace_id"},
        {"event:0:event_name", "event:0:event_name"},
        {"event:event_name", "event:event_name"},
        {"event:event_name:", "event:event_name:"},
        {"event:event_name:01", "event:event_name:01"},
        {"event:event_name:9999999999", "event:event_name:9999999999"},
        {"event:link_name:1", "event:link_name:1"}, {"event:", "event:"},
    };

    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        is_sv(flat_name(sv_from(want[i][0]), pool), want[i][1],
            "name \"%s\"", want[i][0]);
}

static void
test_items(void)
{
    struct flat_item item;

    ok(flat_item_parse(SV("event:12:event_attr:a:b"), &item) &&
        item.index == 12 && !item.is_link, "part of an event");
    is_sv(item.part, "event_attr:a:b", "its name");
    ok(flat_item_parse(SV("link:0:link_flags"), &item) && item.is_link,
        "part of a link");
    ok(!flat_item_parse(SV("event:event_name:0"), &item), "index behind");
    ok(!flat_item_parse(SV("event:00:event_name"), &item), "odd index");
    ok(!flat_item_parse(SV("event:0"), &item), "no part");
    ok(!flat_item_parse(SV("span_attr:event:0:x"), &item), "attribute");
}

static void
test_times(void)
{
    static const struct {
        int64_t ns;
        const char *text;
    } want[] = {
        {INT64_C(1768507200900000000), "2026-01-15T20:00:00.9Z"},
        {INT64_C(1768507200500000007), "2026-01-15T20:00:00.500000007Z"},
        {INT64_C(1768507200000000000), "2026-01-15T20:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {10, "1970-01-01T00:00:00.00000001Z"},
    };
    char text[FLAT_TIME_MAX];

    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        is_sv(sv_make(text, flat_time(text, want[i].ns)), want[i].text,
            "time %s", want[i].text);
}

/* --- streams --- */

static void
is_stream(const char *service, const char *name, const char *want)
{
    struct sb sb;

    sb_init(&sb, KIB);
    flat_stream(&sb, sv_from(service), sv_from(name));
    is_str(sb.ptr, want, "stream %s", want);
    sb_release(&sb);
}

static void
is_stream_id(struct tenant tenant, const char *service, const char *name,
    const char *want)
{
    char id[FLAT_STREAM_ID_LEN];

    flat_stream_id(id, &tenant, sv_from(service), sv_from(name));
    is_sv(sv_make(id, sizeof(id)), want, "id of %s %s", service, name);
}

static void
test_streams(void)
{
    is_stream("cart", "GET /",
        "{name=\"GET /\",resource_attr:service.name=\"cart\"}");
    is_stream("", "x", "{name=\"x\"}");
    is_stream("unnamed", "", "{resource_attr:service.name=\"unnamed\"}");
    is_stream("", "", "{}");
    is_stream("", "a\"b\\c\n\x01\x7f\xff\xc3\xa9\xc2\x85",
        "{name=\"a\\\"b\\\\c\\n\\x01\\x7f\\xff\xc3\xa9\\u0085\"}");
    /* As the conformance suite has recorded them. */
    is_stream_id((struct tenant){0, 0}, "svc-a", "op1",
        "00000000000000005db827d7ae292db469dd62052d01288e");
    is_stream_id((struct tenant){0, 0}, "lab", "probe int",
        "000000000000000076988f94aeec94e2f24092022ca32db7");
    is_stream_id((struct tenant){1, 0xabc}, "lab", "probe int",
        "0000000100000abc76988f94aeec94e2f24092022ca32db7");
}

static void
test_no_memory(void)
{
    struct pool *small = pool_new(8 * KIB);
    static struct attr many[500];
    struct batch batch;
    struct span *span;
    struct flat flat;

    for (uint32_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = make_int("key", i);
    batch_init(&batch, pool);
    check(batch_add_resource(&batch, NULL) != NULL);
    check(batch_add_scope(&batch, NULL) != NULL);
    span = batch_add_span(&batch, NULL);
    span->attrs = (struct attrs){many, ARRAY_LEN(many)};
    ok(!flat_span(&flat, &batch, span, small), "a full pool is noticed");
    pool_free(small);
}

int
main(void)
{
    pool = pool_new(POOL_MAX);
    test_plain_span();
    test_full_span();
    test_values();
    test_last_wins();
    test_find();
    test_names();
    test_items();
    test_times();
    test_streams();
    test_no_memory();
    pool_free(pool);
    return tap_done();
}
