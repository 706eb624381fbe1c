/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Parameters of requests: what is accepted, the canonical form, and what is
 * done to spans.  The last is compared with a plain model: a span as a set of
 * lines "name=value", where ignoring takes lines out and an extra field
 * replaces those of its name.
 */

#include "core/base.h"
#include "span/params.h"

#include <stdlib.h>

#include "core/assert.h"
#include "core/sb.h"
#include "params_lines.h"
#include "span_gen.h"
#include "tap.h"

static struct pool *pool;

/* --- parsing --- */

static struct sv
canonical(enum params_kind kind, const char *text)
{
    struct params params = {0};
    struct err err = ERR_INIT;
    struct sv out;

    check(params_set(&params, kind, sv_from(text), pool, &err) == 0);
    check(params_encode(&params, pool, &out, &err) == 0);
    return out;
}

static void
test_canonical(void)
{
    static const struct {
        enum params_kind kind;
        const char *a, *b;
    } same[] = {
        {PARAMS_IGNORE, "b,a", "a,b"},
        {PARAMS_IGNORE, " a , b,,a,", "a,b"},
        {PARAMS_IGNORE, "a*,ab,abc*,a", "a*"},
        {PARAMS_IGNORE, "span_attr:x,*,y", "*"},
        {PARAMS_IGNORE, "a b*,a*", "a*"},
        {PARAMS_DECOLORIZE, "b,a,b*", "a,b*"},
        {PARAMS_STREAM, "name,x,resource_attr:service.name", "x"},
        {PARAMS_STREAM, "name", ""},
        {PARAMS_EXTRA, "b=1,a=2", "a=2,b=1"},
        {PARAMS_EXTRA, "a=1,b=3,a=2", "a=2,b=3"},
    };
    static const struct {
        enum params_kind kind;
        const char *a, *b;
    } differ[] = {
        {PARAMS_IGNORE, "a", "a*"},
        {PARAMS_IGNORE, "a", "b"},
        {PARAMS_EXTRA, "a=1", "a=2"},
        {PARAMS_EXTRA, "a=1", "a=1,b=1"},
        {PARAMS_EXTRA, "a=b=c", "a=b"},
        {PARAMS_STREAM, "x", ""},
    };

    for (unsigned i = 0; i < ARRAY_LEN(same); i++)
        ok(sv_eq(canonical(same[i].kind, same[i].a),
                canonical(same[i].kind, same[i].b)),
            "\"%s\" is \"%s\"", same[i].a, same[i].b);
    for (unsigned i = 0; i < ARRAY_LEN(differ); i++)
        ok(!sv_eq(canonical(differ[i].kind, differ[i].a),
                canonical(differ[i].kind, differ[i].b)),
            "\"%s\" is not \"%s\"", differ[i].a, differ[i].b);
    ok(!sv_eq(canonical(PARAMS_IGNORE, "a"),
            canonical(PARAMS_DECOLORIZE, "a")), "the kind is told");
    is_int(canonical(PARAMS_IGNORE, " ,, ").len, 0, "nothing: no bytes");
}

static void
test_refused(void)
{
    static const struct {
        enum params_kind kind;
        const char *text;
        const char *says;
    } bad[] = {
        {PARAMS_EXTRA, "a", "extra_fields: an item is not name=value"},
        {PARAMS_EXTRA, "a=1,b", "extra_fields: an item is not name=value"},
        {PARAMS_EXTRA, "=1", "extra_fields: an item has no name"},
        {PARAMS_EXTRA, "a=", "extra_fields: a has no value"},
        {PARAMS_EXTRA, "trace_id=00", "extra_fields: trace_id cannot be set"},
        {PARAMS_EXTRA, "event:0:event_name=x",
            "extra_fields: event:0:event_name cannot be set"},
        {PARAMS_EXTRA, "span_attr:=x",
            "extra_fields: span_attr: has no attribute name"},
        {PARAMS_EXTRA, "kind=server",
            "extra_fields: the value of kind is not a number it can have"},
        {PARAMS_EXTRA, "flags=-1",
            "extra_fields: the value of flags is not a number it can have"},
    };
    static char many[PARAMS_NAMES_MAX * 8];
    char *at = many;
    char longer[SPAN_FIELD_NAME_MAX + 2];

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct params params = {0};
        struct err err = ERR_INIT;

        ok(params_set(&params, bad[i].kind, sv_from(bad[i].text), pool,
            &err) != 0 && err.code == ERR_INVALID, "\"%s\" is refused",
            bad[i].text);
        is_str(err.text, bad[i].says, "and says why");
    }
    for (unsigned i = 0; i <= PARAMS_NAMES_MAX; i++)
        at += snprintf(at, 8, "n%u,", i);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';

    struct params params = {0};
    struct err err = ERR_INIT;
    ok(params_set(&params, PARAMS_IGNORE, sv_from(many), pool, &err) != 0,
        "%u names: %s", PARAMS_NAMES_MAX + 1, err.text);
    err = (struct err)ERR_INIT;
    ok(params_set(&params, PARAMS_IGNORE, sv_from(longer), pool, &err) != 0,
        "a long name: %s", err.text);
}

static void
test_decode(void)
{
    static const struct sv bad[] = {
        SV("X"), SV("I"), SV("I\0"), SV("I\1"), SV("I\1\2a"),
        SV("I\2\1b\1a"), SV("I\2\1a\1a"), SV("I\2\2a*\2ab"),
        SV("D\1\1aI\1\1a"), SV("I\1\1aI\1\1b"), SV("E\1\1a"),
        SV("I\xff\xff\xff\xff\x0f"), SV("S\1\4name"),
    };
    struct params params = {0}, back;
    struct err err = ERR_INIT;
    struct sv once, twice;

    check(params_set(&params, PARAMS_STREAM, SV("x,y"), pool, &err) == 0);
    check(params_set(&params, PARAMS_IGNORE, SV("b*,a"), pool, &err) == 0);
    check(params_set(&params, PARAMS_DECOLORIZE, SV("c"), pool, &err) == 0);
    check(params_set(&params, PARAMS_EXTRA, SV("d=1"), pool, &err) == 0);
    check(params_encode(&params, pool, &once, &err) == 0);
    ok(params_decode(&back, once, pool, &err) == 0, "decodes %s", err.text);
    ok(params_encode(&back, pool, &twice, &err) == 0 && sv_eq(once, twice),
        "to the same");
    for (size_t len = 0; len < once.len; len++) {
        struct err cut = ERR_INIT;

        if (params_decode(&back, sv_sub(once, 0, len), pool, &cut) == 0) {
            check(params_encode(&back, pool, &twice, &err) == 0);
            check(sv_eq(twice, sv_sub(once, 0, len)));
        }
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct err why = ERR_INIT;

        ok(params_decode(&back, bad[i], pool, &why) != 0 &&
            why.code == ERR_CORRUPT, "damage %u: %s", i, why.text);
    }
}

/* --- random parameters --- */

/* A name that can stand in a list. */
static bool
is_listable(struct sv name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (memchr(",=* \t\0", name.ptr[i], 6) != NULL)
            return false;
    }
    return name.len > 0 && name.len <= SPAN_FIELD_NAME_MAX;
}

static void
add_names(struct span_gen *gen, const struct lines *lines, struct sb *out)
{
    static const char *const fixed[] = {"event:*", "link:1:*", "event:0:*",
        "span_attr:n*", "name", "kind", "event:event_name:0", "status_*",
        "link:link_attr:*", "resource_attr:service.name", "trace_id"};

    for (uint32_t n = gen_below(gen, 6); n > 0; n--) {
        struct sv name = lines->n == 0 ? SV("x")
            : lines->v[gen_below(gen, (uint32_t)lines->n)];

        name = sv_sub(name, 0, sv_find_byte(name, '='));
        bool is_cut = gen_one_in(gen, 3);
        if (is_cut)
            name.len = gen_below(gen, (uint32_t)name.len + 1);
        if (gen_one_in(gen, 4)) {
            name = sv_from(fixed[gen_below(gen, ARRAY_LEN(fixed))]);
            is_cut = false;
        } else if (!is_listable(name)) {
            continue;
        }
        sb_addf(out, "%s%.*s%s", out->len > 0 ? "," : "", SV_ARG(name),
            is_cut ? "*" : "");
    }
}

static void
add_extras(struct span_gen *gen, struct sb *out)
{
    static const char *const items[] = {"env=prod", "span_attr:flags=x",
        "resource_attr:service.name=other", "scope_attr:name=y",
        "name=renamed", "kind=3", "status_code=2", "scope_version=9",
        "span_attr:nested.key=v", "flags=7", "zone=a b"};
    unsigned taken = 0;

    for (uint32_t n = gen_below(gen, 4); n > 0; n--) {
        uint32_t i = gen_below(gen, ARRAY_LEN(items));

        if (taken & 1u << i)
            continue;
        taken |= 1u << i;
        sb_addf(out, "%s%s", out->len > 0 ? "," : "", items[i]);
    }
}

static bool
batches_equal(const struct batch *a, const struct batch *b)
{
    for (uint32_t i = 0; i < a->nspans; i++) {
        if (!span_equal(a, &a->spans[i], b, &b->spans[i]) ||
            a->spans[i].bytes != b->spans[i].bytes)
            return false;
    }
    return true;
}

/* The arrays are copied, what they point to is shared. */
static struct batch
copy_batch(const struct batch *from)
{
    struct batch to = *from;

    to.spans = (struct span *)(void *)pool_dup(from->pool, from->spans,
        from->nspans * sizeof(*from->spans));
    to.resources = (struct resource *)(void *)pool_dup(from->pool,
        from->resources, from->nresources * sizeof(*from->resources));
    to.scopes = (struct scope *)(void *)pool_dup(from->pool, from->scopes,
        from->nscopes * sizeof(*from->scopes));
    check(to.spans != NULL && to.resources != NULL && to.scopes != NULL);
    return to;
}

static bool
run_random(struct span_gen *gen)
{
    struct pool *own = pool_new(256 * MIB);
    struct lines before = {0}, wanted = {0}, after = {0};
    struct params params = {0};
    struct err err = ERR_INIT;
    struct batch batch, old;
    struct sb ignore, extra;
    struct sv form;
    bool is_good = true;

    batch_init(&batch, own);
    span_gen_wild(gen, &batch, 5);
    for (uint32_t i = 0; i < batch.nscopes; i++)
        batch.scopes[i].extra_fields = SV_EMPTY;
    sb_init(&ignore, TEXT_MAX);
    sb_init(&extra, TEXT_MAX);
    make_lines(&before, &batch, 0);
    add_names(gen, &before, &ignore);
    add_extras(gen, &extra);
    check(params_set(&params, PARAMS_IGNORE, sb_sv(&ignore), own, &err) == 0);
    check(params_set(&params, PARAMS_EXTRA, sb_sv(&extra), own, &err) == 0);
    check(params_encode(&params, own, &form, &err) == 0);
    old = copy_batch(&batch);
    check(params_apply_canonical(form, &batch, &err) == 0);
    wanted.ignore = ignore.len > 0 ? ignore.ptr : NULL;
    wanted.extra = extra.len > 0 ? extra.ptr : NULL;
    for (uint32_t i = 0; i < batch.nspans; i++) {
        if (form.len == 0)
            break;
        free_lines(&wanted);
        free_lines(&after);
        wanted.v = after.v = NULL;
        wanted.n = wanted.cap = after.n = after.cap = 0;
        make_lines(&wanted, &old, i);
        make_lines(&after, &batch, i);
        if (!lines_equal(&after, &wanted, ignore.ptr))
            is_good = false;
    }
    old = copy_batch(&batch);
    check(params_apply_canonical(form, &batch, &err) == 0);
    for (uint32_t i = 0; i < batch.nspans; i++)
        batch.spans[i].bytes = old.spans[i].bytes; /* an estimate */
    if (!batches_equal(&batch, &old)) {
        diag("twice is not once: ignore %s, extra %s", ignore.ptr, extra.ptr);
        is_good = false;
    }
    free_lines(&before);
    free_lines(&wanted);
    free_lines(&after);
    sb_release(&ignore);
    sb_release(&extra);
    pool_free(own);
    return is_good;
}

static void
test_random(void)
{
    struct span_gen gen;
    unsigned good = 0;

    span_gen_init(&gen, 43);
    for (unsigned i = 0; i < 1000; i++)
        good += run_random(&gen);
    is_int(good, 1000, "random parameters do as the model does");
}

/* --- single things --- */

static struct batch
one_span(struct attr *attrs, uint32_t n)
{
    struct batch batch;

    batch_init(&batch, pool);
    check(batch_add_resource(&batch, NULL) != NULL);
    check(batch_add_scope(&batch, NULL) != NULL);
    check(batch_add_span(&batch, NULL) != NULL);
    batch.spans[0].attrs = (struct attrs){attrs, n};
    batch.spans[0].name = SV("\033[1mbold\033[0m");
    return batch;
}

static void
test_decolorize(void)
{
    static const struct {
        struct sv text;
        const char *plain;
    } cases[] = {
        {SV("no escape"), "no escape"},
        {SV("\033[31mred\033[0m"), "red"},
        {SV("\033[38;5;1;4mx\033[m"), "x"},
        {SV("a\033[2"), "a"},
        {SV("a\033["), "a"},
        {SV("a\033"), "a\033"},
        {SV("\033[\033[0m31mx"), "31mx"},
        {SV("\033\033[0m[31mx"), "x"},
        {SV("\033\033\033[0m[31m[32mx"), "x"},
        {SV("\033]0;title\007"), "\033]0;title\007"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct attr attr = {.key = SV("a"),
            .value = {.str = cases[i].text, .type = VALUE_STRING}};
        struct batch batch = one_span(&attr, 1);
        struct err err = ERR_INIT;

        for (unsigned j = 0; j < 2; j++) {
            check(params_apply_canonical(canonical(PARAMS_DECOLORIZE,
                "span_attr:a,name"), &batch, &err) == 0);
            struct sv got = batch.spans[0].attrs.v[0].value.str;
            ok(sv_eq(got, sv_from(cases[i].plain)), "escapes %u, time %u: %.*s",
                i, j, SV_ARG(got));
        }
        ok(sv_eq(batch.spans[0].name, SV("bold")), "the name, too");
    }
}

static void
test_extra(void)
{
    struct attr attrs[3] = {
        {.key = SV("a"), .value = {.str = SV("1"), .type = VALUE_STRING}},
        {.key = SV("b"), .value = {.i = 2, .type = VALUE_INT}},
        {.key = SV("a"), .value = {.i = 3, .type = VALUE_INT}},
    };
    struct batch batch = one_span(attrs, 3);
    struct err err = ERR_INIT;
    struct sv rest, text;

    check(params_apply_canonical(canonical(PARAMS_EXTRA,
        "resource_attr:service.name=shop,span_attr:a=new,zone=z,env=e"),
        &batch, &err) == 0);
    ok(sv_eq(batch.resources[0].service, SV("shop")), "the service");
    is_int(batch.spans[0].attrs.n, 2, "one attribute of that name");
    ok(sv_eq(batch.spans[0].attrs.v[1].value.str, SV("new")), "its value");
    rest = batch.scopes[0].extra_fields;
    for (unsigned i = 0; i < 4; i++) {
        static const char *const want[] = {"env", "e", "zone", "z"};

        ok(text_list_next(&rest, &text) && sv_eq(text, sv_from(want[i])),
            "a bare field: %.*s", SV_ARG(text));
    }
    ok(!text_list_next(&rest, &text), "and no more");

    check(params_apply_canonical(canonical(PARAMS_STREAM, "b,a"), &batch,
        &err) == 0);
    ok(sv_eq(batch.scopes[0].stream_fields, SV("\1a\1b")), "stream fields");
    ok(batch.scopes[0].extra_fields.len == 0, "as this request says");
}

static void
test_memory(void)
{
    struct attr attr = {.key = SV("a"),
        .value = {.str = SV("1"), .type = VALUE_STRING}};
    struct err err = ERR_INIT;
    struct pool *small = pool_new(64 * KIB);
    struct batch batch;
    unsigned n = 0;

    batch_init(&batch, small);
    check(batch_add_resource(&batch, NULL) != NULL);
    check(batch_add_scope(&batch, NULL) != NULL);
    while (batch_add_span(&batch, NULL) != NULL && n < 300)
        batch.spans[n++].attrs = (struct attrs){&attr, 1};
    while (pool_alloc(small, 64) != NULL)
        ;
    ok(params_apply_canonical(canonical(PARAMS_EXTRA, "span_attr:b=1"),
        &batch, &err) != 0, "no memory: %s", err.text);
    is_int(err.code, ERR_LIMIT, "is a limit");
    pool_free(small);
}

int
main(void)
{
    pool = pool_new(64 * MIB);
    test_canonical();
    test_refused();
    test_decode();
    test_decolorize();
    test_extra();
    test_memory();
    test_random();
    pool_free(pool);
    return tap_done();
}
