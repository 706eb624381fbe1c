/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * otlp_same FILE.json FILE.pb: the two requests hold equal spans, in the same
 * order, with the same sizes and reasons.  Says the first difference.
 */

#include "core/base.h"

#include "core/err.h"
#include "core/file.h"
#include "core/pool.h"
#include "core/sb.h"
#include "otlp/otlp.h"

#define BODY_MAX (256 * MIB)

static void
load(const char *path, enum otlp_format format, struct batch *batch)
{
    static struct sb bodies[2];
    struct sb *body = &bodies[format];
    struct err err = ERR_INIT;

    sb_init(body, BODY_MAX);
    if (file_read_all(path, body, &err) != 0 ||
        otlp_decode(format, sb_sv(body), batch, &err) != 0) {
        fprintf(stderr, "%s: %s\n", path, err.text);
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    struct batch a;
    struct batch b;

    if (argc != 3) {
        fprintf(stderr, "usage: otlp_same FILE.json FILE.pb\n");
        return 2;
    }
    batch_init(&a, pool_new(BODY_MAX));
    batch_init(&b, pool_new(BODY_MAX));
    load(argv[1], OTLP_JSON, &a);
    load(argv[2], OTLP_PROTOBUF, &b);
    if (a.nspans != b.nspans) {
        printf("%u and %u spans\n", a.nspans, b.nspans);
        return 1;
    }
    for (uint32_t i = 0; i < a.nspans; i++) {
        if (a.spans[i].reject != b.spans[i].reject ||
            !span_equal(&a, &a.spans[i], &b, &b.spans[i])) {
            printf("span %u differs\n", i);
            return 1;
        }
    }
    printf("%u spans\n", a.nspans);
    pool_free(a.pool);
    pool_free(b.pool);
    return 0;
}
