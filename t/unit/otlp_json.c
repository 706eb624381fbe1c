/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"

#include <time.h>
#include "otlp/otlp.h"

#include "core/file.h"
#include "core/timefmt.h"
#include "otlp_again.h"
#include "tap.h"

/* The limit is for the work, not for what else the machine does meanwhile. */
static int64_t
cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

#define BODY_MAX (64 * MIB)

static struct pool *pool;
static struct batch batch;
static struct err err;
static struct sb body; /* the batch points into it */

static enum err_code
decode(struct sv text)
{
    pool_free(pool);
    pool = pool_new(BATCH_POOL_BYTES(text.len));
    batch_init(&batch, pool);
    err_reset(&err);
    if (otlp_decode_json(text, &batch, &err) == 0)
        return ERR_NONE;
    return err.code;
}

/* A request of one span with ids and these members. */
static enum err_code
decode_span(const char *members)
{
    sb_reset(&body);
    sb_addf(&body, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
        "\"traceId\":\"5b8efff798038103d269b633813fc60c\","
        "\"spanId\":\"eee19b7ec3c1b174\"%s%s}]}]}]}",
        members[0] == '\0' ? "" : ",", members);
    return decode(sb_sv(&body));
}

/* The value of one attribute. */
static enum err_code
decode_value(const char *value)
{
    char members[1024];

    snprintf(members, sizeof(members),
        "\"attributes\":[{\"key\":\"k\",\"value\":%s}]", value);
    return decode_span(members);
}

static const struct value *
first_value(void)
{
    static const struct value none = {.type = VALUE_TYPES};

    if (batch.nspans == 0 || batch.spans[0].attrs.n == 0)
        return &none;
    return &batch.spans[0].attrs.v[0].value;
}

static const struct span *
first_span(void)
{
    static const struct span none = {.kind = -1};

    return batch.nspans == 0 ? &none : &batch.spans[0];
}

/* The corpus holds some requests in both encodings. */
static void
test_same_as_protobuf(const char *name)
{
    struct pool *own = pool_new(16 * MIB);
    struct batch other;
    char path[256];
    struct sb wire;

    snprintf(path, sizeof(path), "fuzz/corpus/otlp_json/%s", name);
    sb_reset(&body);
    ok(file_read_all(path, &body, &err) == 0, "%s", path);
    is_int(decode(sb_sv(&body)), ERR_NONE, "%s as JSON", name);
    snprintf(path, sizeof(path), "fuzz/corpus/otlp_pb/%s", name);
    sb_init(&wire, BODY_MAX);
    ok(file_read_all(path, &wire, &err) == 0, "%s", path);
    batch_init(&other, own);
    is_int(otlp_decode_protobuf(sb_sv(&wire), &other, &err), 0,
        "%s as protobuf", name);
    is_int(batch.nspans, other.nspans, "as many spans");
    is_int(batch.nscopes, other.nscopes, "as many scopes");
    is_int(batch.nresources, other.nresources, "as many resources");
    is_int(batch.reject_mask, other.reject_mask, "the same reasons");
    for (uint32_t i = 0; i < MIN(batch.nspans, other.nspans); i++) {
        is_int(batch.spans[i].reject, other.spans[i].reject, "reason");
        ok(span_equal(&batch, &batch.spans[i], &other, &other.spans[i]),
            "%s: span %u is equal", name, i);
    }
    sb_release(&wire);
    pool_free(own);
}

/* Names, numbers and ids as senders differ in them. */
static void
test_lenient(void)
{
    const struct span *s;

    sb_reset(&body);
    ok(file_read_all("fuzz/corpus/otlp_json/lenient", &body, &err) == 0,
        "corpus file");
    is_int(decode(sb_sv(&body)), ERR_NONE, "snake_case and more");
    s = first_span();
    is_int(batch.rejected, 0, "ids in upper case");
    is_int(s->kind, 2, "kind by name");
    is_int(s->status_code, 2, "status by name");
    is_int(s->start_ns, INT64_C(1790000000000000000), "time as a number");
    is_int(s->end_ns, INT64_C(1790000000000000000), "with an exponent");
    is_int(s->dropped_attrs, 3, "a count as a string");
    is_int(s->flags, 257, "flags as a string");
    is_int(s->attrs.n, 3, "attributes");
    ok(s->attrs.v[0].value.d != s->attrs.v[0].value.d, "NaN");
    ok(s->attrs.v[1].value.d == -__builtin_inf(), "-Infinity");
    is_int(s->attrs.v[2].value.type, VALUE_KVLIST, "keyValueList");
    otlp_check_again(&batch, OTLP_JSON);
    otlp_check_again(&batch, OTLP_PROTOBUF);
}

static void
test_values(void)
{
    decode_value("{\"intValue\":\"-9223372036854775808\"}");
    is_int(first_value()->i, INT64_MIN, "the least int");
    decode_value("{\"intValue\":9223372036854775807}");
    is_int(first_value()->i, INT64_MAX, "the largest, as a number");
    decode_value("{\"intValue\":12.0}");
    is_int(first_value()->i, 12, "an integral fraction");
    decode_value("{\"doubleValue\":\"1.5\"}");
    ok(first_value()->type == VALUE_DOUBLE && first_value()->d == 1.5,
        "a double as a string");
    decode_value("{\"doubleValue\":\"Infinity\"}");
    ok(first_value()->d == __builtin_inf(), "Infinity");
    decode_value("{\"boolValue\":false}");
    ok(first_value()->type == VALUE_BOOL && !first_value()->b, "false");
    decode_value("{\"bytesValue\":\"AQID\"}");
    is_sv(first_value()->str, "\1\2\3", "base64");
    decode_value("{\"bytesValue\":\"_-8\"}");
    is_sv(first_value()->str, "\xff\xef", "base64url without padding");
    decode_value("{\"stringValue\":\"\\u00e9\\n\"}");
    is_sv(first_value()->str, "\xc3\xa9\n", "escapes");
    decode_value("{\"arrayValue\":{}}");
    is_int(first_value()->type, VALUE_ARRAY, "an array without values");
    decode_value("{\"kvlistValue\":{\"values\":null}}");
    is_int(first_value()->type, VALUE_KVLIST, "a kvlist of null");
    decode_value("{}");
    is_int(first_value()->type, VALUE_EMPTY, "an empty value");
    decode_value("null");
    is_int(first_value()->type, VALUE_EMPTY, "null");
    decode_value("{\"stringValue\":null}");
    is_int(first_value()->type, VALUE_EMPTY, "a null string is not set");
    decode_value("{\"other\":[{}],\"intValue\":\"7\"}");
    is_int(first_value()->i, 7, "an unknown name is skipped");
}

static void
test_refused(void)
{
    static const char *const values[] = {
        "{\"intValue\":\"9223372036854775808\"}",
        "{\"intValue\":1.5}", "{\"intValue\":\"x\"}", "{\"intValue\":[]}",
        "{\"doubleValue\":\"infinity\"}", "{\"doubleValue\":true}",
        "{\"boolValue\":1}", "{\"boolValue\":\"yes\"}",
        "{\"bytesValue\":\"****\"}", "{\"stringValue\":5}",
        "{\"arrayValue\":[]}", "{\"kvlistValue\":{\"values\":{}}}", "[]",
        "5",
    };
    static const char *const members[] = {
        "\"kind\":\"SPAN_KIND_OTHER\"", "\"kind\":2147483648",
        "\"startTimeUnixNano\":-1", "\"startTimeUnixNano\":\"1e30\"",
        "\"droppedAttributesCount\":4294967296", "\"flags\":-1",
        "\"name\":5", "\"attributes\":{}", "\"events\":5",
        "\"status\":[]", "\"traceId\":5", "\"name\":\"\\ud800\"",
        "\"name\":\"\xff\"", "\"name\":\"a", "\"name\"", ",",
    };
    static const char *const bodies[] = {
        "null", "[]", "5", "\"\"", "{", "{}x", "{\"resourceSpans\":5}",
        "{\"resourceSpans\":[5]}", "{\"resourceSpans\":[{]}", " ",
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        is_int(decode_value(values[i]), ERR_INVALID, "%s", values[i]);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        is_int(decode_span(members[i]), ERR_INVALID, "%s", members[i]);
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        is_int(decode(sv_from(bodies[i])), ERR_INVALID, "%s", bodies[i]);
}

static void
test_rejects(void)
{
    decode_span("\"spanId\":\"\"");
    is_int(first_span()->reject, REJECT_SPAN_ID, "an empty span id");
    decode_span("\"traceId\":\"5b8efff798038103d269b633813fc6\"");
    is_int(first_span()->reject, REJECT_TRACE_ID, "a short trace id");
    decode_span("\"traceId\":\"zz8efff798038103d269b633813fc60c\"");
    is_int(first_span()->reject, REJECT_TRACE_ID, "not hex");
    decode_span("\"traceId\":\"W47/95gDgQPSabYzgT/GDA==\"");
    is_int(first_span()->reject, REJECT_TRACE_ID, "base64");
    decode_span("\"parentSpanId\":\"abc\"");
    is_int(first_span()->reject, REJECT_PARENT_ID, "a short parent");
    decode_span("\"endTimeUnixNano\":\"18446744073709551615\"");
    is_int(first_span()->reject, REJECT_TIME, "a time that does not fit");
    decode_span("\"parentSpanId\":null,\"name\":null,\"kind\":null,"
        "\"attributes\":null,\"events\":null,\"links\":null,"
        "\"status\":null,\"flags\":null,\"startTimeUnixNano\":null");
    ok(batch.nspans == 1 && batch.rejected == 0, "null is the default");
    is_int(decode(SV("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":"
        "[null,{}]}]},null,{}]}")), ERR_NONE, "empty messages");
    is_int(batch.rejected, 2, "are spans without ids");
    is_int(batch.nresources, 1, "or nothing");
}

static void
test_links(void)
{
    is_int(decode_span("\"links\":[{\"spanId\":\"0102030405060708\","
        "\"traceId\":\"0102030405060708090a0b0c0d0e0f10\"},"
        "{\"traceId\":\"short\"},{}]"), ERR_NONE, "links");
    is_int(first_span()->nlinks, 3, "three of them");
    is_int(first_span()->links[0].trace_id.b[15], 16, "trace id");
    is_int(first_span()->links[0].span_id.b[7], 8, "span id");
    ok(trace_id_is_zero(&first_span()->links[1].trace_id),
        "a wrong id of a link is left out");
}

/* Deep documents, values and unknown members end with an error, soon. */
static void
test_depth(void)
{
    static const char *const openers[] = {
        "[", "{\"a\":", "{\"resourceSpans\":[",
        "{\"arrayValue\":{\"values\":[",
    };

    for (size_t i = 0; i < ARRAY_LEN(openers); i++) {
        sb_reset(&body);
        sb_add_str(&body, "{\"resourceSpans\":[{\"scopeSpans\":[{"
            "\"spans\":[{\"attributes\":[{\"value\":");
        for (unsigned n = 0; n < 1000000; n++)
            sb_add_str(&body, openers[i]);
        int64_t start = cpu_ns();
        is_int(decode(sb_sv(&body)), ERR_INVALID, "10^6 of %s", openers[i]);
        int64_t took = cpu_ns() - start;
        ok(took < 50 * NS_PER_MS, "in %lld us", (long long)took / 1000);
    }
}

static void
test_truncated(void)
{
    struct sb full;
    unsigned good = 0;

    sb_init(&full, BODY_MAX);
    ok(file_read_all("fuzz/corpus/otlp_json/full", &full, &err) == 0,
        "corpus file");
    for (size_t len = 1; len < full.len; len++) {
        char *copy = malloc(len);

        memcpy(copy, full.ptr, len);
        good += decode(sv_make(copy, len)) == ERR_NONE;
        free(copy);
    }
    is_int(good, 0, "no prefix of a request is a request");
    sb_release(&full);
}

static void
test_amplification(void)
{
    sb_reset(&body);
    sb_add_str(&body, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}");
    for (unsigned n = 1; n < 1400000; n++)
        sb_add_str(&body, ",{}");
    sb_add_str(&body, "]}]}]}");
    is_int(decode(sb_sv(&body)), ERR_LIMIT, "4 MB of empty spans: %s",
        err.text);
    sb_reset(&body);
    sb_add_str(&body, "{\"resourceSpans\":[{}");
    for (unsigned n = 1; n < 1400000; n++)
        sb_add_str(&body, ",{}");
    sb_add_str(&body, "]}");
    is_int(decode(sb_sv(&body)), ERR_NONE, "4 MB of empty resources");
    is_int(batch.nresources, 0, "of which none is kept");
}

int
main(void)
{
    sb_init(&body, BODY_MAX);
    is_int(decode(SV_EMPTY), ERR_NONE, "an empty body");
    is_int(decode(SV(" {} ")), ERR_NONE, "an empty request");
    is_int(batch.nspans, 0, "has no spans");
    test_same_as_protobuf("one");
    test_same_as_protobuf("full");
    test_same_as_protobuf("values");
    test_same_as_protobuf("two");
    test_same_as_protobuf("badid");
    test_lenient();
    test_values();
    test_refused();
    test_rejects();
    test_links();
    test_depth();
    test_truncated();
    test_amplification();
    sb_release(&body);
    pool_free(pool);
    return tap_done();
}
