/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * text: length (varint), bytes.  All other numbers are varints; those that may
 * be negative in zigzag.
 *
 *   NAMES    of each: service (text)  name (text)  kind
 *   EDGES    of each: parent (text)  child (text)  calls  errors  duration
 *   TENANTS  of each: account  project
 *   FIGURES  flags (1: partial)  count  so many numbers: see
 *            figures_of_wire(); those behind the ones that are known are skipped
 *   SPANS    of traces: index  flags (1: partial, 2: truncated)  stream fields
 *            (text)  extra fields (text)  request to the end
 *            of an export: a request
 */

#include "core/base.h"
#include "cluster/answer_wire.h"

#include <stdlib.h>

#include "core/enc.h"
#include "otlp/otlp_encode.h"

#define SPANS_PARTIAL 1u
#define SPANS_TRUNCATED 2u

/* More of them are no figures. */
#define FIGURES_MAX 64u

static void
put_number(struct sb *out, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];

    sb_add(out, bytes, enc_put_varint(bytes, v));
}

static void
put_text(struct sb *out, struct sv text)
{
    put_number(out, text.len);
    sb_add_sv(out, text);
}

static struct enc_reader
reader_of(struct sv in)
{
    return enc_reader_make(in.ptr, in.len);
}

/* One element was read off *in. */
static int
taken(struct sv *in, const struct enc_reader *r, struct err *err)
{
    if (r->failed)
        return err_set(err, ERR_CORRUPT,
            "the answer of the node is malformed: an element ends early");
    *in = sv_sub(*in, in->len - (size_t)(r->end - r->ptr), in->len);
    return 1;
}

/* --- lists --- */

void
wire_name_put(struct sb *out, const struct wire_name *name)
{
    put_text(out, name->service);
    put_text(out, name->name);
    put_number(out, enc_zigzag(name->kind));
}

int
wire_name_take(struct sv *in, struct wire_name *out, struct err *err)
{
    struct enc_reader r = reader_of(*in);

    if (in->len == 0)
        return 0;
    out->service = enc_read_sv(&r);
    out->name = enc_read_sv(&r);
    out->kind = (int32_t)enc_unzigzag(enc_read_varint(&r));
    return taken(in, &r, err);
}

void
wire_edge_put(struct sb *out, const struct edge *edge)
{
    put_text(out, edge->parent);
    put_text(out, edge->child);
    put_number(out, edge->calls);
    put_number(out, edge->errors);
    put_number(out, enc_zigzag(edge->duration_ns));
}

int
wire_edge_take(struct sv *in, struct edge *out, struct err *err)
{
    struct enc_reader r = reader_of(*in);

    if (in->len == 0)
        return 0;
    out->parent = enc_read_sv(&r);
    out->child = enc_read_sv(&r);
    out->calls = enc_read_varint(&r);
    out->errors = enc_read_varint(&r);
    out->duration_ns = enc_unzigzag(enc_read_varint(&r));
    return taken(in, &r, err);
}

void
wire_tenant_put(struct sb *out, const struct tenant *tenant)
{
    put_number(out, tenant->account);
    put_number(out, tenant->project);
}

int
wire_tenant_take(struct sv *in, struct tenant *out, struct err *err)
{
    struct enc_reader r = reader_of(*in);
    uint64_t account, project;

    if (in->len == 0)
        return 0;
    account = enc_read_varint(&r);
    project = enc_read_varint(&r);
    if (account > UINT32_MAX || project > UINT32_MAX)
        return err_set(err, ERR_CORRUPT,
            "the answer of the node is malformed: this is no tenant");
    *out = (struct tenant){(uint32_t)account, (uint32_t)project};
    return taken(in, &r, err);
}

/* --- figures --- */

/* In the order of the wire. */
#define FIGURES 10u

static void
figures_of_wire(struct query_figures *figures,
    _Atomic uint64_t *out[FIGURES])
{
    out[0] = &figures->parts;
    out[1] = &figures->memtables;
    out[2] = &figures->blocks;
    out[3] = &figures->answered;
    out[4] = &figures->late;
    out[5] = &figures->skipped;
    out[6] = &figures->read;
    out[7] = &figures->rows;
    out[8] = &figures->found;
    out[9] = &figures->bytes;
}

void
wire_figures_put(struct sb *out, const struct wire_figures *wire)
{
    _Atomic uint64_t *all[FIGURES];

    put_number(out, wire->is_partial);
    put_number(out, wire->figures == NULL ? 0 : FIGURES + 1);
    if (wire->figures == NULL)
        return;
    figures_of_wire(wire->figures, all);
    for (size_t i = 0; i < FIGURES; i++)
        put_number(out, atomic_load(all[i]));
    put_number(out, (uint64_t)MAX(atomic_load(&wire->figures->cpu_ns), 0));
}

int
wire_figures_add(struct sv in, struct wire_figures *wire, struct err *err)
{
    struct enc_reader r = reader_of(in);
    _Atomic uint64_t *all[FIGURES];
    uint64_t flags = enc_read_varint(&r), n = enc_read_varint(&r);

    figures_of_wire(wire->figures, all);
    if (n > FIGURES_MAX || flags > 1)
        r.failed = true;
    wire->is_partial = flags == 1;
    for (uint64_t i = 0; i < n && !r.failed; i++) {
        uint64_t v = enc_read_varint(&r);

        if (i < FIGURES)
            figures_add(all[i], v);
        else if (i == FIGURES && v <= INT64_MAX)
            atomic_fetch_add(&wire->figures->cpu_ns, (int64_t)v);
    }
    return r.failed ? err_set(err, ERR_CORRUPT,
        "the answer of the node is malformed: figures end early") : 0;
}

/* --- spans --- */

int
wire_spans_take(struct sv in, struct wire_spans *out, struct err *err)
{
    struct enc_reader r = reader_of(in);
    uint64_t index = enc_read_varint(&r), flags = enc_read_varint(&r);

    *out = (struct wire_spans){.index = (uint32_t)index,
        .is_partial = (flags & SPANS_PARTIAL) != 0,
        .is_truncated = (flags & SPANS_TRUNCATED) != 0};
    out->stream_fields = enc_read_sv(&r);
    out->extra_fields = enc_read_sv(&r);
    if (r.failed || index > UINT32_MAX ||
        (flags & ~(uint64_t)(SPANS_PARTIAL | SPANS_TRUNCATED)) != 0)
        return err_set(err, ERR_CORRUPT,
            "the answer of the node is malformed: spans without their head");
    out->request = sv_sub(in, in.len - (size_t)(r.end - r.ptr), in.len);
    return 0;
}

static void
put_head(struct sb *out, const struct wire_spans *head,
    const struct scope *scope)
{
    put_number(out, head->index);
    put_number(out, (head->is_partial ? SPANS_PARTIAL : 0) |
        (head->is_truncated ? SPANS_TRUNCATED : 0));
    put_text(out, scope->stream_fields);
    put_text(out, scope->extra_fields);
}

static int
fields_cmp(const struct scope *a, const struct scope *b)
{
    int order = sv_cmp(a->stream_fields, b->stream_fields);

    return order != 0 ? order : sv_cmp(a->extra_fields, b->extra_fields);
}

/* By what all spans of a payload have in common, then as OTLP groups them. */
static int
piece_cmp(const void *left, const void *right, void *arg)
{
    const struct batch *batch = arg;
    const struct span *a = left, *b = right;
    int order = a->scope == b->scope ? 0 :
        fields_cmp(&batch->scopes[a->scope], &batch->scopes[b->scope]);

    if (order != 0)
        return order;
    if (a->resource != b->resource)
        return a->resource < b->resource ? -1 : 1;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    return (a->end_ns > b->end_ns) - (a->end_ns < b->end_ns);
}

/* The next spans that go together; their resources may be large, too. */
static uint32_t
piece_length(const struct batch *batch, uint32_t from)
{
    const struct scope *scope = &batch->scopes[batch->spans[from].scope];
    size_t bytes = 0;
    uint32_t n = 0;

    while (from + n < batch->nspans && bytes < ANSWER_PIECE &&
        fields_cmp(scope,
            &batch->scopes[batch->spans[from + n].scope]) == 0)
        bytes += otlp_span_size(&batch->spans[from + n++]);
    return n;
}

static void
put_piece(struct sb *sb, const struct batch *piece,
    const struct wire_spans *head)
{
    sb_reset(sb);
    if (head != NULL)
        put_head(sb, head, &piece->scopes[piece->spans->scope]);
    otlp_encode_protobuf(piece, sb);
}

/* sb: at most what a frame takes; halves of what is too large. */
static int
send_piece(struct sb *sb, struct batch *piece,
    const struct wire_spans *head, const struct wire_piece_to *to,
    struct err *err)
{
    uint32_t left = piece->nspans;

    while (left > 0) {
        put_piece(sb, piece, head);
        if (!sb_failed(sb)) {
            if (to->fn(to->arg, sb_sv(sb), err) != 0)
                return -1;
            piece->spans += piece->nspans;
            left -= piece->nspans;
            piece->nspans = MIN(piece->nspans, left);
        } else if (piece->nspans > 1) {
            piece->nspans /= 2;
        } else {
            return err_set(err, ERR_LIMIT, "a span is too large to be sent");
        }
    }
    return 0;
}

int
wire_spans_put(struct batch *batch, const struct wire_spans *head,
    const struct wire_piece_to *to, struct err *err)
{
    struct batch piece = *batch;
    struct sb sb;
    int rc = 0;

    sb_init(&sb, 32 * MIB);
    qsort_r(batch->spans, batch->nspans, sizeof(*batch->spans), piece_cmp,
        batch);
    for (uint32_t i = 0; rc == 0 && i < batch->nspans;
        i += piece.nspans) {
        uint32_t n = piece_length(batch, i);

        piece.spans = batch->spans + i;
        piece.nspans = n;
        rc = send_piece(&sb, &piece, head, to, err);
        piece.nspans = n;
    }
    if (batch->nspans == 0 && head != NULL) {
        const struct scope none = {.stream_fields = SV_EMPTY,
            .extra_fields = SV_EMPTY};

        put_head(&sb, head, &none);
        rc = to->fn(to->arg, sb_sv(&sb), err);
    }
    sb_release(&sb);
    return rc;
}
