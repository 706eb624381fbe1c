/* SPDX-License-Identifier: BSD-2-Clause */

/* Reading files of OTLP requests: which of the forms it is, and its items. */

#include "core/base.h"
#include "cli/otlp_file.h"

#include "span/wire.h"

#define LENGTH_BYTES 4u

int
otlp_in_open(struct otlp_in *in, const char *path, struct err *err)
{
    memset(in, 0, sizeof(*in));
    sb_init(&in->inflated, INPUT_ITEM_MAX);
    return input_open(&in->in, path, err);
}

void
otlp_in_release(struct otlp_in *in)
{
    input_release(&in->in);
    sb_release(&in->inflated);
}

void
otlp_in_place(const struct otlp_in *in, char dst[40])
{
    if (in->framing == OTLP_FRAMING_LINES)
        snprintf(dst, 40, "line %llu", (unsigned long long)in->in.line);
    else
        snprintf(dst, 40, "request %llu", (unsigned long long)in->number);
}

static uint32_t
length_at(struct sv bytes)
{
    const uint8_t *b = (const uint8_t *)bytes.ptr;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
        b[3];
}

/* JSON text begins with '{', blanks or a byte order mark. */
static bool
looks_like_json(struct sv bytes)
{
    return bytes.len > 0 && bytes.ptr[0] != '\0' &&
        strchr("{[ \t\r\xef", bytes.ptr[0]) != NULL;
}

static int
recognise(struct otlp_in *in, struct err *err)
{
    struct sv head;

    if (input_peek(&in->in, LENGTH_BYTES, &head, err) != 0)
        return -1;
    if (head.len == 0 || looks_like_json(head))
        in->framing = OTLP_FRAMING_LINES;
    else if (head.len == LENGTH_BYTES && length_at(head) <= INPUT_ITEM_MAX)
        in->framing = OTLP_FRAMING_LENGTHS;
    else if (head.ptr[0] == 0x0a)
        in->framing = OTLP_FRAMING_BARE;
    else
        return err_set(err, ERR_INVALID, "no file of OTLP requests: neither "
            "JSON lines nor protobuf");
    return 0;
}

/* --- the forms --- */

static int
next_line(struct otlp_in *in, struct otlp_item *item, struct err *err)
{
    bool is_long;
    int got = input_line(&in->in, &item->body, &is_long, err);

    if (got == 1 && in->in.line == 1 &&
        sv_starts_with(item->body, SV("\xef\xbb\xbf")))
        item->body = sv_sub(item->body, 3, item->body.len);
    item->format = OTLP_JSON;
    item->bad = is_long ? "it is longer than 64 MiB" : NULL;
    return got;
}

static void
unzip_item(struct otlp_in *in, struct otlp_item *item)
{
    if (!sv_starts_with(item->body, SV("\x28\xb5\x2f\xfd")))
        return;
    if (decompress(ENCODING_ZSTD, item->body, INPUT_ITEM_MAX, &in->inflated,
        NULL) != 0)
        item->bad = "its zstd data is damaged or too large";
    item->body = sb_sv(&in->inflated);
}

static int
next_length(struct otlp_in *in, struct otlp_item *item, struct err *err)
{
    struct sv bytes;
    uint32_t len;

    if (input_peek(&in->in, LENGTH_BYTES, &bytes, err) != 0)
        return -1;
    if (bytes.len == 0)
        return 0;
    len = bytes.len == LENGTH_BYTES ? length_at(bytes) : 0;
    if (len > INPUT_ITEM_MAX)
        return err_set(err, ERR_INVALID, "the request at byte %llu would "
            "have %u bytes: the file is damaged",
            (unsigned long long)in->in.offset, len);
    if (bytes.len == LENGTH_BYTES &&
        input_peek(&in->in, LENGTH_BYTES + len, &bytes, err) != 0)
        return -1;
    if (bytes.len < LENGTH_BYTES + len)
        return err_set(err, ERR_INVALID, "the file ends within the request "
            "at byte %llu", (unsigned long long)in->in.offset);
    item->body = sv_sub(bytes, LENGTH_BYTES, len);
    input_take(&in->in, LENGTH_BYTES + len);
    unzip_item(in, item);
    item->format = looks_like_json(item->body) ? OTLP_JSON : OTLP_PROTOBUF;
    return 1;
}

/* One field "resource_spans" of a request is a request, too. */
static int
next_field(struct otlp_in *in, struct otlp_item *item, struct err *err)
{
    struct sv bytes;
    uint64_t len;
    size_t used;

    if (input_peek(&in->in, 1 + 5, &bytes, err) != 0)
        return -1;
    if (bytes.len == 0)
        return 0;
    used = wire_scan_varint((const uint8_t *)bytes.ptr + 1, bytes.len - 1, 5,
        &len);
    if (bytes.ptr[0] != 0x0a || used == 0 || len > INPUT_ITEM_MAX)
        return err_set(err, ERR_INVALID, "byte %llu is no beginning of spans "
            "as protobuf", (unsigned long long)in->in.offset);
    if (input_peek(&in->in, 1 + used + len, &bytes, err) != 0)
        return -1;
    if (bytes.len < 1 + used + len)
        return err_set(err, ERR_INVALID, "the file ends within the message "
            "at byte %llu", (unsigned long long)in->in.offset);
    item->body = bytes;
    item->format = OTLP_PROTOBUF;
    input_take(&in->in, bytes.len);
    return 1;
}

int
otlp_in_next(struct otlp_in *in, struct otlp_item *item, struct err *err)
{
    int got;

    memset(item, 0, sizeof(*item));
    if (in->framing == OTLP_FRAMING_UNKNOWN && recognise(in, err) != 0)
        return -1;
    if (in->framing == OTLP_FRAMING_LINES)
        got = next_line(in, item, err);
    else if (in->framing == OTLP_FRAMING_LENGTHS)
        got = next_length(in, item, err);
    else
        got = next_field(in, item, err);
    in->number += got == 1;
    return got;
}
