/* SPDX-License-Identifier: BSD-2-Clause */

/* The decoder and protobuf-c read the same: fixed inputs (see otlp_diff.h). */

#include "core/base.h"
#include "otlp/otlp_pb.h"

#include <dirent.h>

#include "core/file.h"
#include "otlp_again.h"
#include "otlp_diff.h"
#include "otlp_make.h"
#include "span_gen.h"
#include "tap.h"

static unsigned compared;

static void
diff_file(const char *dir, const char *name)
{
    char path[512];
    struct sb body;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    sb_init(&body, BODY_MAX);
    if (file_read_all(path, &body, NULL) == 0) {
        enum diff_result result = otlp_diff((const uint8_t *)body.ptr,
            body.len);

        ok(result != DIFF_DIFFERENT, "protobuf-c agrees: %s%s", path,
            result == DIFF_SKIPPED ? " (not compared)" : "");
        compared += result == DIFF_SAME;
    }
    sb_release(&body);
}

static void
test_corpus(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    if (d == NULL) {
        fail("%s can be read", dir);
        return;
    }
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] != '.')
            diff_file(dir, entry->d_name);
    }
    closedir(d);
}

/* One field in one kind of message; DIFF_DIFFERENT when protobuf-c differs. */
static enum diff_result
diff_tag(const char *path, unsigned field, enum wire_type type)
{
    static const struct sv payloads[] = {
        [WIRE_VARINT] = SV("\x85\x01"),
        [WIRE_FIXED64] = SV("\1\2\3\4\5\6\7\0"),
        [WIRE_BYTES] = SV("\x00"),
        [WIRE_FIXED32] = SV("\1\2\3\4"),
    };
    enum diff_result result;
    struct sb sb;

    sb_init(&sb, BODY_MAX);
    wire_put_varint(&sb, WIRE_TAG(field, type));
    sb_add_sv(&sb, payloads[type]);
    for (size_t i = strlen(path); i-- > 0;)
        wrap(&sb, (unsigned)path[i]);
    result = otlp_diff((const uint8_t *)sb.ptr, sb.len);
    sb_release(&sb);
    return result;
}

/* Every field of every message with every wire type. */
static void
test_every_tag(void)
{
    static const struct {
        const char *name;
        const char *path; /* field numbers from the request inwards */
    } messages[] = {
        {"ExportTraceServiceRequest", ""}, {"ResourceSpans", "\1"},
        {"Resource", "\1\1"}, {"EntityRef", "\1\1\3"},
        {"ScopeSpans", "\1\2"}, {"InstrumentationScope", "\1\2\1"},
        {"Span", "\1\2\2"}, {"Event", "\1\2\2\13"},
        {"Link", "\1\2\2\15"}, {"Status", "\1\2\2\17"},
        {"KeyValue", "\1\2\2\11"}, {"AnyValue", "\1\2\2\11\2"},
        {"ArrayValue", "\1\2\2\11\2\5"},
        {"KeyValueList", "\1\2\2\11\2\6"},
    };
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_FIXED64,
        WIRE_BYTES, WIRE_FIXED32};

    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        unsigned different = 0;
        unsigned skipped = 0;

        for (unsigned field = 1; field <= 20; field++) {
            for (size_t t = 0; t < ARRAY_LEN(types); t++) {
                enum diff_result result = diff_tag(messages[i].path, field,
                    types[t]);

                different += result == DIFF_DIFFERENT;
                skipped += result == DIFF_SKIPPED;
            }
        }
        is_int(different, 0, "every tag in %s, as protobuf-c",
            messages[i].name);
        /* A bool of another type is the one deliberate difference. */
        is_int(skipped, strcmp(messages[i].name, "AnyValue") == 0 ? 3 : 0,
            "all of them compared");
    }
}

/* What VT-* parameters gave is no part of a body. */
static void
without_params(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->nscopes; i++) {
        batch->scopes[i].stream_fields = SV_EMPTY;
        batch->scopes[i].extra_fields = SV_EMPTY;
    }
}

/* Random spans of everything the model allows, written and read back. */
static void
test_generated(void)
{
    struct span_gen gen;
    unsigned same = 0;

    span_gen_init(&gen, 7);
    for (unsigned round = 0; round < 20; round++) {
        struct pool *own = pool_new(256 * MIB);
        struct batch made;
        struct sb body;

        batch_init(&made, own);
        span_gen_wild(&gen, &made, 200);
        without_params(&made);
        sb_init(&body, 256 * MIB);
        otlp_encode_protobuf(&made, &body);
        same += otlp_diff((const uint8_t *)body.ptr, body.len) == DIFF_SAME;
        otlp_check_again(&made, OTLP_PROTOBUF);
        sb_release(&body);
        pool_free(own);
    }
    is_int(same, 20, "generated spans: written, read back, compared");
}

int
main(void)
{
    test_corpus("fuzz/corpus/otlp_diff");
    test_corpus("fuzz/corpus/otlp_pb");
    ok(compared >= 26, "%u files were compared", compared);
    test_every_tag();
    test_generated();
    return tap_done();
}
