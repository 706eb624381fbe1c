/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Damaged parts: whatever byte is wrong, missing or too many, a part is
 * refused, or it answers as before; it never crashes, hangs or lies.
 * part_check() finds every flipped bit, gaps included.
 */

#include "core/base.h"

#include "core/mem.h"
#include "span/span.h"
#include "storage/part.h"
#include "storage/part_format.h"
#include "storage/part_read_cache.h"
#include "storage/stream_visit.h"

#include "part_gen.h"
#include "span_gen.h"
#include "tap.h"

#define POOL_MAX (512 * MIB)
#define ROWS 700u
#define FLIPS 2500u
#define CUTS 400u
#define FORGERIES 1500u

static const struct tenant tenant0 = {3, 4};
static struct part_gen gen;
static struct span_gen dice;
static uint8_t *bytes; /* the file, whole */
static size_t nbytes;

/* --- everything a part can be asked, as one number --- */

struct answer {
    bool failed;
    enum err_code code;
    uint64_t sum;
    char text[480];
};

static int
add_stream(struct sv service, struct sv name, int32_t kind, void *arg)
{
    uint64_t *sum = arg;

    *sum = *sum * 31 + service.len * 7 + name.len + (uint32_t)kind;
    return 0;
}

/* Sum over spans that does not depend on their order. */
static uint64_t
sum_spans(const struct batch *batch)
{
    uint64_t sum = batch->nspans;

    for (uint32_t i = 0; i < batch->nspans; i++) {
        uint64_t hash[2];

        span_hash(batch, &batch->spans[i], (uint8_t *)hash);
        sum += hash[0] * hash[1];
    }
    return sum;
}

static int
ask_rows(struct part *part, uint64_t *sum, struct err *err)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    uint32_t got;
    int rc;

    batch_init(&batch, pool);
    rc = part_read_rows(part, 0, ROWS + 10, &batch, NULL, &got, err);
    if (rc == 0)
        *sum += sum_spans(&batch) + got;
    pool_free(pool);
    return rc;
}

static int
ask_traces(struct part *part, uint64_t *sum, struct err *err)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    bool truncated = false;
    int rc = 0;

    for (uint32_t i = 0; i < gen.nrows && rc == 0; i += 37) {
        pool_reset(pool);
        batch_init(&batch, pool);
        rc = part_read_trace(part, &tenant0, &gen.mt->trace_id[gen.rows[i]],
            1000, &batch, &truncated, err);
        *sum = *sum * 3 + sum_spans(&batch);
    }
    pool_free(pool);
    return rc;
}

static struct answer
ask(void)
{
    struct answer answer = {false, ERR_NONE, 0, ""};
    struct stream_visit visit = {add_stream, &answer.sum, INT64_MIN,
        INT64_MAX};
    struct err err = ERR_INIT;
    struct part *part = NULL;

    if (part_open(&part, gen.path, &err) != 0 ||
        part_visit_streams(part, &tenant0, &visit, &err) != 0 ||
        ask_rows(part, &answer.sum, &err) != 0 ||
        ask_traces(part, &answer.sum, &err) != 0) {
        answer.failed = true;
        answer.code = err.code;
        memcpy(answer.text, err.text, sizeof(answer.text));
    }
    part_close(part);
    return answer;
}

static struct answer whole;

/* --- flips --- */

struct tally {
    uint32_t refused;
    uint32_t same;
    uint32_t lied;
    uint32_t odd_code;
    uint32_t unseen; /* by part_check() */
};

static void
count(struct tally *tally, size_t where)
{
    struct answer answer = ask();
    struct err err = ERR_INIT;

    if (!answer.failed && answer.sum == whole.sum)
        tally->same++;
    else if (!answer.failed)
        tally->lied++;
    else
        tally->refused++;
    if (answer.failed && answer.code != ERR_CORRUPT) {
        tally->odd_code++;
        diag("byte %zu: %s", where, answer.text);
    }
    if (part_check(gen.path, &err) == 0) {
        tally->unseen++;
        diag("byte %zu: part_check sees nothing", where);
    }
}

static void
flip(struct tally *tally, size_t where)
{
    uint8_t bit = (uint8_t)(1u << gen_below(&dice, 8));

    bytes[where] ^= bit;
    part_gen_write(&gen, bytes, nbytes);
    count(tally, where);
    bytes[where] ^= bit;
}

static void
report(const struct tally *tally, const char *name)
{
    is_int(tally->lied, 0, "%s: no silent change", name);
    is_int(tally->odd_code, 0, "%s: always ERR_CORRUPT", name);
    is_int(tally->unseen, 0, "%s: part_check finds all", name);
    ok(tally->refused > 0, "%s: %u refused, %u without effect", name,
        tally->refused, tally->same);
}

static void
test_flips(void)
{
    struct tally tally = {0};

    for (uint32_t i = 0; i < FLIPS; i++)
        flip(&tally, gen_below(&dice, (uint32_t)nbytes));
    report(&tally, "random flips");
}

static void
test_footer_flips(void)
{
    struct tally tally = {0};

    for (size_t i = nbytes - PART_FOOTER_BYTES; i < nbytes; i++)
        flip(&tally, i);
    report(&tally, "flips in the footer");
    is_int(tally.same, 0, "flips in the footer: all refused");
}

/* --- wrong lengths --- */

static void
test_cuts(void)
{
    struct tally tally = {0};

    for (uint32_t i = 0; i < CUTS; i++) {
        size_t len = i < 20 ? i : i < 60 ? nbytes - 1 - (i - 20) :
            gen_below(&dice, (uint32_t)nbytes);

        part_gen_write(&gen, bytes, len);
        count(&tally, len);
    }
    report(&tally, "cut files");
    is_int(tally.same, 0, "cut files: all refused");
    bytes[nbytes] = 0;
    part_gen_write(&gen, bytes, nbytes + 1);
    ok(ask().failed, "a byte too many is refused");
}

/* The file is whole but ends early while it is read: no SIGBUS, an error. */
static void
test_shrinks(void)
{
    struct err err = ERR_INIT;
    struct part *part = NULL;
    uint64_t sum = 0;

    part_gen_write(&gen, bytes, nbytes);
    check(part_open(&part, gen.path, &err) == 0);
    check(truncate(gen.path, 100) == 0);
    ok(ask_rows(part, &sum, &err) != 0, "a file that shrinks is an error");
    is_int(err.code, ERR_CORRUPT, "shrunk: %s", err.text);
    part_close(part);
}

/* Checksums are of this part: the sections of another one do not pass. */
static void
test_foreign(void)
{
    struct part_footer *footer = (struct part_footer *)(void *)(bytes +
        nbytes - sizeof(*footer));
    struct answer answer;

    footer->part_id++;
    footer->xxh3 = part_footer_checksum(footer);
    part_gen_write(&gen, bytes, nbytes);
    answer = ask();
    is_int(answer.code, ERR_CORRUPT, "data of another part: %s",
        answer.text);
}

/* --- versions --- */

static void
footer_change(void (*change)(struct part_footer *footer), enum err_code want,
    const char *name)
{
    struct part_footer footer, before;
    uint8_t *place = bytes + nbytes - sizeof(footer);
    struct answer answer;

    memcpy(&before, place, sizeof(before));
    footer = before;
    change(&footer);
    footer.xxh3 = part_footer_checksum(&footer);
    memcpy(place, &footer, sizeof(footer));
    part_gen_write(&gen, bytes, nbytes);
    answer = ask();
    is_int(answer.code, want, "%s: %s", name, answer.text);
    if (want == ERR_NONE)
        ok(answer.sum == whole.sum, "%s: the same answers", name);
    if (want == ERR_UNSUPPORTED)
        ok(strstr(answer.text, "newer spoor") != NULL, "%s: says so", name);
    memcpy(place, &before, sizeof(before));
}

static void
newer_major(struct part_footer *footer)
{
    footer->major++;
}

static void
newer_minor(struct part_footer *footer)
{
    footer->minor++;
}

/* LINEAGE is not needed for the answers but must be there. */
static void
unknown_critical(struct part_footer *footer)
{
    footer->sections[footer->nsections] = footer->sections[0];
    footer->sections[footer->nsections++].type = 900;
}

static void
unknown_optional(struct part_footer *footer)
{
    unknown_critical(footer);
    footer->sections[footer->nsections - 1].flags = 0;
}

static void
no_section(struct part_footer *footer)
{
    /* Those behind it may be missing. */
    while ((footer->sections[footer->nsections - 1].flags &
        PART_SECTION_CRITICAL) == 0)
        footer->nsections--;
    footer->nsections--;
}

static void
twice(struct part_footer *footer)
{
    footer->sections[footer->nsections] = footer->sections[2];
    footer->nsections++;
}

static void
unknown_codec(struct part_footer *footer)
{
    footer->sections[1].codec = 9;
}

static void
test_versions(void)
{
    footer_change(newer_major, ERR_UNSUPPORTED, "newer major version");
    footer_change(newer_minor, ERR_NONE, "newer minor version");
    footer_change(unknown_critical, ERR_UNSUPPORTED, "unknown critical "
        "section");
    footer_change(unknown_optional, ERR_NONE, "unknown section");
    footer_change(no_section, ERR_CORRUPT, "a section less");
    footer_change(twice, ERR_CORRUPT, "a section twice");
    footer_change(unknown_codec, ERR_UNSUPPORTED, "unknown codec");
}

/* --- forged: damage with checksums that fit --- */

static struct part_section *
forged_section(struct part_footer *footer, unsigned type)
{
    for (unsigned i = 0; i < footer->nsections; i++)
        if (footer->sections[i].type == type)
            return &footer->sections[i];
    return NULL;
}

/* Makes checksums of sections, directory and footer fit the bytes again. */
static void
forge(void)
{
    struct part_footer *footer = (struct part_footer *)(void *)(bytes +
        nbytes - sizeof(*footer));
    struct part_section *blocks = forged_section(footer,
        PART_SECTION_BLOCKS);
    struct part_block *block = (struct part_block *)(void *)(bytes +
        blocks->off);

    if (block->dir_off <= nbytes && block->dir_len <= nbytes -
        block->dir_off && block->off == 0)
        block->dir_xxh3 = part_checksum(PART_GEN_ID, bytes + block->dir_off,
            block->dir_len);
    for (unsigned i = 0; i < footer->nsections; i++) {
        struct part_section *section = &footer->sections[i];

        section->xxh3 = part_checksum(PART_GEN_ID, bytes + section->off,
            section->len);
    }
    footer->xxh3 = part_footer_checksum(footer);
}

/* Index sections and the block directory: that is where the numbers are. */
static void
test_forgeries(void)
{
    uint8_t *before = xmalloc(nbytes);
    const struct part_footer *footer = (const struct part_footer *)
        (const void *)(bytes + nbytes - sizeof(*footer));
    const struct part_block *block;
    uint32_t refused = 0, odd = 0;
    size_t from, to = nbytes - sizeof(*footer);

    memcpy(before, bytes, nbytes);
    block = (const struct part_block *)(const void *)(bytes +
        footer->sections[0].off);
    is_int(footer->sections[0].type, PART_SECTION_BLOCKS, "BLOCKS is first");
    from = block->dir_off;
    for (uint32_t i = 0; i < FORGERIES; i++) {
        struct answer answer;
        struct err err = ERR_INIT;

        for (uint32_t n = 1 + gen_below(&dice, 3); n > 0; n--)
            bytes[from + gen_below(&dice, (uint32_t)(to - from))] ^=
                (uint8_t)(1u << gen_below(&dice, 8));
        forge();
        part_gen_write(&gen, bytes, nbytes);
        answer = ask();
        refused += answer.failed;
        if (answer.failed && answer.code != ERR_CORRUPT &&
            answer.code != ERR_UNSUPPORTED && answer.code != ERR_LIMIT)
            odd++;
        (void)!part_check(gen.path, &err);
        memcpy(bytes, before, nbytes);
    }
    is_int(odd, 0, "forgeries: only corrupt, unsupported or too large");
    ok(refused > FORGERIES / 2, "forgeries: %u of %u refused", refused,
        FORGERIES);
    xfree(before);
}

int
main(void)
{
    struct pool *pool = pool_new(POOL_MAX);
    struct batch batch;
    struct err err = ERR_INIT;
    struct span_gen spans;

    part_gen_init(&gen);
    span_gen_init(&dice, 2026);
    span_gen_init(&spans, 6);
    spans.now_ns += 12 * 3600 * NS_PER_SEC;
    spans.shapes = 40;
    spans.huge_every = 500;
    batch_init(&batch, pool);
    span_gen_wild(&spans, &batch, ROWS);
    check(part_gen_add(&gen, tenant0, &batch));
    pool_free(pool);
    check(part_gen_encode(&gen, &err) == 0);
    nbytes = gen.file.len;
    bytes = xmalloc(nbytes + 1);
    memcpy(bytes, gen.file.ptr, nbytes);
    part_gen_write(&gen, bytes, nbytes);
    whole = ask();
    ok(!whole.failed, "the part is whole: %s", whole.text);
    ok(part_check(gen.path, &err) == 0, "and checks: %s", err.text);
    test_flips();
    test_footer_flips();
    test_cuts();
    test_shrinks();
    test_versions();
    test_forgeries();
    test_foreign();
    is_int(data_cache_held(), 0, "nothing is left in the cache");
    xfree(bytes);
    part_gen_free(&gen);
    return tap_done();
}
