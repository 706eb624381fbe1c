/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A frame, numbers little endian:
 *
 *   u8   type      enum frame_type
 *   u8   encoding  0: as it is, 1: zstd
 *   u16  mark      0x5e1f
 *   u32  length    of the payload as it follows
 *   u32  plain     of the payload when it is decoded
 *   u32  check     the low half of XXH3_64bits of the 12 bytes before, with
 *                  that of the payload as it follows as seed
 *   payload
 *
 * Payloads that are not described elsewhere:
 *
 *   ERROR   u8 code (of codes[] below), varint errno or 0, text to the end
 *   END     u32 flags; bits that are not known are refused, because an answer
 *           with them means something else than one without
 *   ALIVE   nothing
 *
 * A frame may have any type but those above: who asked knows which ones answer
 * him.
 */

#include "core/base.h"

#include "cluster/frame.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/compress.h"
#include "core/enc.h"

#define HEAD_BYTES 16u
#define HEAD_MARK 0x5e1fu
/* Of a payload that is worth it, and what must be saved: an eighth. */
#define COMPRESS_MIN 256u
#define COMPRESS_LEVEL 1

/* Numbers on the wire, whatever order enum err_code has. */
static const uint8_t codes[] = {
    [ERR_SYSTEM] = 1, [ERR_NO_SPACE] = 2, [ERR_CORRUPT] = 3,
    [ERR_INVALID] = 4, [ERR_LIMIT] = 5, [ERR_NOT_FOUND] = 6, [ERR_BUSY] = 7,
    [ERR_TIMEOUT] = 8, [ERR_UNSUPPORTED] = 9, [ERR_CANCELLED] = 10,
    [ERR_UNREACHABLE] = 11,
};

struct head {
    enum frame_type type;
    bool is_compressed;
    uint32_t len;
    uint32_t plain;
    uint32_t sum;
};

static uint32_t
frame_sum(const void *head, struct sv payload)
{
    return (uint32_t)XXH3_64bits_withSeed(head, HEAD_BYTES - 4,
        XXH3_64bits(payload.ptr, payload.len));
}

/* --- writing --- */

static void
head_put(char *dst, enum frame_type type, struct sv payload, size_t plain)
{
    dst[0] = (char)type;
    dst[1] = payload.len != plain;
    enc_put16(dst + 2, HEAD_MARK);
    enc_put32(dst + 4, (uint32_t)payload.len);
    enc_put32(dst + 8, (uint32_t)plain);
    enc_put32(dst + 12, frame_sum(dst, payload));
}

/* Behind a head that is written when the payload is there. */
static bool
put_compressed(struct sb *out, struct sv payload)
{
    size_t start = out->len;
    struct err err = ERR_INIT;

    if (compress_append(ENCODING_ZSTD, payload, COMPRESS_LEVEL, out,
            &err) == 0 && out->len - start < payload.len - payload.len / 8)
        return true;
    if (!sb_failed(out))
        out->len = start;
    return false;
}

void
frame_put(struct sb *out, enum frame_type type, struct sv payload,
    bool may_compress)
{
    static const char empty[HEAD_BYTES];
    size_t start = out->len, plain = payload.len;

    if (payload.len > FRAME_BYTES_MAX) {
        out->failed = true;
        return;
    }
    sb_add(out, empty, sizeof(empty));
    if (!may_compress || payload.len < COMPRESS_MIN ||
        !put_compressed(out, payload))
        sb_add_sv(out, payload);
    if (sb_failed(out))
        return;
    head_put(out->ptr + start, type, sv_make(out->ptr + start + HEAD_BYTES,
        out->len - start - HEAD_BYTES), plain);
}

void
frame_put_end(struct sb *out, unsigned flags)
{
    uint8_t payload[4];

    enc_put32(payload, flags);
    frame_put(out, FRAME_END, sv_make(payload, sizeof(payload)), false);
}

void
frame_put_error(struct sb *out, const struct err *err)
{
    uint8_t payload[1 + ENC_VARINT_MAX + sizeof(err->text)];
    enum err_code code = err->code;
    size_t len = strlen(err->text), used = 1;

    if ((size_t)code >= ARRAY_LEN(codes) || codes[code] == 0)
        code = ERR_SYSTEM;
    payload[0] = codes[code];
    used += enc_put_varint(payload + used,
        err->sys_errno > 0 ? (uint64_t)err->sys_errno : 0);
    memcpy(payload + used, err->text, len);
    frame_put(out, FRAME_ERROR, sv_make(payload, used + len), false);
}

/* --- reading --- */

void
frame_reader_init(struct frame_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
    sb_init(&reader->in, HEAD_BYTES + FRAME_BYTES_MAX);
    sb_init(&reader->plain, FRAME_BYTES_MAX);
}

void
frame_reader_release(struct frame_reader *reader)
{
    sb_release(&reader->in);
    sb_release(&reader->plain);
}

static int
corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the answer of the node is malformed: %s",
        what);
}

/* HEAD_BYTES of them. */
static int
head_take(struct head *head, const char *src, struct err *err)
{
    uint8_t type = (uint8_t)src[0], encoding = (uint8_t)src[1];

    if (enc_get16(src + 2) != HEAD_MARK)
        return corrupt(err, "no frame where one should begin");
    if (type < FRAME_ROWS || type > FRAME_END)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a frame of the unknown type %u", type);
    if (encoding > 1)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a frame of the unknown encoding %u", encoding);
    head->type = (enum frame_type)type;
    head->is_compressed = encoding == 1;
    head->len = enc_get32(src + 4);
    head->plain = enc_get32(src + 8);
    head->sum = enc_get32(src + 12);
    if (head->len > FRAME_BYTES_MAX || head->plain > FRAME_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: a frame of more than %zu MiB", FRAME_BYTES_MAX / MIB);
    if (head->is_compressed ? head->len >= head->plain
        : head->len != head->plain)
        return corrupt(err, "the length of a frame is wrong");
    return 0;
}

static int
decode(struct frame_reader *reader, const struct head *head,
    struct sv *payload, struct err *err)
{
    struct err why = ERR_INIT;

    if (!head->is_compressed)
        return 0;
    if (decompress(ENCODING_ZSTD, *payload, head->plain, &reader->plain,
            &why) != 0)
        return err_set(err, ERR_CORRUPT, "the answer of the node is "
            "malformed: %s", why.text);
    if (reader->plain.len != head->plain)
        return corrupt(err, "a frame is not as long as it says");
    *payload = sb_sv(&reader->plain);
    return 0;
}

/* One whole frame; what fn says. */
static int
frame_give(struct frame_reader *reader, struct sv frame, frame_fn fn,
    void *arg, struct err *err)
{
    struct sv payload = sv_sub(frame, HEAD_BYTES, frame.len);
    struct head head;

    if (head_take(&head, frame.ptr, err) != 0)
        return -1;
    if (head.sum != frame_sum(frame.ptr, payload))
        return corrupt(err, "the checksum of a frame is wrong");
    if (decode(reader, &head, &payload, err) != 0)
        return -1;
    if (head.type == FRAME_ALIVE)
        return 0;
    reader->is_last = head.type == FRAME_END || head.type == FRAME_ERROR;
    reader->is_ended = head.type == FRAME_END;
    return fn(arg, head.type, payload, err);
}

/* Bytes of the frame that begins at data; 0: its head is not whole. */
static int
frame_length(struct sv data, size_t *len, struct err *err)
{
    struct head head;

    *len = 0;
    if (data.len < HEAD_BYTES)
        return 0;
    if (head_take(&head, data.ptr, err) != 0)
        return -1;
    *len = HEAD_BYTES + (size_t)head.len;
    return 0;
}

/* Moves up to `most` bytes from data to the part of a frame. */
static int
keep(struct frame_reader *reader, struct sv *data, size_t most,
    struct err *err)
{
    size_t n = MIN(data->len, most);

    sb_add(&reader->in, data->ptr, n);
    *data = sv_sub(*data, n, data->len);
    return sb_failed(&reader->in) ? err_set(err, ERR_LIMIT,
        "no memory for the answer of a node") : 0;
}

/*
 * Takes one frame off data, or all of it; 2: no frame is whole now.  What is
 * whole in data is given without a copy.
 */
static int
feed_one(struct frame_reader *reader, struct sv *data, frame_fn fn,
    void *arg, struct err *err)
{
    struct sv frame = reader->in.len > 0 ? sb_sv(&reader->in) : *data;
    size_t len;
    int rc;

    if (reader->is_last)
        return corrupt(err, "there is more behind its end");
    if (reader->in.len > 0 && reader->in.len < HEAD_BYTES &&
        keep(reader, data, HEAD_BYTES - reader->in.len, err) != 0)
        return -1;
    if (reader->in.len > 0)
        frame = sb_sv(&reader->in);
    if (frame_length(frame, &len, err) != 0)
        return -1;
    if (reader->in.len == 0 && len > 0 && data->len >= len) {
        frame = sv_sub(*data, 0, len);
        *data = sv_sub(*data, len, data->len);
        return frame_give(reader, frame, fn, arg, err);
    }
    if (keep(reader, data, len == 0 ? HEAD_BYTES : len - reader->in.len,
            err) != 0)
        return -1;
    if (len == 0 || reader->in.len < len)
        return 2;
    rc = frame_give(reader, sb_sv(&reader->in), fn, arg, err);
    sb_reset(&reader->in);
    return rc;
}

int
frame_reader_feed(struct frame_reader *reader, struct sv data, frame_fn fn,
    void *arg, struct err *err)
{
    while (data.len > 0) {
        int rc = feed_one(reader, &data, fn, arg, err);

        if (rc != 0 && rc != 2)
            return rc;
    }
    return 0;
}

/* --- payloads --- */

/* What a node says is shown to people: no control characters. */
static void
text_show(char *dst, size_t size, struct sv text)
{
    size_t len = MIN(text.len, size - 1);

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        dst[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    dst[len] = '\0';
}

int
frame_error(struct sv payload, struct err *err)
{
    struct enc_reader r = enc_reader_make(payload.ptr, payload.len);
    uint8_t code = enc_read8(&r);
    uint64_t number = enc_read_varint(&r);
    char text[sizeof(err->text)];

    text_show(text, sizeof(text), enc_read_bytes(&r,
        (size_t)(r.end - r.ptr)));
    for (size_t i = 0; i < ARRAY_LEN(codes) && !r.failed && code != 0; i++) {
        if (codes[i] != code)
            continue;
        (void)err_set(err, (enum err_code)i, "%s", text);
        if (err != NULL && number <= INT_MAX)
            err->sys_errno = (int)number;
        return -1;
    }
    return corrupt(err, r.failed ? "an error that ends early"
        : "an error of an unknown kind");
}

int
frame_end_flags(struct sv payload, unsigned *flags, struct err *err)
{
    uint32_t bits;

    if (payload.len != sizeof(bits))
        return corrupt(err, "an end of a wrong length");
    bits = enc_get32(payload.ptr);
    if ((bits & ~(FRAME_IS_PARTIAL | FRAME_IS_TRUNCATED |
            FRAME_LACKS_NODES)) != 0)
        return err_set(err, ERR_UNSUPPORTED, "the node marks its answer in a "
            "way (%#x) that this version does not know", bits);
    *flags = bits;
    return 0;
}
