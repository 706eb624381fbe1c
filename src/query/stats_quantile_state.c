/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * States of quantile as bytes (query/state.h).
 *
 *   texts   their number (varint), each a text
 *   groups  of each: n  shift  place  left (varints), whether there are tags
 *           (a byte), n values of 8 bytes, n tags
 */

#include "core/base.h"
#include "query/stats_quantile.h"

#include "query/atom.h"
#include "query/state.h"
#include "query/state_texts.h"

static void
save_values(struct sb *out, const struct samples *samples)
{
    size_t size = samples->n * sizeof(int64_t);
    char *room = sb_reserve(out, size);

    if (room == NULL)
        return;
    samples_copy(samples, room);
    sb_advance(out, size);
}

/* Texts of the samples in the state. */
static int
number_texts(const struct samples *samples, struct state_texts *texts,
    struct err *err)
{
    for (uint32_t i = 0; samples->tags != NULL && i < samples->n; i++) {
        uint32_t number;

        if (samples->tags[i] == ATOM_TEXT && state_texts_number(texts,
                (uint32_t)samples->v[i], &number, err) != 0)
            return -1;
    }
    return 0;
}

/* Values with tags; those of texts are their numbers here. */
static int
save_tagged(struct sb *out, const struct samples *samples,
    struct state_texts *texts, struct err *err)
{
    for (uint32_t i = 0; i < samples->n; i++) {
        uint64_t v = (uint64_t)samples->v[i];
        uint32_t number;

        if (samples->tags[i] == ATOM_TEXT) {
            if (state_texts_number(texts, (uint32_t)v, &number, err) != 0)
                return -1;
            v = number;
        }
        state_put64(out, v);
    }
    sb_add(out, samples->tags, samples->n);
    return 0;
}

static int
save_samples(struct sb *out, const struct samples *samples, uint32_t left,
    struct state_texts *texts, struct err *err)
{
    state_put_varint(out, samples->n);
    state_put_varint(out, samples->shift);
    state_put_varint(out, samples->place);
    state_put_varint(out, left);
    sb_add_char(out, samples->tags != NULL);
    if (samples->n == 0)
        return 0;
    if (samples->tags != NULL)
        return save_tagged(out, samples, texts, err);
    save_values(out, samples);
    return 0;
}

static int
save_groups(struct quantile *q, const struct acc_range *range,
    struct state_texts *texts, struct sb *out, struct err *err)
{
    const struct samples *groups = q->groups.items;
    const uint32_t *left = q->left.items;

    for (uint32_t i = range->first; i < range->end; i++) {
        if (number_texts(&groups[i], texts, err) != 0)
            return -1;
    }
    state_put_varint(out, texts->n);
    for (uint32_t i = 0; i < texts->n; i++) {
        struct sv text;

        keys_texts(&q->texts, state_texts_id(texts, i), &text);
        state_put_text(out, text);
    }
    for (uint32_t i = range->first; i < range->end; i++) {
        if (save_samples(out, &groups[i], left[i], texts, err) != 0)
            return -1;
    }
    return 0;
}

int
quantile_save(struct acc *acc, struct acc_range *range, struct sb *out,
    struct err *err)
{
    struct state_texts texts;
    int rc;

    state_texts_init(&texts, acc->hold);
    rc = save_groups((struct quantile *)acc, range, &texts, out, err);
    state_texts_drop(&texts);
    return rc;
}

uint64_t
quantile_weigh(struct acc *acc, uint32_t group)
{
    const struct samples *groups = ((struct quantile *)acc)->groups.items;

    return 16 + UINT64_C(9) * groups[group].n;
}

static int
load_texts(struct quantile *q, struct enc_reader *in, struct err *err)
{
    uint64_t n = enc_read_varint(in);

    for (uint64_t i = 0; i < n && !in->failed; i++) {
        struct sv text = enc_read_sv(in);
        uint32_t id;

        if (keys_find(&q->texts, &text, &id, err) != 0)
            return -1;
        if (id != i)
            return state_bad(err);
    }
    return 0;
}

static bool
tags_are_right(const struct quantile *q, const struct samples *samples)
{
    for (uint32_t i = 0; i < samples->n; i++) {
        if (samples->tags[i] > ATOM_TEXT || (samples->tags[i] == ATOM_TEXT &&
            (uint64_t)samples->v[i] >= q->texts.count))
            return false;
    }
    return true;
}

static int
load_values(struct quantile *q, struct samples *samples, struct sv values,
    struct sv tags, struct err *err)
{
    uint32_t n = (uint32_t)(values.len / sizeof(int64_t));
    int64_t v;

    if (tags.len == 0 && samples->shift == 0 && n < q->sampler.max - 1) {
        for (uint32_t i = 0; i < n; i++) {
            memcpy(&v, values.ptr + i * sizeof(v), sizeof(v));
            if (samples_put_int(&q->sampler, samples, v, err) != 0)
                return -1;
        }
        return 0;
    }
    if (samples_reserve(&q->sampler, samples, n, err) != 0 ||
        (tags.len > 0 && samples_tag(&q->sampler, samples, err) != 0))
        return -1;
    memcpy(samples->v, values.ptr, values.len);
    samples->n = n;
    if (tags.len == 0)
        return 0;
    memcpy(samples->tags, tags.ptr, tags.len);
    return tags_are_right(q, samples) ? 0 : state_bad(err);
}

static int
load_samples(struct quantile *q, struct samples *samples, uint32_t *left,
    struct enc_reader *in, struct err *err)
{
    uint64_t n = enc_read_varint(in), shift = enc_read_varint(in);
    uint64_t place = enc_read_varint(in), rest = enc_read_varint(in);
    unsigned has_tags = enc_read8(in);
    struct sv values = enc_read_bytes(in, n <= SAMPLES_MAX
        ? n * sizeof(int64_t) : SIZE_MAX), tags = SV_EMPTY;

    if (has_tags && n > 0)
        tags = enc_read_bytes(in, n);
    if (in->failed || shift > 30 || place >= UINT64_C(1) << shift ||
        rest == 0 || rest > UINT32_MAX)
        return state_bad(err);
    samples->shift = (uint8_t)shift;
    samples->place = (uint32_t)place;
    *left = (uint32_t)rest;
    return n == 0 ? 0 : load_values(q, samples, values, tags, err);
}

int
quantile_load(struct acc *acc, struct enc_reader *in, struct err *err)
{
    struct quantile *q = (struct quantile *)acc;
    struct samples *groups = q->groups.items;
    uint32_t *left = q->left.items;

    if (load_texts(q, in, err) != 0)
        return -1;
    for (uint32_t i = 0; i < acc->ngroups; i++) {
        if (load_samples(q, &groups[i], &left[i], in, err) != 0)
            return -1;
    }
    return 0;
}
