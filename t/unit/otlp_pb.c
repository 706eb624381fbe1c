/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "otlp/otlp_pb.h"

#include <sys/resource.h>
#include <time.h>

#include "core/enc.h"
#include "core/file.h"
#include "core/timefmt.h"
#include "otlp/decode.h"
#include "otlp/otlp.h"
#include "otlp_again.h"
#include "otlp_diff.h"
#include "otlp_make.h"
#include "tap.h"

/* The limit is for the work, not for what else the machine does meanwhile. */
static int64_t
cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

static struct pool *pool;
static struct batch batch;
static struct err err;

/* The result of decoding; the batch is left for a look. */
static enum err_code
decode(struct sv body)
{
    pool_free(pool);
    pool = pool_new(BATCH_POOL_BYTES(body.len));
    batch_init(&batch, pool);
    err_reset(&err);
    if (otlp_decode_protobuf(body, &batch, &err) == 0)
        return ERR_NONE;
    return err.code;
}

/* A span with ids and these bytes behind them. */
static enum err_code
decode_span_bytes(struct sv bytes)
{
    enum err_code code;
    struct sb sb;
    static struct sb kept;

    sb_init(&sb, BODY_MAX);
    put_ids(&sb);
    sb_add_sv(&sb, bytes);
    wrap_span(&sb);
    code = decode(sb_sv(&sb));
    sb_release(&kept);
    kept = sb; /* the batch points into it */
    return code;
}

#define SPAN_BYTES(literal) decode_span_bytes(SV(literal))

static void
test_fields(void)
{
    struct sb body;
    const struct span *s;

    sb_init(&body, BODY_MAX);
    ok(file_read_all("fuzz/corpus/otlp_diff/full", &body, &err) == 0,
        "corpus file");
    is_int(decode(sb_sv(&body)), ERR_NONE, "every field decodes");
    if (batch.nspans != 1) {
        fail("one span");
        return;
    }
    s = batch.spans;
    is_int(s->trace_id.b[0], 0x5b, "trace id");
    is_int(s->span_id.b[7], 0x74, "span id");
    is_int(s->parent_id.b[7], 8, "parent id");
    is_sv(s->trace_state, "a=1", "trace state");
    is_sv(s->name, "POST /cart", "name");
    is_int(s->kind, 2, "kind");
    is_int(s->start_ns, INT64_C(1790000000000000000), "start");
    is_int(s->end_ns, INT64_C(1790000000012500000), "end");
    is_int(s->attrs.n, 9, "attributes");
    is_sv(s->attrs.v[0].value.str, "text", "string value");
    ok(s->attrs.v[2].value.type == VALUE_BOOL && s->attrs.v[2].value.b,
        "bool value");
    is_int(s->attrs.v[3].value.i, -5, "int value");
    ok(s->attrs.v[4].value.d == 0.25, "double value");
    is_int(s->attrs.v[5].value.type, VALUE_ARRAY, "array value");
    is_int(s->attrs.v[6].value.type, VALUE_KVLIST, "kvlist value");
    is_sv(s->attrs.v[7].value.str, "\1\2\3", "bytes value");
    is_int(s->attrs.v[8].value.type, VALUE_EMPTY, "empty value");
    is_int(s->dropped_attrs, 300, "dropped attributes");
    is_int(s->nevents, 2, "events");
    is_int((int64_t)s->events[0].time_ns, INT64_C(1790000000004000000),
        "event time");
    is_sv(s->events[0].name, "retry", "event name");
    is_int(s->events[0].attrs.n, 3, "event attributes");
    is_int(s->events[0].dropped_attrs, 1, "event dropped attributes");
    is_int(s->dropped_events, 2, "dropped events");
    is_int(s->nlinks, 1, "links");
    is_int(s->links[0].trace_id.b[15], 0xaa, "link trace id");
    is_int(s->links[0].span_id.b[0], 0xbb, "link span id");
    is_sv(s->links[0].trace_state, "l=1", "link trace state");
    is_int(s->links[0].attrs.n, 2, "link attributes");
    is_int(s->links[0].dropped_attrs, 7, "link dropped attributes");
    is_int(s->links[0].flags, 769, "link flags");
    is_int(s->dropped_links, 3, "dropped links");
    is_int(s->status_code, 2, "status code");
    is_sv(s->status_message, "upstream refused", "status message");
    is_int(s->flags, 257, "flags");
    is_sv(batch.resources[0].service, "cart", "service");
    is_int(batch.resources[0].attrs.v[1].value.i, 7, "resource attribute");
    is_sv(batch.scopes[0].name, "s", "scope name");
    is_sv(batch.scopes[0].version, "1", "scope version");
    is_int(batch.scopes[0].attrs.n, 2, "scope attributes");
    otlp_check_again(&batch, OTLP_PROTOBUF);
    otlp_check_again(&batch, OTLP_JSON);
    sb_release(&body);
}

static void
test_heads(void)
{
    struct sb body;

    sb_init(&body, BODY_MAX);
    ok(file_read_all("fuzz/corpus/otlp_diff/schema", &body, &err) == 0,
        "corpus file");
    is_int(decode(sb_sv(&body)), ERR_NONE, "schema URLs and entities");
    is_sv(batch.resources[0].schema_url, "https://schema/2", "of resource");
    is_sv(batch.scopes[0].schema_url, "https://schema/1", "of scope");
    is_int(batch.resources[0].dropped_attrs, 9, "dropped of resource");
    is_int(batch.scopes[0].dropped_attrs, 8, "dropped of scope");
    otlp_check_again(&batch, OTLP_PROTOBUF);
    sb_release(&body);
}

/* Elements without spans leave nothing, later heads reach earlier spans. */
static void
test_order(void)
{
    struct sb body;
    struct sb inner;

    sb_init(&body, BODY_MAX);
    sb_init(&inner, BODY_MAX);
    wire_put_bytes(&body, 1, SV_EMPTY);
    put_ids(&inner);
    wrap(&inner, 2);
    wire_put_bytes(&inner, 1, SV("\x0a\x03" "late"));
    wrap(&inner, 2);
    wire_put_bytes(&inner, 1, SV("\x10\x07"));
    wire_put_bytes(&inner, 2, SV_EMPTY);
    wire_put_bytes(&body, 1, sb_sv(&inner));
    is_int(decode(sb_sv(&body)), ERR_INVALID, "a cut scope");
    sb_reset(&body);
    sb_reset(&inner);
    wire_put_bytes(&body, 1, SV_EMPTY);
    put_ids(&inner);
    wrap(&inner, 2);
    wire_put_bytes(&inner, 1, SV("\x0a\x04" "late"));
    wrap(&inner, 2);
    wire_put_bytes(&inner, 1, SV("\x10\x07"));
    wire_put_bytes(&inner, 2, SV_EMPTY);
    wire_put_bytes(&body, 1, sb_sv(&inner));
    wire_put_bytes(&body, 1, SV_EMPTY);
    is_int(decode(sb_sv(&body)), ERR_NONE, "heads behind their spans");
    is_int(batch.nspans, 1, "one span");
    is_int(batch.nresources, 1, "no resource without spans");
    is_int(batch.nscopes, 1, "no scope without spans");
    is_sv(batch.scopes[batch.spans[0].scope].name, "late", "its scope");
    is_int(batch.resources[batch.spans[0].resource].dropped_attrs, 7,
        "its resource");
    sb_release(&inner);
    sb_release(&body);
}

static void
test_merge(void)
{
    SPAN_BYTES("\x7a\x03\x12\x01m" "\x7a\x02\x18\x02");
    is_sv(batch.spans[0].status_message, "m", "a second status merges");
    is_int(batch.spans[0].status_code, 2, "with what it sets");
    SPAN_BYTES("\x2a\x01" "a" "\x2a\x01" "b");
    is_sv(batch.spans[0].name, "b", "the last of a scalar wins");
    SPAN_BYTES("\x4a\x09\x0a\x01k\x12\x02\x18\x01\x12\x00");
    is_int(batch.spans[0].attrs.v[0].value.i, 1,
        "a second, empty value changes nothing");
    SPAN_BYTES("\x4a\x0a\x0a\x01k\x12\x05\x18\x01\x0a\x01s");
    is_sv(batch.spans[0].attrs.v[0].value.str, "s", "the last of a oneof");
}

static void
test_refused(void)
{
    static const struct {
        struct sv bytes;
        const char *what;
    } rows[] = {
        {SV("\x28\x01"), "wrong wire type of a known field"},
        {SV("\x4a\x05\x12\x03\x12\x01\x01"), "a bool in bytes"},
        {SV("\x2a\x05" "abc"), "a length beyond the end"},
        {SV("\x2a\xff\xff\xff\xff\x7f"), "a length of 2^35 - 1"},
        {SV("\x2a\x83\x80\x80\x80\x80\x00" "abc"), "a length of six bytes"},
        {SV("\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            "a varint of eleven bytes"},
        {SV("\x30\x80"), "a varint without an end"},
        {SV("\x39\x01\x02"), "a cut fixed64"},
        {SV("\x85\x01\x02"), "a cut fixed32"},
        {SV("\x00\x01"), "field 0"},
        {SV("\x06"), "field 0 with a bad type"},
        {SV("\xf6\x07\x01"), "wire type 6"},
        {SV("\xf7\x07\x01"), "wire type 7"},
        {SV("\xf4\x07"), "an end without a group"},
        {SV("\xf3\x07\x08\x01"), "a group without an end"},
        {SV("\xf3\x07\xfc\x07"), "a group that ends as another"},
        {SV("\x80\x80\x80\x80\x80\x01\x00"), "a tag of six bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        is_int(decode_span_bytes(rows[i].bytes), ERR_INVALID, "%s",
            rows[i].what);
        ok(strstr(err.text, " at byte ") != NULL, "%s", err.text);
    }
}

static void
test_skipped(void)
{
    static const struct {
        struct sv bytes;
        const char *what;
    } rows[] = {
        {SV("\xf3\x07\x08\x01\x12\x02zz\xf3\x07\xf4\x07\xf4\x07"),
            "groups in groups"},
        {SV("\xf0\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
            "a varint with more than 64 bits"},
        {SV("\xf1\x07" "12345678" "\xf5\x07" "1234" "\xf2\x07\x01z"),
            "all wire types"},
        {SV("\xfa\xff\xff\xff\x7f\x01z"), "the largest field number"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        is_int(decode_span_bytes(rows[i].bytes), ERR_NONE,
            "unknown: %s", rows[i].what);
}

static void
test_rejects(void)
{
    struct sb body;

    sb_init(&body, BODY_MAX);
    ok(file_read_all("fuzz/corpus/otlp_diff/badid", &body, &err) == 0,
        "corpus file");
    is_int(decode(sb_sv(&body)), ERR_NONE, "wrong ids are no bad body");
    is_int(batch.nspans, 4, "the spans are in the batch");
    is_int(batch.rejected, 4, "all of them rejected");
    is_int(batch.spans[0].reject, REJECT_TRACE_ID, "zero trace id");
    is_int(batch.spans[1].reject, REJECT_SPAN_ID, "span id of two bytes");
    is_int(batch.spans[2].reject, REJECT_PARENT_ID, "parent of one byte");
    is_int(batch.spans[3].reject, REJECT_TIME, "end in the year 2554");
    SPAN_BYTES("\x22\x08\0\0\0\0\0\0\0\0");
    is_int(batch.rejected, 0, "a parent of zeros is no parent");
    sb_release(&body);
}

/* A string in so many arrays. */
static void
put_nested(struct sb *sb, unsigned levels)
{
    wire_put_bytes(sb, 1, SV("x"));
    for (unsigned i = 1; i < levels; i++) {
        wrap(sb, 1);
        wrap(sb, 5);
    }
    wrap(sb, 2);
    wrap(sb, 9);
}

static void
test_depth(void)
{
    struct sb sb;

    sb_init(&sb, BODY_MAX);
    put_nested(&sb, VALUE_DEPTH_MAX);
    is_int(decode_span_bytes(sb_sv(&sb)), ERR_NONE, "the deepest value");
    sb_reset(&sb);
    put_nested(&sb, VALUE_DEPTH_MAX + 1);
    is_int(decode_span_bytes(sb_sv(&sb)), ERR_INVALID, "one level more");
    sb_release(&sb);
}

/*
 * A million levels, made from the inside out; each level's head is five bytes
 * of length at most.
 */
static void
test_bottomless(void)
{
    size_t cap = 16 * MIB;
    uint8_t *bytes = malloc(cap);
    uint8_t *ptr = bytes + cap;
    unsigned fields[3] = {2, 9, 2};

    for (unsigned i = 0; i < 1000000 + 5; i++) {
        size_t len = (size_t)(bytes + cap - ptr);
        uint8_t head[ENC_VARINT_MAX];
        size_t n = enc_put_varint(head, len);
        unsigned field = i < 1000000 ? (i % 2 == 0 ? 1 : 5)
            : i < 1000003 ? fields[i - 1000000] : i == 1000003 ? 2 : 1;

        ptr -= n;
        memcpy(ptr, head, n);
        *--ptr = (uint8_t)(field << 3 | 2);
    }
    struct sv body = sv_make(ptr, (size_t)(bytes + cap - ptr));
    int64_t start = cpu_ns();
    enum err_code code = decode(body);
    int64_t took = cpu_ns() - start;
    is_int(code, ERR_INVALID, "10^6 levels: %s", err.text);
    ok(took < 50 * NS_PER_MS, "in %lld us, less than 50 ms",
        (long long)(took / 1000));
    free(bytes);
}

/* Groups without an end do not recurse either. */
static void
test_many_groups(void)
{
    size_t n = 1000000;
    char *bytes = malloc(n);

    memset(bytes, 0x73, n); /* starts a group of field 14 */
    is_int(decode(sv_make(bytes, n)), ERR_INVALID, "10^6 groups");
    free(bytes);
}

static void
test_truncated(void)
{
    struct sb body;
    unsigned crashes = 0;
    unsigned good = 0;

    sb_init(&body, BODY_MAX);
    ok(file_read_all("fuzz/corpus/otlp_diff/full", &body, &err) == 0,
        "corpus file");
    for (size_t len = 0; len < body.len; len++) {
        /* In memory of its own, so that a sanitizer sees every overrun. */
        char *copy = malloc(len + 1);

        memcpy(copy, body.ptr, len);
        good += decode(sv_make(copy, len)) == ERR_NONE;
        crashes += otlp_diff((const uint8_t *)copy, len) == DIFF_DIFFERENT;
        free(copy);
    }
    is_int(good, 1, "only the empty prefix of a request is a request");
    is_int(crashes, 0, "protobuf-c agrees at every byte");
    sb_release(&body);
}

static long
rss_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Empty spans, each two bytes. */
static enum err_code
decode_empty_spans(size_t n)
{
    enum err_code code;
    struct sb sb;

    sb_init(&sb, BODY_MAX);
    char *bytes = sb_reserve(&sb, 2 * n);
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + 2 * i, "\x12\x00", 2);
    sb_advance(&sb, 2 * n);
    wrap(&sb, 2);
    wrap(&sb, 1);
    code = decode(sb_sv(&sb));
    sb_release(&sb);
    return code;
}

static void
test_amplification(void)
{
    struct sb sb;

    is_int(decode_empty_spans(1000), ERR_NONE, "1,000 empty spans");
    is_int(batch.rejected, 1000, "all rejected");
    long before = rss_kib();
    is_int(decode_empty_spans(2000000), ERR_LIMIT, "2,000,000: %s",
        err.text);
    is_int(decode_empty_spans(1000000), ERR_LIMIT, "1,000,000: %s",
        err.text);
    long grown = rss_kib() - before;
    ok(grown < 32 * 1024, "resident memory grew by %ld KiB", grown);

    sb_init(&sb, BODY_MAX);
    char *bytes = sb_reserve(&sb, 2 * MIB);
    for (size_t i = 0; i < 1 * MIB; i++)
        memcpy(bytes + 2 * i, "\x0a\x00", 2);
    sb_advance(&sb, 2 * MIB);
    is_int(decode(sb_sv(&sb)), ERR_NONE, "2^20 empty resources");
    is_int(batch.nresources, 0, "none is kept");
    sb_release(&sb);
}

/* The smallest spans and attributes that a real sender could send. */
static void
test_dense(void)
{
    struct sb spans;
    struct sb span;

    for (unsigned nattrs = 0; nattrs <= 64; nattrs += 16) {
        sb_init(&spans, BODY_MAX);
        for (unsigned i = 0; i < 20000; i++) {
            sb_init(&span, 64 * KIB);
            put_ids(&span);
            wire_put_fixed64(&span, 8, 1);
            for (unsigned a = 0; a < nattrs; a++)
                wire_put_bytes(&span, 9, SV("\x0a\x01k\x12\x02\x10\x01"));
            wire_put_bytes(&spans, 2, sb_sv(&span));
            sb_release(&span);
        }
        wrap(&spans, 2);
        wrap(&spans, 1);
        is_int(decode(sb_sv(&spans)), ERR_NONE,
            "small spans with %u small attributes fit", nattrs);
        sb_release(&spans);
    }
}

/* So many empty attributes (field 9), events (11) or links (13). */
static void
decode_many(unsigned field, uint32_t n)
{
    struct sb sb;

    sb_init(&sb, BODY_MAX);
    for (uint32_t i = 0; i < n; i++)
        wire_put_bytes(&sb, field, SV_EMPTY);
    is_int(decode_span_bytes(sb_sv(&sb)), ERR_NONE, "%u of field %u", n,
        field);
    sb_release(&sb);
}

static void
test_many(void)
{
    static const unsigned fields[] = {9, 11, 13};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        decode_many(fields[i], OTLP_FIELDS_MAX);
        is_int(batch.rejected, 0, "as many as are kept");
        is_int(batch.spans[0].attrs.n + batch.spans[0].nevents +
            batch.spans[0].nlinks, OTLP_FIELDS_MAX, "are kept");
        decode_many(fields[i], OTLP_FIELDS_MAX + 1);
        is_int(batch.spans[0].reject, REJECT_MANY_FIELDS, "one more");
        decode_many(fields[i], 1000000);
        is_int(batch.spans[0].reject, REJECT_MANY_FIELDS, "many more");
    }
}

/* Attributes of a resource count for each of its spans. */
static void
test_many_in_resource(void)
{
    struct sb sb;
    struct sb span;

    sb_init(&sb, BODY_MAX);
    sb_init(&span, BODY_MAX);
    put_ids(&span);
    wrap(&span, 2);
    wrap(&span, 2);
    for (unsigned i = 0; i < OTLP_FIELDS_MAX + 1; i++)
        wire_put_bytes(&sb, 1, SV_EMPTY);
    wrap(&sb, 1);
    sb_add_sv(&sb, sb_sv(&span));
    wrap(&sb, 1);
    is_int(decode(sb_sv(&sb)), ERR_NONE, "a resource too large to keep");
    is_int(batch.spans[0].reject, REJECT_MANY_FIELDS, "rejects its spans");
    sb_release(&span);
    sb_release(&sb);
}

int
main(void)
{
    is_int(decode(SV_EMPTY), ERR_NONE, "an empty request");
    is_int(batch.nspans, 0, "has no spans");
    test_fields();
    test_heads();
    test_order();
    test_merge();
    test_refused();
    test_skipped();
    test_rejects();
    test_depth();
    test_bottomless();
    test_many_groups();
    test_truncated();
    test_amplification();
    test_dense();
    test_many();
    test_many_in_resource();
    pool_free(pool);
    return tap_done();
}
