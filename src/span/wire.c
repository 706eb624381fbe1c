/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "span/wire.h"

#include "core/enc.h"

size_t
wire_scan_varint(const uint8_t *ptr, size_t left, size_t max, uint64_t *out)
{
    size_t n = MIN(left, max);
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        v |= (uint64_t)(ptr[i] & 0x7f) << (7 * i);
        if (ptr[i] < 0x80) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

/* One field that is not a group. */
static bool
skip_plain(struct wire *w, enum wire_type type, struct wire_fail *fail)
{
    struct sv bytes;
    uint64_t v;
    uint32_t v32;

    switch (type) {
    case WIRE_VARINT:
        return wire_read_varint(w, &v, fail);
    case WIRE_FIXED64:
        return wire_read_fixed64(w, &v, fail);
    case WIRE_BYTES:
        return wire_read_bytes(w, &bytes, fail);
    case WIRE_FIXED32:
        return wire_read_fixed32(w, &v32, fail);
    default:
        return wire_failed(fail, w, "bad wire type");
    }
}

/* Every end must name the field of the group it closes. */
static bool
skip_group(struct wire *w, uint64_t tag, struct wire_fail *fail)
{
    uint64_t open[WIRE_GROUP_DEPTH_MAX];
    unsigned depth = 0;

    fail->notes |= WIRE_NOTE_GROUP;
    open[depth++] = tag >> 3;
    while (depth > 0) {
        if (!wire_more(w))
            return wire_failed(fail, w, "group without an end");
        if (!wire_read_tag(w, &tag, fail))
            return false;
        switch (tag & 7) {
        case WIRE_GROUP:
            if (depth == WIRE_GROUP_DEPTH_MAX)
                return wire_failed(fail, w, "groups nested too deeply");
            open[depth++] = tag >> 3;
            break;
        case WIRE_GROUP_END:
            if (open[--depth] != tag >> 3)
                return wire_failed(fail, w, "group ends with another field");
            break;
        default:
            if (!skip_plain(w, (enum wire_type)(tag & 7), fail))
                return false;
        }
    }
    return true;
}

bool
wire_skip(struct wire *w, uint64_t tag, struct wire_fail *fail)
{
    if ((tag & 7) == WIRE_GROUP)
        return skip_group(w, tag, fail);
    return skip_plain(w, (enum wire_type)(tag & 7), fail);
}

bool
wire_other(struct wire *w, uint64_t tag, uint32_t known,
    struct wire_fail *fail)
{
    uint64_t field = tag >> 3;

    if (field < 32 && (known >> field & 1) != 0)
        return wire_failed(fail, w, "wrong wire type of a known field");
    return wire_skip(w, tag, fail);
}

void
wire_put_varint(struct sb *out, uint64_t v)
{
    uint8_t bytes[ENC_VARINT_MAX];
    size_t n = 0;

    while (v >= 0x80) {
        bytes[n++] = (uint8_t)v | 0x80;
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    sb_add(out, bytes, n);
}

void
wire_put_tag_varint(struct sb *out, unsigned field, uint64_t v)
{
    wire_put_varint(out, WIRE_TAG(field, WIRE_VARINT));
    wire_put_varint(out, v);
}

void
wire_put_fixed64(struct sb *out, unsigned field, uint64_t v)
{
    wire_put_varint(out, WIRE_TAG(field, WIRE_FIXED64));
    sb_add(out, &v, 8);
}

void
wire_put_fixed32(struct sb *out, unsigned field, uint32_t v)
{
    wire_put_varint(out, WIRE_TAG(field, WIRE_FIXED32));
    sb_add(out, &v, 4);
}

void
wire_put_head(struct sb *out, unsigned field, size_t len)
{
    wire_put_varint(out, WIRE_TAG(field, WIRE_BYTES));
    wire_put_varint(out, len);
}

void
wire_put_bytes(struct sb *out, unsigned field, struct sv bytes)
{
    wire_put_head(out, field, bytes.len);
    sb_add_sv(out, bytes);
}
